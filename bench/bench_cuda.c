/* bench_cuda: times training steps and inference on a GPU: whole ones by the wall clock around
 * calls that end in a wait, and each of their operations alone (cuda_rows.h). JSON objects, one a
 * line, on stdout; bench/gpu_check.sh puts them into one file. `bench_cuda --help` says the
 * options. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_launches.h"
#include "cuda_rows.h"
#include "data/picture.h"
#include "devices/backend.h"
#include "eight_bits.h"
#include "json_line.h"
#include "model/inference.h"
#include "model/input.h"
#include "model/spec_anchors.h"
#include "ops/ops.h"
#include "support/clock.h"
#include "support/mem.h"
#include "train/learner.h"

enum { MOST = 8 };

/* What is timed of a job: from the input to the result; with the next input staged meanwhile; the
 * host's part of that staging. */
enum { ALONE, AHEAD, STAGING, TIMES };

struct arguments {
    const char *device;
    long sizes[MOST], batches[MOST];
    int size_count, batch_count;
    long repeat, flush_mb;
    bool whole_only;
    bool peer;             /* cuDNN's rows instead of ours */
    const char *precision; /* NULL: each */
    const char *job;       /* NULL: both of a network */
};

/* What the jobs share. */
struct bench {
    const struct arguments *arguments;
    struct det_env *env;
    const struct det_backend *backend;
    struct det_device *device;
    const char *precision;
    bool eight_bits; /* a network in 8 bits, which is run alone */
    char name[300];  /* of the device */
    double *seconds; /* [TIMES][repeat] */
    struct cuda_rows rows;
};

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *seconds, long count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, by_value);
    return seconds[count / 2];
}

static double *times(const struct bench *b, int what)
{
    return b->seconds + what * b->arguments->repeat;
}

static void put_job(struct det_json_writer *json, const struct bench *b, const char *kind,
                    const char *job, long size, long batch)
{
    det_json_put_string(json, "kind", kind);
    det_json_put_string(json, "job", job);
    det_json_put_int(json, "size", size);
    det_json_put_int(json, "batch", batch);
    det_json_put_string(json, "precision", b->precision);
}

/* host_bytes: pixels that a run brings to the device. */
static det_status print_whole(const struct bench *b, const char *job, long size, long batch,
                              size_t bytes)
{
    const long count = b->arguments->repeat;
    double *alone = times(b, ALONE);
    const double p50 = median(alone, count), p99 = alone[count * 99 / 100];
    struct json_line line;
    json_line_open(&line, b->env);
    put_job(&line.json, b, "whole", job, size, batch);
    det_json_put_string(&line.json, "device", b->name);
    det_json_put_fixed(&line.json, "p50_ms", p50 * 1e3, 4);
    det_json_put_fixed(&line.json, "p99_ms", p99 * 1e3, 4);
    det_json_put_fixed(&line.json, "ahead_p50_ms", median(times(b, AHEAD), count) * 1e3, 4);
    det_json_put_fixed(&line.json, "staging_p50_ms", median(times(b, STAGING), count) * 1e3, 4);
    det_json_put_int(&line.json, "host_bytes", 3 * size * size * batch);
    det_json_put_int(&line.json, "runs", count);
    det_json_put_size(&line.json, "bytes", bytes);
    return json_line_close(&line);
}

static det_status print_skipped(const struct bench *b, const char *job, long size, long batch,
                                const char *why)
{
    struct json_line line;
    json_line_open(&line, b->env);
    put_job(&line.json, b, "skipped", job, size, batch);
    det_json_put_string(&line.json, "why", why);
    return json_line_close(&line);
}

/* What does not fit is no failure. */
static det_status skip_what_does_not_fit(const struct bench *b, const char *job, long size,
                                         long batch, det_status status)
{
    return status == DET_STATUS_OUT_OF_MEMORY ? print_skipped(b, job, size, batch, b->env->error)
                                              : status;
}

/* Eight boxes an image on noise, every second one mirrored: what is in the pictures does not change
 * the work. */
static det_status fill(struct det_env *env, uint8_t *pixels, long size,
                       struct det_picture *pictures, struct det_ground_truth *truths, long batch)
{
    const size_t of_picture = (size_t)size * (size_t)size * 3;
    for (size_t i = 0; i < (size_t)batch * of_picture; i++)
        pixels[i] = (uint8_t)(i * 2654435761U % 255U);
    for (long n = 0; n < batch; n++) {
        pictures[n] = (struct det_picture){.pixels = pixels + (size_t)n * of_picture,
                                           .flip_x = n % 2 != 0,
                                           .height = (int32_t)size,
                                           .width = (int32_t)size,
                                           .frame_height = (int32_t)size,
                                           .frame_width = (int32_t)size};
        DET_TRY_RETURN(det_ground_truth_reserve(env, &truths[n], 8));
        truths[n].count = 8;
        for (int g = 0; g < 8; g++) {
            const float at = 0.1f * (float)g;
            const float box[] = {at, at, at + 0.2f, at + 0.15f};
            memcpy(truths[n].boxes[g], box, sizeof box);
            truths[n].class_index[g] = 0;
            truths[n].weight[g] = 1;
        }
    }
    return DET_OK;
}

