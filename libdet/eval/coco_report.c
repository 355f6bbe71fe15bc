#include "eval/coco_report.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "eval/coco_parts.h"

static det_status no_result(struct det_env *env)
{
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "no COCO result: compute it first");
}

/* "0.50:0.95" */
static void iou_range(char buffer[160], const struct det_coco_rules *rules)
{
    char first[64], last[64];
    snprintf(buffer, 160, "%s:%s", det_fixed_text(first, rules->iou_thresholds[0], 2),
             det_fixed_text(last, rules->iou_thresholds[rules->iou_count - 1], 2));
}

det_status det_coco_report_table(struct det_env *env, const struct det_coco_eval *eval,
                                 struct det_text *text)
{
    if (!eval->has_result)
        return no_result(env);
    char range[160], value[64];
    iou_range(range, &eval->rules);
    for (int row = 0; row < DET_COCO_STAT_COUNT; row++) {
        const det_coco_stat stat = (det_coco_stat)row;
        const bool is_recall = stat >= DET_COCO_AR_1;
        const char *iou = stat == DET_COCO_AP50 ? "0.50" : stat == DET_COCO_AP75 ? "0.75" : range;
        DET_TRY_RETURN(det_text_printf(
            env, text, " %-18s %s @[ IoU=%-9s | area=%6s | maxDets=%3d ] = %s\n",
            is_recall ? "Average Recall" : "Average Precision", is_recall ? "(AR)" : "(AP)", iou,
            det_coco_stat_area(stat), (int)det_coco_stat_max_dets(&eval->rules, stat),
            det_fixed_text(value, eval->result.stats[stat], 3)));
    }
    return DET_OK;
}

/* Position of the area "all", else of the first. */
static int32_t main_area(const det_coco_result *result)
{
    for (int32_t a = 0; a < result->area_count; a++) {
        if (strcmp(result->areas[a].name, "all") == 0)
            return a;
    }
    return 0;
}

static det_status put_header(struct det_env *env, const struct det_coco_eval *eval,
                             struct det_text *text)
{
    const det_coco_result *result = &eval->result;
    char range[160];
    iou_range(range, &eval->rules);
    DET_TRY_RETURN(det_text_printf(
        env, text,
        "COCO boxes: IoU %s (%d thresholds), %d recall points, at most %d detections per image and "
        "class%s\n",
        range, (int)result->iou_threshold_count, (int)result->recall_threshold_count,
        (int)result->max_dets[result->max_det_count - 1],
        eval->rules.honour_ignore ? ", `ignore` honoured" : ""));
    DET_TRY_RETURN(det_text_printf(env, text, "%lld images, objects:", (long long)result->images));
    for (int32_t a = 0; a < result->area_count; a++)
        DET_TRY_RETURN(det_text_printf(env, text, "%s %lld %s", a > 0 ? "," : "",
                                       (long long)result->objects[a], result->areas[a].name));
    DET_TRY_RETURN(det_text_printf(env, text, ", %lld ignored; %lld detections, %lld used\n",
                                   (long long)result->crowds, (long long)result->detections,
                                   (long long)result->detections_used));
    if (result->truncated == 0)
        return DET_OK;
    return det_text_printf(
        env, text,
        "%lld times a class has more than %d detections in an image: those beyond do not count\n",
        (long long)result->truncated, (int)result->max_dets[result->max_det_count - 1]);
}

static det_status put_class(struct det_env *env, const det_coco_class *class, int32_t area,
                            size_t width, struct det_text *text)
{
    static const det_coco_stat columns[] = {DET_COCO_AP,      DET_COCO_AP50,     DET_COCO_AP75,
                                            DET_COCO_AR_100,  DET_COCO_AP_SMALL, DET_COCO_AP_MEDIUM,
                                            DET_COCO_AP_LARGE};
    DET_TRY_RETURN(det_text_column(env, text, class->name, width));
    DET_TRY_RETURN(det_text_printf(env, text, " %6lld %8lld %10lld", (long long)class->id,
                                   (long long)class->objects[area], (long long)class->detections));
    if (class->objects[area] == 0)
        return det_text_printf(env, text, "  n/a (0 objects)\n");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        char value[64];
        const double stat = class->stats[columns[i]];
        DET_TRY_RETURN(
            det_text_printf(env, text, " %6s", stat < 0 ? "n/a" : det_fixed_text(value, stat, 3)));
    }
    return det_text_append(env, text, "\n", 1);
}

