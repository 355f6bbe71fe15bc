/* trainer_recalibrate.c: the exported form's batch norm statistics during a training
 * (train/recalibrate.h): before evaluations, which are of that form, and after the last step. They
 * are written beside the moving ones, so that neither the course of a training nor what TensorFlow
 * would compute depends on them. */
#include "model/model.h"
#include "support/mem.h"
#include "train/recalibrate.h"
#include "train/trainer.h"

det_status det_trainer_recalibrate_set_up(struct det_trainer *trainer,
                                          const struct det_pipeline_config *config,
                                          const det_trainer_settings *s)
{
    const struct det_learner *learner = trainer->learner;
    if (s->recalibrate_images < 0)
        return det_fail(trainer->env, DET_STATUS_INVALID_ARGUMENT,
                        "trainer settings: recalibrate_images is negative");
    det_config_resize(config, &learner->spec, &trainer->resize);
    trainer->recalibrated_step = -1;
    if (learner->spec.freeze_batchnorm)
        return DET_OK;
    trainer->recalibrate_images = s->recalibrate_images;
    const bool endless = trainer->num_steps == INT64_MAX;
    const det_decay_advice advice =
        det_decay_advise(&learner->graph, endless ? 0 : trainer->num_steps);
    if (!endless && advice.warn)
        det_log(
            trainer->env, DET_LOG_WARNING,
            "batch_norm { decay: %g } leaves %.0f %% of the statistics that the batch norms begin "
            "with after %lld steps (%g fits): %s",
            advice.decay, 100 * advice.left, (long long)trainer->num_steps, advice.fitting,
            trainer->recalibrate_images > 0
                ? "for the exported model they are taken anew over training pictures "
                  "(--recalibrate_images)"
                : "the exported model will be worse than the trained one unless they are taken "
                  "anew (--recalibrate_images, det-export --recalibrate)");
    return DET_OK;
}

void det_trainer_recalibrate_free(struct det_trainer *trainer)
{
    det_free(trainer->env, &trainer->recalibrated);
}

bool det_trainer_is_recalibrated(const struct det_trainer *trainer)
{
    return trainer->recalibrated_step == trainer->state.step;
}

static det_status recalibrate(struct det_trainer *trainer)
{
    struct det_env *env = trainer->env;
    struct det_learner *learner = trainer->learner;
    det_model *model = NULL; /* has the averages of the weights where they are what is exported */
    det_status status = DET_OK;
    if (trainer->recalibrated == NULL)
        DET_TRY(det_alloc_raw(env, &trainer->recalibrated, learner->graph.param_floats,
                              sizeof(float), "recalibrated parameters"));
    DET_TRY(det_trainer_snapshot(trainer, &model));
    const struct det_recalibration question = {
        .spec = &learner->spec,
        .graph = &learner->graph,
        .params = model->params,
        .dataset = &trainer->dataset,
        .resize = trainer->resize,
        .images = trainer->recalibrate_images,
        .batch = learner->settings.batch_size,
        .idle = learner->step,
        .progress = det_trainer_progress,
        .progress_user = trainer,
        .communicator = trainer->communicator,
    };
    DET_TRY(det_recalibrate(trainer->context, &question, trainer->recalibrated,
                            &trainer->recalibrated_count));
    trainer->recalibrated_step = trainer->state.step;
fail:
    det_model_destroy(&model);
    return status;
}

det_status det_trainer_recalibrate(struct det_trainer *trainer)
{
    if (trainer->recalibrate_images == 0 || det_trainer_is_recalibrated(trainer) ||
        trainer->learner->ranges.updates > 0) /* trained with the statistics that it has */
        return DET_OK;
    const det_status status = recalibrate(trainer);
    if (status == DET_OK || status == DET_STATUS_CANCELLED)
        return status;
    det_log(trainer->env, DET_LOG_WARNING,
            "step %lld: %s; the exported form keeps the moving statistics",
            (long long)trainer->state.step, trainer->env->error);
    return DET_OK;
}
