#include "detect/results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "base/mem.h"
#include "base/number.h"

char *det_format_float(char buffer[32], float value)
{
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(buffer, 32, "%.*g", digits, (double)value);
        if (strtof(buffer, NULL) == value)
            break;
    }
    return det_use_point(buffer);
}

static det_status append_box(struct det_env *env, struct det_text *text, const char *key,
                             const float box[4])
{
    char n[4][32];
    return det_text_printf(env, text, ",\"%s\":[%s,%s,%s,%s]", key, det_format_float(n[0], box[0]),
                           det_format_float(n[1], box[1]), det_format_float(n[2], box[2]),
                           det_format_float(n[3], box[3]));
}

static det_status append_detection(struct det_env *env, struct det_text *text,
                                   const det_model *model, int32_t width, int32_t height,
                                   const det_detection *d, int64_t track_id)
{
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    const float box_px[4] = {d->ymin * (float)height, d->xmin * (float)width,
                             d->ymax * (float)height, d->xmax * (float)width};
    char number[32], fallback[32];
    const char *name = det_model_class_name(model, d->class_id);
    snprintf(fallback, sizeof fallback, "class %d", d->class_id);
    DET_TRY_RETURN(det_text_append(env, text, "{", 1));
    if (track_id != 0)
        DET_TRY_RETURN(det_text_printf(env, text, "\"track_id\":%lld,", (long long)track_id));
    DET_TRY_RETURN(det_text_printf(env, text, "\"class_id\":%d,\"class\":", d->class_id));
    DET_TRY_RETURN(det_text_json_string(env, text, name != NULL ? name : fallback));
    DET_TRY_RETURN(det_text_printf(env, text, ",\"score\":%s", det_format_float(number, d->score)));
    DET_TRY_RETURN(append_box(env, text, "box_px", box_px));
    DET_TRY_RETURN(append_box(env, text, "box", box));
    return det_text_append(env, text, "}", 1);
}

det_status det_results_frame_json(struct det_env *env, struct det_text *text,
                                  const det_model *model, const struct det_results_frame *frame,
                                  const det_detection *detections, size_t count)
{
    char time[32];
    DET_TRY_RETURN(det_text_printf(env, text, frame->of_video ? "{\"video\":" : "{\"image\":"));
    DET_TRY_RETURN(det_text_json_string(env, text, frame->name));
    if (frame->of_video)
        DET_TRY_RETURN(det_text_printf(env, text, ",\"frame\":%lld,\"time_s\":%s",
                                       (long long)frame->frame,
                                       det_format_double(time, frame->time_s)));
    DET_TRY_RETURN(det_text_printf(env, text, ",\"width\":%d,\"height\":%d,\"detections\":[",
                                   frame->width, frame->height));
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &detections[i];
        /* JSON has no NaN, and a box that is one must not pass for a result. */
        if (!isfinite(d->score) || !isfinite(d->ymin) || !isfinite(d->xmin) || !isfinite(d->ymax) ||
            !isfinite(d->xmax))
            return det_fail(env, DET_STATUS_NON_FINITE, "%s: detection %zu is not finite",
                            frame->name, i);
        if (i > 0)
            DET_TRY_RETURN(det_text_append(env, text, ",", 1));
        DET_TRY_RETURN(append_detection(env, text, model, frame->width, frame->height, d,
                                        frame->track_ids != NULL ? frame->track_ids[i] : 0));
    }
    return det_text_append(env, text, "]}", 2);
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
