/* rank-steps: training steps on made-up pictures as a rank of an mpirun. In turns, round for round:
 * gradients in buckets, which are on their way while the rest is computed, and in one bucket, which
 * starts when all is; both again in bf16. Rank 0 prints a line of JSON for each, with the median
 * step and the median of what it waited in it for the other ranks. bench/ranks/ranks.py starts it.
 *
 *     mpirun -n 2 rank-steps SIZE BATCH STEPS ROUNDS THREADS */
#include <stdlib.h>

#include "cpu/bench.h"
#include "det/det.h"
#include "devices/context.h"
#include "json_line.h"
#include "train/learner.h"

enum { WARM_UP = 3, NUMBERS = 5 };

struct job {
    int size, batch, steps, rounds, threads;
};

struct variant {
    const char *name;
    size_t bucket_floats; /* 0: what is usual */
    bool bf16;
    double *seconds, *wait; /* [rounds * steps] */
};

enum { VARIANTS = 4 };

static det_status run_round(det_context *context, det_communicator *communicator,
                            const struct job *job, const struct bench_batch *made, int round,
                            const struct variant *v)
{
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    det_status status = DET_OK;
    det_learner_settings_default(&settings);
    settings.communicator = communicator;
    settings.bucket_floats = v->bucket_floats;
    settings.bf16_gradients = v->bf16;
    DET_TRY(bench_learner_create(context, made, &settings, &learner));
    for (int i = -WARM_UP; i < job->steps; i++) {
        const int at = round * job->steps + (i < 0 ? 0 : i);
        struct det_step_result result;
        DET_TRY(bench_learner_step(context, learner, made, &v->seconds[at], &result));
        v->wait[at] = result.rank_wait_seconds;
    }
fail:
    det_learner_destroy(det_context_env(context), &learner);
    return status;
}

static det_status print(det_context *context, const det_communicator *communicator,
                        const struct job *job, const struct variant *v)
{
    const int count = job->steps * job->rounds;
    const struct bench_time step = bench_summary(v->seconds, count);
    const struct bench_time wait = bench_summary(v->wait, count);
    struct json_line line;
    json_line_open(&line, det_context_env(context));
    det_json_put_string(&line.json, "gradients", v->name);
    det_json_put_int(&line.json, "ranks", det_communicator_size(communicator));
    det_json_put_fixed(&line.json, "step_ms", step.median * 1e3, 3);
    det_json_put_fixed(&line.json, "step_low_ms", step.low * 1e3, 3);
    det_json_put_fixed(&line.json, "step_high_ms", step.high * 1e3, 3);
    det_json_put_fixed(&line.json, "wait_ms", wait.median * 1e3, 3);
    det_json_put_int(&line.json, "steps", count);
    return json_line_close(&line);
}

static det_status run(det_context *context, const struct job *job)
{
    struct variant variants[VARIANTS] = {
        {.name = "buckets"},
        {.name = "one bucket", .bucket_floats = SIZE_MAX},
        {.name = "buckets, bf16", .bf16 = true},
        {.name = "one bucket, bf16", .bucket_floats = SIZE_MAX, .bf16 = true},
    };
    const size_t bytes = (size_t)(job->steps * job->rounds) * sizeof(double);
    det_communicator *communicator = NULL;
    struct bench_batch made;
    det_status status = DET_OK;
    for (int i = 0; i < VARIANTS; i++) {
        variants[i].seconds = bench_bytes(bytes);
        variants[i].wait = bench_bytes(bytes);
    }
    bench_batch_make(det_context_env(context), job->size, job->batch, &made);
    DET_TRY(det_communicator_open_mpi(context, NULL, &communicator));
    for (int round = 0; round < job->rounds; round++)
        for (int i = 0; i < VARIANTS; i++)
            DET_TRY(run_round(context, communicator, job, &made, round, &variants[i]));
    for (int i = 0; i < VARIANTS && det_communicator_rank(communicator) == 0; i++)
        DET_TRY(print(context, communicator, job, &variants[i]));
fail:
    if (status != DET_OK)
        fprintf(stderr, "rank-steps: %s\n", det_context_error(context));
    det_communicator_close(&communicator);
    bench_batch_free(det_context_env(context), &made);
    for (int i = 0; i < VARIANTS; i++) {
        free(variants[i].seconds);
        free(variants[i].wait);
    }
    return status;
}

int main(int argc, char **argv)
{
    int numbers[NUMBERS];
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = argc == NUMBERS + 1 ? atoi(argv[i + 1]) : 0;
        if (numbers[i] < 1 || numbers[i] > 100000) {
            fprintf(stderr, "rank-steps SIZE BATCH STEPS ROUNDS THREADS\n");
            return 2;
        }
    }
    const struct job job = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.threads = job.threads;
    settings.device = "cpu";
    if (det_context_create(&context, &settings) != DET_OK) {
        fprintf(stderr, "rank-steps: no context for %d threads\n", job.threads);
        return 1;
    }
    const det_status status = run(context, &job);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
