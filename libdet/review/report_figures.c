#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/box_faults.h"
#include "data/resize.h"
#include "model/spec_anchors.h"
#include "model/targets.h"
#include "review/report.h"
#include "support/mem.h"

/* More boxes tell nothing new of how the anchors fit. */
#define MOST_MEASURED 4000

void det_report_figures_free(struct det_env *env, struct det_report_figures *figures)
{
    det_free(env, &figures->classes);
}

/* Share of the network's input that a picture takes up; less than all of it where it is padded. */
static void share_of_input(const struct det_model_spec *spec,
                           const struct det_labelled_image *image, double share[2])
{
    share[0] = share[1] = 1;
    if (spec->resize_mode != DET_RESIZE_KEEP_ASPECT)
        return;
    int32_t height = 0, width = 0;
    det_keep_aspect_size(image->height_px, image->width_px, spec->min_dimension,
                         spec->max_dimension, &height, &width);
    share[0] = fmin(1, (double)height / spec->input_height);
    share[1] = fmin(1, (double)width / spec->input_width);
}

static int bin_of(double value, int bins)
{
    return value < 0 ? 0 : value >= bins ? bins - 1 : (int)value;
}

static void count_place(struct det_report_figures *f, const double box[4])
{
    double inside[4];
    memcpy(inside, box, sizeof inside);
    if (!det_box_clip(inside))
        return;
    const int y0 = bin_of(inside[0] * REPORT_GRID, REPORT_GRID);
    const int x0 = bin_of(inside[1] * REPORT_GRID, REPORT_GRID);
    const int y1 = bin_of(ceil(inside[2] * REPORT_GRID) - 1, REPORT_GRID);
    const int x1 = bin_of(ceil(inside[3] * REPORT_GRID) - 1, REPORT_GRID);
    for (int y = y0; y <= y1; y++)
        for (int x = x0; x <= x1; x++)
            f->places[y][x]++;
}

static bool is_sound(const double box[4])
{
    double beyond = 0;
    return (det_box_faults(box, &beyond) &
            (DET_BOX_NOT_FINITE | DET_BOX_REVERSED | DET_BOX_NO_AREA)) == 0;
}

static void count_box(struct det_report_figures *f, const struct det_labelled_image *image,
                      const struct det_labelled_object *o, bool *met_class)
{
    double share[2];
    f->boxes++;
    f->crowds += o->is_crowd || o->group_of;
    struct det_report_class *class = o->class_index >= 0 ? &f->classes[o->class_index] : NULL;
    if (class != NULL) {
        class->boxes++;
        class->images += !*met_class;
        *met_class = true;
    }
    if (!is_sound(o->box))
        return;
    share_of_input(&f->spec, image, share);
    const double h = o->box[2] - o->box[0], w = o->box[3] - o->box[1];
    const double area = h * image->height_px * w * image->width_px;
    const double seen_h = h * share[0] * f->spec.input_height;
    const double seen_w = w * share[1] * f->spec.input_width;
    const int which = area < 32 * 32 ? 0 : area < 96 * 96 ? 1 : 2;
    size_t *const all[] = {&f->small, &f->medium, &f->large};
    ++*all[which];
    if (class != NULL)
        ++*(which == 0 ? &class->small : which == 1 ? &class->medium : &class->large);
    f->sizes[bin_of(log2(sqrt(seen_h * seen_w)) - 1, REPORT_SIZE_BINS)]++;
    f->aspects[bin_of(2 * log2(seen_w / seen_h) + REPORT_ASPECT_BINS / 2.0, REPORT_ASPECT_BINS)]++;
    count_place(f, o->box);
}

/* Objects of one class of an image may lie anywhere among its others. */
static void count_image(const struct det_annotations *set, const struct det_labelled_image *image,
                        uint32_t *last_image, uint32_t number, struct det_report_figures *f)
{
    f->empty += image->object_count == 0;
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *o = &set->objects[image->first_object + i];
        bool met = o->class_index >= 0 && last_image[o->class_index] == number;
        count_box(f, image, o, &met);
        if (o->class_index >= 0)
            last_image[o->class_index] = number;
    }
}

/* --- sizes of pictures --- */

static int by_size(const void *a, const void *b)
{
    const struct det_report_size *x = a, *y = b;
    return x->width != y->width ? (x->width > y->width) - (x->width < y->width)
                                : (x->height > y->height) - (x->height < y->height);
}

