#include "common/evaluation_report.h"

#include <stdio.h>
#include <string.h>

#include "common/console.h"
#include "common/countdown.h"

static det_status add(struct det_env *env, struct det_text *text, const char *more)
{
    return det_text_append(env, text, more, strlen(more));
}

/* What the library makes of an evaluator, and its status. */
static det_status add_made(struct det_env *env, struct det_text *text, det_status status,
                           const char *made)
{
    return status == DET_OK ? add(env, text, made) : status;
}

static det_status add_table(struct det_env *env, struct det_text *text,
                            det_coco_evaluator *evaluator)
{
    const char *table = NULL;
    const det_status status = det_coco_evaluator_table(evaluator, &table);
    return add_made(env, text, status, table);
}

det_status evaluation_tables(struct det_env *env, struct det_text *text,
                             det_coco_evaluator *evaluator)
{
    const char *table = NULL;
    DET_TRY_RETURN(add_table(env, text, evaluator));
    DET_TRY_RETURN(add(env, text, "\n"));
    const det_status status = det_coco_evaluator_class_table(evaluator, &table);
    return add_made(env, text, status, table);
}

det_status evaluation_text(struct det_env *env, struct det_text *text, det_evaluation *evaluation,
                           enum evaluation_form form, int64_t step, const char *from)
{
    static const char *const headings[] = {
        [EVALUATION_ONLY] = "",
        [EVALUATION_API] = "As eval_continuously() of the TF Object Detection API evaluates:\n",
        [EVALUATION_EXPORTED] = "\nAs the exported model computes:\n",
    };
    det_coco_evaluator *evaluator = det_evaluation_evaluator(evaluation);
    DET_TRY_RETURN(add(env, text, headings[form]));
    DET_TRY_RETURN(form == EVALUATION_API ? add_table(env, text, evaluator)
                                          : evaluation_tables(env, text, evaluator));
    const det_coco_result *coco = det_evaluation_coco(evaluation);
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    DET_TRY_RETURN(det_evaluation_get_losses(evaluation, &losses));
    char name[CONSOLE_NAME_BYTES];
    DET_TRY_RETURN(det_text_printf(env, text, "\nEval metrics %sat step %lld (%s)\n",
                                   form == EVALUATION_EXPORTED ? "of the exported form " : "",
                                   (long long)step, console_name(name, from)));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        DET_TRY_RETURN(det_text_printf(env, text, "+ %s: %f\n",
                                       det_coco_stat_name((det_coco_stat)i), coco->stats[i]));
    return det_text_printf(env, text,
                           "+ Loss/localization_loss: %f\n+ Loss/classification_loss: %f\n"
                           "+ Loss/regularization_loss: %f\n+ Loss/total_loss: %f\n",
                           losses.localization, losses.classification, losses.regularization,
                           losses.total);
}

det_status evaluation_print_row(const struct evaluation_row *row)
{
    const double *stats = det_evaluation_coco(row->evaluation)->stats;
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    char duration[DURATION_BYTES], api[64] = "";
    DET_TRY_RETURN(det_evaluation_get_losses(row->evaluation, &losses));
    if (row->api != NULL)
        snprintf(api, sizeof api, "  (mAP as the API %.3f)",
                 det_evaluation_coco(row->api)->stats[DET_COCO_AP]);
    console_log(
        "Evaluated step %lld: mAP %.3f  AP50 %.3f  AP75 %.3f  AR100 %.3f  loss %.3f%s  %s%s",
        (long long)row->step, stats[DET_COCO_AP], stats[DET_COCO_AP50], stats[DET_COCO_AP75],
        stats[DET_COCO_AR_100], losses.total, api, duration_text(duration, row->seconds),
        row->is_best ? "  best so far" : "");
    return DET_OK;
}
