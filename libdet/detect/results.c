#include "detect/results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "support/json_writer.h"
#include "support/mem.h"

const char *det_results_class(char fallback[32], const det_model *model, const det_detection *d)
{
    const char *name = det_model_class_name(model, d->class_id);
    snprintf(fallback, 32, "class %d", d->class_id);
    return name != NULL ? name : fallback;
}

static void put_detection(struct det_json_writer *json, const det_model *model, int32_t width,
                          int32_t height, const det_detection *d, int64_t track_id)
{
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    const float box_px[4] = {d->ymin * (float)height, d->xmin * (float)width,
                             d->ymax * (float)height, d->xmax * (float)width};
    char fallback[32];
    det_json_open_object(json, NULL);
    if (track_id != 0)
        det_json_put_int(json, "track_id", track_id);
    det_json_put_int(json, "class_id", d->class_id);
    det_json_put_string(json, "class", det_results_class(fallback, model, d));
    det_json_put_float(json, "score", d->score);
    det_json_put_floats(json, "box_px", box_px, 4);
    det_json_put_floats(json, "box", box, 4);
    det_json_close_object(json);
}

/* What is finite in pixels is finite. */
bool det_results_finite(const det_detection *d, int32_t width, int32_t height)
{
    const float w = (float)width, h = (float)height;
    return isfinite(d->score) && isfinite(d->ymin * h) && isfinite(d->xmin * w) &&
           isfinite(d->ymax * h) && isfinite(d->xmax * w);
}

det_status det_results_frame_json(struct det_env *env, struct det_text *text,
                                  const det_model *model, const det_results_frame *frame,
                                  const det_detection *detections, size_t count)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, frame->of_video ? "video" : "image", frame->name);
    if (frame->of_video) {
        det_json_put_int(&json, "frame", frame->number);
        det_json_put_double(&json, "time_s", frame->time_s);
    }
    det_json_put_int(&json, "width", frame->width);
    det_json_put_int(&json, "height", frame->height);
    det_json_open_list(&json, "detections");
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &detections[i];
        /* A box of null must not pass for a result. */
        if (!det_results_finite(d, frame->width, frame->height))
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
    const det_results_frame frame = {.name = image, .width = width, .height = height};
    return det_results_frame_json(env, text, model, &frame, detections, count);
}

const char *det_detection_label(const det_model *model, const det_detection *detection, char *label,
                                size_t bytes)
{
    char fallback[32], percent[16] = "";
    if (label == NULL || bytes == 0)
        return "";
    label[0] = '\0';
    if (detection == NULL)
        return label;
    const char *name = det_results_class(fallback, model, detection);
    if (detection->score >= 0 && detection->score <= 1)
        snprintf(percent, sizeof percent, " %d%%", (int)(detection->score * 100 + 0.5f));
    size_t length = strlen(name);
    const size_t end = strlen(percent), room = bytes - 1 > end ? bytes - 1 - end : 0;
    if (length > room)
        for (length = room; length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80;)
            length--;
    snprintf(label, bytes, "%.*s%s", (int)length, name, percent);
    return label;
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
