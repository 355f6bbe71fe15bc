#include "support/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/guard.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/target.h"

#define WRITER_BUFFER_BYTES ((size_t)1 << 18)
#define TEMPORARY_MARK      ".tmp-"

/* Of a temporary name: the mark and 16 digits; the shortest limit on a name in use is 143 bytes
 * (eCryptfs). */
enum {
    MARK_BYTES = sizeof TEMPORARY_MARK - 1,
    DIGITS = 16,
    MOST_NAME_BYTES = 96,
    MOST_TRIES = 100
};

/* --- write(2) without signals --- */

/* Made again after an interruption; a descriptor that somebody has set not to wait is waited
 * for. */
static ssize_t write_patiently(int descriptor, const void *data, size_t bytes)
{
    for (;;) {
        const ssize_t written = write(descriptor, data, bytes);
        if (written >= 0 || (errno != EINTR && errno != EAGAIN))
            return written;
        struct pollfd room = {.fd = descriptor, .events = POLLOUT};
        if (errno == EAGAIN)
            (void)poll(&room, 1, -1);
    }
}

ssize_t det_write_some(int descriptor, const void *data, size_t bytes)
{
    static const int numbers[] = {SIGPIPE, SIGXFSZ};
    const struct timespec at_once = {0};
    sigset_t raised, before, pending;
    sigemptyset(&raised);
    sigemptyset(&pending);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&raised, numbers[i]);
    const bool held = pthread_sigmask(SIG_BLOCK, &raised, &before) == 0;
    sigpending(&pending);
    const ssize_t written = write_patiently(descriptor, data, bytes);
    const int error = errno;
    if (held) {
        /* The one that this call raised waits for this thread: it is taken away. Not one that
         * waited before. */
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            if (sigismember(&pending, numbers[i]) == 1)
                sigdelset(&raised, numbers[i]);
        if (written < 0 && (error == EPIPE || error == EFBIG))
            while (sigtimedwait(&raised, NULL, &at_once) < 0 && errno == EINTR) {
            }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    errno = error;
    return written;
}

det_status det_fail_write(struct det_env *env, int error_number, const char *name)
{
    if (error_number == EFBIG)
        return det_fail(env, DET_STATUS_IO,
                        "%s: cannot write: the limit on the size of a file (ulimit -f, or the "
                        "file system's) is reached",
                        name);
    return det_fail_errno(env, error_number, "%s: cannot write", name);
}

static det_status write_all(struct det_env *env, struct det_writer *writer, const uint8_t *data,
                            size_t bytes)
{
    while (bytes > 0) {
        const ssize_t written = det_write_some(writer->descriptor, data, bytes);
        if (written <= 0)
            return det_fail_write(env, written < 0 ? errno : EIO, writer->path);
        data += written;
        bytes -= (size_t)written;
    }
    return DET_OK;
}

/* --- temporary names --- */

static bool is_leftover(const char *name, const char *beginning)
{
    const size_t length = strlen(name), given = strlen(beginning);
    return length >= 1 + given + MARK_BYTES + DIGITS && name[0] == '.' &&
           strncmp(name + 1, beginning, given) == 0 &&
           strncmp(name + length - DIGITS - MARK_BYTES, TEMPORARY_MARK, MARK_BYTES) == 0 &&
           strspn(name + length - DIGITS, "0123456789abcdef") == DIGITS;
}

/* Unlike all else in the library this must not be the same twice: nobody shall be able to put a
 * file or a link there before us. */
static uint64_t unforeseeable(const void *own)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) == (ssize_t)sizeof number)
        return number;
    return (det_clock_ns() << 32) ^ /* still ours alone by O_EXCL */
           (uint64_t)getpid() ^ (uint64_t)(uintptr_t)own;
}

static det_status temporary_name(struct det_env *env, const struct det_writer *writer, char **out)
{
    char *folder = NULL;
    const char *name = det_path_name(writer->target);
    int length = (int)strnlen(name, MOST_NAME_BYTES);
    while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80) /* not within a character */
        length--;
    DET_TRY_RETURN(det_path_directory(env, &folder, writer->target));
    const det_status status =
        det_path_join_printf(env, out, folder, ".%.*s" TEMPORARY_MARK "%016llx", length, name,
                             (unsigned long long)unforeseeable(writer));
    det_free(env, &folder);
    return status;
}

/* The old file's mode and owner. A group that cannot be given gets no more than all others have. */
static void take_after(int descriptor, const struct stat *old)
{
    struct stat own;
    mode_t mode = old->st_mode & 0777;
    const bool same =
        fstat(descriptor, &own) == 0 && own.st_uid == old->st_uid && own.st_gid == old->st_gid;
    if (!same && fchown(descriptor, old->st_uid, old->st_gid) != 0 &&
        fchown(descriptor, (uid_t)-1, old->st_gid) != 0)
        mode &= ~(mode_t)S_IRWXG | (mode & S_IRWXO) << 3;
    (void)fchmod(descriptor, mode); /* some file systems have no modes */
}

