#include "model/optimizer.h"

#include <math.h>

/* Arrays are cut into at most TASKS pieces of at least PIECE elements, whatever the number of
 * threads. */
#define TASKS 64
#define PIECE 4096

typedef void (*range_fn)(void *argument, size_t begin, size_t end, int32_t task);

struct range_job {
    range_fn function;
    void *argument;
    size_t count, piece;
};

static void range_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct range_job *job = argument;
    const size_t begin = (size_t)task * job->piece;
    const size_t rest = job->count - begin;
    job->function(job->argument, begin, begin + (rest < job->piece ? rest : job->piece), task);
}

/* Returns the number of tasks. */
static int32_t for_ranges(struct det_pool *pool, size_t count, range_fn function, void *argument)
{
    size_t piece = count / TASKS + (count % TASKS != 0);
    if (piece < PIECE)
        piece = PIECE;
    struct range_job job = {function, argument, count, piece};
    const int32_t tasks = (int32_t)(count / piece + (count % piece != 0));
    det_pool_run(pool, tasks, range_task, &job);
    return tasks;
}

struct update {
    float *weights;
    const float *gradients;
    float *first, *second; /* velocity, moments */
    float rate, momentum;
    float beta1, beta2, epsilon;
};

static void sgd_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct update *u = argument;
    for (size_t i = begin; i < end; i++) {
        const float v = u->momentum * u->first[i] - u->rate * u->gradients[i];
        u->first[i] = v;
        u->weights[i] += v;
    }
}

void det_sgd_update(struct det_pool *pool, float *weights, const float *gradients, float *velocity,
                    size_t count, float learning_rate, float momentum)
{
    struct update u = {.weights = weights,
                       .gradients = gradients,
                       .first = velocity,
                       .rate = learning_rate,
                       .momentum = momentum};
    for_ranges(pool, count, sgd_range, &u);
}

static void adam_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct update *u = argument;
    for (size_t i = begin; i < end; i++) {
        const float g = u->gradients[i];
        u->first[i] += (g - u->first[i]) * (1 - u->beta1);
        u->second[i] += (g * g - u->second[i]) * (1 - u->beta2);
        u->weights[i] -= u->rate * u->first[i] / (sqrtf(u->second[i]) + u->epsilon);
    }
}

float det_adam_correction(const struct det_adam *adam, int64_t updates_done)
{
    const float t = (float)(updates_done + 1);
    return sqrtf(1 - powf(adam->beta2, t)) / (1 - powf(adam->beta1, t));
}

void det_adam_update(struct det_pool *pool, const struct det_adam *adam, float *weights,
                     const float *gradients, float *first_moment, float *second_moment,
                     size_t count, float learning_rate, int64_t updates_done)
{
    struct update u = {.weights = weights,
                       .gradients = gradients,
                       .first = first_moment,
                       .second = second_moment,
                       .rate = learning_rate * det_adam_correction(adam, updates_done),
                       .beta1 = adam->beta1,
                       .beta2 = adam->beta2,
                       .epsilon = adam->epsilon};
    for_ranges(pool, count, adam_range, &u);
}

static void rmsprop_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct update *u = argument;
    for (size_t i = begin; i < end; i++) {
        const float g = u->gradients[i];
        if (u->momentum > 0) {
            u->second[i] += (g * g - u->second[i]) * (1 - u->beta1);
            const float m =
                u->momentum * u->first[i] + u->rate * g / sqrtf(u->second[i] + u->epsilon);
            u->first[i] = m;
            u->weights[i] -= m;
        } else {
            u->second[i] = u->beta1 * u->second[i] + (1 - u->beta1) * (g * g);
            u->weights[i] -= u->rate * g / (sqrtf(u->second[i]) + u->epsilon);
        }
    }
}