static det_status time_steps(struct bench *b, struct det_learner *learner,
                             const struct det_picture *pictures,
                             const struct det_ground_truth *truths)
{
    const long repeat = b->arguments->repeat;
    struct det_step_result result;
    for (long i = -3; i < repeat; i++) {
        const double start = det_clock_seconds();
        DET_TRY_RETURN(det_learner_stage_pictures(b->env, learner, pictures, truths));
        DET_TRY_RETURN(det_learner_begin(b->env, learner, 1e-6f));
        DET_TRY_RETURN(det_learner_end(b->env, learner, &result));
        if (i >= 0)
            times(b, ALONE)[i] = det_clock_seconds() - start;
    }
    DET_TRY_RETURN(det_learner_stage_pictures(b->env, learner, pictures, truths));
    for (long i = -3; i < repeat; i++) {
        const double start = det_clock_seconds();
        DET_TRY_RETURN(det_learner_begin(b->env, learner, 1e-6f));
        const double begun = det_clock_seconds();
        DET_TRY_RETURN(det_learner_stage_pictures(b->env, learner, pictures, truths));
        const double staged = det_clock_seconds();
        DET_TRY_RETURN(det_learner_end(b->env, learner, &result));
        if (i >= 0) {
            times(b, AHEAD)[i] = det_clock_seconds() - start;
            times(b, STAGING)[i] = staged - begun;
        }
    }
    return DET_OK;
}

static det_status time_training(struct bench *b, long size, long batch)
{
    struct det_env *env = b->env;
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    struct det_ground_truth *truths = NULL;
    struct det_picture *pictures = NULL;
    uint8_t *pixels = NULL;
    det_status status = DET_OK;
    const size_t count = (size_t)batch * (size_t)size * (size_t)size * 3;
    det_model_spec_default(&spec, (int32_t)size, 1);
    det_learner_settings_default(&settings);
    settings.batch_size = (int32_t)batch;
    DET_TRY(det_alloc(env, &pixels, count, sizeof *pixels, "images"));
    DET_TRY(det_alloc(env, &pictures, (size_t)batch, sizeof *pictures, "images"));
    DET_TRY(det_alloc(env, &truths, (size_t)batch, sizeof *truths, "boxes"));
    DET_TRY(fill(env, pixels, size, pictures, truths, batch));
    DET_TRY(det_learner_create(env, &spec, &settings, b->backend, b->device, 1, &learner));
    DET_TRY(time_steps(b, learner, pictures, truths));
    DET_TRY(print_whole(b, "training", size, batch, b->backend->step_bytes(learner->step)));
    if (!b->arguments->whole_only)
        DET_TRY(cuda_rows_training(&b->rows, learner, size, batch));
fail:
    det_learner_destroy(env, &learner);
    for (long n = 0; truths != NULL && n < batch; n++)
        det_ground_truth_free(env, &truths[n]);
    det_free(env, &truths);
    det_free(env, &pictures);
    det_free(env, &pixels);
    return skip_what_does_not_fit(b, "training", size, batch, status);
}

static det_status set_pictures(struct bench *b, struct det_runner *runner, long batch,
                               const det_image_view *view, const struct det_frame *frame)
{
    for (long n = 0; n < batch; n++)
        DET_TRY_RETURN(b->backend->runner_set_picture(b->env, runner, (int32_t)n, view, frame));
    return DET_OK;
}

