#include "train/rate_advice.h"

#define ZOO_RATE  0.08f
#define ZOO_BATCH 128
#define TOO_MUCH  10.0f

struct det_rate_advice det_rate_advise(const struct det_pipeline_config *config,
                                       int64_t config_batch, int64_t batch)
{
    const float base = det_pipeline_config_base_learning_rate(config);
    struct det_rate_advice advice = {.base = base, .scaled = base, .tuned_batch = config_batch};
    if (batch != config_batch) {
        advice.scaled = base * (float)batch / (float)config_batch;
        advice.warn = true;
        return advice;
    }
    const float zoo = ZOO_RATE * (float)batch / (float)ZOO_BATCH;
    if (config->train.optimizer.kind == DET_OPTIMIZER_MOMENTUM && base > TOO_MUCH * zoo) {
        advice.scaled = zoo;
        advice.tuned_batch = ZOO_BATCH;
        advice.warn = true;
    }
    return advice;
}

void det_config_schedule_scale(struct det_config_schedule *schedule, float factor)
{
    struct det_schedule *s = &schedule->schedule;
    s->learning_rate *= factor;
    s->warmup_learning_rate *= factor;
    s->burnin_learning_rate *= factor;
    s->min_learning_rate *= factor;
    for (int32_t i = 0; i < s->step_count; i++)
        schedule->rates[i] *= factor;
}
