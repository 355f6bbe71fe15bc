/* coco_eval.c: what was added, and the order of the steps of an evaluation. */
#include "eval/coco_eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/coco_parts.h"
#include "support/mem.h"

/* Positions are uint32 and tasks int32. */
#define MOST_BOXES      ((size_t)INT32_MAX)
#define MOST_CATEGORIES ((size_t)1 << 24)

det_status det_coco_eval_create(struct det_env *env, const det_coco_settings *settings,
                                struct det_coco_eval **out)
{
    *out = NULL;
    struct det_coco_eval *eval = NULL;
    DET_TRY_RETURN(det_alloc(env, &eval, 1, sizeof *eval, "COCO evaluator"));
    const det_status status = det_coco_rules_init(env, &eval->rules, settings);
    if (status != DET_OK)
        det_free(env, &eval);
    *out = eval;
    return status;
}

static void drop_result(struct det_env *env, struct det_coco_eval *eval)
{
    eval->has_result = false;
    eval->result = (det_coco_result){0};
    det_free(env, &eval->classes);
    det_free(env, &eval->class_list);
    det_free(env, &eval->class_names);
    det_free(env, &eval->objects);
    det_free(env, &eval->precision);
    det_free(env, &eval->scores);
    det_free(env, &eval->recall);
}

void det_coco_eval_destroy(struct det_env *env, struct det_coco_eval **out)
{
    struct det_coco_eval *eval = *out;
    if (eval == NULL)
        return;
    drop_result(env, eval);
    det_coco_rules_free(env, &eval->rules);
    det_id_map_free(env, &eval->image_map);
    det_id_map_free(env, &eval->category_map);
    for (size_t i = 0; i < eval->category_count; i++)
        det_free(env, &eval->categories[i].name);
    det_free(env, &eval->categories);
    det_free(env, &eval->image_ids);
    det_free(env, &eval->gts);
    det_free(env, &eval->dts);
    det_free(env, out);
}

det_status det_coco_eval_add_category(struct det_env *env, struct det_coco_eval *eval, int64_t id,
                                      const char *name)
{
    uint32_t position = 0;
    if (det_id_map_find(&eval->category_map, id, &position))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "category %lld is already there, as \"%s\"", (long long)id,
                        eval->categories[position].name);
    if (eval->category_count == MOST_CATEGORIES)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "more than %zu categories", MOST_CATEGORIES);
    DET_TRY_RETURN(det_grow(env, &eval->categories, &eval->category_capacity,
                            eval->category_count + 1, sizeof *eval->categories, "categories"));
    char *copy = NULL;
    DET_TRY_RETURN(det_strdup(env, &copy, name != NULL ? name : ""));
    const det_status status =
        det_id_map_add(env, &eval->category_map, id, (uint32_t)eval->category_count);
    if (status != DET_OK) {
        det_free(env, &copy);
        return status;
    }
    eval->categories[eval->category_count++] = (struct det_coco_category_entry){id, copy};
    return DET_OK;
}

det_status det_coco_eval_add_image(struct det_env *env, struct det_coco_eval *eval, int64_t id)
{
    uint32_t position = 0;
    if (det_id_map_find(&eval->image_map, id, &position))
        return DET_OK;
    if (eval->image_count == MOST_BOXES)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "more than %zu images", MOST_BOXES);
    DET_TRY_RETURN(det_grow(env, &eval->image_ids, &eval->image_capacity, eval->image_count + 1,
                            sizeof *eval->image_ids, "images"));
    DET_TRY_RETURN(det_id_map_add(env, &eval->image_map, id, (uint32_t)eval->image_count));
    eval->image_ids[eval->image_count++] = id;
    return DET_OK;
}

size_t det_coco_eval_image_count(const struct det_coco_eval *eval)
{
    return eval->image_count;
}

/* Positions of image and category of something called `what`. */
static det_status find_ids(struct det_env *env, const struct det_coco_eval *eval, const char *what,
                           int64_t image_id, int64_t category_id, uint32_t *image,
                           uint32_t *category)
{
    if (!det_id_map_find(&eval->image_map, image_id, image))
        return det_fail(env, DET_STATUS_NOT_FOUND,
                        "%s: image %lld is not an image of the ground truth", what,
                        (long long)image_id);
    if (!det_id_map_find(&eval->category_map, category_id, category))
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s in image %lld: no category %lld", what,
                        (long long)image_id, (long long)category_id);
    return DET_OK;
}