static int by_count(const void *a, const void *b)
{
    const struct det_report_size *x = a, *y = b;
    return x->images != y->images ? (x->images < y->images) - (x->images > y->images)
                                  : by_size(a, b);
}

static det_status count_sizes(struct det_env *env, const struct det_annotations *set,
                              struct det_report_figures *f)
{
    struct det_report_size *sizes = NULL;
    size_t count = 0, different = 0;
    DET_TRY_RETURN(det_alloc(env, &sizes, set->image_count, sizeof *sizes, "sizes of pictures"));
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken)
            sizes[count++] =
                (struct det_report_size){set->images[i].width_px, set->images[i].height_px, 1};
    if (count > 1)
        qsort(sizes, count, sizeof *sizes, by_size);
    for (size_t i = 0; i < count; i++) {
        if (different > 0 && by_size(&sizes[different - 1], &sizes[i]) == 0)
            sizes[different - 1].images++;
        else
            sizes[different++] = sizes[i];
    }
    if (different > 1)
        qsort(sizes, different, sizeof *sizes, by_count);
    f->size_count = different;
    for (size_t i = 0; i < different && i < REPORT_SIZES; i++)
        f->most[i] = sizes[i];
    det_free(env, &sizes);
    return DET_OK;
}

/* --- anchors --- */

static void note_misfit(struct det_report_figures *f, const struct det_report_misfit *misfit)
{
    size_t at = f->worst_count;
    while (at > 0 && f->worst[at - 1].iou > misfit->iou)
        at--;
    if (at == REPORT_WORST)
        return;
    const size_t kept = f->worst_count < REPORT_WORST ? f->worst_count : REPORT_WORST - 1;
    memmove(&f->worst[at + 1], &f->worst[at], (kept - at) * sizeof *f->worst);
    f->worst[at] = *misfit;
    f->worst_count = kept + 1;
}

static float best_iou(const float (*anchors)[4], int32_t count, const float box[4])
{
    float best = 0;
    for (int32_t a = 0; a < count; a++) {
        const float iou = det_box_iou(box, anchors[a]);
        best = iou > best ? iou : best;
    }
    return best;
}

static void measure_image(const struct det_annotations *set, size_t image,
                          const float (*anchors)[4], int32_t count, size_t stride, size_t *seen,
                          struct det_report_figures *f)
{
    const struct det_labelled_image *at = &set->images[image];
    double share[2];
    share_of_input(&f->spec, at, share);
    for (size_t i = 0; i < at->object_count; i++) {
        const struct det_labelled_object *o = &set->objects[at->first_object + i];
        float box[4];
        if ((*seen)++ % stride != 0 || !is_sound(o->box))
            continue;
        for (int c = 0; c < 4; c++)
            box[c] = (float)(o->box[c] * share[c % 2]);
        const struct det_report_misfit fit = {image, i, best_iou(anchors, count, box)};
        f->measured++;
        f->met += fit.iou >= 0.5F;
        if (fit.iou < 0.5F)
            note_misfit(f, &fit);
    }
}

static det_status measure(struct det_env *env, const struct det_annotations *set,
                          struct det_report_figures *f)
{
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    size_t seen = 0;
    const size_t stride = f->boxes / MOST_MEASURED + 1;
    DET_TRY_RETURN(det_spec_anchors(env, &f->spec, &anchors, &count));
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken)
            measure_image(set, i, (const float(*)[4])anchors, count, stride, &seen, f);
    det_free(env, &anchors);
    return DET_OK;
}

det_status det_report_count(struct det_env *env, const struct det_annotations *set,
                            struct det_report_figures *f)
{
    uint32_t *last_image = NULL;
    double most = 0;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &f->classes, set->classes.count, sizeof *f->classes, "classes"));
    DET_TRY(det_alloc(env, &last_image, set->classes.count, sizeof *last_image, "classes"));
    for (size_t i = 0; i < set->image_count; i++) {
        f->broken += set->images[i].broken;
        if (set->images[i].broken)
            continue;
        f->images++;
        count_image(set, &set->images[i], last_image, (uint32_t)i + 1, f);
    }
    for (int y = 0; y < REPORT_GRID; y++)
        for (int x = 0; x < REPORT_GRID; x++)
            most = fmax(most, f->places[y][x]);
    for (int y = 0; y < REPORT_GRID && most > 0; y++)
        for (int x = 0; x < REPORT_GRID; x++)
            f->places[y][x] /= most;
    DET_TRY(count_sizes(env, set, f));
    DET_TRY(measure(env, set, f));
fail:
    det_free(env, &last_image);
    return status;
}
