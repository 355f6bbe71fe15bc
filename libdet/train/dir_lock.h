/* dir_lock.h: one training a folder, on one machine or on several that share a disk.
 *
 * Who trains in a folder owns DIR/training.lock, a text that names it: host, process, since when.
 * It appears with its content at once (a link to a file made before), so that nobody ever sees half
 * of it, and its owner
 *   - holds the kernel's lock on it (an open file description lock), which goes with the process
 *     however that ends,
 *   - and writes it again every DET_LOCK_BEAT_SECONDS, which is all that another machine may get to
 *     see of it.
 *
 * A lock whose owner is gone is taken over without a word of the user: where the kernel's lock is
 * free and can speak for the owner (the file system is a local one, or the owner ran under this
 * very kernel), where the owner's process is gone or the machine has been started again since, and,
 * for any other machine on a shared disk, when the owner gave no sign of life for
 * DET_LOCK_STALE_SECONDS. So a training that was killed goes on at once, and one whose machine is
 * gone for good after that time, or when somebody removes the file.
 *
 * An owner that was taken for dead (a machine that slept) finds out at its next sign of life and
 * before each checkpoint, and stops. Readers need no lock. Belongs to one thread; in a forked child
 * nothing is released.
 */
#ifndef DET_TRAIN_DIR_LOCK_H
#define DET_TRAIN_DIR_LOCK_H

#include <sys/types.h>

#include "train/lock_owner.h"

#define DET_LOCK_NAME          "training.lock"
#define DET_LOCK_BEAT_SECONDS  30
#define DET_LOCK_STALE_SECONDS 600

struct det_dir_lock {
    char *path;
    int descriptor;
    char record[DET_LOCK_RECORD_BYTES]; /* what the file says of us */
    pid_t process;                      /* that took it */
    double beaten_s;
};

/* Not held: */
#define DET_DIR_LOCK_NONE \
    {                     \
        .descriptor = -1  \
    }
bool det_dir_lock_held(const struct det_dir_lock *lock);

/* IN_USE names the owner and says how to go on; that takes a moment, since a process that was just
 * killed still closes its files. */
det_status det_dir_lock_take(struct det_env *env, const char *directory, struct det_dir_lock *lock);
/* A sign of life when it is time for one, or `now`. IN_USE: the lock is another's. */
det_status det_dir_lock_beat(struct det_env *env, struct det_dir_lock *lock, bool now);
void det_dir_lock_release(struct det_env *env, struct det_dir_lock *lock);

/* Whether somebody trains there; disturbs nobody. A folder that is not there has no owner. */
det_status det_dir_lock_look(struct det_env *env, const char *directory, bool *in_use);

#endif