static det_status check_box(struct det_env *env, const char *what, int64_t image_id,
                            const double box_px[4])
{
    for (int i = 0; i < 4; i++) {
        if (!isfinite(box_px[i]))
            return det_fail(env, DET_STATUS_NON_FINITE, "%s in image %lld: box is not finite", what,
                            (long long)image_id);
    }
    return DET_OK;
}

det_status det_coco_eval_add_object(struct det_env *env, struct det_coco_eval *eval,
                                    const struct det_coco_annotation *object)
{
    struct det_coco_gt gt = {
        .area_px2 = object->area_px2,
        .is_crowd = object->is_crowd,
        .is_group_of = object->is_group_of,
        .ignore = object->ignore,
        .id_is_zero = object->id == 0,
    };
    DET_TRY_RETURN(find_ids(env, eval, "object", object->image_id, object->category_id, &gt.image,
                            &gt.category));
    DET_TRY_RETURN(check_box(env, "object", object->image_id, object->box_px));
    memcpy(gt.box_px, object->box_px, sizeof gt.box_px);
    if (isnan(gt.area_px2))
        gt.area_px2 = gt.box_px[2] * gt.box_px[3];
    if (eval->gt_count == MOST_BOXES)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "more than %zu objects", MOST_BOXES);
    DET_TRY_RETURN(det_grow(env, &eval->gts, &eval->gt_capacity, eval->gt_count + 1,
                            sizeof *eval->gts, "objects"));
    eval->gts[eval->gt_count++] = gt;
    return DET_OK;
}

det_status det_coco_eval_add_detection(struct det_env *env, struct det_coco_eval *eval,
                                       const struct det_coco_detection *detection)
{
    struct det_coco_dt dt = {.score = detection->score};
    DET_TRY_RETURN(find_ids(env, eval, "detection", detection->image_id, detection->category_id,
                            &dt.image, &dt.category));
    DET_TRY_RETURN(check_box(env, "detection", detection->image_id, detection->box_px));
    if (!isfinite(dt.score))
        return det_fail(env, DET_STATUS_NON_FINITE, "detection in image %lld: score is not finite",
                        (long long)detection->image_id);
    memcpy(dt.box_px, detection->box_px, sizeof dt.box_px);
    if (eval->dt_count == MOST_BOXES)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "more than %zu detections", MOST_BOXES);
    DET_TRY_RETURN(det_grow(env, &eval->dts, &eval->dt_capacity, eval->dt_count + 1,
                            sizeof *eval->dts, "detections"));
    eval->dts[eval->dt_count++] = dt;
    return DET_OK;
}

void det_coco_eval_clear_detections(struct det_coco_eval *eval)
{
    eval->dt_count = 0;
}

det_status det_coco_eval_add_dataset(struct det_env *env, struct det_coco_eval *eval,
                                     const char *path, const struct det_coco_dataset *dataset)
{
    uint32_t position = 0;
    size_t dropped = 0;
    for (size_t i = 0; i < dataset->image_count; i++)
        DET_TRY_RETURN(det_coco_eval_add_image(env, eval, dataset->images[i].id));
    for (size_t i = 0; i < dataset->category_count; i++) {
        const struct det_coco_category *category = &dataset->categories[i];
        const det_status status =
            det_coco_eval_add_category(env, eval, category->id, category->name);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "%s: categories[%zu]", path, i);
    }
    for (size_t i = 0; i < dataset->annotation_count; i++) {
        const struct det_coco_annotation *object = &dataset->annotations[i];
        if (!det_id_map_find(&eval->image_map, object->image_id, &position) ||
            !det_id_map_find(&eval->category_map, object->category_id, &position)) {
            dropped++;
            continue;
        }
        const det_status status = det_coco_eval_add_object(env, eval, object);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "%s: annotations[%zu]", path, i);
        if (object->id == 0)
            det_log(env, DET_LOG_WARNING,
                    "%s: annotations[%zu]: the id is 0, so a match with it does not count, as in "
                    "pycocotools",
                    path, i);
    }
    if (dropped > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %zu of %zu objects dropped: image or category not listed in the file", path,
                dropped, dataset->annotation_count);
    return DET_OK;
}

det_status det_coco_eval_add_detections(struct det_env *env, struct det_coco_eval *eval,
                                        const char *path,
                                        const struct det_coco_detection_list *list)
{
    uint32_t position = 0;
    size_t dropped = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct det_coco_detection *item = &list->items[i];
        if (det_id_map_find(&eval->image_map, item->image_id, &position) &&
            !det_id_map_find(&eval->category_map, item->category_id, &position)) {
            dropped++;
            continue;
        }
        const det_status status = det_coco_eval_add_detection(env, eval, item);
        if (status != DET_OK)
            return det_fail_prefix(env, status, "%s: detections[%zu]", path, i);
    }
    if (dropped > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %zu of %zu detections dropped: the ground truth does not have their category",
                path, dropped, list->count);
    return DET_OK;
}

