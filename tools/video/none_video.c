/* none_video.c: what video.h is in a build that found no FFmpeg. */
#include "video/video.h"

static det_status unsupported(struct det_env *env, const char *what)
{
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: video: %s", what, video_about());
}

det_status video_reader_open(struct det_env *env, const char *url, int threads, bool (*stop)(void),
                             struct video_reader **reader)
{
    (void)threads;
    (void)stop;
    *reader = NULL;
    return unsupported(env, url);
}

const struct video_info *video_reader_info(const struct video_reader *reader)
{
    (void)reader;
    return NULL;
}

det_status video_reader_next(struct det_env *env, struct video_reader *reader,
                             struct video_frame *frame, bool *end)
{
    (void)reader;
    *frame = (struct video_frame){0};
    *end = true;
    return unsupported(env, "reader");
}

void video_frame_release(struct video_frame *frame)
{
    *frame = (struct video_frame){0};
}

det_status video_reader_verdict(struct det_env *env, const struct video_reader *reader)
{
    (void)reader;
    return unsupported(env, "reader");
}

void video_reader_close(struct det_env *env, struct video_reader **reader)
{
    (void)env;
    *reader = NULL;
}

det_status video_frame_rgb(struct det_env *env, struct video_converter **converter,
                           const struct video_reader *reader, const struct video_frame *frame,
                           struct det_image *image)
{
    (void)converter;
    (void)reader;
    (void)frame;
    (void)image;
    return unsupported(env, "frame");
}

void video_converter_free(struct det_env *env, struct video_converter **converter)
{
    (void)env;
    *converter = NULL;
}

det_status video_writer_open(struct det_env *env, const struct video_writer_settings *settings,
                             struct video_writer **writer)
{
    *writer = NULL;
    return unsupported(env, settings->path);
}

const char *video_writer_about(const struct video_writer *writer)
{
    (void)writer;
    return "";
}

det_status video_writer_frame(struct det_env *env, struct video_writer *writer,
                              const struct det_image *image, int64_t ticks)
{
    (void)writer;
    (void)image;
    (void)ticks;
    return unsupported(env, "writer");
}

int64_t video_writer_frames(const struct video_writer *writer)
{
    (void)writer;
    return 0;
}

det_status video_writer_close(struct det_env *env, struct video_writer **writer)
{
    (void)env;
    *writer = NULL;
    return DET_OK;
}
