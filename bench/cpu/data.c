/* data.c: what happens around the network: a training image's way, post-processing of made-up
 * outputs, losses. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "bench.h"
#include "data/resize.h"
#include "det/det.h"
#include "json_line.h"
#include "model/graph.h"
#include "model/hard_examples.h"
#include "model/input.h"
#include "model/losses.h"
#include "model/optimizer.h"
#include "model/postprocess.h"
#include "model/spec_anchors.h"
#include "model/targets.h"
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/learner.h"

/* Decode, crop three quarters, mirror, resize. */
struct way {
    struct det_env env;
    const uint8_t *data;
    size_t bytes;
    int32_t size;
    struct det_image_least least;
    struct det_image image;
    struct det_resizer resizer;
    float *out;
    det_status status;
};

static void go(void *argument)
{
    struct way *w = argument;
    w->status = det_image_decode_reduced(&w->env, "bench", w->data, w->bytes, w->least, &w->image);
    if (w->status != DET_OK)
        return;
    const struct det_window window = {.y = w->image.height / 8,
                                      .x = w->image.width / 8,
                                      .height = w->image.height * 3 / 4,
                                      .width = w->image.width * 3 / 4,
                                      .flip_x = true};
    w->status = det_resize_rgb8(&w->env, &w->resizer, &w->image, &window, w->out,
                                (size_t)w->size * 3, w->size, w->size);
}

static void open_way(struct way *w, const uint8_t *data, size_t bytes, int32_t size, bool reduced)
{
    *w = (struct way){.data = data, .bytes = bytes, .size = size};
    det_env_default(&w->env);
    const int32_t least = reduced ? size : INT32_MAX;
    w->least = (struct det_image_least){least, least};
    w->out = bench_floats((size_t)size * (size_t)size * 3);
}

static void close_way(struct way *w)
{
    det_image_free(&w->env, &w->image);
    det_resizer_free(&w->env, &w->resizer);
    free(w->out);
}

int bench_decode(const char *arguments)
{
    char path[1000], pixels[1000] = "";
    int size = 0, reduced = 0, count = 0;
    struct det_file_bytes contents;
    struct way way;
    if (sscanf(arguments, "%999[^,],%d,%d,%d,%999s", path, &size, &reduced, &count, pixels) < 4 ||
        size < 1 || count < 1)
        return 2;
    open_way(&way, NULL, 0, size, reduced != 0);
    if (det_file_read(&way.env, path, &contents) == DET_OK) {
        way.data = contents.data;
        way.bytes = contents.bytes;
        struct json_line line;
        json_line_open(&line, &way.env);
        det_json_open_list(&line.json, "ms");
        for (int i = 0; i < count && way.status == DET_OK; i++) {
            const double start = det_clock_seconds();
            go(&way);
            det_json_put_fixed(&line.json, NULL, (det_clock_seconds() - start) * 1e3, 4);
        }
        det_json_close_list(&line.json);
        const det_status printed = json_line_close(&line);
        if (way.status == DET_OK)
            way.status = printed;
        det_file_release(&contents);
    } else {
        way.status = DET_STATUS_IO;
    }
    if (way.status == DET_OK && pixels[0] != '\0')
        way.status = det_write_file(&way.env, pixels, way.out, (size_t)size * (size_t)size * 12);
    if (way.status != DET_OK)
        fprintf(stderr, "bench: %s\n", way.env.error);
    close_way(&way);
    return way.status == DET_OK ? 0 : 1;
}

/* The drawn picture of det-bench's kind, `width` x `height`. */
static void draw_jpeg(struct det_env *env, int32_t width, int32_t height, uint8_t **data,
                      size_t *bytes)
{
    struct det_image image = {0};
    uint32_t noise = 1;
    if (det_image_resize_buffer(env, &image, width, height) != DET_OK)
        exit(1);
    for (int32_t i = 0; i < width * height * 3; i++) {
        const int32_t x = i / 3 % width, y = i / 3 / width;
        noise = noise * 1664525U + 1013904223U;
        image.rgb[i] = (uint8_t)(40 + (x / 90 * 37 + y / 70 * 59 + i % 3 * 11) % 97 +
                                 y * 90 / height + x * 20 / width + (int32_t)(noise >> 29));
    }
    if (det_image_encode_jpeg(env, &image, 90, data, bytes) != DET_OK)
        exit(1);
    det_image_free(env, &image);
}

