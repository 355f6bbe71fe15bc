/* coco_layout.c: sorts what was added into cells (class, image) with two counting passes, so that
 * memory and time grow with the number of boxes, images and classes, never with images x classes.
 */
#include <stdlib.h>
#include <string.h>

#include "eval/coco_parts.h"
#include "support/mem.h"

struct id_rank {
    int64_t id;
    uint32_t position;
};

static int compare_ids(const void *a, const void *b)
{
    const struct id_rank *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

/* rank[position of arrival] = position by rising id. */
static det_status rank_images(struct det_env *env, const struct det_coco_eval *eval,
                              uint32_t **rank)
{
    struct id_rank *sorted = NULL;
    const size_t count = eval->image_count;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &sorted, count, sizeof *sorted, "image order"));
    DET_TRY(det_alloc_raw(env, rank, count, sizeof **rank, "image order"));
    for (size_t i = 0; i < count; i++)
        sorted[i] = (struct id_rank){eval->image_ids[i], (uint32_t)i};
    qsort(sorted, count, sizeof *sorted, compare_ids);
    for (size_t i = 0; i < count; i++)
        (*rank)[sorted[i].position] = (uint32_t)i;
fail:
    det_free(env, &sorted);
    return status;
}

/* One stable counting pass. from NULL: 0, 1, 2, ... counts: buckets + 1 numbers. */
static void counting_pass(const uint32_t *key, const uint32_t *from, uint32_t *to, size_t count,
                          uint32_t *counts, size_t buckets)
{
    memset(counts, 0, (buckets + 1) * sizeof *counts);
    for (size_t i = 0; i < count; i++)
        counts[key[i] + 1]++;
    for (size_t bucket = 0; bucket < buckets; bucket++)
        counts[bucket + 1] += counts[bucket];
    for (size_t i = 0; i < count; i++) {
        const uint32_t item = from != NULL ? from[i] : (uint32_t)i;
        to[counts[key[item]]++] = item;
    }
}

/* Keys of boxes and the two passes: by (class, image), or by (image, class) when classes do not
 * matter, as pycocotools then puts the boxes of an image in order of category. */
static det_status order_boxes(struct det_env *env, size_t count, const uint32_t *image,
                              size_t image_count, const uint32_t *category, size_t category_count,
                              bool use_categories, uint32_t **order)
{
    uint32_t *first = NULL, *counts = NULL;
    const size_t most = image_count > category_count ? image_count : category_count;
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, order, count, sizeof **order, "evaluation order"));
    DET_TRY(det_alloc_raw(env, &first, count, sizeof *first, "evaluation order"));
    DET_TRY(det_alloc_raw(env, &counts, most + 1, sizeof *counts, "evaluation order"));
    if (use_categories) {
        counting_pass(image, NULL, first, count, counts, image_count);
        counting_pass(category, first, *order, count, counts, category_count);
    } else {
        counting_pass(category, NULL, first, count, counts, category_count);
        counting_pass(image, first, *order, count, counts, image_count);
    }
fail:
    det_free(env, &first);
    det_free(env, &counts);
    return status;
}

struct keys {
    uint32_t *image, *class;
};

/* The run of boxes in `order` from `begin` on that share class and image with the first. */
static uint32_t run_length(const uint32_t *order, size_t begin, size_t count,
                           const struct keys *keys, bool use_categories)
{
    const uint32_t image = keys->image[order[begin]], class = keys->class[order[begin]];
    size_t end = begin + 1;
    while (end < count && keys->image[order[end]] == image &&
           (!use_categories || keys->class[order[end]] == class))
        end++;
    return (uint32_t)(end - begin);
}

static uint32_t most_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Merges the runs of both orders into cells. */
static void make_cells(const struct det_coco_eval *eval, const struct keys *gt,
                       const struct keys *dt, struct det_coco_layout *layout)
{
    const bool by_class = eval->rules.use_categories;
    const uint32_t most_kept = (uint32_t)eval->rules.max_dets[eval->rules.max_det_count - 1];
    size_t g = 0, d = 0, classes_begun = 0, n = 0;
    while (g < eval->gt_count || d < eval->dt_count) {
        uint64_t gt_key = UINT64_MAX, dt_key = UINT64_MAX;
        if (g < eval->gt_count)
            gt_key = (by_class ? (uint64_t)gt->class[layout->gt_order[g]] << 32 : 0) |
                     gt->image[layout->gt_order[g]];
        if (d < eval->dt_count)
            dt_key = (by_class ? (uint64_t)dt->class[layout->dt_order[d]] << 32 : 0) |
                     dt->image[layout->dt_order[d]];
        const uint64_t key = gt_key < dt_key ? gt_key : dt_key;
        struct det_coco_cell *cell = &layout->cells[n];
        *cell = (struct det_coco_cell){
            .gt_begin = (uint32_t)g, .dt_begin = (uint32_t)d, .out_begin = layout->out_count};
        if (gt_key == key)
            cell->gt_count = run_length(layout->gt_order, g, eval->gt_count, gt, by_class);
        if (dt_key == key)
            cell->dt_count = run_length(layout->dt_order, d, eval->dt_count, dt, by_class);
        cell->out_count = cell->dt_count < most_kept ? cell->dt_count : most_kept;
        layout->out_count += cell->out_count;
        layout->most_gt = most_of(layout->most_gt, cell->gt_count);
        layout->most_dt = most_of(layout->most_dt, cell->dt_count);
        while (classes_begun <= key >> 32)
            layout->class_cells[classes_begun++] = n;
        g += cell->gt_count;
        d += cell->dt_count;
        n++;
    }
    while (classes_begun <= (size_t)layout->class_count)
        layout->class_cells[classes_begun++] = n;
    layout->cell_count = n;
}

