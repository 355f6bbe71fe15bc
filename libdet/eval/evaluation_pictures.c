#include "eval/evaluation_pictures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "draw/draw.h"
#include "model/targets.h"
#include "support/mem.h"

enum {
    RANKED = 6,      /* best, and as many worst */
    MOST_BOXES = 50, /* drawn of a ranked image */
    MOST_SIDE_PX = 800,
    GAP_PX = 6,
    STRIP_PX = 26, /* with the name, above a ranked image */
};

#define SAME_OBJECT_IOU 0.5f

/* An image that went well or badly, with the detections that will be drawn. */
struct ranked {
    size_t index;
    double quality;
    int32_t count;
    float boxes[MOST_BOXES][4];
    int32_t class_index[MOST_BOXES];
    float score[MOST_BOXES];
};

struct det_evaluation_pictures {
    struct det_evaluation_pictures_settings settings;
    uint32_t taken;
    int32_t best_count, worst_count;
    struct ranked best[RANKED], worst[RANKED]; /* the extreme one first */
    struct det_image image, small, canvas;
    struct det_ground_truth truth;
    bool *used; /* for det_evaluation_quality() */
    size_t used_capacity;
};

det_status det_evaluation_pictures_create(struct det_env *env,
                                          const struct det_evaluation_pictures_settings *settings,
                                          struct det_evaluation_pictures **out)
{
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, out, 1, sizeof **out, "evaluation pictures"));
    (*out)->settings = *settings;
    return DET_OK;
}

void det_evaluation_pictures_destroy(struct det_env *env, struct det_evaluation_pictures **out)
{
    if (*out == NULL)
        return;
    det_image_free(env, &(*out)->image);
    det_image_free(env, &(*out)->small);
    det_image_free(env, &(*out)->canvas);
    det_ground_truth_free(env, &(*out)->truth);
    det_free(env, &(*out)->used);
    det_free(env, out);
}

/* --- how well it went --- */

double det_evaluation_quality(const struct det_ground_truth *truth,
                              const struct det_detections *found, bool *used)
{
    const int32_t objects = truth->count;
    double hits = 0, misses = 0;
    if (objects > 0)
        memset(used, 0, (size_t)objects * sizeof *used);
    for (int32_t i = 0; i < found->count; i++) {
        int32_t match = -1;
        float best = SAME_OBJECT_IOU;
        for (int32_t g = 0; g < objects; g++) {
            if (used[g] || truth->class_index[g] != found->class_index[i])
                continue;
            const float iou = det_box_iou(truth->boxes[g], found->boxes[i]);
            if (iou >= best) {
                best = iou;
                match = g;
            }
        }
        if (match >= 0) {
            used[match] = true;
            hits += (double)found->score[i];
        } else {
            misses += (double)found->score[i] * (double)found->score[i];
        }
    }
    if (objects == 0)
        return misses < 1 ? 1 - misses : 0;
    return hits / (objects + misses);
}

/* Into a list of at most RANKED, those that go first in front; `sign` 1: high quality first, -1:
 * low. Of equals the earlier stays. */
static void rank(struct ranked *list, int32_t *count, int sign, size_t index, double quality,
                 const struct det_detections *found)
{
    int32_t place = *count;
    while (place > 0 && sign * quality > sign * list[place - 1].quality)
        place--;
    if (place >= RANKED)
        return;
    if (*count < RANKED)
        (*count)++;
    memmove(&list[place + 1], &list[place], (size_t)(*count - 1 - place) * sizeof *list);
    struct ranked *r = &list[place];
    r->index = index;
    r->quality = quality;
    r->count = found->count < MOST_BOXES ? found->count : MOST_BOXES;
    memcpy(r->boxes, found->boxes, (size_t)r->count * sizeof *r->boxes);
    memcpy(r->class_index, found->class_index, (size_t)r->count * sizeof *r->class_index);
    memcpy(r->score, found->score, (size_t)r->count * sizeof *r->score);
}

/* --- drawing --- */

/* Means over squares of `factor` pixels; what is left over at the right and below is dropped. */
static det_status shrink(struct det_env *env, const struct det_image *from, int32_t factor,
                         struct det_image *to)
{
    const int32_t width = from->width / factor, height = from->height / factor;
    DET_TRY_RETURN(
        det_image_resize_buffer(env, to, width > 0 ? width : 1, height > 0 ? height : 1));
    const int32_t rows = height > 0 ? factor : from->height;
    const int32_t columns = width > 0 ? factor : from->width;
    const size_t stride = (size_t)from->width * 3;
    for (int32_t y = 0; y < to->height; y++)
        for (int32_t x = 0; x < to->width * 3; x++) {
            const uint8_t *first = from->rgb + (size_t)(y * factor) * stride +
                                   (size_t)(x / 3 * factor) * 3 + (size_t)(x % 3);
            uint32_t sum = 0;
            for (int32_t dy = 0; dy < rows; dy++)
                for (int32_t dx = 0; dx < columns; dx++)
                    sum += first[(size_t)dy * stride + (size_t)dx * 3];
            const uint32_t count = (uint32_t)(rows * columns);
            to->rgb[(size_t)y * (size_t)to->width * 3 + (size_t)x] =
                (uint8_t)((sum + count / 2) / count);
        }
    return DET_OK;
}

static void copy_into(struct det_image *canvas, const struct det_image *image, int32_t top,
                      int32_t left)
{
    for (int32_t y = 0; y < image->height; y++)
        memcpy(canvas->rgb + ((size_t)(top + y) * (size_t)canvas->width + (size_t)left) * 3,
               image->rgb + (size_t)y * (size_t)image->width * 3, (size_t)image->width * 3);
}

