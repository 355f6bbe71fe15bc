/* target.h: what a path to write to stands for: a file that may be replaced, or something that is
 * only ever written into. */
#ifndef DET_SUPPORT_TARGET_H
#define DET_SUPPORT_TARGET_H

#include <sys/stat.h>

#include "support/env.h"

enum det_target_kind {
    DET_TARGET_FILE,       /* a regular file, or nothing yet */
    DET_TARGET_NODE,       /* a device, a FIFO, what another process has open: written into */
    DET_TARGET_DESCRIPTOR, /* what this process has open: /dev/stdout, /dev/fd/3, /proc/self/fd/3 */
};

struct det_target {
    enum det_target_kind kind;
    /* absolute; of a file without symbolic links: it is the link's target that is written */
    char *path;
    int descriptor; /* of DET_TARGET_DESCRIPTOR */
    bool exists;    /* then `info` tells of it */
    struct stat info;
};

/* Follows symbolic links, dangling ones too, under the kernel's own rules (a loop is an error, so
 * is a link that fs.protected_symlinks forbids). A folder, a disk (block device), a missing folder
 * on the way and, where the process may not write it, an existing file are errors: write protection
 * is honoured, although a folder's rights would let the file be replaced. */
det_status det_target_find(struct det_env *env, const char *path, struct det_target *target);
void det_target_free(struct det_env *env, struct det_target *target);

#endif
