/* partner_detect.c: inference on command. The network runs on given floats through the same runner
 * as an evaluation, so that its outputs can be compared; pictures go through a detector. */
#include <stdlib.h>
#include <string.h>

#include "det/det.h"
#include "devices/context.h"
#include "model/inference.h"
#include "model/spec_anchors.h"
#include "partner.h"
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/learner.h"

enum { MOST_RUNS = 1000 };

struct partner {
    det_context *context;
    struct det_env *env;
    det_model *model;
    det_detector *detector;
    struct det_model_spec spec;
    struct det_inference inference; /* at the size asked for */
    struct det_runner *runner;
    float *input;
};

static det_status open_runner(struct partner *p)
{
    struct det_postprocess_settings post;
    det_postprocess_settings_default(&post);
    post.score_threshold = 0.5f;
    DET_TRY_RETURN(
        det_inference_open(p->env, p->model, &p->spec, DET_INFERENCE_FOLDED, &p->inference));
    const struct det_runner_settings settings = {.spec = &p->spec,
                                                 .graph = p->inference.graph,
                                                 .params = p->inference.params,
                                                 .quantised = p->inference.quantised,
                                                 .evaluate = true,
                                                 .batch = 1,
                                                 .postprocess = &post,
                                                 .anchors = (const float(*)[4])p->inference.anchors,
                                                 .anchor_count = p->inference.anchor_count};
    const struct det_compute *compute = det_context_compute(p->context);
    return compute->backend->runner_create(p->env, compute->device, &settings, &p->runner);
}

static det_status open_partner(struct partner *p, const char *path, int size, int threads,
                               const char *precision)
{
    det_detector_settings detecting;
    DET_TRY_RETURN(partner_open(threads, precision, &p->context));
    p->env = det_context_env(p->context);
    DET_TRY_RETURN(det_model_load(p->context, path, &p->model));
    p->spec = p->model->spec;
    p->spec.input_height = p->spec.input_width = size;
    det_detector_settings_default(&detecting);
    detecting.score_threshold = 0.3f;
    detecting.input_height = detecting.input_width = size;
    DET_TRY_RETURN(det_detector_create(p->context, p->model, &detecting, &p->detector));
    p->input = bench_floats((size_t)size * (size_t)size * 3);
    return open_runner(p);
}

static void close_partner(struct partner *p)
{
    if (p->context == NULL)
        return;
    if (p->runner != NULL)
        det_context_compute(p->context)->backend->runner_destroy(p->env, &p->runner);
    det_detector_destroy(&p->detector);
    det_inference_close(p->env, &p->inference);
    det_model_destroy(&p->model);
    det_context_destroy(&p->context);
    free(p->input);
}

static det_status read_input(struct partner *p, const char *path)
{
    struct det_file_bytes contents;
    const size_t bytes =
        (size_t)p->spec.input_height * (size_t)p->spec.input_width * 3 * sizeof(float);
    DET_TRY_RETURN(det_file_read(p->env, path, &contents));
    det_status status = DET_OK;
    if (contents.bytes == bytes)
        memcpy(p->input, contents.data, bytes);
    else
        status = det_fail(p->env, DET_STATUS_MISMATCH, "%s: %zu bytes, expected %zu", path,
                          contents.bytes, bytes);
    det_file_release(&contents);
    printf("{}\n");
    return status;
}

static det_status run_network(struct partner *p, int count)
{
    const struct det_backend *backend = det_context_compute(p->context)->backend;
    const float window[1][4] = {{0, 0, 1, 1}};
    double ms[MOST_RUNS];
    for (int i = 0; i < count; i++) {
        uint64_t times[3];
        DET_TRY_RETURN(backend->runner_set_images(p->env, p->runner, p->input, p->spec.input_height,
                                                  p->spec.input_width, window));
        DET_TRY_RETURN(backend->runner_begin(p->env, p->runner));
        DET_TRY_RETURN(backend->runner_end(p->env, p->runner));
        backend->runner_times(p->runner, times);
        ms[i] = (double)times[1] * 1e-6;
    }
    struct json_line line;
    json_line_open(&line, p->env);
    partner_put_times(&line, ms, count);
    return json_line_close(&line);
}

