#include "detect/overlay.h"

#include <stdio.h>
#include <string.h>

#include "common/tool.h"
#include "support/mem.h"

static const det_rgb dark = {24, 24, 24};

enum { LABEL_BYTES = 256, LINE_BYTES = 128 };

/* What stands in a frame beside its boxes. */
struct texts {
    char (*labels)[LABEL_BYTES]; /* [count of detections] */
    const char **label_list;
    char (*lines)[LINE_BYTES]; /* of the legend */
    det_legend_line *legend;
    size_t line_count;
};

static void free_texts(struct det_env *env, struct texts *texts)
{
    det_free(env, &texts->labels);
    det_free(env, &texts->label_list);
    det_free(env, &texts->lines);
    det_free(env, &texts->legend);
}

static det_status alloc_texts(struct det_env *env, const struct overlay *overlay,
                              const struct frame *frame, struct texts *texts)
{
    const size_t most =
        1 + overlay->tracking->place_count + (size_t)det_model_class_count(overlay->model);
    DET_TRY_RETURN(
        det_alloc(env, &texts->labels, frame->count, sizeof *texts->labels, "labels of a frame"));
    DET_TRY_RETURN(det_alloc(env, &texts->label_list, frame->count, sizeof *texts->label_list,
                             "labels of a frame"));
    DET_TRY_RETURN(det_alloc(env, &texts->lines, most, sizeof *texts->lines, "legend"));
    return det_alloc(env, &texts->legend, most, sizeof *texts->legend, "legend");
}

static void make_labels(const struct overlay *overlay, const struct frame *frame,
                        struct texts *texts)
{
    for (size_t i = 0; i < frame->count; i++) {
        char *label = texts->labels[i];
        det_detection_label(overlay->model, &frame->found[i], label, LABEL_BYTES);
        const size_t used = strlen(label);
        if (frame->track_ids[i] != 0)
            snprintf(label + used, LABEL_BYTES - used, " #%lld", (long long)frame->track_ids[i]);
        texts->label_list[i] = label;
    }
}

/* --- legend --- */

/* Where its text goes. */
static char *add_line(struct texts *texts, det_rgb color)
{
    char *text = texts->lines[texts->line_count];
    texts->legend[texts->line_count++] = (det_legend_line){color, text};
    return text;
}

/* Colours that are no class's. */
static det_rgb place_color(const struct overlay *overlay, size_t place)
{
    return det_class_color(det_model_class_count(overlay->model) + 1 + (int32_t)place);
}

static void add_time(const struct frame *frame, struct texts *texts)
{
    const int minutes = (int)(frame->time_s / 60);
    snprintf(add_line(texts, dark), LINE_BYTES, "%d:%06.3f", minutes,
             frame->time_s - 60.0 * minutes);
}

static det_status add_places(const struct overlay *overlay, struct texts *texts)
{
    const struct tracking *tracking = overlay->tracking;
    for (size_t i = 0; i < tracking->place_count; i++) {
        const struct count_place *place = &tracking->places[i];
        det_count count = {.struct_size = sizeof count};
        DET_TRY_RETURN(det_counter_count(place->counter, 0, &count));
        char *text = add_line(texts, place_color(overlay, i));
        if (place->is_line)
            snprintf(text, LINE_BYTES, "%s: %lld forward, %lld backward", place->name,
                     (long long)count.forward, (long long)count.backward);
        else
            snprintf(text, LINE_BYTES, "%s: %lld in, %lld now", place->name,
                     (long long)count.forward, (long long)count.inside);
    }
    return DET_OK;
}

static void add_classes(const struct overlay *overlay, const struct frame *frame,
                        struct texts *texts)
{
    for (int32_t id = 1; id <= det_model_class_count(overlay->model); id++) {
        int count = 0;
        for (size_t i = 0; i < frame->count; i++)
            count += frame->found[i].class_id == id;
        if (count > 0)
            snprintf(add_line(texts, det_class_color(id)), LINE_BYTES, "%s %d",
                     det_model_class_name(overlay->model, id), count);
    }
}

/* --- drawing --- */

static det_status draw_places(const struct overlay *overlay, const det_canvas *canvas)
{
    const float w = (float)canvas->width, h = (float)canvas->height;
    for (size_t i = 0; i < overlay->tracking->place_count; i++) {
        const struct count_place *place = &overlay->tracking->places[i];
        for (size_t k = place->is_line ? 1 : 0; k < place->count; k++) {
            const float *a = place->shares[k > 0 ? k - 1 : place->count - 1], *b = place->shares[k];
            DET_TRY_RETURN(det_canvas_draw_line(overlay->context, canvas, a[0] * w, a[1] * h,
                                                b[0] * w, b[1] * h, 0, place_color(overlay, i)));
        }
    }
    return DET_OK;
}

static det_status draw(const struct overlay *overlay, const det_canvas *canvas,
                       const struct frame *frame, struct texts *texts)
{
    make_labels(overlay, frame, texts);
    if (overlay->show_time && frame->of_video)
        add_time(frame, texts);
    if (overlay->tracking->on) {
        DET_TRY_RETURN(draw_places(overlay, canvas));
        DET_TRY_RETURN(add_places(overlay, texts));
    }
    if (overlay->show_count)
        add_classes(overlay, frame, texts);
    return det_canvas_draw_detections(overlay->context, canvas, frame->found, texts->label_list,
                                      frame->count, texts->legend, texts->line_count);
}

det_status overlay_draw(struct det_env *env, const struct overlay *overlay, struct frame *frame)
{
    const det_canvas canvas = {
        .pixels = frame->image.rgb, .width = frame->image.width, .height = frame->image.height};
    struct texts texts = {0};
    det_status status = alloc_texts(env, overlay, frame, &texts);
    if (status == DET_OK) {
        status = draw(overlay, &canvas, frame, &texts);
        if (status != DET_OK)
            status = tool_adopt(env, overlay->context, status);
    }
    free_texts(env, &texts);
    return status;
}