static det_status create_temporary(struct det_env *env, struct det_writer *writer,
                                   const struct det_target *target)
{
    /* For nobody else until it has the old file's mode. */
    const mode_t mode = target->exists ? 0600 : 0666;
    int error = EEXIST;
    for (int i = 0; i < MOST_TRIES && error == EEXIST; i++) {
        det_free(env, &writer->temporary_path);
        DET_TRY_RETURN(temporary_name(env, writer, &writer->temporary_path));
        writer->descriptor = open(writer->temporary_path,
                                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        error = writer->descriptor < 0 ? errno : 0;
    }
    if (error != 0) {
        det_free(env, &writer->temporary_path); /* not ours to remove */
        return det_fail_errno(env, error, "%s: cannot make a file in its folder", writer->path);
    }
    if (target->exists)
        take_after(writer->descriptor, &target->info);
    return DET_OK;
}

/* --- life --- */

static det_status begin(struct det_env *env, const char *path, struct det_writer *writer)
{
    *writer = (struct det_writer){.descriptor = -1};
    DET_TRY_RETURN(det_strdup(env, &writer->path, path));
    return det_alloc_raw(env, &writer->buffer, WRITER_BUFFER_BYTES, 1, "write buffer");
}

static det_status open_existing(struct det_env *env, struct det_writer *writer,
                                const struct det_target *target)
{
    writer->descriptor = target->kind == DET_TARGET_DESCRIPTOR
                             ? fcntl(target->descriptor, F_DUPFD_CLOEXEC, 0)
                             : open(target->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);
    if (writer->descriptor >= 0)
        return DET_OK;
    return errno == ENXIO && S_ISSOCK(target->info.st_mode)
               ? det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is a socket, expected a file",
                          writer->path)
               : det_fail_errno(env, errno, "%s: cannot write", writer->path);
}

det_status det_writer_open(struct det_env *env, const char *path, struct det_writer *writer)
{
    struct det_target target = {0};
    det_status status = DET_OK;
    DET_TRY(begin(env, path, writer));
    DET_TRY(det_guard_writing(env, path, &writer->rehearsed));
    if (writer->rehearsed)
        return DET_OK;
    DET_TRY(det_target_find(env, path, &target));
    if (target.kind != DET_TARGET_FILE) {
        DET_TRY(open_existing(env, writer, &target));
    } else {
        writer->target = target.path;
        target.path = NULL;
        DET_TRY(create_temporary(env, writer, &target));
    }
    det_target_free(env, &target);
    return DET_OK;
fail:
    det_target_free(env, &target);
    det_writer_discard(env, writer);
    return status;
}

det_status det_writer_open_descriptor(struct det_env *env, int descriptor, const char *name,
                                      struct det_writer *writer)
{
    const struct det_target target = {.kind = DET_TARGET_DESCRIPTOR, .descriptor = descriptor};
    det_status status = DET_OK;
    DET_TRY(begin(env, name, writer));
    DET_TRY(open_existing(env, writer, &target));
    return DET_OK;
fail:
    det_writer_discard(env, writer);
    return status;
}

det_status det_writer_open_memory(struct det_env *env, struct det_text *text, const char *name,
                                  struct det_writer *writer)
{
    DET_TRY_RETURN(begin(env, name, writer));
    writer->memory = text;
    return DET_OK;
}

bool det_writer_streams(const struct det_writer *writer)
{
    return writer->target == NULL;
}

det_status det_writer_flush(struct det_env *env, struct det_writer *writer)
{
    const size_t bytes = writer->used;
    writer->used = 0;
    return writer->rehearsed ? DET_OK : write_all(env, writer, writer->buffer, bytes);
}

det_status det_writer_write(struct det_env *env, struct det_writer *writer, const void *data,
                            size_t bytes)
{
    writer->offset += bytes;
    if (writer->rehearsed)
        return DET_OK;
    if (writer->memory != NULL)
        return det_text_append(env, writer->memory, data, bytes);
    if (bytes >= WRITER_BUFFER_BYTES) {
        DET_TRY_RETURN(det_writer_flush(env, writer));
        return write_all(env, writer, data, bytes);
    }
    if (writer->used + bytes > WRITER_BUFFER_BYTES)
        DET_TRY_RETURN(det_writer_flush(env, writer));
    if (bytes > 0)
        memcpy(writer->buffer + writer->used, data, bytes);
    writer->used += bytes;
    return DET_OK;
}

