/* disk.h: what a power cut would leave of a folder, and a disk that is full. write(), fsync(),
 * rename() and unlink() of the test program are these functions here, which watch one folder.
 *
 * The model of a file system: data that was not synced is lost (the file is shorter, or the bytes
 * are zero), names that were changed since the folder was synced are either all there or not at
 * all. */
#ifndef DET_TESTS_SUPPORT_DISK_H
#define DET_TESTS_SUPPORT_DISK_H

#include <stdbool.h>

enum disk_loss {
    DISK_NAMES_KEPT,      /* all changes of names arrived, unsynced data is cut off */
    DISK_NAMES_KEPT_ZERO, /* the same, unsynced data is zeros */
    DISK_NAMES_LOST,      /* no change of a name since the folder was synced arrived */
    DISK_LOSSES,
};

/* Watches what happens right in `folder`, which need not exist yet. `callback`, if given, is called
 * before each operation that changes what is on disk, and is not called for what it does itself. */
void disk_watch(const char *folder, void (*callback)(void *user), void *user);
void disk_unwatch(void);
/* Writes the folder as a power cut at this moment would leave it into `to`, made anew. */
void disk_cut(const char *to, enum disk_loss loss);
/* From now on every write into the folder fails as on a full disk; or no more. */
void disk_set_full(bool full);

#endif
