/* step.c: one training step on made-up pictures and objects. */
#include <stdlib.h>
#include <sys/resource.h>

#include "base/context.h"
#include "bench.h"
#include "det/det.h"
#include "train/learner.h"

enum { CLASSES = 1, WARM_UP = 2 };

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
    struct bench_batch made;
    bench_batch_make(env, size, batch, &made);
    DET_TRY(
        det_learner_create(env, &spec, &settings, context->backend, context->device, 1, &learner));
    for (int i = 0; i < repeat + WARM_UP; i++) {
        struct det_step_result result;
        const double start = bench_now();
        DET_TRY(det_learner_step(env, learner, made.images, made.truths, 0.001f, &result));
        if (i >= WARM_UP)
            seconds[i - WARM_UP] = bench_now() - start;
        *loss = result.total_loss;
    }
fail:
    det_learner_destroy(env, &learner);
    bench_batch_free(env, &made);
    return status;
}

int bench_step(int size, int batch, int threads, int repeat, const char *precision)
{
    det_context_settings settings;
    det_context *context = NULL;
    det_context_settings_default(&settings);
    settings.threads = threads;
    settings.precision = precision;
    if (det_context_create(&context, &settings, NULL) != DET_OK) {
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
