/* trainer_rounding.c: graph_rewriter { quantization { } } of a config: when training in 8 bits
 * begins.
 *
 * From then on the batch norms' statistics are constants (model/fold.h). They are taken anew
 * before, over training pictures, as an export's would be (train/recalibrate.h), since a short
 * training's moving averages are not what its weights were trained with. All of it depends on the
 * weights, the data and the step alone: a run that ends before or behind that step and is gone on
 * with comes to the same bits. */
#include <stdio.h>
#include <string.h>

#include "model/model.h"
#include "train/trainer.h"

void det_trainer_advise_rounding(const struct det_trainer *trainer,
                                 const struct det_pipeline_config *config,
                                 const struct det_learner_settings *learner)
{
    const long long delay = (long long)learner->quantise_delay;
    const int line =
        (int)det_pipeline_config_position(config, "graph_rewriter.quantization.delay").line;
    if (learner->quantise && learner->quantise_delay >= trainer->num_steps)
        det_log(trainer->env, DET_LOG_WARNING,
                "%s:%d: training in 8 bits begins after step %lld (delay) and training ends after "
                "step %lld: nothing is trained in 8 bits",
                config->path, line, delay, (long long)trainer->num_steps);
}

/* Statistics of the weights that are trained, not of their averages; *images: of how many pictures,
 * 0: there are none. */
static det_status take_statistics(struct det_trainer *trainer, int64_t *images)
{
    const bool averages = trainer->use_averages;
    if (averages)
        trainer->recalibrated_step = -1;
    trainer->use_averages = false;
    const det_status status = det_trainer_recalibrate(trainer);
    trainer->use_averages = averages;
    *images = det_trainer_is_recalibrated(trainer) ? trainer->recalibrated_count : 0;
    if (averages)
        trainer->recalibrated_step = -1;
    return status;
}

/* They become those of the weights: from the next step on they are constants. */
static det_status freeze_statistics(struct det_trainer *trainer, int64_t *images)
{
    struct det_learner *learner = trainer->learner;
    DET_TRY_RETURN(take_statistics(trainer, images));
    if (*images == 0)
        return DET_OK;
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        if (param->role == DET_PARAM_MOVING_MEAN || param->role == DET_PARAM_MOVING_VARIANCE)
            memcpy(learner->params + param->offset, trainer->recalibrated + param->offset,
                   param->count * sizeof *learner->params);
    }
    return det_learner_push(trainer->env, learner);
}

det_status det_trainer_begin_rounding(struct det_trainer *trainer)
{
    const struct det_learner *learner = trainer->learner;
    char statistics[80] = "moving averages";
    int64_t images = 0;
    if (learner->ranges.updates > 0 || !det_learner_rounds(learner))
        return DET_OK;
    DET_TRY_RETURN(freeze_statistics(trainer, &images));
    if (images > 0)
        snprintf(statistics, sizeof statistics, "taken over %lld training pictures",
                 (long long)images);
    det_log(trainer->env, DET_LOG_INFO,
            "step %lld: training in 8 bits begins; the batch norms' statistics, %s, stay as they "
            "are from here on",
            (long long)trainer->state.step + 1, statistics);
    return DET_OK;
}
