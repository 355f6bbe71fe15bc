/* load_video.c: video.h in the programs. The first reader or writer loads det-video.so; there is
 * none before, so that all other calls find it loaded. */
#include <stdatomic.h>

#include "video/functions.h"
#include "video/plugin.h"

static _Atomic(const struct video_functions *) loaded;

static const struct video_functions *functions(void)
{
    return atomic_load_explicit(&loaded, memory_order_acquire);
}

static det_status load(struct det_env *env, const char *what)
{
    const void *table = functions();
    if (table != NULL)
        return DET_OK;
    if (!video_available())
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: video: %s", what, video_about());
    DET_TRY_RETURN(plugin_load(env, what, "det-video", VIDEO_FUNCTIONS, &table));
    atomic_store_explicit(&loaded, table, memory_order_release);
    return DET_OK;
}

det_status video_reader_open(struct det_env *env, const char *url, int threads, bool (*stop)(void),
                             struct video_reader **reader)
{
    *reader = NULL;
    DET_TRY_RETURN(load(env, url));
    return functions()->reader_open(env, url, threads, stop, reader);
}

const struct video_info *video_reader_info(const struct video_reader *reader)
{
    return functions()->reader_info(reader);
}

det_status video_reader_next(struct det_env *env, struct video_reader *reader,
                             struct video_frame *frame, bool *end)
{
    return functions()->reader_next(env, reader, frame, end);
}

void video_frame_release(struct video_frame *frame)
{
    if (frame->picture != NULL) /* of an image there is none */
        functions()->frame_release(frame);
    *frame = (struct video_frame){0};
}

det_status video_reader_verdict(struct det_env *env, const struct video_reader *reader)
{
    return functions()->reader_verdict(env, reader);
}

void video_reader_close(struct det_env *env, struct video_reader **reader)
{
    if (*reader != NULL)
        functions()->reader_close(env, reader);
}

det_status video_frame_rgb(struct det_env *env, struct video_converter **converter,
                           const struct video_reader *reader, const struct video_frame *frame,
                           struct det_image *image)
{
    return functions()->frame_rgb(env, converter, reader, frame, image);
}

void video_converter_free(struct det_env *env, struct video_converter **converter)
{
    if (*converter != NULL)
        functions()->converter_free(env, converter);
}

det_status video_writer_open(struct det_env *env, const struct video_writer_settings *settings,
                             struct video_writer **writer)
{
    *writer = NULL;
    DET_TRY_RETURN(load(env, settings->path));
    return functions()->writer_open(env, settings, writer);
}

const char *video_writer_about(const struct video_writer *writer)
{
    return functions()->writer_about(writer);
}

det_status video_writer_frame(struct det_env *env, struct video_writer *writer,
                              const struct det_image *image, int64_t ticks)
{
    return functions()->writer_frame(env, writer, image, ticks);
}

det_status video_writer_close(struct det_env *env, struct video_writer **writer)
{
    return *writer != NULL ? functions()->writer_close(env, writer) : DET_OK;
}
