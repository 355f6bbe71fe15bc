/* memory_limit.h: how much memory this process may still take. */
#ifndef DET_BASE_MEMORY_LIMIT_H
#define DET_BASE_MEMORY_LIMIT_H

#include <stddef.h>

/* The least of what /proc/meminfo calls available and what the control group leaves (cgroup v2
 * memory.max - memory.current, v1 memory.limit_in_bytes - memory.usage_in_bytes; what the group
 * holds as file cache counts as free). SIZE_MAX where none of them can be read. */
size_t det_memory_available(void);

/* One line "NAME: 123 kB" of a text in /proc/meminfo's form in bytes; false when it is not there. */
_Bool det_memory_parse_line(const char *text, const char *name, size_t *bytes);

#endif