/* From pictures of the network's size to their detections. */
static det_status time_runs(struct bench *b, struct det_runner *runner, long batch,
                            const det_image_view *view, const struct det_frame *frame)
{
    const struct det_detections *found = NULL;
    const long repeat = b->arguments->repeat;
    for (long i = -3; i < repeat; i++) {
        const double start = det_clock_seconds();
        DET_TRY_RETURN(set_pictures(b, runner, batch, view, frame));
        DET_TRY_RETURN(det_backend_run(b->env, b->backend, runner));
        DET_TRY_RETURN(b->backend->runner_detections(b->env, runner, 0, &found));
        if (i >= 0)
            times(b, ALONE)[i] = det_clock_seconds() - start;
    }
    DET_TRY_RETURN(set_pictures(b, runner, batch, view, frame));
    for (long i = -3; i < repeat; i++) {
        const double start = det_clock_seconds();
        DET_TRY_RETURN(b->backend->runner_begin(b->env, runner));
        const double begun = det_clock_seconds();
        DET_TRY_RETURN(set_pictures(b, runner, batch, view, frame));
        const double staged = det_clock_seconds();
        DET_TRY_RETURN(b->backend->runner_end(b->env, runner));
        if (i >= 0) {
            times(b, AHEAD)[i] = det_clock_seconds() - start;
            times(b, STAGING)[i] = staged - begun;
        }
    }
    return DET_OK;
}

static det_status time_inference(struct bench *b, long size, long batch)
{
    struct det_env *env = b->env;
    struct det_model_spec spec;
    struct det_graph graph = {0};
    struct det_quantised *quantised = NULL;
    float *params = NULL, (*anchors)[4] = NULL;
    uint8_t *pixels = NULL;
    int32_t anchor_count = 0;
    struct det_runner *runner = NULL;
    det_status status = DET_OK;
    det_model_spec_default(&spec, (int32_t)size, 1);
    const struct det_postprocess_settings post = det_spec_postprocess(&spec);
    DET_TRY(det_graph_build(env, &spec, true, &graph));
    DET_TRY(det_alloc(env, &params, graph.param_floats, sizeof *params, "parameters"));
    det_graph_init_params(&graph, 1, params);
    if (b->eight_bits)
        DET_TRY(eight_bits_make(env, &graph, params, &quantised));
    DET_TRY(det_spec_anchors(env, &spec, &anchors, &anchor_count));
    DET_TRY(det_alloc(env, &pixels, (size_t)size * (size_t)size, 3, "picture"));
    for (size_t i = 0; i < (size_t)size * (size_t)size * 3; i++)
        pixels[i] = (uint8_t)(i * 2654435761U >> 24);
    const struct det_runner_settings settings = {
        .spec = &spec,
        .graph = &graph,
        .params = params,
        .quantised = quantised,
        .batch = (int32_t)batch,
        .postprocess = &post,
        .anchors = (const float(*)[4])anchors,
        .anchor_count = anchor_count,
    };
    const det_image_view view = {.pixels = pixels, .width = (int32_t)size, .height = (int32_t)size};
    const struct det_frame frame = det_frame_of(&spec, (int32_t)size, (int32_t)size);
    DET_TRY(b->backend->runner_create(env, b->device, &settings, &runner));
    DET_TRY(time_runs(b, runner, batch, &view, &frame));
    DET_TRY(print_whole(b, "inference", size, batch, b->backend->runner_bytes(runner)));
    if (!b->arguments->whole_only)
        DET_TRY(cuda_rows_inference(&b->rows, runner, size, batch));
fail:
    if (runner != NULL)
        b->backend->runner_destroy(env, &runner);
    det_free(env, &pixels);
    det_free(env, &anchors);
    det_free(env, &params);
    det_quantised_destroy(env, &quantised);
    det_graph_free(env, &graph);
    return skip_what_does_not_fit(b, "inference", size, batch, status);
}

static const char *const names[] = {"f32", "tf32", "bf16", "int8"};
enum { PRECISIONS = sizeof names / sizeof *names };

static bool wants(const struct arguments *a, const char *job)
{
    return a->job == NULL || strcmp(a->job, job) == 0;
}

/* No network: what launches cost. */
static bool launches_only(const struct arguments *a)
{
    return a->job != NULL && strcmp(a->job, "launches") == 0;
}

/* A GPU that can be had in float32 is only too old for this precision; where there is none, that is
 * the failure. */
static det_status skip_precision(struct bench *b, struct det_device_settings settings)
{
    char why[sizeof b->env->error];
    memcpy(why, b->env->error, sizeof why);
    settings.precision = DET_PRECISION_F32;
    DET_TRY_RETURN(
        det_backend_open(b->env, b->arguments->device, &settings, &b->backend, &b->device));
    b->backend->device_close(b->env, &b->device);
    return print_skipped(b, "all", 0, 0, why);
}

