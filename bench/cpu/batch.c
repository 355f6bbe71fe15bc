/* batch.c: a batch of made-up pictures and objects to train on, and what learns from it. */
#include <stdlib.h>

#include "bench.h"
#include "data/ground_truth.h"
#include "devices/context.h"
#include "support/clock.h"
#include "train/learner.h"

enum { OBJECTS = 6, CLASSES = 1 };

/* A few boxes of different sizes. */
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

void bench_batch_make(struct det_env *env, int size, int batch, struct bench_batch *made)
{
    const size_t floats = (size_t)batch * (size_t)size * (size_t)size * 3;
    *made = (struct bench_batch){
        .size = size, .count = batch, .images = bench_floats(floats), .floats = floats};
    made->truths = bench_bytes((size_t)batch * sizeof *made->truths);
    for (size_t i = 0; i < floats; i++)
        made->images[i] = 127.5f * (made->images[i] + 1);
    for (int i = 0; i < batch; i++)
        draw_truth(env, &made->truths[i], i);
}

void bench_batch_free(struct det_env *env, struct bench_batch *batch)
{
    for (int i = 0; i < batch->count; i++)
        det_ground_truth_free(env, &batch->truths[i]);
    free(batch->truths);
    free(batch->images);
}

det_status bench_learner_create(det_context *context, const struct bench_batch *batch,
                                struct det_learner_settings *settings, struct det_learner **learner)
{
    const struct det_compute *compute = det_context_compute(context);
    struct det_model_spec spec;
    det_model_spec_default(&spec, batch->size, CLASSES);
    settings->batch_size = batch->count;
    return det_learner_create(det_context_env(context), &spec, settings, compute->backend,
                              compute->device, 1, learner);
}

det_status bench_learner_step(det_context *context, struct det_learner *learner,
                              const struct bench_batch *batch, double *seconds,
                              struct det_step_result *result)
{
    const double start = det_clock_seconds();
    const det_status status = det_learner_step(det_context_env(context), learner, batch->images,
                                               batch->truths, 0.001f, result);
    *seconds = det_clock_seconds() - start;
    return status;
}