/* The new name is only safe on disk when its folder is. */
static det_status sync_directory_of(struct det_env *env, const char *path)
{
    char *directory = NULL;
    DET_TRY_RETURN(det_path_directory(env, &directory, path));
    det_status status = DET_OK;
    const int descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EACCES: one that may be written but not read; EINVAL: the file system cannot sync folders
     * (some network ones). Nothing more to be done. */
    if (descriptor < 0 && errno != EACCES)
        status = det_fail_errno(env, errno, "%s: cannot open", directory);
    else if (descriptor >= 0 && fsync(descriptor) != 0 && errno != EINVAL)
        status = det_fail_errno(env, errno, "%s: cannot sync", directory);
    if (descriptor >= 0)
        close(descriptor);
    det_free(env, &directory);
    return status;
}

static det_status close_writer(struct det_env *env, struct det_writer *writer)
{
    const int closed = close(writer->descriptor);
    writer->descriptor = -1;
    return closed == 0 ? DET_OK : det_fail_errno(env, errno, "%s: cannot close", writer->path);
}

static det_status copy_all(struct det_env *env, struct det_writer *writer, int from)
{
    for (;;) {
        const ssize_t got = read(from, writer->buffer, WRITER_BUFFER_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return det_fail_errno(env, errno, "%s: cannot read", writer->temporary_path);
        if (got == 0)
            return DET_OK;
        DET_TRY_RETURN(write_all(env, writer, writer->buffer, (size_t)got));
    }
}

/* A file that is a mount point of its own, as containers have them, can be written and not
 * replaced. When that goes wrong the temporary file stays: it holds the only whole content. */
static det_status copy_over(struct det_env *env, struct det_writer *writer)
{
    det_status status = DET_OK;
    const int from = open(writer->temporary_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    writer->descriptor = open(writer->target, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (from < 0 || writer->descriptor < 0)
        DET_TRY(det_fail_errno(env, errno, "%s: cannot write", writer->path));
    DET_TRY(copy_all(env, writer, from));
    if (fsync(writer->descriptor) != 0)
        DET_TRY(det_fail_errno(env, errno, "%s: cannot sync", writer->path));
    DET_TRY(close_writer(env, writer));
    close(from);
    return DET_OK;
fail:
    if (from >= 0)
        close(from);
    status =
        det_fail(env, status, "%s; the new content is in %s", env->error, writer->temporary_path);
    det_free(env, &writer->temporary_path);
    return status;
}

/* The temporary file under the target's name. */
static det_status put_in_place(struct det_env *env, struct det_writer *writer)
{
    if (fsync(writer->descriptor) != 0)
        return det_fail_errno(env, errno, "%s: cannot sync", writer->path);
    DET_TRY_RETURN(close_writer(env, writer));
    if (rename(writer->temporary_path, writer->target) != 0)
        return errno == EBUSY ? copy_over(env, writer)
                              : det_fail_errno(env, errno, "%s: cannot put the new file in place",
                                               writer->path);
    det_free(env, &writer->temporary_path); /* nothing to remove */
    return sync_directory_of(env, writer->target);
}

det_status det_writer_commit(struct det_env *env, struct det_writer *writer)
{
    det_status status = DET_OK;
    DET_TRY(det_writer_flush(env, writer));
    if (!writer->rehearsed && writer->memory == NULL)
        DET_TRY(det_writer_streams(writer) ? close_writer(env, writer) : put_in_place(env, writer));
fail:
    det_writer_discard(env, writer);
    return status;
}

void det_writer_discard(struct det_env *env, struct det_writer *writer)
{
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    writer->descriptor = -1;
    if (writer->temporary_path != NULL)
        unlink(writer->temporary_path);
    det_free(env, &writer->temporary_path);
    det_free(env, &writer->target);
    det_free(env, &writer->path);
    det_free(env, &writer->buffer);
}

det_status det_write_file(struct det_env *env, const char *path, const void *data, size_t bytes)
{
    struct det_writer writer;
    DET_TRY_RETURN(det_writer_open(env, path, &writer));
    const det_status status = det_writer_write(env, &writer, data, bytes);
    if (status != DET_OK) {
        det_writer_discard(env, &writer);
        return status;
    }
    return det_writer_commit(env, &writer);
}

void det_writer_remove_leftovers(struct det_env *env, const char *directory, const char *beginning)
{
    struct det_path_list list = {0};
    if (det_list_directory(env, directory, &list) == DET_OK)
        for (size_t i = 0; i < list.count; i++)
            if (is_leftover(det_path_name(list.paths[i]), beginning))
                unlink(list.paths[i]);
    det_path_list_free(env, &list);
}
