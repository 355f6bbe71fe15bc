#include "detect/stages.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/clock.h"
#include "support/mem.h"
#include "support/text.h"

/* --- read --- */

/* Into the picture that the frame had before, if there is one. */
static det_status decode_picture(struct reading *reading, const char *name, const uint8_t *data,
                                 size_t bytes, int32_t height, int32_t width, det_picture **picture)
{
    return *picture != NULL ? det_picture_decode_again(*picture, name, data, bytes, height, width)
                            : det_picture_decode_reduced(reading->context, name, data, bytes,
                                                         height, width, picture);
}

/* A picture that is not turned: where its sides are exchanged, so is what must be left of them. */
static det_status decode_as_stored(struct reading *reading, const char *name, const uint8_t *data,
                                   size_t bytes, det_picture **picture)
{
    const int32_t height = reading->source->least_height, width = reading->source->least_width;
    DET_TRY_RETURN(decode_picture(reading, name, data, bytes, height, width, picture));
    if (det_exif_swaps_sides(det_picture_orientation(*picture)) && height != width)
        DET_TRY_RETURN(decode_picture(reading, name, data, bytes, width, height, picture));
    return det_picture_as_stored(*picture);
}

static det_status decode(struct det_env *env, struct reading *reading, const char *name,
                         const uint8_t *data, size_t bytes, struct frame *frame)
{
    const struct pipeline_source *source = reading->source;
    frame->image = (struct det_image){0};
    const det_status status = source->as_stored
                                  ? decode_as_stored(reading, name, data, bytes, &frame->picture)
                                  : decode_picture(reading, name, data, bytes, source->least_height,
                                                   source->least_width, &frame->picture);
    if (status != DET_OK)
        return tool_adopt(env, reading->context, status);
    const det_canvas pixels = det_picture_canvas(frame->picture);
    frame->orientation = source->as_stored ? 1 : det_picture_orientation(frame->picture);
    frame->image =
        (struct det_image){.rgb = pixels.pixels, .width = pixels.width, .height = pixels.height};
    det_picture_file_size(frame->picture, &frame->image.file_height, &frame->image.file_width);
    return DET_OK;
}

/* An image file's pixels are gone with it. */
static void drop_picture(struct frame *frame)
{
    if (frame->picture == NULL)
        return;
    det_picture_destroy(&frame->picture);
    frame->image = (struct det_image){0};
}

/* No picture within the limits takes more: 8 bytes a pixel of a PNG with alpha and 16 bits that is
 * not packed. */
static uint64_t most_bytes(const struct det_env *env)
{
    return env->limits.max_image_pixels * 9 + (1 << 20);
}

static det_status read_standard_input(struct det_env *env, struct reading *reading,
                                      struct frame *frame)
{
    static const char name[] = "standard input";
    struct det_text bytes = {0};
    char block[16384]; /* a thread of musl has a stack of 128 KB */
    det_status status = DET_OK;
    for (size_t got; status == DET_OK && (got = fread(block, 1, sizeof block, stdin)) > 0;)
        status = bytes.length + got <= most_bytes(env)
                     ? det_text_append(env, &bytes, block, got)
                     : det_fail(env, DET_STATUS_UNSUPPORTED,
                                "%s: more than %zu bytes are no picture that max_image_pixels "
                                "allows",
                                name, bytes.length);
    if (status == DET_OK && ferror(stdin))
        status = det_fail(env, DET_STATUS_IO, "%s: cannot be read", name);
    if (status == DET_OK)
        status = decode(env, reading, name, (const uint8_t *)(bytes.data != NULL ? bytes.data : ""),
                        bytes.length, frame);
    det_text_free(env, &bytes);
    return status;
}

static det_status read_file(struct det_env *env, struct reading *reading, const char *path,
                            struct frame *frame)
{
    struct det_file_bytes contents;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    const det_status status = decode(env, reading, path, contents.data, contents.bytes, frame);
    det_file_release(&contents);
    return status;
}

static void read_image(struct det_env *env, struct reading *reading, struct frame *frame)
{
    const char *path = reading->source->images->paths[reading->next];
    frame->source = path;
    frame->name = reading->source->image_names[reading->next];
    frame->of_video = false;
    frame->index = (int64_t)reading->next++;
    frame->status = strcmp(path, "-") == 0 ? read_standard_input(env, reading, frame)
                                           : read_file(env, reading, path, frame);
    if (frame->status != DET_OK)
        memcpy(frame->message, env->error, sizeof frame->message);
}