static void report_time(const struct bench_options *options, struct bench_report *report,
                        const char *name, void (*body)(void *argument), void *argument)
{
    if (!bench_wanted(options, name))
        return;
    const struct bench_time time = bench_measure(body, argument, 8 * options->budget_s);
    bench_report_time(report, name, &time);
    printf("%-60s %9.3f ms (%.3f to %.3f)\n", name, time.median * 1e3, time.low * 1e3,
           time.high * 1e3);
}

static void bench_ways(const struct bench_options *options, struct bench_report *report)
{
    static const struct {
        const char *name;
        int32_t width, height, size;
        bool reduced;
    } cases[] = {
        {"data/decode, crop, flip, resize/1280x720 to 320", 1280, 720, 320, false},
        {"data/decode, crop, flip, resize/1280x720 to 640", 1280, 720, 640, false},
        {"data/decode, crop, flip, resize/2464x1632 to 320", 2464, 1632, 320, false},
        {"data/decode, crop, flip, resize/2464x1632 to 320 reduced", 2464, 1632, 320, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct way way;
        uint8_t *data = NULL;
        size_t bytes = 0;
        open_way(&way, NULL, 0, cases[i].size, cases[i].reduced);
        draw_jpeg(&way.env, cases[i].width, cases[i].height, &data, &bytes);
        way.data = data;
        way.bytes = bytes;
        report_time(options, report, cases[i].name, go, &way);
        close_way(&way);
        det_free(&way.env, &data);
    }
}

/* From a caller's pixels to the network's input. */
struct input {
    struct det_env env;
    det_image_view view;
    struct det_frame frame;
    struct det_pool *pool;
    struct det_resizer resizer;
    float *out;
};

static void fill_input(void *argument)
{
    struct input *i = argument;
    if (det_input_fill(&i->env, &i->resizer, i->pool, &i->view, &i->frame, i->out, i->frame.height,
                       i->frame.width) != DET_OK)
        exit(1);
}

static void bench_inputs(const struct bench_options *options, struct bench_report *report)
{
    static const struct {
        const char *name;
        det_pixel_format format;
        int32_t bytes, size;
    } cases[] = {
        {"RGB", DET_PIXEL_RGB8, 3, 320},   {"BGR", DET_PIXEL_BGR8, 3, 320},
        {"grey", DET_PIXEL_GRAY8, 1, 320}, {"BGRA", DET_PIXEL_BGRA8, 4, 320},
        {"RGB", DET_PIXEL_RGB8, 3, 640},
    };
    enum { WIDTH = 1280, HEIGHT = 720 };
    const int threads = options->threads > 0 ? options->threads : 1;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const size_t bytes = (size_t)WIDTH * HEIGHT * (size_t)cases[c].bytes;
        const int32_t size = cases[c].size;
        uint8_t *pixels = malloc(bytes);
        struct input input = {.frame = {.height = size, .width = size}};
        char name[120];
        det_env_default(&input.env);
        if (pixels == NULL || det_pool_create(&input.env, threads, &input.pool) != DET_OK)
            exit(1);
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = (uint8_t)(i * 2654435761U >> 24);
        input.view = (det_image_view){
            .pixels = pixels, .width = WIDTH, .height = HEIGHT, .format = cases[c].format};
        input.out = bench_floats((size_t)size * (size_t)size * 3);
        snprintf(name, sizeof name, "data/network's input/%dx%d %s to %d, %d thread%s", WIDTH,
                 HEIGHT, cases[c].name, size, threads, threads == 1 ? "" : "s");
        report_time(options, report, name, fill_input, &input);
        det_pool_destroy(&input.env, &input.pool);
        det_resizer_free(&input.env, &input.resizer);
        free(input.out);
        free(pixels);
    }
}

