#include "eval/evaluation_summary.h"

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
static det_status write_voc(struct det_env *env, det_summary_writer *writer, int64_t step,
                            const det_detection_report *report)
{
    const double mean = det_detection_report_voc_map(report);
    if (mean >= 0)
        DET_TRY_RETURN(det_summary_scalar(writer, "PascalBoxes_Precision/mAP@0.5IOU", step, mean));
    for (int32_t c = 0; c < det_detection_report_class_count(report); c++) {
        const det_class_report *class = det_detection_report_class(report, c);
        if (class->voc_ap >= 0)
            DET_TRY_RETURN(class_scalar(env, writer, step,
                                        "PascalBoxes_PerformanceByCategory/AP@0.5IOU", class->name,
                                        class->voc_ap));
    }
    return DET_OK;
}

/* --- precision over recall --- */

/* TensorBoard's curves have a row of evenly spaced score thresholds. */
enum { THRESHOLDS = 101 };

struct curve {
    float true_positives[THRESHOLDS], false_positives[THRESHOLDS], false_negatives[THRESHOLDS];
    float precision[THRESHOLDS], recall[THRESHOLDS];
};

/* What a detector with that threshold finds; one that finds nothing makes no mistake. */
static void fill_curve(const det_class_report *class, struct curve *curve)
{
    size_t point = class->point_count;
    for (int32_t t = 0; t < THRESHOLDS; t++) {
        const double threshold = (double)t / (THRESHOLDS - 1);
        det_curve_point p = {.precision = 1};
        while (point > 0 && class->points[point - 1].score < threshold)
            point--;
        if (point > 0)
            p = class->points[point - 1];
        curve->true_positives[t] = (float)p.true_positives;
        curve->false_positives[t] = (float)p.false_positives;
        curve->false_negatives[t] = (float)(class->objects - p.true_positives);
        curve->precision[t] = (float)p.precision;
        curve->recall[t] = (float)p.recall;
    }
}

static det_status write_curves(struct det_env *env, det_summary_writer *writer, int64_t step,
                               const det_detection_report *report)
{
    struct curve *curve = NULL;
    char *tag = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &curve, 1, sizeof *curve, "PR curve"));
    for (int32_t c = 0; c < det_detection_report_class_count(report); c++) {
        const det_class_report *class = det_detection_report_class(report, c);
        if (class->objects == 0)
            continue;
        fill_curve(class, curve);
        DET_TRY(det_format(env, &tag, "PR@.50IOU/%s", class->name));
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
    det_detection_report *report = NULL;
    det_status status = DET_OK;
    DET_TRY(write_totals(writer, step, coco, losses));
    DET_TRY(write_classes(env, writer, step, coco));
    DET_TRY(det_detection_report_create(context, evaluator, NULL, &report));
    DET_TRY(write_voc(env, writer, step, report));
    DET_TRY(write_curves(env, writer, step, report));
    DET_TRY(det_summary_flush(writer));
fail:
    det_detection_report_destroy(&report);
    return status;
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
    if (settings->tiles != NULL) {
        const det_tile_settings *t = settings->tiles;
        DET_TRY_RETURN(det_text_printf(env, name, "_tiles"));
        if (t->height > 0)
            DET_TRY_RETURN(det_text_printf(env, name, "_%dx%d", (int)t->width, (int)t->height));
        if (t->overlap != .2F)
            DET_TRY_RETURN(
                det_text_printf(env, name, "_overlap_%d", (int)(t->overlap * 100 + .5F)));
        if (!t->whole)
            DET_TRY_RETURN(det_text_printf(env, name, "_alone"));
    }
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