/* A file read as if it were a camera. */
static void wait_until(double time_s)
{
    const double wait = time_s - det_clock_seconds();
    if (wait > 0)
        nanosleep(&(struct timespec){(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)},
                  NULL);
}

static det_status read_video(struct det_env *env, struct reading *reading, struct frame *frame,
                             bool *end)
{
    const struct pipeline_source *source = reading->source;
    drop_picture(frame); /* it had one when the images were read */
    DET_TRY_RETURN(video_reader_next(env, source->reader, &frame->video, end));
    frame->source = source->video;
    frame->name = source->video_name;
    frame->of_video = true;
    frame->orientation = 1;
    frame->index = frame->video.index;
    frame->ticks = frame->video.ticks;
    frame->time_s = frame->video.time_s;
    if (source->live && !*end && !video_reader_info(source->reader)->endless)
        wait_until(reading->begin_s + frame->time_s);
    return DET_OK;
}

det_status stage_read(struct det_env *env, struct reading *reading, struct frame *frame, bool *end)
{
    const double start = det_clock_seconds();
    det_status status = DET_OK;
    frame->status = DET_OK;
    frame->message[0] = '\0';
    frame->count = 0;
    memset(frame->ms, 0, sizeof frame->ms);
    if (reading->source->reader != NULL)
        status = read_video(env, reading, frame, end);
    else if (reading->next == reading->source->images->count)
        *end = true;
    else
        read_image(env, reading, frame);
    frame->ms[STAGE_DECODE] = (det_clock_seconds() - start) * 1e3;
    return status;
}

/* --- detect --- */

det_status frame_reserve(struct det_env *env, struct frame *frame, size_t count)
{
    DET_TRY_RETURN(
        det_grow(env, &frame->found, &frame->capacity, count, sizeof *frame->found, "detections"));
    return det_grow(env, &frame->track_ids, &frame->id_capacity, count, sizeof *frame->track_ids,
                    "track ids");
}

void frame_free(struct det_env *env, struct frame *frame)
{
    drop_picture(frame);
    det_image_free(env, &frame->image);
    det_free(env, &frame->found);
    det_free(env, &frame->track_ids);
}

det_status stage_detect(struct det_env *env, const struct pipeline_source *source,
                        struct video_converter **converter, det_context *context,
                        det_detector *detector, struct frame *frame)
{
    const double start = det_clock_seconds();
    if (source->reader != NULL)
        DET_TRY_RETURN(
            video_frame_rgb(env, converter, source->reader, &frame->video, &frame->image));
    const double converted = det_clock_seconds();
    const det_image_view view = {.pixels = frame->image.rgb,
                                 .width = frame->image.width,
                                 .height = frame->image.height,
                                 .format = DET_PIXEL_RGB8};
    const det_detection *found = NULL;
    size_t count = 0;
    det_status status = det_detector_run(detector, &view, &found, &count);
    if (status != DET_OK) {
        snprintf(frame->message, sizeof frame->message, "%s: %s", frame->source,
                 det_context_error(context));
        return status;
    }
    DET_TRY_RETURN(frame_reserve(env, frame, count));
    if (count > 0) {
        memcpy(frame->found, found, count * sizeof *found);
        memset(frame->track_ids, 0, count * sizeof *frame->track_ids);
    }
    frame->count = count;
    if (count > 0) {
        frame->top_score = found[0].score;
        frame->top_class = found[0].class_id;
    } else {
        status = det_detector_top_score(detector, 0, &frame->top_score, &frame->top_class);
    }
    det_detector_times times = {.struct_size = sizeof times};
    if (status == DET_OK)
        status = det_detector_last_times(detector, &times);
    if (status != DET_OK)
        return tool_adopt(env, context, status);
    frame->ms[STAGE_PREPROCESS] = (converted - start) * 1e3 + (double)times.preprocess_ns * 1e-6;
    frame->ms[STAGE_NETWORK] = (double)times.network_ns * 1e-6;
    frame->ms[STAGE_POSTPROCESS] = (double)times.postprocess_ns * 1e-6;
    return DET_OK;
}