static det_status time_all(struct det_env *env, const struct arguments *a,
                           enum det_precision precision, double *seconds)
{
    const char *reason = NULL;
    const struct det_device_settings settings = {.precision = precision,
                                                 .ops = det_ops_cpu("auto", &reason)};
    struct bench b = {.arguments = a,
                      .env = env,
                      .precision = names[precision],
                      .eight_bits = precision == DET_PRECISION_INT8,
                      .seconds = seconds,
                      .rows.env = env};
    det_status status = DET_OK;
    status = det_backend_open(env, a->device, &settings, &b.backend, &b.device);
    if (status == DET_STATUS_DEVICE && precision != DET_PRECISION_F32)
        return skip_precision(&b, settings);
    DET_TRY_RETURN(status);
    if (!b.backend->stages_ahead)
        DET_TRY(det_fail(env, DET_STATUS_DEVICE, "%s is no GPU", a->device));
    b.backend->device_describe(b.device, b.name, sizeof b.name);
    DET_TRY(cuda_rows_open(env, b.device, b.precision, a->repeat, (size_t)a->flush_mb << 20,
                           a->peer, &b.rows));
    for (int s = 0; s < a->size_count && launches_only(a); s++)
        DET_TRY(cuda_launches(&b.rows, a->sizes[s]));
    for (int s = 0; s < a->size_count && !launches_only(a); s++)
        for (int n = 0; n < a->batch_count; n++) {
            if (wants(a, "inference"))
                DET_TRY(time_inference(&b, a->sizes[s], a->batches[n]));
            if (wants(a, "training") && !b.eight_bits)
                DET_TRY(time_training(&b, a->sizes[s], a->batches[n]));
        }
fail:
    cuda_rows_close(&b.rows);
    b.backend->device_close(env, &b.device);
    return status;
}

/* "8,64" */
static int parse_list(const char *text, long *values)
{
    int count = 0;
    for (char *end = NULL; count < MOST; text = end + 1) {
        const long value = strtol(text, &end, 10);
        if (end == text || value < 1)
            return 0;
        values[count++] = value;
        if (*end != ',')
            return *end == '\0' ? count : 0;
    }
    return 0;
}

static const char usage[] =
    "usage: bench_cuda [--device cuda:I] [--sizes 320,640] [--batches 1,8,64] [--repeat 50]\n"
    "                  [--flush_mb MB] [--precision f32|tf32|bf16|int8]\n"
    "                  [--whole_only 0|1] [--peer 0|1]\n"
    "                  [--job training|inference|launches]\n"
    "--peer 1: not our operations, but what cuDNN takes for those it has, beside ours.\n"
    "Without --precision each of them; int8 is inference alone.\n";

/* Pairs of option and value. */
static bool parse(int argc, char **argv, struct arguments *a)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--device") == 0)
            a->device = value;
        else if (strcmp(argv[i], "--sizes") == 0)
            a->size_count = parse_list(value, a->sizes);
        else if (strcmp(argv[i], "--batches") == 0)
            a->batch_count = parse_list(value, a->batches);
        else if (strcmp(argv[i], "--repeat") == 0)
            a->repeat = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--flush_mb") == 0)
            a->flush_mb = strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--precision") == 0)
            a->precision = value;
        else if (strcmp(argv[i], "--whole_only") == 0)
            a->whole_only = strcmp(value, "1") == 0;
        else if (strcmp(argv[i], "--peer") == 0)
            a->peer = strcmp(value, "1") == 0;
        else if (strcmp(argv[i], "--job") == 0)
            a->job = value;
        else
            return false;
    }
    int known = a->precision == NULL;
    for (int p = 0; p < PRECISIONS; p++)
        known |= a->precision != NULL && strcmp(a->precision, names[p]) == 0;
    known &= wants(a, "training") || wants(a, "inference") || launches_only(a);
    return known && argc % 2 == 1 && a->repeat > 0 && a->size_count > 0 && a->batch_count > 0 &&
           a->flush_mb >= 0;
}

int main(int argc, char **argv)
{
    struct arguments a = {.device = "cuda",
                          .sizes = {320, 640},
                          .batches = {1, 8, 64},
                          .size_count = 2,
                          .batch_count = 3,
                          .repeat = 50};
    if (!parse(argc, argv, &a)) {
        fputs(usage, stderr);
        return 2;
    }
    struct det_env env;
    double *seconds = calloc(TIMES * (size_t)a.repeat, sizeof *seconds);
    det_env_default(&env);
    /* A run that is cut off keeps the rows it has. */
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    det_status status = seconds != NULL ? DET_OK : DET_STATUS_OUT_OF_MEMORY;
    for (int p = DET_PRECISION_F32; status == DET_OK && p < PRECISIONS; p++)
        if (a.precision == NULL || strcmp(a.precision, names[p]) == 0)
            status = time_all(&env, &a, (enum det_precision)p, seconds);
    if (status != DET_OK)
        fprintf(stderr, "bench_cuda: %s\n", env.error);
    free(seconds);
    return status != DET_OK;
}
