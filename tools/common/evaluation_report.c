#include "common/evaluation_report.h"

#include "common/console.h"

det_status evaluation_print_tables(det_coco_evaluator *evaluator)
{
    const char *text = NULL;
    det_status status = det_coco_evaluator_table(evaluator, &text);
    if (status != DET_OK)
        return status;
    console_print_text(text);
    status = det_coco_evaluator_class_table(evaluator, &text);
    if (status == DET_OK) {
        console_print("\n");
        console_print_text(text);
    }
    return status;
}

det_status evaluation_print(det_evaluation *evaluation, int64_t step, const char *from)
{
    const det_status status = evaluation_print_tables(det_evaluation_evaluator(evaluation));
    if (status != DET_OK)
        return status;
    const det_coco_result *coco = det_evaluation_coco(evaluation);
    det_evaluation_losses losses;
    det_evaluation_get_losses(evaluation, &losses);
    char name[CONSOLE_NAME_BYTES];
    console_print("\nEval metrics at step %lld (%s)\n", (long long)step, console_name(name, from));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        console_print("+ %s: %f\n", det_coco_stat_name((det_coco_stat)i), coco->stats[i]);
    console_print("+ Loss/localization_loss: %f\n+ Loss/classification_loss: %f\n"
                  "+ Loss/regularization_loss: %f\n+ Loss/total_loss: %f\n",
                  losses.localization, losses.classification, losses.regularization, losses.total);
    return DET_OK;
}
