/* step.c: one training step on made-up pictures and objects. */
#include <stdlib.h>
#include <sys/resource.h>

#include "base/context.h"
#include "bench.h"
#include "data/ground_truth.h"
#include "det/det.h"
#include "train/learner.h"

enum { OBJECTS = 6, CLASSES = 1, WARM_UP = 2 };

/* A few boxes of different sizes in each image. */
static void draw_truth(struct det_env *env, struct det_ground_truth *truth, int image)
{
    if (det_ground_truth_reserve(env, truth, OBJECTS) != DET_OK)
        exit(1);
    truth->count = OBJECTS;
    for (int k = 0; k < OBJECTS; k++) {
        const int at = image * OBJECTS + k;
        const float side = 0.06f * (float)(1 + (at * 7) % 8);
        const float y = (1 - side) * (float)((at * 37) % 100) / 100;
        const float x = (1 - side) * (float)((at * 61) % 100) / 100;
        const float box[4] = {y, x, y + side, x + side};
        for (int c = 0; c < 4; c++)
            truth->boxes[k][c] = box[c];
        truth->class_index[k] = 0;
        truth->weight[k] = 1;
        truth->area_px[k] = 0;
        truth->is_crowd[k] = truth->difficult[k] = truth->group_of[k] = 0;
    }
}

static det_status run(det_context *context, int size, int batch, int repeat, double *seconds,
                      double *loss)
{
    struct det_env *env = det_context_env(context);
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    det_status status = DET_OK;
    det_model_spec_default(&spec, size, CLASSES);
    det_learner_settings_default(&settings);
    settings.batch_size = batch;
    float *images = bench_floats((size_t)batch * (size_t)size * (size_t)size * 3);
    struct det_ground_truth *truths = bench_bytes((size_t)batch * sizeof *truths);
    for (size_t i = 0; i < (size_t)batch * (size_t)size * (size_t)size * 3; i++)
        images[i] = 127.5f * (images[i] + 1);
    for (int i = 0; i < batch; i++)
        draw_truth(env, &truths[i], i);
    DET_TRY(
        det_learner_create(env, &spec, &settings, context->backend, context->device, 1, &learner));
    for (int i = 0; i < repeat + WARM_UP; i++) {
        struct det_step_result result;
        const double start = bench_now();
        DET_TRY(det_learner_step(env, learner, images, truths, 0.001f, &result));
        if (i >= WARM_UP)
            seconds[i - WARM_UP] = bench_now() - start;
        *loss = result.total_loss;
    }
fail:
    det_learner_destroy(env, &learner);
    for (int i = 0; i < batch; i++)
        det_ground_truth_free(env, &truths[i]);
    free(truths);
    free(images);
    return status;
}

int bench_step(int size, int batch, int threads, int repeat, const char *precision)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.threads = threads;
    settings.precision = precision;
    if (det_context_create(&context, &settings) != DET_OK) {
        fprintf(stderr, "bench: no context for precision %s, %d threads\n", precision, threads);
        return 1;
    }
    double *seconds = bench_bytes((size_t)repeat * sizeof *seconds), loss = 0;
    const det_status status = run(context, size, batch, repeat, seconds, &loss);
    if (status == DET_OK) {
        const struct bench_time time = bench_summary(seconds, repeat);
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf("{\"median\":%.4f,\"low\":%.4f,\"high\":%.4f,\"runs\":%d,\"loss\":%.6f,"
               "\"peak_mb\":%.1f}\n",
               time.median * 1e3, time.low * 1e3, time.high * 1e3, time.runs, loss,
               (double)usage.ru_maxrss / 976.5625);
    } else {
        fprintf(stderr, "bench: step: %s\n", det_context_error(context));
    }
    free(seconds);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
