#include "detect/results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "support/json_writer.h"
#include "support/mem.h"

static void put_detection(struct det_json_writer *json, const det_model *model, int32_t width,
                          int32_t height, const det_detection *d, int64_t track_id)
{
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    const float box_px[4] = {d->ymin * (float)height, d->xmin * (float)width,
                             d->ymax * (float)height, d->xmax * (float)width};
    char fallback[32];
    const char *name = det_model_class_name(model, d->class_id);
    snprintf(fallback, sizeof fallback, "class %d", d->class_id);
    det_json_open_object(json, NULL);
    if (track_id != 0)
        det_json_put_int(json, "track_id", track_id);
    det_json_put_int(json, "class_id", d->class_id);
    det_json_put_string(json, "class", name != NULL ? name : fallback);
    det_json_put_float(json, "score", d->score);
    det_json_put_floats(json, "box_px", box_px, 4);
    det_json_put_floats(json, "box", box, 4);
    det_json_close_object(json);
}

/* In pixels, too: what is finite there is finite. */
static bool is_finite(const det_detection *d, int32_t width, int32_t height)
{
    const float w = (float)width, h = (float)height;
    return isfinite(d->score) && isfinite(d->ymin * h) && isfinite(d->xmin * w) &&
           isfinite(d->ymax * h) && isfinite(d->xmax * w);
}

det_status det_results_frame_json(struct det_env *env, struct det_text *text,
                                  const det_model *model, const struct det_results_frame *frame,
                                  const det_detection *detections, size_t count)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, frame->of_video ? "video" : "image", frame->name);
    if (frame->of_video) {
        det_json_put_int(&json, "frame", frame->frame);
        det_json_put_double(&json, "time_s", frame->time_s);
    }
    det_json_put_int(&json, "width", frame->width);
    det_json_put_int(&json, "height", frame->height);
    det_json_open_list(&json, "detections");
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &detections[i];
        /* A box of null must not pass for a result. */
        if (!is_finite(d, frame->width, frame->height))
            return det_fail(env, DET_STATUS_NON_FINITE, "%s: detection %zu is not finite",
                            frame->name, i);
        put_detection(&json, model, frame->width, frame->height, d,
                      frame->track_ids != NULL ? frame->track_ids[i] : 0);
    }
    det_json_close_list(&json);
    det_json_close_object(&json);
    return det_json_end(&json);
}

det_status det_results_json(struct det_env *env, struct det_text *text, const det_model *model,
                            const char *image, int32_t width, int32_t height,
                            const det_detection *detections, size_t count)
{
    const struct det_results_frame frame = {.name = image, .width = width, .height = height};
    return det_results_frame_json(env, text, model, &frame, detections, count);
}

void det_results_label(char *buffer, size_t bytes, const det_model *model,
                       const det_detection *detection)
{
    const char *name = det_model_class_name(model, detection->class_id);
    char fallback[32], percent[16] = "";
    snprintf(fallback, sizeof fallback, "class %d", detection->class_id);
    if (name == NULL)
        name = fallback;
    if (detection->score >= 0 && detection->score <= 1)
        snprintf(percent, sizeof percent, " %d%%", (int)(detection->score * 100 + 0.5f));
    size_t length = strlen(name);
    const size_t room = bytes - 1 - strlen(percent);
    if (length > room)
        for (length = room; length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80;)
            length--;
    snprintf(buffer, bytes, "%.*s%s", (int)length, name, percent);
}

det_status det_detections_to_json(det_context *context, const det_model *model, const char *image,
                                  int32_t width, int32_t height, const det_detection *detections,
                                  size_t count, char **json)
{
    struct det_env *env = det_context_env(context);
    if (json != NULL)
        *json = NULL;
    DET_NEED(env, context);
    DET_NEED(env, image);
    DET_NEED_ARRAY(env, detections, count);
    DET_NEED(env, json);
    if (width < 0 || height < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detections to JSON: image of %d x %d pixels", (int)width, (int)height);
    struct det_text text = {0};
    const det_status status =
        det_results_json(env, &text, model, image, width, height, detections, count);
    if (status != DET_OK)
        det_text_free(env, &text);
    *json = text.data;
    return status;
}

void det_json_destroy(det_context *context, char **json)
{
    if (context != NULL && json != NULL)
        det_free(det_context_env(context), json);
}
