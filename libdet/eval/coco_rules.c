/* coco_rules.c: defaults, checks and copies of the settings. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "eval/coco_parts.h"
#include "support/mem.h"

void det_coco_settings_init(det_coco_settings *settings, size_t struct_size)
{
    static const det_coco_settings defaults = {.use_categories = 1};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

/* As numpy.linspace(start, stop, count): start + i * step, the last one exactly stop. */
static void fill_linspace(double *values, int32_t count, double start, double stop)
{
    const double step = (stop - start) / (count - 1);
    for (int32_t i = 0; i < count; i++)
        values[i] = i * step + start;
    values[count - 1] = stop;
}

/* A copy of `given`, or `default_count` values from start to stop. */
static det_status copy_thresholds(struct det_env *env, double **out, int32_t *out_count,
                                  const double *given, int32_t given_count, int32_t default_count,
                                  double start, double stop, const char *what)
{
    const int32_t count = given != NULL ? given_count : default_count;
    if (count < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: got %d, expected at least 1", what,
                        (int)count);
    DET_TRY_RETURN(det_alloc(env, out, (size_t)count, sizeof **out, what));
    if (given == NULL)
        fill_linspace(*out, count, start, stop);
    for (int32_t i = 0; given != NULL && i < count; i++) {
        if (!isfinite(given[i]))
            return det_fail(env, DET_STATUS_NON_FINITE, "%s: number %d is not finite", what,
                            (int)i);
        (*out)[i] = given[i];
    }
    *out_count = count;
    return DET_OK;
}

static int compare_int32(const void *a, const void *b)
{
    const int32_t left = *(const int32_t *)a, right = *(const int32_t *)b;
    return left < right ? -1 : left > right;
}

static det_status copy_max_dets(struct det_env *env, struct det_coco_rules *rules,
                                const int32_t *given, int32_t given_count)
{
    static const int32_t defaults[] = {1, 10, 100};
    const int32_t *from = given != NULL ? given : defaults;
    const int32_t count = given != NULL ? given_count : 3;
    if (count < 1 || count > DET_COCO_MAX_MAX_DETS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "max_dets: got %d numbers, expected 1 to %d", (int)count,
                        DET_COCO_MAX_MAX_DETS);
    for (int32_t i = 0; i < count; i++) {
        if (from[i] < 1)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "max_dets: number %d is %d, expected at least 1", (int)i, (int)from[i]);
        rules->max_dets[i] = from[i];
    }
    qsort(rules->max_dets, (size_t)count, sizeof *rules->max_dets, compare_int32);
    rules->max_det_count = count;
    return DET_OK;
}

static det_status copy_areas(struct det_env *env, struct det_coco_rules *rules,
                             const det_coco_area *given, int32_t given_count)
{
    static const det_coco_area defaults[] = {{"all", 0, 1e5 * 1e5},
                                             {"small", 0, 32 * 32},
                                             {"medium", 32 * 32, 96 * 96},
                                             {"large", 96 * 96, 1e5 * 1e5}};
    const det_coco_area *from = given != NULL ? given : defaults;
    const int32_t count = given != NULL ? given_count : 4;
    if (count < 1 || count > DET_COCO_MAX_AREAS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "areas: got %d, expected 1 to %d",
                        (int)count, DET_COCO_MAX_AREAS);
    for (int32_t i = 0; i < count; i++) {
        if (from[i].name == NULL || isnan(from[i].min_px2) || isnan(from[i].max_px2))
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "areas: number %d has no name or a bound that is NaN", (int)i);
        char *name = NULL;
        DET_TRY_RETURN(det_strdup(env, &name, from[i].name));
        rules->areas[i] = (det_coco_area){name, from[i].min_px2, from[i].max_px2};
        rules->area_count++;
    }
    return DET_OK;
}

static det_status copy_settings(struct det_env *env, struct det_coco_rules *rules,
                                const det_coco_settings *s)
{
    DET_TRY_RETURN(copy_thresholds(env, &rules->iou_thresholds, &rules->iou_count,
                                   s->iou_thresholds, s->iou_threshold_count, 10, .5, .95,
                                   "IoU thresholds"));
    if (rules->iou_count > DET_COCO_MAX_IOU_THRESHOLDS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "IoU thresholds: got %d, at most %d",
                        (int)rules->iou_count, DET_COCO_MAX_IOU_THRESHOLDS);
    DET_TRY_RETURN(copy_thresholds(env, &rules->recall_thresholds, &rules->recall_count,
                                   s->recall_thresholds, s->recall_threshold_count, 101, 0, 1,
                                   "recall thresholds"));
    DET_TRY_RETURN(copy_max_dets(env, rules, s->max_dets, s->max_det_count));
    rules->use_categories = s->use_categories != 0;
    rules->honour_ignore = s->honour_ignore != 0;
    rules->first_row_follows_max_dets = s->first_row_follows_max_dets != 0;
    return copy_areas(env, rules, s->areas, s->area_count);
}

det_status det_coco_rules_init(struct det_env *env, struct det_coco_rules *rules,
                               const det_coco_settings *settings)
{
    det_coco_settings all;
    det_coco_settings_default(&all);
    *rules = (struct det_coco_rules){0};
    DET_TRY_RETURN(DET_TAKE(env, det_coco_settings, &all, settings));
    const det_status status = copy_settings(env, rules, &all);
    if (status != DET_OK)
        det_coco_rules_free(env, rules);
    return status;
}

void det_coco_rules_free(struct det_env *env, struct det_coco_rules *rules)
{
    det_free(env, &rules->iou_thresholds);
    det_free(env, &rules->recall_thresholds);
    for (int32_t i = 0; i < rules->area_count; i++)
        det_free(env, &rules->areas[i].name);
    *rules = (struct det_coco_rules){0};
}
