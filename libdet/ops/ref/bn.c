/* Batch normalisation. A task owns BLOCK channels and walks all rows, so that every
 * sum is one chain of doubles. The statistics are rounded to float before they are used, so that
 * forward, backward and the frozen form agree on them. */
#include <math.h>

#include "ops/ref/ref_ops.h"

#define BLOCK 16

struct job {
    int64_t rows;
    int32_t c;
    const float *in, *dout, *gamma, *beta;
    const float *mean, *variance;
    float epsilon;
    enum det_activation act;
    bool accumulate;
    bool frozen;
    float *to;                      /* out or din */
    float *mean_out, *variance_out; /* forward with batch statistics */
    float *dgamma, *dbeta;
};

static int32_t tasks_for(int32_t c)
{
    return (c + BLOCK - 1) / BLOCK;
}

/* Mean, then mean squared distance from it: no cancellation. */
static void statistics(const struct job *job, int32_t first, int32_t count)
{
    double mean[BLOCK] = {0}, variance[BLOCK] = {0};
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++)
            mean[j] += job->in[row * job->c + first + j];
    }
    for (int32_t j = 0; j < count; j++)
        mean[j] /= (double)job->rows;
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++) {
            const double distance = job->in[row * job->c + first + j] - mean[j];
            variance[j] += distance * distance;
        }
    }
    for (int32_t j = 0; j < count; j++) {
        job->mean_out[first + j] = (float)mean[j];
        job->variance_out[first + j] = (float)(variance[j] / (double)job->rows);
    }
}

/* The normalised value before the activation, rounded as forward returns it. */
static float normalised(const struct job *job, int64_t row, int32_t channel, double scale)
{
    const double distance = (double)job->in[row * job->c + channel] - job->mean[channel];
    return (float)(distance * scale + job->beta[channel]);
}

static void forward_channels(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int32_t first = task * BLOCK, count = det_ref_min(BLOCK, job->c - first);
    if (!job->frozen)
        statistics(job, first, count);
    double scale[BLOCK];
    for (int32_t j = 0; j < count; j++)
        scale[j] = job->gamma[first + j] / sqrt((double)job->variance[first + j] + job->epsilon);
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++) {
            const double value = normalised(job, row, first + j, scale[j]);
            job->to[row * job->c + first + j] = (float)det_ref_activate(value, job->act);
        }
    }
}

void detk_bn_forward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                          const float *gamma, const float *beta, float epsilon,
                          enum det_activation act, float *out, float *mean, float *variance)
{
    struct job job = {.rows = rows,
                      .c = c,
                      .in = in,
                      .gamma = gamma,
                      .beta = beta,
                      .mean = mean,
                      .variance = variance,
                      .epsilon = epsilon,
                      .act = act,
                      .to = out,
                      .mean_out = mean,
                      .variance_out = variance};
    det_pool_run(x->pool, tasks_for(c), forward_channels, &job);
}

void detk_bn_frozen_forward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                                 const float *gamma, const float *beta, const float *mean,
                                 const float *variance, float epsilon, enum det_activation act,
                                 float *out)
{
    struct job job = {.rows = rows,
                      .c = c,
                      .in = in,
                      .gamma = gamma,
                      .beta = beta,
                      .mean = mean,
                      .variance = variance,
                      .epsilon = epsilon,
                      .act = act,
                      .frozen = true,
                      .to = out};
    det_pool_run(x->pool, tasks_for(c), forward_channels, &job);
}

/* The gradient behind the activation. */
static double gradient_behind(const struct job *job, int64_t row, int32_t channel, double scale)
{
    const float out = normalised(job, row, channel, scale);
    return det_ref_passes(out, job->act) ? (double)job->dout[row * job->c + channel] : 0.0;
}

/* With dy the gradient behind the activation and xhat = (in - mean) / sqrt(variance + epsilon):
 * dbeta = sum dy, dgamma = sum dy * xhat, and din is gamma / sqrt(variance + epsilon) times
 * dy (frozen) or dy - dbeta / rows - xhat * dgamma / rows. */
static void backward_channels(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int32_t first = task * BLOCK, count = det_ref_min(BLOCK, job->c - first);
    double inverse[BLOCK], scale[BLOCK], sum[BLOCK] = {0}, sum_xhat[BLOCK] = {0};
    for (int32_t j = 0; j < count; j++) {
        const double deviation = sqrt((double)job->variance[first + j] + job->epsilon);
        inverse[j] = 1 / deviation;
        scale[j] = job->gamma[first + j] / deviation;
    }
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++) {
            const int64_t at = row * job->c + first + j;
            const double dy = gradient_behind(job, row, first + j, scale[j]);
            sum[j] += dy;
            sum_xhat[j] += dy * ((double)job->in[at] - job->mean[first + j]) * inverse[j];
        }
    }
    for (int32_t j = 0; j < count; j++) {
        job->dbeta[first + j] = (float)sum[j];
        job->dgamma[first + j] = (float)sum_xhat[j];
    }
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++) {
            const int64_t at = row * job->c + first + j;
            double value = gradient_behind(job, row, first + j, scale[j]);
            if (!job->frozen) {
                const double xhat = ((double)job->in[at] - job->mean[first + j]) * inverse[j];
                value -= (sum[j] + xhat * sum_xhat[j]) / (double)job->rows;
            }
            value *= scale[j];
            job->to[at] = (float)(job->accumulate ? job->to[at] + value : value);
        }
    }
}

void detk_bn_backward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *in,
                           const float *dout, const float *gamma, const float *beta,
                           const float *mean, const float *variance, float epsilon,
                           enum det_activation act, float *din, bool accumulate, float *dgamma,
                           float *dbeta)
{
    struct job job = {.rows = rows,
                      .c = c,
                      .in = in,
                      .dout = dout,
                      .gamma = gamma,
                      .beta = beta,
                      .mean = mean,
                      .variance = variance,
                      .epsilon = epsilon,
                      .act = act,
                      .accumulate = accumulate,
                      .to = din,
                      .dgamma = dgamma,
                      .dbeta = dbeta};
    det_pool_run(x->pool, tasks_for(c), backward_channels, &job);
}

void detk_bn_frozen_backward__ref(const struct det_exec *x, int64_t rows, int32_t c,
                                  const float *in, const float *dout, const float *gamma,
                                  const float *beta, const float *mean, const float *variance,
                                  float epsilon, enum det_activation act, float *din,
                                  bool accumulate, float *dgamma, float *dbeta)
{
    struct job job = {.rows = rows,
                      .c = c,
                      .in = in,
                      .dout = dout,
                      .gamma = gamma,
                      .beta = beta,
                      .mean = mean,
                      .variance = variance,
                      .epsilon = epsilon,
                      .act = act,
                      .accumulate = accumulate,
                      .frozen = true,
                      .to = din,
                      .dgamma = dgamma,
                      .dbeta = dbeta};
    det_pool_run(x->pool, tasks_for(c), backward_channels, &job);
}