void det_rmsprop_update(struct det_pool *pool, const struct det_rmsprop *rmsprop, float *weights,
                        const float *gradients, float *mean_square, float *moment, size_t count,
                        float learning_rate)
{
    struct update u = {.weights = weights,
                       .gradients = gradients,
                       .first = moment,
                       .second = mean_square,
                       .rate = learning_rate,
                       .momentum = rmsprop->momentum,
                       .beta1 = rmsprop->rho,
                       .epsilon = rmsprop->epsilon};
    for_ranges(pool, count, rmsprop_range, &u);
}

float det_rmsprop_rate_factor(float decay, int64_t updates_done)
{
    return decay > 0 ? 1 / (1 + decay * (float)updates_done) : 1;
}

float det_average_rate(float decay, int64_t updates_done)
{
    const float t = (float)updates_done;
    const float early = (1 + t) / (10 + t);
    return 1 - (early < decay ? early : decay);
}

static void average_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct update *u = argument;
    for (size_t i = begin; i < end; i++)
        u->first[i] -= u->rate * (u->first[i] - u->gradients[i]); /* the weights */
}

void det_average_update(struct det_pool *pool, const float *weights, float *averages, size_t count,
                        float rate)
{
    struct update u = {.gradients = weights, .first = averages, .rate = rate};
    for_ranges(pool, count, average_range, &u);
}

struct square_sum {
    const float *values;
    double partial[TASKS];
};

static void square_range(void *argument, size_t begin, size_t end, int32_t task)
{
    struct square_sum *sum = argument;
    double total[4] = {0}; /* four chains: an addition need not wait for the one before */
    size_t i = begin;
    for (; i + 4 <= end; i += 4)
        for (size_t k = 0; k < 4; k++)
            total[k] += (double)sum->values[i + k] * (double)sum->values[i + k];
    for (; i < end; i++)
        total[0] += (double)sum->values[i] * (double)sum->values[i];
    sum->partial[task] = (total[0] + total[1]) + (total[2] + total[3]);
}

double det_sum_of_squares(struct det_pool *pool, const float *values, size_t count)
{
    struct square_sum sum = {.values = values};
    const int32_t tasks = for_ranges(pool, count, square_range, &sum);
    double total = 0;
    for (int32_t t = 0; t < tasks; t++)
        total += sum.partial[t];
    return total;
}

float det_clip_factor(double norm, float clip_norm)
{
    if (!isfinite(norm))
        return NAN;
    const float of_norm = 1 / (float)norm, of_clip = 1 / clip_norm;
    return clip_norm * (of_norm < of_clip ? of_norm : of_clip);
}

struct scaling {
    float *values;
    const float *from;
    float factor;
};

static void scale_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct scaling *s = argument;
    for (size_t i = begin; i < end; i++)
        s->values[i] *= s->factor;
}

void det_scale(struct det_pool *pool, float *values, size_t count, float factor)
{
    struct scaling s = {.values = values, .factor = factor};
    for_ranges(pool, count, scale_range, &s);
}

static void add_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct scaling *s = argument;
    for (size_t i = begin; i < end; i++)
        s->values[i] += s->from[i];
}

void det_add(struct det_pool *pool, float *values, const float *more, size_t count)
{
    struct scaling s = {.values = values, .from = more};
    for_ranges(pool, count, add_range, &s);
}

double det_l2_loss(struct det_pool *pool, const float *weights, size_t count, float weight)
{
    return (double)weight * 0.5 * det_sum_of_squares(pool, weights, count);
}

static void add_scaled_range(void *argument, size_t begin, size_t end, int32_t task)
{
    (void)task;
    const struct scaling *s = argument;
    for (size_t i = begin; i < end; i++)
        s->values[i] += s->factor * s->from[i];
}

void det_l2_add_gradient(struct det_pool *pool, const float *weights, float *gradients,
                         size_t count, float weight)
{
    struct scaling s = {.values = gradients, .from = weights, .factor = weight};
    for_ranges(pool, count, add_scaled_range, &s);
}
