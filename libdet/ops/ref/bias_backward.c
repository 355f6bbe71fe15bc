/* Gradients of biases. A task owns BLOCK channels and walks all rows. */
#include "ops/ref/ref_ops.h"

#define BLOCK 16

struct job {
    int64_t rows;
    int32_t c;
    const float *dout;
    float *dbias;
    bool accumulate;
};

static void sum_channels(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int32_t first = task * BLOCK, count = det_ref_min(BLOCK, job->c - first);
    double sum[BLOCK];
    for (int32_t j = 0; j < count; j++)
        sum[j] = job->accumulate ? (double)job->dbias[first + j] : 0.0;
    for (int64_t row = 0; row < job->rows; row++) {
        for (int32_t j = 0; j < count; j++)
            sum[j] += job->dout[row * job->c + first + j];
    }
    for (int32_t j = 0; j < count; j++)
        job->dbias[first + j] = (float)sum[j];
}

void detk_bias_backward__ref(const struct det_exec *x, int64_t rows, int32_t c, const float *dout,
                             float *dbias, bool accumulate)
{
    struct job job = {.rows = rows, .c = c, .dout = dout, .dbias = dbias, .accumulate = accumulate};
    det_pool_run(x->pool, (c + BLOCK - 1) / BLOCK, sum_channels, &job);
}

size_t detk_bias_workspace__ref(int64_t rows, int32_t c)
{
    (void)rows;
    (void)c;
    return 0;
}