det_status det_coco_report_classes(struct det_env *env, const struct det_coco_eval *eval,
                                   struct det_text *text)
{
    if (!eval->has_result)
        return no_result(env);
    const det_coco_result *result = &eval->result;
    DET_TRY_RETURN(put_header(env, eval, text));
    size_t width = strlen("class");
    for (int32_t k = 0; k < result->class_count; k++) {
        const size_t here = det_utf8_shown_length(result->classes[k]->name);
        if (here > width)
            width = here < DET_WIDEST_NAME ? here : DET_WIDEST_NAME;
    }
    DET_TRY_RETURN(det_text_column(env, text, "class", width));
    char recall[32];
    snprintf(recall, sizeof recall, "AR%d",
             (int)det_coco_stat_max_dets(&eval->rules, DET_COCO_AR_100));
    DET_TRY_RETURN(det_text_printf(env, text, " %6s %8s %10s %6s %6s %6s %6s %6s %6s %6s\n", "id",
                                   "objects", "detections", "AP", "AP50", "AP75", recall, "APs",
                                   "APm", "APl"));
    const int32_t area = main_area(result);
    for (int32_t k = 0; k < result->class_count; k++)
        DET_TRY_RETURN(put_class(env, result->classes[k], area, width, text));
    return DET_OK;
}

static det_status put_numbers(struct det_env *env, struct det_text *text, const char *key,
                              const double *values, size_t count, size_t step)
{
    DET_TRY_RETURN(det_text_printf(env, text, "%s[", key));
    for (size_t i = 0; i < count; i++) {
        char number[32];
        DET_TRY_RETURN(det_text_printf(env, text, "%s%s", i > 0 ? ", " : "",
                                       det_format_double(number, values[i * step])));
    }
    return det_text_append(env, text, "]", 1);
}

static det_status put_stats(struct det_env *env, struct det_text *text,
                            const double stats[DET_COCO_STAT_COUNT])
{
    static const char *const names[DET_COCO_STAT_COUNT] = {
        "AP",   "AP50",  "AP75",   "AP_small", "AP_medium", "AP_large",
        "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"};
    DET_TRY_RETURN(det_text_printf(env, text, "\"stats\": {"));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++) {
        char number[32];
        DET_TRY_RETURN(det_text_printf(env, text, "%s\"%s\": %s", i > 0 ? ", " : "", names[i],
                                       det_format_double(number, stats[i])));
    }
    return det_text_append(env, text, "}", 1);
}

static det_status put_counts(struct det_env *env, struct det_text *text,
                             const det_coco_result *result, const int64_t *objects, int64_t crowds,
                             int64_t detections, int64_t detections_used)
{
    DET_TRY_RETURN(det_text_printf(env, text, "\"objects\": {"));
    for (int32_t a = 0; a < result->area_count; a++) {
        DET_TRY_RETURN(det_text_append(env, text, ", ", a > 0 ? 2 : 0));
        DET_TRY_RETURN(det_text_json_string(env, text, result->areas[a].name));
        DET_TRY_RETURN(det_text_printf(env, text, ": %lld", (long long)objects[a]));
    }
    return det_text_printf(env, text,
                           "}, \"ignored_objects\": %lld, \"detections\": %lld, "
                           "\"detections_used\": %lld",
                           (long long)crowds, (long long)detections, (long long)detections_used);
}

/* "precision": [[...], ...] of [T][R] */
static det_status put_curves(struct det_env *env, struct det_text *text,
                             const det_coco_result *result, int32_t k, const char *key,
                             const double *values)
{
    const size_t dets = (size_t)result->max_det_count;
    const size_t step = (size_t)result->class_count * (size_t)result->area_count * dets;
    const size_t within =
        ((size_t)k * (size_t)result->area_count + (size_t)main_area(result)) * dets + (dets - 1);
    const size_t recalls = (size_t)result->recall_threshold_count;
    DET_TRY_RETURN(det_text_printf(env, text, ",\n  \"%s\": [", key));
    for (int32_t t = 0; t < result->iou_threshold_count; t++)
        DET_TRY_RETURN(put_numbers(env, text, t > 0 ? ",\n   " : "\n   ",
                                   values + within + (size_t)t * recalls * step, recalls, step));
    return det_text_append(env, text, "]", 1);
}