struct nms {
    struct det_postprocess *postprocess;
    float *logits, *encodings;
};

static void run_nms(void *argument)
{
    const struct nms *n = argument;
    const float window[4] = {0, 0, 1, 1};
    det_postprocess_run(n->postprocess, n->logits, n->encodings, window);
}

/* Logits as of a trained network: few anchors are sure of anything. */
static void bench_nms(const struct bench_options *options, struct bench_report *report)
{
    for (int32_t size = 320; size <= 640; size += 320)
        for (int32_t classes = 1; classes <= 90; classes += 89)
            for (int best = 0; best < 2; best++) {
                struct det_env env;
                struct det_model_spec spec;
                struct det_postprocess_settings settings;
                struct nms nms = {0};
                float(*anchors)[4] = NULL;
                int32_t count = 0;
                char name[120];
                det_env_default(&env);
                det_model_spec_default(&spec, size, classes);
                det_postprocess_settings_default(&settings);
                settings.score_threshold = best ? 0.5f : 1e-8f;
                if (det_spec_anchors(&env, &spec, &anchors, &count) != DET_OK ||
                    det_postprocess_create(&env, &settings, (const float(*)[4])anchors, count,
                                           classes, NULL, &nms.postprocess) != DET_OK)
                    exit(1);
                const size_t logits = (size_t)count * (size_t)(classes + 1);
                nms.logits = bench_floats(logits);
                nms.encodings = bench_floats((size_t)count * 4);
                for (size_t i = 0; i < logits; i++)
                    nms.logits[i] = nms.logits[i] > 0.99f ? 2 : 2 * nms.logits[i] - 6;
                snprintf(name, sizeof name, "data/post-processing/%d, %d classes, scores above %g",
                         size, classes, (double)settings.score_threshold);
                report_time(options, report, name, run_nms, &nms);
                free(nms.logits);
                free(nms.encodings);
                det_postprocess_destroy(&env, &nms.postprocess);
                det_free(&env, &anchors);
            }
}

struct loss {
    struct det_losses *losses;
    struct det_targets *targets;
    float *logits, *encodings, *logit_gradients, *encoding_gradients;
    struct det_env env;
};

static void run_losses(void *argument)
{
    struct loss *l = argument;
    struct det_loss_values values;
    if (det_losses_compute(&l->env, l->losses, NULL, l->targets, l->logits, l->encodings, &values,
                           l->logit_gradients, l->encoding_gradients) != DET_OK)
        exit(1);
}

/* Losses and their gradients of a batch of 8 at 320 without objects, one thread. */
static void bench_losses(const struct bench_options *options, struct bench_report *report)
{
    for (int32_t classes = 1; classes <= 90; classes += 89) {
        enum { BATCH = 8 };
        struct loss l = {0};
        struct det_model_spec spec;
        struct det_loss_settings loss;
        struct det_target_settings targets;
        struct det_ground_truth truths[BATCH] = {{0}};
        float(*anchors)[4] = NULL;
        int32_t count = 0;
        char name[120];
        det_env_default(&l.env);
        det_model_spec_default(&spec, 320, classes);
        det_loss_settings_default(&loss);
        det_target_settings_default(&targets);
        if (det_spec_anchors(&l.env, &spec, &anchors, &count) != DET_OK ||
            det_targets_create(&l.env, &targets, (const float(*)[4])anchors, count, classes, BATCH,
                               &l.targets) != DET_OK ||
            det_targets_assign(&l.env, l.targets, NULL, truths, BATCH) != DET_OK ||
            det_losses_create(&l.env, &loss, BATCH, count, classes, &l.losses) != DET_OK)
            exit(1);
        const size_t rows = (size_t)BATCH * (size_t)count, logits = rows * (size_t)(classes + 1);
        l.logits = bench_floats(logits);
        l.logit_gradients = bench_floats(logits);
        l.encodings = bench_floats(rows * 4);
        l.encoding_gradients = bench_floats(rows * 4);
        for (size_t i = 0; i < logits; i++)
            l.logits[i] = 2 * l.logits[i] - 5;
        snprintf(name, sizeof name, "data/losses/320 batch %d, %d classes", BATCH, classes);
        report_time(options, report, name, run_losses, &l);
        free(l.logits);
        free(l.logit_gradients);
        free(l.encodings);
        free(l.encoding_gradients);
        det_losses_destroy(&l.env, &l.losses);
        det_targets_destroy(&l.env, &l.targets);
        det_free(&l.env, &anchors);
    }
}

