/* Evaluates COCO detections, or a checkpoint on a workspace's evaluation records:
 *
 *   evaluate GROUND_TRUTH.json DETECTIONS.json
 *   evaluate PIPELINE.config CHECKPOINT
 */
#include <stdio.h>
#include <string.h>

#include "det/det.h"

static det_status evaluate_files(det_context *context, char **paths)
{
    det_coco_evaluator *evaluator = NULL;
    const det_coco_result *result = NULL;
    const char *table = NULL;
    det_status status = det_coco_evaluator_create(context, NULL, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_load_ground_truth(evaluator, paths[0]);
    if (status == DET_OK)
        status = det_coco_evaluator_load_detections(evaluator, paths[1]);
    if (status == DET_OK)
        status = det_coco_evaluator_compute(evaluator, &result);
    if (status == DET_OK)
        status = det_coco_evaluator_table(evaluator, &table);
    if (status == DET_OK)
        fputs(table, stdout);
    det_coco_evaluator_destroy(&evaluator);
    return status;
}

static det_status evaluate_checkpoint(det_context *context, char **paths)
{
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_evaluation *evaluation = NULL;
    det_status status = det_pipeline_config_load(context, paths[0], &config);
    if (status == DET_OK)
        status = det_model_load_checkpoint(context, config, paths[1], &model);
    if (status == DET_OK)
        status = det_evaluation_run(context, config, model, NULL, &evaluation);
    if (status == DET_OK) {
        const det_coco_result *result = det_evaluation_coco(evaluation);
        printf("AP %.3f, AP50 %.3f on %lld images\n", result->stats[DET_COCO_AP],
               result->stats[DET_COCO_AP50], (long long)result->images);
    }
    det_evaluation_destroy(&evaluation);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: evaluate GROUND_TRUTH.json DETECTIONS.json\n"
                        "       evaluate PIPELINE.config CHECKPOINT\n");
        return 2;
    }
    det_context *context = NULL;
    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    const char *ending = strrchr(argv[1], '.');
    const int json = ending != NULL && strcmp(ending, ".json") == 0;
    const det_status status = (json ? evaluate_files : evaluate_checkpoint)(context, argv + 1);
    if (status != DET_OK)
        fprintf(stderr, "%s\n", det_context_error(context));
    det_context_destroy(&context);
    return status != DET_OK;
}
