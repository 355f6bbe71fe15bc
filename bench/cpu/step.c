/* step.c: one training step on made-up pictures and objects. */
#include <stdlib.h>
#include <sys/resource.h>

#include "bench.h"
#include "det/det.h"
#include "devices/context.h"
#include "json_line.h"
#include "train/learner.h"

enum { WARM_UP = 2 };

static det_status run(det_context *context, int size, int batch, int repeat, double *seconds,
                      double *loss)
{
    struct det_env *env = det_context_env(context);
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    struct bench_batch made;
    det_status status = DET_OK;
    det_learner_settings_default(&settings);
    bench_batch_make(env, size, batch, &made);
    DET_TRY(bench_learner_create(context, &made, &settings, &learner));
    for (int i = -WARM_UP; i < repeat; i++) {
        struct det_step_result result;
        DET_TRY(bench_learner_step(context, learner, &made, &seconds[i < 0 ? 0 : i], &result));
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
    if (det_context_create(&context, &settings) != DET_OK) {
        fprintf(stderr, "bench: no context for precision %s, %d threads\n", precision, threads);
        return 1;
    }
    double *seconds = bench_bytes((size_t)repeat * sizeof *seconds), loss = 0;
    det_status status = run(context, size, batch, repeat, seconds, &loss);
    if (status == DET_OK) {
        const struct bench_time time = bench_summary(seconds, repeat);
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        struct json_line line;
        json_line_open(&line, det_context_env(context));
        det_json_put_fixed(&line.json, "median", time.median * 1e3, 4);
        det_json_put_fixed(&line.json, "low", time.low * 1e3, 4);
        det_json_put_fixed(&line.json, "high", time.high * 1e3, 4);
        det_json_put_int(&line.json, "runs", time.runs);
        det_json_put_fixed(&line.json, "loss", loss, 6);
        det_json_put_fixed(&line.json, "peak_mb", (double)usage.ru_maxrss / 976.5625, 1);
        status = json_line_close(&line);
    }
    if (status != DET_OK)
        fprintf(stderr, "bench: step: %s\n", det_context_error(context));
    free(seconds);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
