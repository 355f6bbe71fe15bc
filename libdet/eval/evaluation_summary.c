#include "eval/evaluation_summary.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "det/detection_report.h"
#include "support/mem.h"

#define CATEGORY "DetectionBoxes_PerformanceByCategory/"

/* COCO's figures and the losses, by the API's names. */
static det_status write_totals(det_summary_writer *writer, int64_t step,
                               const det_coco_result *coco, const det_evaluation_losses *losses)
{
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        DET_TRY_RETURN(
            det_summary_scalar(writer, det_coco_stat_name((det_coco_stat)i), step, coco->stats[i]));
    const struct {
        const char *tag;
        double value;
    } scalars[] = {
        {"Loss/localization_loss", losses->localization},
        {"Loss/classification_loss", losses->classification},
        {"Loss/regularization_loss", losses->regularization},
        {"Loss/total_loss", losses->total},
    };
    for (size_t i = 0; i < sizeof scalars / sizeof scalars[0]; i++)
        DET_TRY_RETURN(det_summary_scalar(writer, scalars[i].tag, step, scalars[i].value));
    return DET_OK;
}

/* Tag FIGURE/CLASS. */
static det_status class_scalar(struct det_env *env, det_summary_writer *writer, int64_t step,
                               const char *figure, const char *name, double value)
{
    char *tag = NULL;
    DET_TRY_RETURN(det_format(env, &tag, "%s/%s", figure, name));
    const det_status status = det_summary_scalar(writer, tag, step, value);
    det_free(env, &tag);
    return status;
}

/* The API's name for the mAP of a class; the same manner for the rest of its row. */
static det_status write_classes(struct det_env *env, det_summary_writer *writer, int64_t step,
                                const det_coco_result *coco)
{
    for (int32_t c = 0; c < coco->class_count; c++) {
        const det_coco_class *class = coco->classes[c];
        const struct {
            const char *figure;
            double value;
        } row[] = {
            {CATEGORY "mAP", class->stats[DET_COCO_AP]},
            {CATEGORY "mAP@.50IOU", class->stats[DET_COCO_AP50]},
            {CATEGORY "AR@100", class->stats[DET_COCO_AR_100]},
            {CATEGORY "objects", (double)class->objects[0]},
            {CATEGORY "detections", (double)class->detections},
        };
        for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
            DET_TRY_RETURN(
                class_scalar(env, writer, step, row[i].figure, class->name, row[i].value));
    }
    return DET_OK;
}

/* What the API writes for metrics_set "pascal_voc_detection_metrics". A class without objects has
 * no figure. */
static det_status write_voc(det_context *context, det_summary_writer *writer, int64_t step,
                            const det_coco_evaluator *evaluator)
{
    det_detection_report *report = NULL;
    det_status status = DET_OK;
    DET_TRY(det_detection_report_create(context, evaluator, NULL, &report));
    const double mean = det_detection_report_voc_map(report);
    if (mean >= 0)
        DET_TRY(det_summary_scalar(writer, "PascalBoxes_Precision/mAP@0.5IOU", step, mean));
    for (int32_t c = 0; c < det_detection_report_class_count(report); c++) {
        const det_class_report *class = det_detection_report_class(report, c);
        if (class->voc_ap >= 0)
            DET_TRY(class_scalar(det_context_env(context), writer, step,
                                 "PascalBoxes_PerformanceByCategory/AP@0.5IOU", class->name,
                                 class->voc_ap));
    }
fail:
    det_detection_report_destroy(&report);
    return status;
}

/* --- precision over recall --- */

/* TensorBoard's curves have a row of score thresholds; COCO's hold precision and score at each
 * recall. At a threshold stands the last recall that is reached with at least that score; objects
 * and rates give the counts. */
enum { THRESHOLDS = 101 };

struct curve {
    float true_positives[THRESHOLDS], false_positives[THRESHOLDS], false_negatives[THRESHOLDS];
    float precision[THRESHOLDS], recall[THRESHOLDS];
};

