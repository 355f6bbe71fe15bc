#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/io.h"
#include "support/mem.h"
#include "video/ffmpeg_parts.h"

/* An index takes some 30 bytes for a frame and 10 for an audio packet: this is room for an hour and
 * more. */
#define RESERVE_BYTES (4 << 20)
#define BUFFER_BYTES  (64 << 10)

struct video_file {
    AVIOContext *io;
    struct det_writer writer;
    int reserve; /* reserve: an unnamed file that holds space; -1: none (left) */
    int error;
    bool full;
};

/* Space for the index: released when the disk is full. A file system that cannot set space aside
 * has none. */
static int open_reserve(struct det_env *env, const char *path)
{
    char *name = NULL;
    if (det_format(env, &name, "%s.reserve-XXXXXX", path) != DET_OK)
        return -1;
    int descriptor = mkstemp(name);
    if (descriptor >= 0) {
        unlink(name);
        if (posix_fallocate(descriptor, 0, RESERVE_BYTES) != 0) {
            close(descriptor);
            descriptor = -1;
        }
    }
    det_free(env, &name);
    return descriptor;
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_bytes(void *user, const uint8_t *data, int bytes)
#else
static int write_bytes(void *user, uint8_t *data, int bytes)
#endif
{
    struct video_file *file = user;
    int done = 0;
    while (done < bytes) {
        const ssize_t written =
            det_write_some(file->writer.descriptor, data + done, (size_t)(bytes - done));
        if (written > 0) {
            done += (int)written;
        } else if ((errno == ENOSPC || errno == EDQUOT) && file->reserve >= 0) {
            close(file->reserve);
            file->reserve = -1;
            file->full = true;
        } else {
            file->error = written < 0 ? errno : EIO;
            return AVERROR(file->error);
        }
    }
    return bytes;
}

static int64_t seek(void *user, int64_t offset, int whence)
{
    struct video_file *file = user;
    struct stat info;
    if (whence == AVSEEK_SIZE)
        return fstat(file->writer.descriptor, &info) == 0 ? (int64_t)info.st_size : AVERROR(errno);
    const off_t at = lseek(file->writer.descriptor, (off_t)offset, whence & ~AVSEEK_FORCE);
    return at >= 0 ? (int64_t)at : AVERROR(errno);
}

det_status video_file_open(struct det_env *env, const char *path, struct video_file **out)
{
    struct video_file *file = NULL;
    DET_TRY_RETURN(det_alloc(env, &file, 1, sizeof *file, "video file"));
    *out = file;
    file->reserve = -1;
    det_status status = det_writer_open(env, path, &file->writer);
    if (status != DET_OK) {
        det_free(env, out);
        return status;
    }
    const bool streams = det_writer_streams(&file->writer);
    file->reserve = streams ? -1 : open_reserve(env, path);
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    if (buffer != NULL)
        file->io = avio_alloc_context(buffer, BUFFER_BYTES, 1, file, NULL, write_bytes,
                                      streams ? NULL : seek);
    if (file->io != NULL)
        return DET_OK;
    av_free(buffer);
    (void)video_file_close(env, out, false);
    return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for its buffer", path);
}

AVIOContext *video_file_io(struct video_file *file)
{
    return file->io;
}

bool video_file_full(const struct video_file *file)
{
    return file->full;
}

int video_file_error(const struct video_file *file)
{
    return file->error;
}

det_status video_file_close(struct det_env *env, struct video_file **out, bool keep)
{
    struct video_file *file = *out;
    det_status status = DET_OK;
    if (file->io != NULL) {
        avio_flush(file->io);
        av_freep(&file->io->buffer);
        avio_context_free(&file->io);
    }
    if (file->reserve >= 0)
        close(file->reserve);
    if (file->error != 0)
        status = det_fail_write(env, file->error, file->writer.path);
    if (keep) {
        const struct det_env first = *env;
        const det_status kept = det_writer_commit(env, &file->writer);
        if (status != DET_OK)
            det_env_adopt_error(env, &first);
        else
            status = kept;
    } else {
        det_writer_discard(env, &file->writer);
    }
    det_free(env, out);
    return status;
}