static det_status put_settings(struct det_env *env, const struct det_coco_eval *eval,
                               struct det_text *text)
{
    const det_coco_result *result = &eval->result;
    DET_TRY_RETURN(det_text_printf(env, text, "{\"metric\": \"COCO boxes\""));
    DET_TRY_RETURN(put_numbers(env, text, ",\n\"iou_thresholds\": ", result->iou_thresholds,
                               (size_t)result->iou_threshold_count, 1));
    DET_TRY_RETURN(put_numbers(env, text, ",\n\"recall_thresholds\": ", result->recall_thresholds,
                               (size_t)result->recall_threshold_count, 1));
    DET_TRY_RETURN(det_text_printf(env, text, ",\n\"max_dets\": ["));
    for (int32_t m = 0; m < result->max_det_count; m++)
        DET_TRY_RETURN(
            det_text_printf(env, text, "%s%d", m > 0 ? ", " : "", (int)result->max_dets[m]));
    DET_TRY_RETURN(det_text_printf(env, text, "],\n\"areas_px2\": {"));
    for (int32_t a = 0; a < result->area_count; a++) {
        const double bounds[2] = {result->areas[a].min_px2, result->areas[a].max_px2};
        DET_TRY_RETURN(det_text_append(env, text, ", ", a > 0 ? 2 : 0));
        DET_TRY_RETURN(det_text_json_string(env, text, result->areas[a].name));
        DET_TRY_RETURN(put_numbers(env, text, ": ", bounds, 2, 1));
    }
    return det_text_printf(env, text, "},\n\"use_categories\": %s,\n\"honour_ignore\": %s,\n",
                           eval->rules.use_categories ? "true" : "false",
                           eval->rules.honour_ignore ? "true" : "false");
}

det_status det_coco_report_json(struct det_env *env, const struct det_coco_eval *eval,
                                bool with_curves, struct det_text *text)
{
    if (!eval->has_result)
        return no_result(env);
    const det_coco_result *result = &eval->result;
    DET_TRY_RETURN(put_settings(env, eval, text));
    DET_TRY_RETURN(put_stats(env, text, result->stats));
    DET_TRY_RETURN(det_text_printf(env, text, ",\n\"images\": %lld, ", (long long)result->images));
    DET_TRY_RETURN(put_counts(env, text, result, result->objects, result->crowds,
                              result->detections, result->detections_used));
    DET_TRY_RETURN(det_text_printf(env, text, ", \"truncated\": %lld,\n\"classes\": [",
                                   (long long)result->truncated));
    for (int32_t k = 0; k < result->class_count; k++) {
        const det_coco_class *class = result->classes[k];
        DET_TRY_RETURN(det_text_printf(
            env, text, "%s\n {\"id\": %lld, \"name\": ", k > 0 ? "," : "", (long long)class->id));
        DET_TRY_RETURN(det_text_json_string(env, text, class->name));
        DET_TRY_RETURN(det_text_append(env, text, ", ", 2));
        DET_TRY_RETURN(put_counts(env, text, result, class->objects, class->crowds,
                                  class->detections, class->detections_used));
        DET_TRY_RETURN(det_text_append(env, text, ",\n  ", 4));
        DET_TRY_RETURN(put_stats(env, text, class->stats));
        if (with_curves) {
            DET_TRY_RETURN(put_curves(env, text, result, k, "precision", result->precision));
            DET_TRY_RETURN(put_curves(env, text, result, k, "scores", result->scores));
        }
        DET_TRY_RETURN(det_text_append(env, text, "}", 1));
    }
    return det_text_append(env, text, "]}\n", 3);
}

const char *det_coco_stat_name(det_coco_stat stat)
{
    /* COCO_METRIC_NAMES_AND_INDEX of metrics/coco_tools.py */
    static const char *const names[DET_COCO_STAT_COUNT] = {
        [DET_COCO_AP] = "DetectionBoxes_Precision/mAP",
        [DET_COCO_AP50] = "DetectionBoxes_Precision/mAP@.50IOU",
        [DET_COCO_AP75] = "DetectionBoxes_Precision/mAP@.75IOU",
        [DET_COCO_AP_SMALL] = "DetectionBoxes_Precision/mAP (small)",
        [DET_COCO_AP_MEDIUM] = "DetectionBoxes_Precision/mAP (medium)",
        [DET_COCO_AP_LARGE] = "DetectionBoxes_Precision/mAP (large)",
        [DET_COCO_AR_1] = "DetectionBoxes_Recall/AR@1",
        [DET_COCO_AR_10] = "DetectionBoxes_Recall/AR@10",
        [DET_COCO_AR_100] = "DetectionBoxes_Recall/AR@100",
        [DET_COCO_AR_SMALL] = "DetectionBoxes_Recall/AR@100 (small)",
        [DET_COCO_AR_MEDIUM] = "DetectionBoxes_Recall/AR@100 (medium)",
        [DET_COCO_AR_LARGE] = "DetectionBoxes_Recall/AR@100 (large)",
    };
    const int index = (int)stat;
    return index >= 0 && index < (int)DET_COCO_STAT_COUNT ? names[index] : NULL;
}