struct update {
    size_t count;
    float *weights, *gradients, *velocity;
};

static void run_update(void *argument)
{
    const struct update *u = argument;
    det_sgd_update(NULL, u->weights, u->gradients, u->velocity, u->count, 1e-6f, 0.9f);
}

/* Of all parameters of the network, one thread. */
static void bench_optimizer(const struct bench_options *options, struct bench_report *report)
{
    struct det_env env;
    struct det_model_spec spec;
    struct det_graph graph = {0};
    det_env_default(&env);
    det_model_spec_default(&spec, 320, 1);
    if (det_graph_build(&env, &spec, false, &graph) != DET_OK)
        exit(1);
    struct update u = {.count = graph.param_floats};
    u.weights = bench_floats(u.count);
    u.gradients = bench_floats(u.count);
    u.velocity = bench_floats(u.count);
    report_time(options, report, "data/optimizer/momentum", run_update, &u);
    free(u.weights);
    free(u.gradients);
    free(u.velocity);
    det_graph_free(&env, &graph);
}

struct hard {
    struct det_hard_example_settings settings;
    struct det_hard_example_space space;
    int32_t anchors;
    float (*boxes)[4], *losses;
    int32_t *matched;
    uint8_t *selected;
};

static void run_hard(void *argument)
{
    struct hard *h = argument;
    det_hard_examples_select(&h->settings, h->anchors, (const float(*)[4])h->boxes, h->losses,
                             h->matched, &h->space, h->selected);
}

/* Of one picture at 320, the anchors' own boxes, 3000 of them chosen as the API's samples have
 * it. */
static void bench_hard_examples(const struct bench_options *options, struct bench_report *report)
{
    struct det_env env;
    struct det_model_spec spec;
    struct hard h = {
        .settings = {true, 3000, .99f, DET_HARD_EXAMPLES_BY_CLASSIFICATION, 3, 3},
    };
    det_env_default(&env);
    det_model_spec_default(&spec, 320, 1);
    if (det_spec_anchors(&env, &spec, &h.boxes, &h.anchors) != DET_OK)
        exit(1);
    const size_t count = (size_t)h.anchors;
    h.losses = bench_floats(count);
    h.matched = bench_bytes(count * sizeof *h.matched);
    h.selected = bench_bytes(count);
    h.space.keys = bench_bytes(count * sizeof *h.space.keys);
    h.space.taken = bench_bytes(count * sizeof *h.space.taken);
    h.space.order = bench_bytes(count * sizeof *h.space.order);
    for (size_t i = 0; i < count; i++) {
        h.losses[i] = h.losses[i] * h.losses[i];
        h.matched[i] = i % 500 == 0 ? 0 : DET_MATCH_BACKGROUND;
    }
    report_time(options, report, "data/hard examples/320", run_hard, &h);
    free(h.losses);
    free(h.matched);
    free(h.selected);
    free(h.space.keys);
    free(h.space.taken);
    free(h.space.order);
    det_free(&env, &h.boxes);
}

int bench_data(const struct bench_options *options, struct bench_report *report)
{
    bench_ways(options, report);
    bench_inputs(options, report);
    bench_nms(options, report);
    bench_losses(options, report);
    bench_hard_examples(options, report);
    bench_optimizer(options, report);
    return 0;
}