/* Decodes the record into p->small (or p->image when it is small enough) and its objects into
 * p->truth. */
static det_status load(struct det_env *env, struct det_evaluation_pictures *p, size_t index,
                       const struct det_image **image)
{
    DET_TRY_RETURN(det_dataset_load(env, p->settings.dataset, index, &p->image, &p->truth));
    const int32_t side = p->image.width > p->image.height ? p->image.width : p->image.height;
    const int32_t factor = (side + MOST_SIDE_PX - 1) / MOST_SIDE_PX;
    *image = &p->image;
    if (factor <= 1)
        return DET_OK;
    *image = &p->small;
    return shrink(env, &p->image, factor, &p->small);
}

/* An image twice on the canvas, `strip` pixels below its top; the boxes are drawn into a copy
 * first, so that they do not reach over. */
static det_status draw(struct det_env *env, struct det_evaluation_pictures *p, size_t index,
                       const struct ranked *found, int32_t most_boxes, float min_score,
                       const char *title)
{
    const struct det_image *image = NULL;
    struct det_image half = {0};
    const int32_t strip = title != NULL ? STRIP_PX : 0;
    det_status status = DET_OK;
    DET_TRY(load(env, p, index, &image));
    DET_TRY(
        det_image_resize_buffer(env, &p->canvas, 2 * image->width + GAP_PX, image->height + strip));
    DET_TRY(det_image_resize_buffer(env, &half, image->width, image->height));
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    memset(p->canvas.rgb, 255, (size_t)p->canvas.width * (size_t)p->canvas.height * 3);
    memcpy(half.rgb, image->rgb, bytes);
    int32_t shown = found->count < most_boxes ? found->count : most_boxes;
    while (shown > 0 && found->score[shown - 1] < min_score)
        shown--;
    for (int32_t i = shown; i-- > 0;) { /* the surest one last, on top */
        char label[160];
        snprintf(label, sizeof label, "%.140s %d%%", p->settings.class_names[found->class_index[i]],
                 (int)lrintf(found->score[i] * 100));
        det_draw_box(det_surface_of(&half), found->boxes[i], found->class_index[i], label);
    }
    copy_into(&p->canvas, &half, strip, 0);
    memcpy(half.rgb, image->rgb, bytes);
    for (int32_t g = 0; g < p->truth.count; g++)
        det_draw_box(det_surface_of(&half), p->truth.boxes[g], p->truth.class_index[g],
                     p->settings.class_names[p->truth.class_index[g]]);
    copy_into(&p->canvas, &half, strip, image->width + GAP_PX);
    if (title != NULL)
        det_draw_text(det_surface_of(&p->canvas), 6, 5, 16, (det_rgb){40, 40, 40}, title);
fail:
    det_image_free(env, &half);
    return status;
}

static det_status write_canvas(struct det_evaluation_pictures *p, const char *tag)
{
    const det_image_view view = {.pixels = p->canvas.rgb,
                                 .width = p->canvas.width,
                                 .height = p->canvas.height,
                                 .format = DET_PIXEL_RGB8};
    return det_summary_images(p->settings.writer, tag, p->settings.step, &view, 1);
}

det_status det_evaluation_pictures_take(struct det_env *env, struct det_evaluation_pictures *p,
                                        size_t index, const struct det_detections *detections)
{
    const struct det_eval_config *config = p->settings.config;
    DET_TRY_RETURN(det_dataset_load_truth(env, p->settings.dataset, index, &p->truth));
    DET_TRY_RETURN(det_grow(env, &p->used, &p->used_capacity, (size_t)p->truth.count,
                            sizeof *p->used, "objects of an image"));
    const double quality = det_evaluation_quality(&p->truth, detections, p->used);
    rank(p->best, &p->best_count, 1, index, quality, detections);
    rank(p->worst, &p->worst_count, -1, index, quality, detections);
    if (p->taken++ >= config->num_visualizations)
        return DET_OK;
    struct ranked first = {0};
    int32_t none = 0;
    char tag[64];
    rank(&first, &none, 1, index, quality, detections);
    DET_TRY_RETURN(draw(env, p, index, &first, config->max_num_boxes_to_visualize,
                        config->min_score_threshold, NULL));
    snprintf(tag, sizeof tag, "eval_side_by_side_%u_0", (unsigned)(p->taken - 1));
    return write_canvas(p, tag);
}

static det_status write_ranked(struct det_env *env, struct det_evaluation_pictures *p,
                               const struct ranked *list, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; i++) {
        char tag[64], title[300], id[256];
        snprintf(title, sizeof title, "%.2f  %s", list[i].quality,
                 det_dataset_id(p->settings.dataset, list[i].index, id));
        DET_TRY_RETURN(draw(env, p, list[i].index, &list[i], MOST_BOXES,
                            p->settings.config->min_score_threshold < 0.3f
                                ? p->settings.config->min_score_threshold
                                : 0.3f,
                            title));
        snprintf(tag, sizeof tag, "%s/%d", name, (int)i);
        DET_TRY_RETURN(write_canvas(p, tag));
    }
    return DET_OK;
}

det_status det_evaluation_pictures_finish(struct det_env *env, struct det_evaluation_pictures *p)
{
    DET_TRY_RETURN(write_ranked(env, p, p->best, p->best_count, "eval_best"));
    return write_ranked(env, p, p->worst, p->worst_count, "eval_worst");
}
