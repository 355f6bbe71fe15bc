#include "ops/cpu/rows/rows.h"

#include <string.h>

#define HEADER_BYTES    64
#define CHANNELS_A_TASK 64

static size_t padded(int32_t c)
{
    return ((size_t)c + 15) / 16 * 16;
}

size_t detk_feed_bytes(int32_t c)
{
    return HEADER_BYTES + padded(c) * (2 * sizeof(double) + 3 * sizeof(float));
}

static struct detk_feed feed_at(void *memory, int32_t c, int32_t task)
{
    char *at = (char *)memory + (size_t)task * detk_feed_bytes(c);
    struct detk_feed feed = {.c = c, .rows = (int64_t *)(void *)at};
    feed.a = (double *)(void *)(at + HEADER_BYTES);
    feed.b = feed.a + padded(c);
    feed.shift = (float *)(void *)(feed.b + padded(c));
    feed.sum = feed.shift + padded(c);
    feed.products = feed.sum + padded(c);
    return feed;
}

struct detk_feed detk_feed_start(void *memory, int32_t c, int32_t task)
{
    const struct detk_feed feed = feed_at(memory, c, task);
    memset(feed.rows, 0, detk_feed_bytes(c));
    return feed;
}

struct job {
    void *memory;
    int32_t c, tasks;
    float *mean, *variance;
    double *sums;
};

static int32_t channels_end(const struct job *job, int32_t task)
{
    const int32_t end = (task + 1) * CHANNELS_A_TASK;
    return end < job->c ? end : job->c;
}

static void combine_statistics(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    for (int32_t j = task * CHANNELS_A_TASK; j < channels_end(job, task); j++) {
        double mean = 0, squares = 0, rows = 0;
        for (int32_t t = 0; t < job->tasks; t++) {
            const struct detk_feed feed = feed_at(job->memory, job->c, t);
            const double count = (double)*feed.rows;
            if (count == 0)
                continue;
            const double share = count / (rows + count), delta = feed.a[j] - mean;
            mean += delta * share;
            squares += feed.b[j] + delta * delta * (rows * share);
            rows += count;
        }
        job->mean[j] = (float)mean;
        /* Rounding may leave a tiny negative; NaN stays. */
        job->variance[j] = (float)(squares < 0 ? 0 : squares / rows);
    }
}

static void combine_gradients(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    for (int32_t j = task * CHANNELS_A_TASK; j < channels_end(job, task); j++) {
        double a = 0, b = 0;
        for (int32_t t = 0; t < job->tasks; t++) {
            const struct detk_feed feed = feed_at(job->memory, job->c, t);
            a += feed.a[j];
            b += feed.b[j];
        }
        job->sums[j] = a;
        job->sums[job->c + j] = b;
    }
}

static void run(const struct det_exec *x, struct job *job, det_task_fn function)
{
    const int32_t tasks = (job->c + CHANNELS_A_TASK - 1) / CHANNELS_A_TASK;
    /* Waking the others costs more than a few thousand additions. */
    det_pool_run((int64_t)job->c * job->tasks < 4096 ? NULL : x->pool, tasks, function, job);
}

void detk_feeds_statistics(const struct det_exec *x, void *memory, int32_t c, int32_t tasks,
                           float *mean, float *variance)
{
    struct job job = {memory, c, tasks, mean, variance, NULL};
    run(x, &job, combine_statistics);
}

void detk_feeds_gradient(const struct det_exec *x, void *memory, int32_t c, int32_t tasks,
                         double *sums)
{
    struct job job = {memory, c, tasks, NULL, NULL, sums};
    run(x, &job, combine_gradients);
}
