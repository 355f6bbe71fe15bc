#define _GNU_SOURCE /* F_OFD_SETLK */
#include "train/dir_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"

/* For how long a lock is asked for; and that of a process which is at its end: gigabytes and a GPU
 * take a while to close. */
#define PATIENCE_SECONDS        2.0
#define ENDING_PATIENCE_SECONDS 30.0

/* --- taking it --- */

static bool lock_by_kernel(int descriptor)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    /* Where the file system has no such locks, signs of life have to do. */
    return fcntl(descriptor, F_OFD_SETLK, &lock) == 0 || (errno != EAGAIN && errno != EACCES);
}

static det_status write_record(struct det_env *env, const struct det_dir_lock *lock)
{
    const size_t bytes = strlen(lock->record);
    const ssize_t written = pwrite(lock->descriptor, lock->record, bytes, 0);
    return written == (ssize_t)bytes
               ? DET_OK
               : det_fail_write(env, written < 0 ? errno : ENOSPC, lock->path);
}

/* A file with our record, locked, that is not the lock yet. */
static det_status make_candidate(struct det_env *env, struct det_dir_lock *lock, char **path)
{
    const char *token = strstr(lock->record, "\ntoken: ");
    char *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &folder, lock->path));
    DET_TRY(det_path_join_printf(env, path, folder, "." DET_LOCK_NAME ".tmp-%.16s",
                                 token + strlen("\ntoken: ")));
    lock->descriptor = open(*path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (lock->descriptor < 0)
        DET_TRY(det_fail_errno(env, errno, "%s: cannot make it", lock->path));
    (void)lock_by_kernel(lock->descriptor); /* nobody else knows of it */
    DET_TRY(write_record(env, lock));
fail:
    det_free(env, &folder);
    return status;
}

