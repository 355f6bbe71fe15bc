/* schedule.h: the learning rate of a step, as utils/learning_schedules.py of the TF Object
 * Detection API computes it: constants in double (Python), everything that depends on the step in
 * float32 (TensorFlow).
 *
 * Differs: where a cosine schedule has nothing to decay over (total_steps == warmup_steps +
 * hold_base_rate_steps) the API divides zero by zero; here that one step has the base rate.
 */
#ifndef DET_MODEL_SCHEDULE_H
#define DET_MODEL_SCHEDULE_H

#include "support/env.h"

enum det_schedule_kind {
    DET_SCHEDULE_CONSTANT,
    DET_SCHEDULE_EXPONENTIAL_DECAY,
    DET_SCHEDULE_MANUAL_STEP,
    DET_SCHEDULE_COSINE_DECAY
};

struct det_schedule {
    enum det_schedule_kind kind;
    float learning_rate; /* constant; initial_learning_rate; learning_rate_base */
    /* exponential_decay_learning_rate */
    int64_t decay_steps;
    float decay_factor;
    bool staircase;
    float burnin_learning_rate; /* 0: learning_rate */
    int64_t burnin_steps;
    float min_learning_rate;
    /* manual_step_learning_rate: rates[i] from step steps[i] on, which rise from 1 or more;
     * learning_rate before. Borrowed arrays, step_count >= 1. */
    const int64_t *steps;
    const float *rates;
    int32_t step_count;
    bool warmup; /* before steps[0]: linearly from learning_rate to rates[0] */
    /* cosine_decay_learning_rate */
    int64_t total_steps, warmup_steps, hold_base_rate_steps;
    float warmup_learning_rate;
};

/* For the schedule of a config, which was checked as it was read
 * (formats/pipeline_learning_rate.c); step counts from 0. */
float det_schedule_rate(const struct det_schedule *schedule, int64_t step);

#endif
