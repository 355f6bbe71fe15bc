#include "detect/overlay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "detect/results.h"
#include "draw/draw.h"

static const struct det_colour dark = {24, 24, 24};

enum { LABEL_BYTES = 256, LINE_BYTES = 128 };

static void draw_boxes(const struct overlay *overlay, struct frame *frame)
{
    /* The surest one last, so that its label is on top. */
    for (size_t i = frame->count; i-- > 0;) {
        const det_detection *d = &frame->found[i];
        const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
        char label[LABEL_BYTES];
        det_results_label(label, sizeof label, overlay->model, d);
        const size_t used = strlen(label);
        if (frame->track_ids[i] != 0)
            snprintf(label + used, sizeof label - used, " #%lld", (long long)frame->track_ids[i]);
        det_draw_box(&frame->image, box, d->class_id - 1, label);
    }
}

static void draw_count(const struct overlay *overlay, struct frame *frame, float *y_px)
{
    for (int32_t id = 1; id <= det_model_class_count(overlay->model); id++) {
        int count = 0;
        for (size_t i = 0; i < frame->count; i++)
            count += frame->found[i].class_id == id;
        char line[LINE_BYTES];
        snprintf(line, sizeof line, "%s %d", det_model_class_name(overlay->model, id), count);
        if (count > 0)
            *y_px = det_draw_note(&frame->image, 0, *y_px, det_palette_colour(id - 1), line);
    }
}

static void draw_places(const struct tracking *tracking, struct det_image *image)
{
    const struct det_colour white = {255, 255, 255};
    for (size_t i = 0; i < tracking->place_count; i++) {
        const struct count_place *place = &tracking->places[i];
        const float w = (float)image->width, h = (float)image->height;
        const float thickness = det_draw_thickness_px(image);
        for (size_t k = place->is_line ? 1 : 0; k < place->count; k++) {
            const float *a = place->shares[k > 0 ? k - 1 : place->count - 1], *b = place->shares[k];
            det_draw_line(image, a[0] * w, a[1] * h, b[0] * w, b[1] * h, thickness, white);
        }
        char line[LINE_BYTES];
        det_count count = {.struct_size = sizeof count};
        if (det_counter_count(place->counter, 0, &count) != DET_OK)
            continue; /* a picture does without */
        if (place->is_line)
            snprintf(line, sizeof line, "%s: %lld | %lld", place->name, (long long)count.forward,
                     (long long)count.backward);
        else
            snprintf(line, sizeof line, "%s: %lld in, %lld now", place->name,
                     (long long)count.forward, (long long)count.inside);
        const float x = fmaxf(0, fminf(place->shares[0][0] * w, 0.8F * w));
        det_draw_note(image, x, fmaxf(0, place->shares[0][1] * h), dark, line);
    }
}

void overlay_draw(const struct overlay *overlay, struct frame *frame)
{
    float y_px = 0;
    if (overlay->tracking->on)
        draw_places(overlay->tracking, &frame->image);
    draw_boxes(overlay, frame);
    if (overlay->show_time && frame->of_video) {
        char line[LINE_BYTES];
        const int minutes = (int)(frame->time_s / 60);
        snprintf(line, sizeof line, "%d:%06.3f", minutes, frame->time_s - 60.0 * minutes);
        y_px = det_draw_note(&frame->image, 0, y_px, dark, line);
    }
    if (overlay->show_count)
        draw_count(overlay, frame, &y_px);
}