/* Where files have no second names (FAT): made empty, then filled. */
static det_status make_without_links(struct det_env *env, struct det_dir_lock *lock, bool *made)
{
    const int descriptor =
        open(lock->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    *made = descriptor >= 0;
    if (descriptor < 0)
        return errno == EEXIST ? DET_OK
                               : det_fail_errno(env, errno, "%s: cannot make it", lock->path);
    close(lock->descriptor);
    lock->descriptor = descriptor;
    (void)lock_by_kernel(descriptor);
    return write_record(env, lock);
}

/* *made: the candidate has become the lock; else there is one already. */
static det_status make_lock(struct det_env *env, struct det_dir_lock *lock, const char *candidate,
                            bool *made)
{
    *made = link(candidate, lock->path) == 0;
    if (*made || errno == EEXIST)
        return DET_OK;
    return make_without_links(env, lock, made);
}

static bool is_at(int descriptor, const char *path)
{
    struct stat open_one, there;
    return fstat(descriptor, &open_one) == 0 && stat(path, &there) == 0 &&
           open_one.st_dev == there.st_dev && open_one.st_ino == there.st_ino;
}

/* Takes over from an owner that is gone. *taken false: look again. */
static det_status take_over(struct det_env *env, struct det_dir_lock *lock, const char *candidate,
                            struct det_lock_sight *sight, bool *taken)
{
    *taken = false;
    int present = open(lock->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (present < 0 && errno == EACCES) /* another user's: it can be looked at and replaced */
        present = open(lock->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (present < 0)
        return errno == ENOENT ? DET_OK : det_fail_errno(env, errno, "%s", lock->path);
    det_lock_see(present, lock->descriptor, sight);
    /* Whoever holds the old file's lock is alone in putting another in its place. */
    if (!det_lock_owner_lives(sight) && lock_by_kernel(present) && is_at(present, lock->path))
        *taken = rename(candidate, lock->path) == 0;
    close(present);
    if (*taken && det_lock_record_is_whole(sight->record)) {
        char host[DET_LOCK_VALUE_BYTES], process[DET_LOCK_VALUE_BYTES];
        det_lock_record_value(sight->record, "host", host);
        det_lock_record_value(sight->record, "process", process);
        det_log(env, DET_LOG_INFO, "%s: taken over from process %s on host %s, which is gone",
                lock->path, process, host);
    }
    return DET_OK;
}

static det_status contend(struct det_env *env, struct det_dir_lock *lock, const char *candidate)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    const double begin_s = det_clock_seconds();
    for (;;) {
        struct det_lock_sight sight = {.record = ""};
        bool done = false;
        DET_TRY_RETURN(make_lock(env, lock, candidate, &done));
        if (!done)
            DET_TRY_RETURN(take_over(env, lock, candidate, &sight, &done));
        if (done)
            return DET_OK;
        if (det_clock_seconds() - begin_s >
            (det_lock_owner_is_ending(&sight) ? ENDING_PATIENCE_SECONDS : PATIENCE_SECONDS))
            return det_lock_fail(env, lock->path, &sight);
        nanosleep(&pause, NULL);
    }
}

bool det_dir_lock_held(const struct det_dir_lock *lock)
{
    return lock->descriptor >= 0;
}

det_status det_dir_lock_take(struct det_env *env, const char *directory, struct det_dir_lock *lock)
{
    char *candidate = NULL;
    det_status status = DET_OK;
    *lock = (struct det_dir_lock)DET_DIR_LOCK_NONE;
    det_lock_record_make(lock->record);
    DET_TRY(det_path_join(env, &lock->path, directory, DET_LOCK_NAME));
    DET_TRY(make_candidate(env, lock, &candidate));
    DET_TRY(contend(env, lock, candidate));
    det_writer_remove_leftovers(env, directory, DET_LOCK_NAME);
    lock->process = getpid();
    lock->beaten_s = det_clock_seconds();
fail:
    if (candidate != NULL)
        unlink(candidate);
    det_free(env, &candidate);
    if (status != DET_OK) {
        if (lock->descriptor >= 0)
            close(lock->descriptor);
        lock->descriptor = -1;
        det_free(env, &lock->path);
    }
    return status;
}

/* --- holding it --- */

/* False: there is none. What cannot be read just now (a server that is away) is ours still. */
static bool read_lock(const struct det_dir_lock *lock, struct det_lock_sight *sight)
{
    const int descriptor = open(lock->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    const int error = errno;
    snprintf(sight->record, sizeof sight->record, "%s", lock->record);
    if (descriptor >= 0) {
        det_lock_see(descriptor, -1, sight);
        close(descriptor);
    }
    return descriptor >= 0 || error != ENOENT;
}

det_status det_dir_lock_beat(struct det_env *env, struct det_dir_lock *lock, bool now)
{
    const double time_s = det_clock_seconds();
    struct det_lock_sight sight = {.kernel_held = true};
    if (!det_dir_lock_held(lock) || (!now && time_s - lock->beaten_s < DET_LOCK_BEAT_SECONDS))
        return DET_OK;
    if (!read_lock(lock, &sight)) { /* removed by somebody who took us for dead, or by mistake */
        bool made = false;
        (void)make_without_links(env, lock, &made);
    } else if (det_lock_record_is_whole(sight.record) && strcmp(sight.record, lock->record) != 0) {
        sight.kernel_held = true; /* it is not for us to remove */
        (void)det_lock_fail(env, lock->path, &sight);
        return det_fail_prefix(env, DET_STATUS_IN_USE,
                               "this training was taken for dead and is at its end");
    } else {
        (void)pwrite(lock->descriptor, lock->record, strlen(lock->record), 0);
    }
    lock->beaten_s = time_s;
    return DET_OK;
}

void det_dir_lock_release(struct det_env *env, struct det_dir_lock *lock)
{
    struct det_lock_sight sight = {.record = ""};
    if (!det_dir_lock_held(lock))
        return;
    if (lock->process == getpid() && read_lock(lock, &sight) &&
        strcmp(sight.record, lock->record) == 0)
        unlink(lock->path);
    close(lock->descriptor);
    lock->descriptor = -1;
    det_free(env, &lock->path);
}

det_status det_dir_lock_look(struct det_env *env, const char *directory, bool *in_use)
{
    struct det_lock_sight sight;
    char *path = NULL;
    *in_use = false;
    DET_TRY_RETURN(det_path_join(env, &path, directory, DET_LOCK_NAME));
    const int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor >= 0) {
        det_lock_see(descriptor, -1, &sight);
        *in_use = det_lock_owner_lives(&sight);
        close(descriptor);
    }
    det_free(env, &path);
    return DET_OK;
}
