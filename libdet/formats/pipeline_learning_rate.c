/* pipeline_learning_rate.c: the learning rate that train_config's optimizer has: whether it is one,
 * and what it is scaled by. */
#include <stdio.h>
#include <string.h>

#include "formats/pipeline_config.h"

enum { FIELD_BYTES = 200 };

/* "train_config.optimizer.momentum_optimizer.learning_rate" and what is behind it, for messages. */
static const char *field_of(const struct det_pipeline_config *config, const char *rest,
                            char field[FIELD_BYTES])
{
    static const char *const optimizers[] = {"", "rms_prop_optimizer", "momentum_optimizer",
                                             "adam_optimizer"};
    snprintf(field, FIELD_BYTES, "train_config.optimizer.%s.learning_rate%s",
             optimizers[config->train.optimizer.kind], rest);
    return field;
}

/* As utils/learning_schedules.py manual_stepping(). */
static det_status check_manual_step(struct det_env *env, const struct det_pipeline_config *config)
{
    const struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    const struct det_learning_rate_step *steps = rate->as.manual_step.schedule;
    char field[FIELD_BYTES];
    if (rate->as.manual_step.count == 0)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config,
                                        field_of(config, ".manual_step_learning_rate", field),
                                        "manual_step_learning_rate has no schedule { step: ... "
                                        "learning_rate: ... }, expected at least one");
    if (steps[0].step == 0)
        return det_prototext_fail(env, DET_STATUS_PARSE, &config->document, steps[0].position,
                                  "step of the first schedule is 0, expected 1 or more: until "
                                  "then the rate is initial_learning_rate");
    for (size_t i = 1; i < rate->as.manual_step.count; i++)
        if (steps[i].step <= steps[i - 1].step)
            return det_prototext_fail(env, DET_STATUS_PARSE, &config->document, steps[i].position,
                                      "steps of the schedule must rise: %u follows %u",
                                      steps[i].step, steps[i - 1].step);
    return DET_OK;
}

/* As cosine_decay_with_warmup() there. */
static det_status check_cosine_decay(struct det_env *env, const struct det_pipeline_config *config)
{
    const struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    char field[FIELD_BYTES];
    if (rate->as.cosine_decay.warmup_steps > rate->as.cosine_decay.total_steps)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config,
            field_of(config, ".cosine_decay_learning_rate.warmup_steps", field),
            "warmup_steps %u exceeds total_steps %u", rate->as.cosine_decay.warmup_steps,
            rate->as.cosine_decay.total_steps);
    if (rate->as.cosine_decay.warmup_steps > 0 &&
        rate->as.cosine_decay.learning_rate_base < rate->as.cosine_decay.warmup_learning_rate)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config,
            field_of(config, ".cosine_decay_learning_rate.learning_rate_base", field),
            "learning_rate_base %g is below warmup_learning_rate %g: a warm-up rises",
            (double)rate->as.cosine_decay.learning_rate_base,
            (double)rate->as.cosine_decay.warmup_learning_rate);
    return DET_OK;
}

det_status det_pipeline_config_check_learning_rate(struct det_env *env,
                                                   const struct det_pipeline_config *config)
{
    const struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    char field[FIELD_BYTES];
    switch (rate->kind) {
    case DET_LEARNING_RATE_NONE:
        field_of(config, "", field);
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config, field,
            "field `%s` must have a constant_, exponential_decay_, manual_step_ or "
            "cosine_decay_learning_rate",
            field);
    case DET_LEARNING_RATE_MANUAL_STEP:
        return check_manual_step(env, config);
    case DET_LEARNING_RATE_COSINE_DECAY:
        return check_cosine_decay(env, config);
    default:
        return DET_OK;
    }
}

float det_pipeline_config_base_learning_rate(const struct det_pipeline_config *config)
{
    const struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    switch (rate->kind) {
    case DET_LEARNING_RATE_CONSTANT:
        return rate->as.constant.learning_rate;
    case DET_LEARNING_RATE_EXPONENTIAL_DECAY:
        return rate->as.exponential_decay.initial_learning_rate;
    case DET_LEARNING_RATE_MANUAL_STEP:
        return rate->as.manual_step.initial_learning_rate;
    case DET_LEARNING_RATE_COSINE_DECAY:
        return rate->as.cosine_decay.learning_rate_base;
    default:
        return 0;
    }
}

void det_pipeline_config_scale_learning_rate(struct det_pipeline_config *config, float factor)
{
    struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    struct det_learning_rate_step *steps = NULL;
    switch (rate->kind) {
    case DET_LEARNING_RATE_CONSTANT:
        rate->as.constant.learning_rate *= factor;
        break;
    case DET_LEARNING_RATE_EXPONENTIAL_DECAY:
        rate->as.exponential_decay.initial_learning_rate *= factor;
        rate->as.exponential_decay.burnin_learning_rate *= factor;
        rate->as.exponential_decay.min_learning_rate *= factor;
        break;
    case DET_LEARNING_RATE_MANUAL_STEP:
        rate->as.manual_step.initial_learning_rate *= factor;
        memcpy(&steps, &rate->as.manual_step.schedule, sizeof(void *));
        for (size_t i = 0; i < rate->as.manual_step.count; i++)
            steps[i].learning_rate *= factor;
        break;
    case DET_LEARNING_RATE_COSINE_DECAY:
        rate->as.cosine_decay.learning_rate_base *= factor;
        rate->as.cosine_decay.warmup_learning_rate *= factor;
        break;
    default:
        break;
    }
}
