#include "model/schedule.h"

#include <math.h>

#define PI_F 3.14159265358979323846f

static float exponential_rate(const struct det_schedule *s, int64_t step)
{
    float rate = 0;
    if (step < s->burnin_steps) {
        rate = s->burnin_learning_rate == 0 ? s->learning_rate : s->burnin_learning_rate;
    } else {
        float decays = (float)(step - s->burnin_steps) / (float)s->decay_steps;
        if (s->staircase)
            decays = floorf(decays);
        rate = s->learning_rate * powf(s->decay_factor, decays);
    }
    return rate > s->min_learning_rate ? rate : s->min_learning_rate;
}

static float manual_rate(const struct det_schedule *s, int64_t step)
{
    if (step < s->steps[0]) {
        if (!s->warmup)
            return s->learning_rate;
        const double slope = ((double)s->rates[0] - (double)s->learning_rate) / (double)s->steps[0];
        return (float)((double)s->learning_rate + slope * (double)step);
    }
    int32_t i = 0;
    while (i + 1 < s->step_count && step >= s->steps[i + 1])
        i++;
    return s->rates[i];
}

static float cosine_rate(const struct det_schedule *s, int64_t step)
{
    if (step > s->total_steps)
        return 0;
    if (step < s->warmup_steps) {
        const double slope =
            ((double)s->learning_rate - (double)s->warmup_learning_rate) / (double)s->warmup_steps;
        return (float)slope * (float)step + s->warmup_learning_rate;
    }
    if (s->hold_base_rate_steps > 0 && step <= s->warmup_steps + s->hold_base_rate_steps)
        return s->learning_rate;
    const int64_t length = s->total_steps - s->warmup_steps - s->hold_base_rate_steps;
    if (length == 0)
        return s->learning_rate;
    const float done = (float)step - (float)s->warmup_steps - (float)s->hold_base_rate_steps;
    return 0.5f * s->learning_rate * (1 + cosf(PI_F * done / (float)length));
}

float det_schedule_rate(const struct det_schedule *s, int64_t step)
{
    switch (s->kind) {
    case DET_SCHEDULE_CONSTANT:
        return s->learning_rate;
    case DET_SCHEDULE_EXPONENTIAL_DECAY:
        return exponential_rate(s, step);
    case DET_SCHEDULE_MANUAL_STEP:
        return manual_rate(s, step);
    case DET_SCHEDULE_COSINE_DECAY:
        return cosine_rate(s, step);
    }
    return 0;
}
