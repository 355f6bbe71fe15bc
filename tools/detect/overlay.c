#include "detect/overlay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/tool.h"

static const det_rgb dark = {24, 24, 24}, white = {255, 255, 255};

enum { LABEL_BYTES = 256, LINE_BYTES = 128 };

static det_status draw_boxes(const struct overlay *overlay, const det_canvas *canvas,
                             const struct frame *frame)
{
    /* The surest one last, so that its label is on top. */
    for (size_t i = frame->count; i-- > 0;) {
        char label[LABEL_BYTES];
        det_detection_label(overlay->model, &frame->found[i], label, sizeof label);
        const size_t used = strlen(label);
        if (frame->track_ids[i] != 0)
            snprintf(label + used, sizeof label - used, " #%lld", (long long)frame->track_ids[i]);
        DET_TRY_RETURN(
            det_canvas_draw_detection(overlay->context, canvas, &frame->found[i], label));
    }
    return DET_OK;
}

static det_status draw_count(const struct overlay *overlay, const det_canvas *canvas,
                             const struct frame *frame, float *y_px)
{
    for (int32_t id = 1; id <= det_model_class_count(overlay->model); id++) {
        int count = 0;
        for (size_t i = 0; i < frame->count; i++)
            count += frame->found[i].class_id == id;
        char line[LINE_BYTES];
        snprintf(line, sizeof line, "%s %d", det_model_class_name(overlay->model, id), count);
        if (count > 0)
            DET_TRY_RETURN(
                det_canvas_draw_note(overlay->context, canvas, 0, y_px, det_class_color(id), line));
    }
    return DET_OK;
}

static det_status draw_outline(det_context *context, const det_canvas *canvas,
                               const struct count_place *place)
{
    const float w = (float)canvas->width, h = (float)canvas->height;
    for (size_t k = place->is_line ? 1 : 0; k < place->count; k++) {
        const float *a = place->shares[k > 0 ? k - 1 : place->count - 1], *b = place->shares[k];
        DET_TRY_RETURN(det_canvas_draw_line(context, canvas, a[0] * w, a[1] * h, b[0] * w, b[1] * h,
                                            0, white));
    }
    return DET_OK;
}

static det_status draw_places(const struct overlay *overlay, const det_canvas *canvas)
{
    const struct tracking *tracking = overlay->tracking;
    for (size_t i = 0; i < tracking->place_count; i++) {
        const struct count_place *place = &tracking->places[i];
        DET_TRY_RETURN(draw_outline(overlay->context, canvas, place));
        char line[LINE_BYTES];
        det_count count = {.struct_size = sizeof count};
        DET_TRY_RETURN(det_counter_count(place->counter, 0, &count));
        if (place->is_line)
            snprintf(line, sizeof line, "%s: %lld | %lld", place->name, (long long)count.forward,
                     (long long)count.backward);
        else
            snprintf(line, sizeof line, "%s: %lld in, %lld now", place->name,
                     (long long)count.forward, (long long)count.inside);
        const float w = (float)canvas->width, h = (float)canvas->height;
        float y = fmaxf(0, place->shares[0][1] * h);
        DET_TRY_RETURN(det_canvas_draw_note(overlay->context, canvas,
                                            fmaxf(0, fminf(place->shares[0][0] * w, 0.8F * w)), &y,
                                            dark, line));
    }
    return DET_OK;
}

static det_status draw(const struct overlay *overlay, const det_canvas *canvas,
                       const struct frame *frame)
{
    float y_px = 0;
    if (overlay->tracking->on)
        DET_TRY_RETURN(draw_places(overlay, canvas));
    DET_TRY_RETURN(draw_boxes(overlay, canvas, frame));
    if (overlay->show_time && frame->of_video) {
        char line[LINE_BYTES];
        const int minutes = (int)(frame->time_s / 60);
        snprintf(line, sizeof line, "%d:%06.3f", minutes, frame->time_s - 60.0 * minutes);
        DET_TRY_RETURN(det_canvas_draw_note(overlay->context, canvas, 0, &y_px, dark, line));
    }
    return overlay->show_count ? draw_count(overlay, canvas, frame, &y_px) : DET_OK;
}

det_status overlay_draw(struct det_env *env, const struct overlay *overlay, struct frame *frame)
{
    const det_canvas canvas = {
        .pixels = frame->image.rgb, .width = frame->image.width, .height = frame->image.height};
    const det_status status = draw(overlay, &canvas, frame);
    return status != DET_OK ? tool_adopt(env, overlay->context, status) : DET_OK;
}
