/* rate_advice.h: whether the learning rate suits the batch. The linear rule of Goyal et al.,
 * "Accurate, Large Minibatch SGD", section 2.1: a rate was tuned for a batch, for k times the batch
 * it is k times as large. */
#ifndef DET_TRAIN_RATE_ADVICE_H
#define DET_TRAIN_RATE_ADVICE_H

#include "model/from_config.h"

struct det_rate_advice {
    float base;          /* the schedule's main rate, as the config has it */
    float scaled;        /* what the rule makes of it */
    int64_t tuned_batch; /* for which `base` was meant */
    bool warn;           /* base and scaled differ by enough to be said */
};

/* `config_batch` of the config, `batch` images an update in this run. When they differ the rule
 * goes from one to the other. When they do not, a momentum optimizer's rate is compared with the
 * model zoo's recipe for this network, .08 at 128 images, and warned of when it is more than ten
 * times what the rule makes of that: the usual slip is to lower batch_size alone. */
struct det_rate_advice det_rate_advise(const struct det_pipeline_config *config,
                                       int64_t config_batch, int64_t batch);

/* Multiplies all rates. */
void det_config_schedule_scale(struct det_config_schedule *schedule, float factor);

#endif