static void fill_curve(const det_coco_result *coco, int32_t class_index, struct curve *curve)
{
    const int32_t areas = coco->area_count, dets = coco->max_det_count;
    const double objects = (double)coco->classes[class_index]->objects[0];
    const int32_t recalls = coco->recall_threshold_count;
    for (int32_t t = 0; t < THRESHOLDS; t++) {
        const double threshold = (double)t / (THRESHOLDS - 1);
        double precision = 1, recall = 0;
        for (int32_t r = recalls - 1; r >= 0; r--) {
            /* [T,R,K,A,M] at the first IoU threshold, area "all", the largest max_dets. */
            const size_t at =
                ((((size_t)r * (size_t)coco->class_count + (size_t)class_index) * (size_t)areas) *
                     (size_t)dets +
                 (size_t)dets - 1);
            if (coco->precision[at] > 0 && coco->scores[at] > 0 && coco->scores[at] >= threshold) {
                precision = coco->precision[at];
                recall = coco->recall_thresholds[r];
                break;
            }
        }
        const double hits = recall * objects;
        curve->true_positives[t] = (float)hits;
        curve->false_positives[t] = (float)(hits / precision - hits);
        curve->false_negatives[t] = (float)(objects - hits);
        curve->precision[t] = (float)precision;
        curve->recall[t] = (float)recall;
    }
}

static det_status write_curves(struct det_env *env, det_summary_writer *writer, int64_t step,
                               const det_coco_result *coco)
{
    struct curve *curve = NULL;
    char *tag = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &curve, 1, sizeof *curve, "PR curve"));
    for (int32_t c = 0; c < coco->class_count; c++) {
        if (coco->classes[c]->objects[0] == 0)
            continue;
        fill_curve(coco, c, curve);
        DET_TRY(det_format(env, &tag, "PR@.50IOU/%s", coco->classes[c]->name));
        DET_TRY(det_summary_pr_curve(writer, tag, step,
                                     &(det_pr_curve){.struct_size = sizeof(det_pr_curve),
                                                     .thresholds = THRESHOLDS,
                                                     .true_positives = curve->true_positives,
                                                     .false_positives = curve->false_positives,
                                                     .false_negatives = curve->false_negatives,
                                                     .precision = curve->precision,
                                                     .recall = curve->recall}));
        det_free(env, &tag);
    }
fail:
    det_free(env, &tag);
    det_free(env, &curve);
    return status;
}

det_status det_evaluation_summary_write(det_context *context, det_summary_writer *writer,
                                        int64_t step, const det_coco_evaluator *evaluator,
                                        const det_coco_result *coco,
                                        const det_evaluation_losses *losses)
{
    struct det_env *env = det_context_env(context);
    DET_TRY_RETURN(write_totals(writer, step, coco, losses));
    DET_TRY_RETURN(write_classes(env, writer, step, coco));
    DET_TRY_RETURN(write_voc(context, writer, step, evaluator));
    DET_TRY_RETURN(write_curves(env, writer, step, coco));
    return det_summary_flush(writer);
}

det_status det_evaluation_append_run_name(struct det_env *env,
                                          const det_evaluation_settings *settings,
                                          struct det_text *name)
{
    DET_TRY_RETURN(det_text_printf(env, name, "eval"));
    if (settings->as_exported)
        DET_TRY_RETURN(det_text_printf(env, name, "_exported"));
    if (settings->honour_ignore)
        DET_TRY_RETURN(det_text_printf(env, name, "_honour_ignore"));
    if (settings->max_images > 0)
        DET_TRY_RETURN(
            det_text_printf(env, name, "_max_images_%lld", (long long)settings->max_images));
    if (settings->max_dets == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_text_printf(env, name, "_max_dets"));
    for (int32_t i = 0; i < settings->max_det_count; i++)
        DET_TRY_RETURN(det_text_printf(env, name, "_%d", (int)settings->max_dets[i]));
    return DET_OK;
}

det_status det_evaluation_run_name(det_context *context, const det_evaluation_settings *given,
                                   char *name, size_t bytes)
{
    struct det_env *env = det_context_env(context);
    struct det_text text = {0};
    det_evaluation_settings settings;
    det_status status = DET_OK;
    if (name != NULL && bytes > 0)
        name[0] = '\0';
    DET_NEED(env, context);
    DET_NEED(env, name);
    det_evaluation_settings_default(&settings);
    DET_TRY_RETURN(DET_TAKE(env, det_evaluation_settings, &settings, given));
    DET_TRY(det_evaluation_append_run_name(env, &settings, &text));
    if (text.length >= bytes)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                         "the name of the run takes %zu bytes, there is room for %zu",
                         text.length + 1, bytes));
    memcpy(name, text.data, text.length + 1);
fail:
    det_text_free(env, &text);
    return status;
}