static void measure_classes(struct det_coco_layout *layout)
{
    for (int32_t k = 0; k < layout->class_count; k++) {
        uint32_t gts = 0, outs = 0;
        for (size_t c = layout->class_cells[k]; c < layout->class_cells[k + 1]; c++) {
            gts += layout->cells[c].gt_count;
            outs += layout->cells[c].out_count;
        }
        layout->most_class_gt = most_of(layout->most_class_gt, gts);
        layout->most_class_out = most_of(layout->most_class_out, outs);
    }
}

/* Cuts the cells into tasks of about equal work. */
static void make_chunks(struct det_coco_layout *layout)
{
    const uint64_t enough = 8192;
    uint64_t work = enough;
    int32_t n = 0;
    for (size_t c = 0; c < layout->cell_count; c++) {
        const struct det_coco_cell *cell = &layout->cells[c];
        if (work >= enough) {
            layout->chunks[n++] = c;
            work = 0;
        }
        work += 2 + cell->dt_count + 4 * (uint64_t)cell->out_count * cell->gt_count;
    }
    layout->chunks[n] = layout->cell_count;
    layout->chunk_count = n;
}

static det_status make_keys(struct det_env *env, struct keys *keys, size_t count)
{
    DET_TRY_RETURN(det_alloc_raw(env, &keys->image, count, sizeof *keys->image, "evaluation keys"));
    return det_alloc_raw(env, &keys->class, count, sizeof *keys->class, "evaluation keys");
}

det_status det_coco_layout_make(struct det_env *env, const struct det_coco_eval *eval,
                                const uint32_t *category_rank, struct det_coco_layout *layout)
{
    *layout = (struct det_coco_layout){0};
    const bool by_class = eval->rules.use_categories;
    layout->class_count = by_class ? (int32_t)eval->category_count : 1;
    uint32_t *image_rank = NULL;
    struct keys gt = {0}, dt = {0};
    det_status status = DET_OK;
    DET_TRY(rank_images(env, eval, &image_rank));
    DET_TRY(make_keys(env, &gt, eval->gt_count));
    DET_TRY(make_keys(env, &dt, eval->dt_count));
    for (size_t i = 0; i < eval->gt_count; i++) {
        gt.image[i] = image_rank[eval->gts[i].image];
        gt.class[i] = category_rank[eval->gts[i].category];
    }
    for (size_t i = 0; i < eval->dt_count; i++) {
        dt.image[i] = image_rank[eval->dts[i].image];
        dt.class[i] = category_rank[eval->dts[i].category];
    }
    DET_TRY(order_boxes(env, eval->gt_count, gt.image, eval->image_count, gt.class,
                        eval->category_count, by_class, &layout->gt_order));
    DET_TRY(order_boxes(env, eval->dt_count, dt.image, eval->image_count, dt.class,
                        eval->category_count, by_class, &layout->dt_order));
    const size_t most_cells = eval->gt_count + eval->dt_count;
    DET_TRY(det_alloc_raw(env, &layout->cells, most_cells, sizeof *layout->cells, "cells"));
    DET_TRY(det_alloc(env, &layout->class_cells, (size_t)layout->class_count + 1,
                      sizeof *layout->class_cells, "cells"));
    make_cells(eval, &gt, &dt, layout);
    measure_classes(layout);
    DET_TRY(det_alloc_raw(env, &layout->chunks, layout->cell_count + 1, sizeof *layout->chunks,
                          "cells"));
    make_chunks(layout);
fail:
    det_free(env, &image_rank);
    det_free(env, &gt.image);
    det_free(env, &gt.class);
    det_free(env, &dt.image);
    det_free(env, &dt.class);
    if (status != DET_OK)
        det_coco_layout_free(env, layout);
    return status;
}

void det_coco_layout_free(struct det_env *env, struct det_coco_layout *layout)
{
    det_free(env, &layout->gt_order);
    det_free(env, &layout->dt_order);
    det_free(env, &layout->cells);
    det_free(env, &layout->class_cells);
    det_free(env, &layout->chunks);
    *layout = (struct det_coco_layout){0};
}