static det_status write_outputs(struct partner *p, const char *path)
{
    const float *logits = NULL, *encodings = NULL;
    const size_t anchors = (size_t)p->inference.graph->anchor_count;
    const size_t slots = (size_t)p->inference.graph->class_slots;
    DET_TRY_RETURN(det_context_compute(p->context)
                       ->backend->runner_outputs(p->env, p->runner, &logits, &encodings));
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return det_fail(p->env, DET_STATUS_IO, "%s: cannot be written", path);
    fwrite(encodings, sizeof(float) * 4, anchors, file);
    fwrite(logits, sizeof(float) * slots, anchors, file);
    fclose(file);
    printf("{}\n");
    return DET_OK;
}

/* From the file's bytes in memory to detections, as det-bench does it. */
static det_status run_pictures(struct partner *p, const char *path, int count)
{
    double ms[MOST_RUNS];
    const det_detection *found = NULL;
    size_t found_count = 0;
    struct det_file_bytes contents;
    DET_TRY_RETURN(det_file_read(p->env, path, &contents));
    det_status status = DET_OK;
    for (int i = 0; i < count && status == DET_OK; i++) {
        det_picture *picture = NULL;
        const double start = det_clock_seconds();
        status = det_picture_decode(p->context, path, contents.data, contents.bytes, &picture);
        if (status == DET_OK) {
            const det_image_view view = det_picture_view(picture);
            status = det_detector_run(p->detector, &view, &found, &found_count);
        }
        det_picture_destroy(&picture);
        ms[i] = (det_clock_seconds() - start) * 1e3;
    }
    det_file_release(&contents);
    if (status != DET_OK)
        return status;
    struct json_line line;
    json_line_open(&line, p->env);
    partner_put_times(&line, ms, count);
    det_json_open_list(&line.json, "detections");
    for (size_t i = 0; i < found_count; i++) {
        const det_detection *d = &found[i];
        const float values[] = {d->score, d->ymin, d->xmin, d->ymax, d->xmax};
        det_json_open_list(&line.json, NULL);
        det_json_put_int(&line.json, NULL, d->class_id);
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++)
            det_json_put_float(&line.json, NULL, values[v]);
        det_json_close_list(&line.json);
    }
    det_json_close_list(&line.json);
    return json_line_close(&line);
}

static int runs(const char *word)
{
    const int count = word == NULL ? 1 : atoi(word);
    return count < 1 ? 1 : count > MOST_RUNS ? MOST_RUNS : count;
}

static det_status obey(struct partner *p, char *words[3])
{
    const char *argument = words[1] != NULL ? words[1] : "";
    if (strcmp(words[0], "input") == 0)
        return read_input(p, argument);
    if (strcmp(words[0], "network") == 0)
        return run_network(p, runs(words[1]));
    if (strcmp(words[0], "outputs") == 0)
        return write_outputs(p, argument);
    if (strcmp(words[0], "picture") == 0)
        return run_pictures(p, argument, runs(words[2]));
    if (strcmp(words[0], "export") == 0) {
        det_model sized = *p->model; /* its parts stay the model's */
        sized.spec = p->spec;
        DET_TRY_RETURN(det_model_export(p->context, &sized, argument));
        printf("{}\n");
        return DET_OK;
    }
    if (strcmp(words[0], "graph") == 0 &&
        partner_write_graph(argument, p->inference.graph, p->inference.params)) {
        printf("{}\n");
        return DET_OK;
    }
    return det_fail(p->env, DET_STATUS_INVALID_ARGUMENT, "command %s %s", words[0], argument);
}

int partner_detect(const char *model, int size, int threads, const char *precision)
{
    struct partner p = {0};
    char line[2000], *words[3];
    det_status status = open_partner(&p, model, size, threads, precision);
    if (status == DET_OK)
        status = partner_print_device(p.env, det_context_device(p.context));
    while (status == DET_OK && partner_command(line, sizeof line, words))
        status = obey(&p, words);
    if (status != DET_OK)
        fprintf(stderr, "partner: %s\n", det_context_error(p.context));
    close_partner(&p);
    return status == DET_OK ? 0 : 1;
}