det_status det_coco_eval_to_dataset(struct det_env *env, const struct det_coco_eval *eval,
                                    struct det_coco_dataset *dataset)
{
    *dataset = (struct det_coco_dataset){0};
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &dataset->images, eval->image_count, sizeof *dataset->images, "images"));
    DET_TRY(det_alloc(env, &dataset->categories, eval->category_count, sizeof *dataset->categories,
                      "categories"));
    DET_TRY(det_alloc(env, &dataset->annotations, eval->gt_count, sizeof *dataset->annotations,
                      "objects"));
    for (size_t i = 0; i < eval->image_count; i++)
        dataset->images[dataset->image_count++].id = eval->image_ids[i];
    for (size_t i = 0; i < eval->category_count; i++) {
        struct det_coco_category *category = &dataset->categories[dataset->category_count++];
        category->id = eval->categories[i].id;
        DET_TRY(det_strdup(env, &category->name, eval->categories[i].name));
    }
    for (size_t i = 0; i < eval->gt_count; i++) {
        const struct det_coco_gt *gt = &eval->gts[i];
        struct det_coco_annotation *object = &dataset->annotations[dataset->annotation_count++];
        *object = (struct det_coco_annotation){
            .id = gt->id_is_zero ? 0 : (int64_t)i + 1,
            .image_id = eval->image_ids[gt->image],
            .category_id = eval->categories[gt->category].id,
            .area_px2 = gt->area_px2,
            .is_crowd = gt->is_crowd,
            .is_group_of = gt->is_group_of,
            .ignore = gt->ignore,
        };
        memcpy(object->box_px, gt->box_px, sizeof object->box_px);
    }
fail:
    if (status != DET_OK)
        det_coco_dataset_free(env, dataset);
    return status;
}

det_status det_coco_eval_to_detections(struct det_env *env, const struct det_coco_eval *eval,
                                       struct det_coco_detection_list *list)
{
    *list = (struct det_coco_detection_list){0};
    DET_TRY_RETURN(det_alloc(env, &list->items, eval->dt_count, sizeof *list->items, "detections"));
    list->count = eval->dt_count;
    for (size_t i = 0; i < eval->dt_count; i++) {
        const struct det_coco_dt *dt = &eval->dts[i];
        list->items[i] = (struct det_coco_detection){
            .image_id = eval->image_ids[dt->image],
            .category_id = eval->categories[dt->category].id,
            .score = dt->score,
        };
        memcpy(list->items[i].box_px, dt->box_px, sizeof dt->box_px);
    }
    return DET_OK;
}

static int compare_entries(const void *a, const void *b)
{
    const struct det_coco_category_entry *const *left = a, *const *right = b;
    return (*left)->id < (*right)->id ? -1 : (*left)->id > (*right)->id;
}

/* Room for the result; classes with id and name, and the class of each category. */
static det_status prepare_classes(struct det_env *env, struct det_coco_eval *eval,
                                  uint32_t *category_rank)
{
    const struct det_coco_category_entry **sorted = NULL;
    const size_t count = eval->category_count;
    const size_t classes = eval->rules.use_categories ? count : 1;
    const size_t areas = (size_t)eval->rules.area_count;
    size_t name_bytes = sizeof "all";
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &sorted, count, sizeof *sorted, "categories"));
    DET_TRY(det_alloc(env, &eval->classes, classes, sizeof *eval->classes, "classes"));
    DET_TRY(det_alloc(env, &eval->class_list, classes, sizeof(void *), "classes"));
    DET_TRY(det_alloc(env, &eval->objects, (classes + 1) * areas, sizeof *eval->objects,
                      "object counts"));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &eval->categories[i];
        name_bytes += strlen(eval->categories[i].name) + 1;
    }
    DET_TRY(det_alloc_raw(env, &eval->class_names, name_bytes, 1, "class names"));
    qsort(sorted, count, sizeof *sorted, compare_entries);
    char *name = eval->class_names;
    if (!eval->rules.use_categories) {
        eval->classes[0].id = -1;
        eval->classes[0].name = memcpy(name, "all", sizeof "all");
    }
    for (size_t k = 0; k < count; k++) {
        category_rank[sorted[k] - eval->categories] = (uint32_t)k;
        if (!eval->rules.use_categories)
            continue;
        const size_t bytes = strlen(sorted[k]->name) + 1;
        eval->classes[k].id = sorted[k]->id;
        eval->classes[k].name = memcpy(name, sorted[k]->name, bytes);
        name += bytes;
    }
    for (size_t k = 0; k < classes; k++) {
        eval->classes[k].struct_size = sizeof eval->classes[k];
        eval->classes[k].objects = eval->objects + (k + 1) * areas;
        eval->class_list[k] = &eval->classes[k];
    }
