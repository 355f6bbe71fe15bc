#include "eval/coco_report.h"

#include <stdio.h>
#include <string.h>

#include "eval/coco_parts.h"
#include "support/json_writer.h"
#include "support/utf8.h"

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

/* Figures that lie `step` apart, as short as a float of them. */
static void put_numbers(struct det_json_writer *json, const char *key, const double *values,
                        size_t count, size_t step)
{
    det_json_open_list(json, key);
    for (size_t i = 0; i < count; i++)
        det_json_put_float(json, NULL, (float)values[i * step]);
    det_json_close_list(json);
}

static void put_stats(struct det_json_writer *json, const double stats[DET_COCO_STAT_COUNT])
{
    static const char *const names[DET_COCO_STAT_COUNT] = {
        "AP",   "AP50",  "AP75",   "AP_small", "AP_medium", "AP_large",
        "AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"};
    det_json_open_object(json, "stats");
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        det_json_put_float(json, names[i], (float)stats[i]);
    det_json_close_object(json);
}

static void put_counts(struct det_json_writer *json, const det_coco_result *result,
                       const int64_t *objects, int64_t crowds, int64_t detections,
                       int64_t detections_used)
{
    det_json_open_object(json, "objects");
    for (int32_t a = 0; a < result->area_count; a++)
        det_json_put_int(json, result->areas[a].name, objects[a]);
    det_json_close_object(json);
    det_json_put_int(json, "ignored_objects", crowds);
    det_json_put_int(json, "detections", detections);
    det_json_put_int(json, "detections_used", detections_used);
}

/* "precision": [[...], ...] of [T][R] */
static void put_curves(struct det_json_writer *json, const det_coco_result *result, int32_t k,
                       const char *key, const double *values)
{
    const size_t dets = (size_t)result->max_det_count;
    const size_t step = (size_t)result->class_count * (size_t)result->area_count * dets;
    const size_t within =
        ((size_t)k * (size_t)result->area_count + (size_t)main_area(result)) * dets + (dets - 1);
    const size_t recalls = (size_t)result->recall_threshold_count;
    det_json_line(json, 2);
    det_json_open_list(json, key);
    for (int32_t t = 0; t < result->iou_threshold_count; t++) {
        det_json_line(json, 3);
        put_numbers(json, NULL, values + within + (size_t)t * recalls * step, recalls, step);
    }
    det_json_close_list(json);
}

static void put_settings(struct det_json_writer *json, const struct det_coco_eval *eval)
{
    const det_coco_result *result = &eval->result;
    det_json_put_string(json, "metric", "COCO boxes");
    det_json_line(json, 0);
    put_numbers(json, "iou_thresholds", result->iou_thresholds, (size_t)result->iou_threshold_count,
                1);
    det_json_line(json, 0);
    put_numbers(json, "recall_thresholds", result->recall_thresholds,
                (size_t)result->recall_threshold_count, 1);
    det_json_line(json, 0);
    det_json_open_list(json, "max_dets");
    for (int32_t m = 0; m < result->max_det_count; m++)
        det_json_put_int(json, NULL, result->max_dets[m]);
    det_json_close_list(json);
    det_json_line(json, 0);
    det_json_open_object(json, "areas_px2");
    for (int32_t a = 0; a < result->area_count; a++) {
        const double bounds[2] = {result->areas[a].min_px2, result->areas[a].max_px2};
        det_json_put_doubles(json, result->areas[a].name, bounds, 2);
    }
    det_json_close_object(json);
    det_json_line(json, 0);
    det_json_put_bool(json, "use_categories", eval->rules.use_categories);
    det_json_line(json, 0);
    det_json_put_bool(json, "honour_ignore", eval->rules.honour_ignore);
}

static void put_class_json(struct det_json_writer *json, const struct det_coco_eval *eval,
                           int32_t k, bool with_curves)
{
    const det_coco_result *result = &eval->result;
    const det_coco_class *class = result->classes[k];
    det_json_open_object(json, NULL);
    det_json_put_int(json, "id", class->id);
    det_json_put_string(json, "name", class->name);
    put_counts(json, result, class->objects, class->crowds, class->detections,
               class->detections_used);
    det_json_line(json, 2);
    put_stats(json, class->stats);
    if (with_curves) {
        put_curves(json, result, k, "precision", result->precision);
        put_curves(json, result, k, "scores", result->scores);
    }
    det_json_close_object(json);
}

det_status det_coco_report_json(struct det_env *env, const struct det_coco_eval *eval,
                                bool with_curves, struct det_text *text)
{
    struct det_json_writer json;
    if (!eval->has_result)
        return no_result(env);
    const det_coco_result *result = &eval->result;
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    put_settings(&json, eval);
    det_json_line(&json, 0);
    put_stats(&json, result->stats);
    det_json_line(&json, 0);
    det_json_put_int(&json, "images", result->images);
    put_counts(&json, result, result->objects, result->crowds, result->detections,
               result->detections_used);
    det_json_put_int(&json, "truncated", result->truncated);
    det_json_line(&json, 0);
    det_json_open_list(&json, "classes");
    for (int32_t k = 0; k < result->class_count; k++) {
        det_json_line(&json, 1);
        put_class_json(&json, eval, k, with_curves);
    }
    det_json_close_list(&json);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
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
