/* control_group.h: what the control groups of this process leave it: containers limit processors
 * and memory this way, and neither the affinity mask nor /proc/meminfo shows it. Both versions
 * (Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux), also side by side. A limit of
 * any group above counts as well: the tightest is taken.
 *
 * `root` is put before every path: "", or a folder with proc/self/{cgroup,mountinfo} and the mounts
 * that these name.
 */
#ifndef DET_SUPPORT_CONTROL_GROUP_H
#define DET_SUPPORT_CONTROL_GROUP_H

#include <stddef.h>

/* Processors that the quota of processor time is worth, a started one counts as whole; 0: there is
 * no quota. */
int det_group_processors(const char *root);

/* Bytes that the memory limit leaves, what the group holds as file cache given back; SIZE_MAX:
 * there is no limit. */
size_t det_group_memory(const char *root);

#endif