fail:
    det_free(env, &sorted);
    return status;
}

static det_status allocate_curves(struct det_env *env, struct det_coco_eval *eval,
                                  int32_t class_count)
{
    const struct det_coco_rules *rules = &eval->rules;
    /* The small factors cannot overflow. */
    const size_t inner =
        (size_t)class_count * (size_t)rules->area_count * (size_t)rules->max_det_count;
    const size_t lines = (size_t)rules->iou_count * (size_t)rules->recall_count;
    size_t count = 0;
    if (!det_size_mul(lines, inner, &count))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "precision array is too large");
    DET_TRY_RETURN(
        det_alloc_raw(env, &eval->precision, count, sizeof *eval->precision, "precision"));
    DET_TRY_RETURN(det_alloc_raw(env, &eval->scores, count, sizeof *eval->scores, "scores"));
    return det_alloc_raw(env, &eval->recall, (size_t)rules->iou_count * inner, sizeof *eval->recall,
                         "recall");
}

/* Totals and pointers of the result; the stats are there already. */
static void finish_result(struct det_coco_eval *eval, const struct det_coco_layout *layout)
{
    const struct det_coco_rules *rules = &eval->rules;
    det_coco_result *result = &eval->result;
    result->struct_size = sizeof *result;
    result->images = (int64_t)eval->image_count;
    result->objects = eval->objects;
    for (int32_t k = 0; k < layout->class_count; k++) {
        const det_coco_class *class = &eval->classes[k];
        for (int32_t a = 0; a < rules->area_count; a++)
            eval->objects[a] += class->objects[a];
        result->crowds += class->crowds;
        result->detections += class->detections;
        result->detections_used += class->detections_used;
    }
    for (size_t c = 0; c < layout->cell_count; c++)
        result->truncated += layout->cells[c].out_count < layout->cells[c].dt_count;
    result->iou_threshold_count = rules->iou_count;
    result->recall_threshold_count = rules->recall_count;
    result->class_count = layout->class_count;
    result->area_count = rules->area_count;
    result->max_det_count = rules->max_det_count;
    result->iou_thresholds = rules->iou_thresholds;
    result->recall_thresholds = rules->recall_thresholds;
    result->max_dets = rules->max_dets;
    result->areas = rules->areas;
    result->classes = eval->class_list;
    result->precision = eval->precision;
    result->scores = eval->scores;
    result->recall = eval->recall;
    eval->has_result = true;
}

det_status det_coco_eval_compute(struct det_env *env, struct det_coco_eval *eval,
                                 struct det_pool *pool, const det_coco_result **result)
{
    *result = NULL;
    uint32_t *category_rank = NULL;
    struct det_coco_layout layout = {0};
    struct det_coco_matches matches = {0};
    drop_result(env, eval);
    det_status status = DET_OK;
    DET_TRY(det_alloc_raw(env, &category_rank, eval->category_count, sizeof *category_rank,
                          "categories"));
    DET_TRY(prepare_classes(env, eval, category_rank));
    DET_TRY(det_coco_layout_make(env, eval, category_rank, &layout));
    DET_TRY(det_coco_match(env, eval, &layout, pool, &matches));
    DET_TRY(allocate_curves(env, eval, layout.class_count));
    DET_TRY(det_coco_accumulate(env, eval, &layout, &matches, pool));
    finish_result(eval, &layout);
    if (eval->result.truncated > 0)
        det_log(env, DET_LOG_WARNING,
                "%lld times an image has more than %d detections of a category: only the best %d "
                "count",
                (long long)eval->result.truncated,
                (int)eval->rules.max_dets[eval->rules.max_det_count - 1],
                (int)eval->rules.max_dets[eval->rules.max_det_count - 1]);
    *result = &eval->result;
fail:
    det_free(env, &category_rank);
    det_coco_layout_free(env, &layout);
    det_coco_matches_free(env, &matches);
    if (status != DET_OK)
        drop_result(env, eval);
    return status;
}

const det_coco_result *det_coco_eval_result(const struct det_coco_eval *eval)
{
    return eval->has_result ? &eval->result : NULL;
}
