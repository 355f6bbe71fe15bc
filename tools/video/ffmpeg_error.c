#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "video/ffmpeg_parts.h"

/* FFmpeg has one log for the whole process, so this has to be one as well. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char last_message[400];

__attribute__((format(printf, 3, 0))) static void capture(void *object, int level,
                                                          const char *format, va_list arguments)
{
    (void)object;
    if (level > AV_LOG_ERROR)
        return;
    pthread_mutex_lock(&lock);
    vsnprintf(last_message, sizeof last_message, format, arguments);
    last_message[strcspn(last_message, "\n")] = '\0';
    pthread_mutex_unlock(&lock);
}

void video_capture_log(void)
{
    av_log_set_callback(capture);
    pthread_mutex_lock(&lock);
    last_message[0] = '\0';
    pthread_mutex_unlock(&lock);
}

static det_status status_of(int error)
{
    switch (error) {
    case AVERROR(ENOMEM):
        return DET_STATUS_OUT_OF_MEMORY;
    case AVERROR(ENOENT):
        return DET_STATUS_NOT_FOUND;
    case AVERROR(ENOSPC):
        return DET_STATUS_NO_SPACE;
    case AVERROR_INVALIDDATA:
    case AVERROR_EOF:
        return DET_STATUS_CORRUPT;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_ENCODER_NOT_FOUND:
    case AVERROR_MUXER_NOT_FOUND:
    case AVERROR_PROTOCOL_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
        return DET_STATUS_UNSUPPORTED;
    case AVERROR(EINVAL):
        return DET_STATUS_INVALID_ARGUMENT;
    default:
        return DET_STATUS_IO;
    }
}

det_status video_fail(struct det_env *env, int error, const char *format, ...)
{
    char what[600], meaning[AV_ERROR_MAX_STRING_SIZE], said[sizeof last_message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    av_strerror(error, meaning, sizeof meaning);
    pthread_mutex_lock(&lock);
    memcpy(said, last_message, sizeof said);
    last_message[0] = '\0';
    pthread_mutex_unlock(&lock);
    if (said[0] == '\0')
        return det_fail(env, status_of(error), "%s: %s", what, meaning);
    return det_fail(env, status_of(error), "%s: %s (%s)", what, meaning, said);
}
