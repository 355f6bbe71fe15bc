/* lock_owner.h: who a training is, as a text in a lock file (dir_lock.h), and whether the owner of
 * such a text still lives. */
#ifndef DET_TRAIN_LOCK_OWNER_H
#define DET_TRAIN_LOCK_OWNER_H

#include "support/env.h"

enum { DET_LOCK_RECORD_BYTES = 1024, DET_LOCK_VALUE_BYTES = 256 };

/* Lines "NAME: VALUE": host, process, when that was started, the boot of the machine, the space of
 * process numbers, since when, and a token that is only this owner's. It ends with the token, so
 * that a part of it is known as one. */
void det_lock_record_make(char record[DET_LOCK_RECORD_BYTES]);
/* "" when the record has none. */
void det_lock_record_value(const char *record, const char *name, char value[DET_LOCK_VALUE_BYTES]);
bool det_lock_record_is_whole(const char *record);

/* What can be seen of a lock file. */
struct det_lock_sight {
    char record[DET_LOCK_RECORD_BYTES];
    bool kernel_speaks; /* its locks work there */
    bool kernel_held;
    bool local;       /* no other machine can reach the file */
    double silence_s; /* since the last sign of life */
    long long beaten; /* its time, seconds since 1970 */
};

/* `now`: a file that was written just now on the same disk, whose clock it is; -1: this machine's
 * clock. */
void det_lock_see(int descriptor, int now, struct det_lock_sight *sight);

/* What the rules of dir_lock.h say. */
bool det_lock_owner_lives(const struct det_lock_sight *sight);

/* Its process is gone, or as good as gone, but its files are not closed yet. */
bool det_lock_owner_is_ending(const struct det_lock_sight *sight);

/* Names the owner and says how to go on. */
det_status det_lock_fail(struct det_env *env, const char *path, const struct det_lock_sight *sight);

#endif
