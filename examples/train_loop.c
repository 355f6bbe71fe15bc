/* A training loop of one's own: train_loop PIPELINE.config MODEL_DIR STEPS
 *
 * Trains, prints the loss as it goes, exports MODEL_DIR/model.det. */
#include <stdio.h>
#include <stdlib.h>

#include "det/det.h"

static det_status train(det_context *context, det_trainer *trainer, const char *model_dir)
{
    det_step_report report = {.struct_size = sizeof report};
    det_status status = DET_OK;
    while ((status = det_trainer_step(trainer, &report)) == DET_OK) {
        if (report.step % 10 == 0)
            printf("step %lld of %lld: loss %.3f, learning rate %g\n", (long long)report.step,
                   (long long)report.num_steps, report.total_loss, report.learning_rate);
    }
    if (status != DET_STATUS_FINISHED)
        return status;
    /* The weights as they are now, without going through a checkpoint file. */
    char path[1024];
    det_model *model = NULL;
    snprintf(path, sizeof path, "%s/model.det", model_dir);
    status = det_trainer_snapshot(trainer, &model);
    if (status == DET_OK)
        status = det_model_export(context, model, path);
    if (status == DET_OK)
        printf("wrote %s\n", path);
    det_model_destroy(&model);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: train_loop PIPELINE.config MODEL_DIR STEPS\n");
        return 2;
    }
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = argv[2];
    settings.num_steps = atoll(argv[3]);
    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    det_status status = det_pipeline_config_load(context, argv[1], &config);
    if (status == DET_OK)
        status = det_trainer_create(context, config, &settings, &trainer);
    if (status == DET_OK)
        status = train(context, trainer, argv[2]);
    if (status != DET_OK)
        fprintf(stderr, "%s: %s\n", det_status_text(status), det_context_error(context));
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    return status != DET_OK;
}
