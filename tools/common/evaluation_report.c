#include "common/evaluation_report.h"

#include "common/console.h"

static det_status print_table(det_coco_evaluator *evaluator)
{
    const char *text = NULL;
    const det_status status = det_coco_evaluator_table(evaluator, &text);
    if (status == DET_OK)
        console_print_text(text);
    return status;
}

det_status evaluation_print_tables(det_coco_evaluator *evaluator)
{
    const char *text = NULL;
    det_status status = print_table(evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_class_table(evaluator, &text);
    if (status == DET_OK) {
        console_print("\n");
        console_print_text(text);
    }
    return status;
}

det_status evaluation_print(det_evaluation *evaluation, enum evaluation_form form, int64_t step,
                            const char *from)
{
    static const char *const headings[] = {
        [EVALUATION_ONLY] = "",
        [EVALUATION_API] = "As eval_continuously() of the TF Object Detection API evaluates:\n",
        [EVALUATION_EXPORTED] = "\nAs the exported model computes:\n",
    };
    det_coco_evaluator *evaluator = det_evaluation_evaluator(evaluation);
    console_print_text(headings[form]);
    det_status status =
        form == EVALUATION_API ? print_table(evaluator) : evaluation_print_tables(evaluator);
    if (status != DET_OK)
        return status;
    const det_coco_result *coco = det_evaluation_coco(evaluation);
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    status = det_evaluation_get_losses(evaluation, &losses);
    if (status != DET_OK)
        return status;
    char name[CONSOLE_NAME_BYTES];
    console_print("\nEval metrics %sat step %lld (%s)\n",
                  form == EVALUATION_EXPORTED ? "of the exported form " : "", (long long)step,
                  console_name(name, from));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        console_print("+ %s: %f\n", det_coco_stat_name((det_coco_stat)i), coco->stats[i]);
    console_print("+ Loss/localization_loss: %f\n+ Loss/classification_loss: %f\n"
                  "+ Loss/regularization_loss: %f\n+ Loss/total_loss: %f\n",
                  losses.localization, losses.classification, losses.regularization, losses.total);
    return DET_OK;
}
