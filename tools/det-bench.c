/* det-bench: how fast a model runs here: loading, the first image, and then the network alone and
 * the whole path from the bytes of a JPEG to detections. Nothing is left out of a time: `first` is
 * what a user waits for after loading. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "common/countdown.h"
#include "common/options.h"
#include "common/output.h"
#include "common/samples.h"
#include "common/tf_flags.h"
#include "common/tool.h"
#include "det/det.h"
#include "support/clock.h"
#include "support/image.h"
#include "support/io.h"
#include "support/json_writer.h"

enum { WARM_UP = 3, DRAWN_WIDTH = 1280, DRAWN_HEIGHT = 720, DRAWN_QUALITY = 90 };

struct bench {
    struct tool tool;
    const char *model_path, *image_path, *size, *json;
    int64_t batch, repeat;
    double threshold;
    bool fast_decode;

    det_model *model;
    det_detector *detector;
    const uint8_t *file; /* the encoded picture, of `drawn` or `contents` */
    size_t file_bytes;
    det_picture *drawn;
    struct det_file_bytes contents;
    int32_t height, width; /* of the network's input */
    int32_t image_height, image_width;
    size_t found; /* detections in the picture */
    double load_ms, first_ms;
};

/* Parts of the whole path, each sampled once per run. */
enum part { DECODE, RESIZE, NETWORK, POSTPROCESS, WHOLE, PARTS };
static const char *const part_names[PARTS] = {"decode", "resize", "network", "postprocess",
                                              "whole"};

/* A street-like mixture of slopes, edges and grain, so that the JPEG is as large as a
 * photograph's. */
static det_status draw(struct bench *b)
{
    struct det_env *env = &b->tool.env;
    struct det_image image = {0};
    uint32_t noise = 1;
    DET_TRY_RETURN(det_image_resize_buffer(env, &image, DRAWN_WIDTH, DRAWN_HEIGHT));
    for (int32_t y = 0; y < DRAWN_HEIGHT; y++)
        for (int32_t x = 0; x < DRAWN_WIDTH; x++)
            for (int32_t c = 0; c < 3; c++) {
                noise = noise * 1664525U + 1013904223U;
                const int32_t block = (x / 90 * 37 + y / 70 * 59 + c * 11) % 97;
                image.rgb[(y * DRAWN_WIDTH + x) * 3 + c] =
                    (uint8_t)(40 + block + y / 8 + x / 40 + (int32_t)(noise >> 29));
            }
    const det_image_view view = {.pixels = image.rgb, .width = image.width, .height = image.height};
    const det_status status = det_picture_from_pixels(b->tool.context, &view, &b->drawn);
    det_image_free(env, &image);
    DET_TRY_RETURN(status);
    return det_picture_encode(b->drawn, DET_PICTURE_JPEG, DRAWN_QUALITY, &b->file, &b->file_bytes);
}

static det_status read_picture(struct bench *b)
{
    if (b->image_path == NULL)
        return draw(b);
    DET_TRY_RETURN(det_file_read(&b->tool.env, b->image_path, &b->contents));
    b->file = b->contents.data;
    b->file_bytes = b->contents.bytes;
    return DET_OK;
}

/* HxW or one number for a square; false when it is neither. */
static bool parse_size(const char *text, int32_t *height, int32_t *width)
{
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    const long h = strtol(text, &end, 10);
    long w = h;
    if (*end == 'x' && end[1] >= '0' && end[1] <= '9')
        w = strtol(end + 1, &end, 10);
    if (*end != '\0' || h < 1 || w < 1 || h > 65500 || w > 65500)
        return false;
    *height = (int32_t)h;
    *width = (int32_t)w;
    return true;
}

static det_status load(struct bench *b)
{
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.score_threshold = (float)b->threshold;
    settings.batch = (int32_t)b->batch;
    settings.input_height = b->height;
    settings.input_width = b->width;
    DET_TRY_RETURN(det_model_load(b->tool.context, b->model_path, &b->model));
    DET_TRY_RETURN(det_detector_create(b->tool.context, b->model, &settings, &b->detector));
    if (b->height == 0) {
        b->height = det_model_input_height(b->model);
        b->width = det_model_input_width(b->model);
    }
    return DET_OK;
}

/* One pass of the whole path; ms of its parts. */
static det_status run(struct bench *b, det_picture **pictures, det_image_view *views,
                      det_image_detections *results, double ms[PARTS])
{
    const size_t batch = (size_t)b->batch;
    const double start = det_clock_seconds();
    det_status status = DET_OK;
    for (size_t i = 0; i < batch && status == DET_OK; i++) {
        status = det_picture_decode_reduced(
            b->tool.context, b->image_path != NULL ? b->image_path : "drawn", b->file,
            b->file_bytes, b->fast_decode ? b->height : INT32_MAX,
            b->fast_decode ? b->width : INT32_MAX, &pictures[i]);
        if (status == DET_OK)
            views[i] = det_picture_view(pictures[i]);
    }
    const double decoded = det_clock_seconds();
    if (status == DET_OK)
        status = det_detector_run_batch(b->detector, views, batch, results);
    ms[WHOLE] = (det_clock_seconds() - start) * 1e3;
    det_detector_times times = {.struct_size = sizeof times};
    if (status == DET_OK)
        status = det_detector_last_times(b->detector, &times);
    if (status == DET_OK) {
        ms[DECODE] = (decoded - start) * 1e3;
        ms[RESIZE] = (double)times.preprocess_ns * 1e-6;
        ms[NETWORK] = (double)times.network_ns * 1e-6;
        ms[POSTPROCESS] = (double)times.postprocess_ns * 1e-6;
        det_picture_file_size(pictures[0], &b->image_height, &b->image_width);
        b->found = results[0].count;
    }
    for (size_t i = 0; i < batch; i++)
        det_picture_destroy(&pictures[i]);
    return status;
}

static double images_per_second(const struct bench *b, double ms)
{
    return (double)b->batch * 1e3 / ms;
}

static void print_table(const struct bench *b, const struct samples_summary parts[PARTS])
{
    char name[CONSOLE_NAME_BYTES];
    console_print("%s: %d x %d, batch %lld; %s\n", console_name(name, b->model_path), b->height,
                  b->width, (long long)b->batch, det_context_device(b->tool.context));
    console_print("picture: %s, %d x %d, %.0f KiB, %zu detections\n",
                  b->image_path != NULL ? console_name(name, b->image_path) : "drawn JPEG",
                  b->image_width, b->image_height, (double)b->file_bytes / 1024, b->found);
    console_print("load   %9.2f ms   model, weights and all memory made ready\n", b->load_ms);
    console_print("first  %9.2f ms   the first batch, whole path\n\n", b->first_ms);
    console_print("%-14s %9s %9s %9s %9s  (%lld runs)\n", "ms per batch", "p50", "p99", "least",
                  "mean", (long long)b->repeat);
    for (int p = 0; p < PARTS; p++)
        console_print("%-14s %9.3f %9.3f %9.3f %9.3f\n", part_names[p], parts[p].p50, parts[p].p99,
                      parts[p].least, parts[p].mean);
    console_print("\nimages/s: network %.1f, whole path %.1f\n",
                  images_per_second(b, parts[NETWORK].p50), images_per_second(b, parts[WHOLE].p50));
    console_print("memory: detector %.1f MB, process at its peak %.1f MB\n",
                  (double)det_detector_memory_bytes(b->detector) / 1e6, tool_peak_mb() * 1.048576);
}

static det_status make_json(struct det_env *env, const struct bench *b,
                            const struct samples_summary parts[PARTS], struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "model", b->model_path);
    det_json_put_string(&json, "version", det_version_string());
    det_json_put_string(&json, "device", det_context_device(b->tool.context));
    det_json_put_int(&json, "threads", det_context_threads(b->tool.context));
    det_json_put_int(&json, "height", b->height);
    det_json_put_int(&json, "width", b->width);
    det_json_put_int(&json, "batch", b->batch);
    det_json_put_int(&json, "repeat", b->repeat);
    det_json_put_int(&json, "picture_width", b->image_width);
    det_json_put_int(&json, "picture_height", b->image_height);
    det_json_put_size(&json, "picture_bytes", b->file_bytes);
    det_json_put_size(&json, "detections", b->found);
    det_json_put_fixed(&json, "load_ms", b->load_ms, 4);
    det_json_put_fixed(&json, "first_ms", b->first_ms, 4);
    for (int p = 0; p < PARTS; p++) {
        char key[64];
        snprintf(key, sizeof key, "%s_ms", part_names[p]);
        det_json_open_object(&json, key);
        det_json_put_fixed(&json, "p50", parts[p].p50, 4);
        det_json_put_fixed(&json, "p99", parts[p].p99, 4);
        det_json_put_fixed(&json, "least", parts[p].least, 4);
        det_json_put_fixed(&json, "mean", parts[p].mean, 4);
        det_json_close_object(&json);
    }
    det_json_put_fixed(&json, "network_images_per_second", images_per_second(b, parts[NETWORK].p50),
                       3);
    det_json_put_fixed(&json, "images_per_second", images_per_second(b, parts[WHOLE].p50), 3);
    det_json_put_size(&json, "detector_bytes", det_detector_memory_bytes(b->detector));
    det_json_put_fixed(&json, "peak_bytes", tool_peak_mb() * 1048576, 0);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

static int report(struct bench *b, const struct samples_summary parts[PARTS])
{
    struct det_env *env = &b->tool.env;
    print_table(b, parts);
    if (b->json == NULL)
        return 0;
    struct det_text text = {0};
    det_status status = make_json(env, b, parts, &text);
    if (status == DET_OK)
        status = output_write(env, b->json, text.data, text.length);
    det_text_free(env, &text);
    return status == DET_OK ? 0 : tool_fail(&b->tool, status);
}

static int measure(struct bench *b)
{
    const size_t batch = (size_t)b->batch, repeat = (size_t)b->repeat;
    det_picture **pictures = calloc(batch, sizeof *pictures);
    det_image_view *views = calloc(batch, sizeof *views);
    det_image_detections *results = calloc(batch, sizeof *results);
    double *samples = calloc(repeat * PARTS, sizeof *samples);
    struct samples_summary parts[PARTS];
    struct countdown measuring = {.what = "runs"};
    int exit_status = TOOL_EXIT_ERROR;
    if (pictures == NULL || views == NULL || results == NULL || samples == NULL) {
        tool_error(&b->tool, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < repeat + WARM_UP; i++) {
        double ms[PARTS];
        const det_status status = run(b, pictures, views, results, ms);
        if (status != DET_OK) {
            tool_fail(&b->tool, status);
            goto done;
        }
        if (i == 0)
            b->first_ms = ms[WHOLE];
        for (size_t p = 0; p < PARTS && i >= WARM_UP; p++)
            samples[p * repeat + i - WARM_UP] = ms[p];
        countdown_show(&measuring, (int64_t)i + 1, (int64_t)repeat + WARM_UP);
    }
    console_progress_clear();
    for (size_t p = 0; p < PARTS; p++)
        parts[p] = samples_summarise(samples + p * repeat, repeat);
    exit_status = report(b, parts);
done:
    free(pictures);
    free(views);
    free(results);
    free(samples);
    return exit_status;
}

static int check(const struct options *options, struct bench *b)
{
    if (options->positional.count != 1)
        return options_error(options, "got %zu models, expected one .det file",
                             options->positional.count);
    b->model_path = options->positional.values[0];
    if (b->size != NULL && !parse_size(b->size, &b->height, &b->width))
        return options_error(options, "--size: got `%s`, expected HxW as 320x320, or one number",
                             b->size);
    if (b->batch < 1 || b->batch > 4096)
        return options_error(options, "--batch: got %lld, expected 1 to 4096", (long long)b->batch);
    if (b->repeat < 1 || b->repeat > 1000000)
        return options_error(options, "--repeat: got %lld, expected 1 to 1000000",
                             (long long)b->repeat);
    return 0;
}

static det_status announce(struct bench *b)
{
    DET_TRY_RETURN(tool_reads(&b->tool, b->model_path));
    DET_TRY_RETURN(tool_reads(&b->tool, b->image_path));
    return tool_writes(&b->tool, "--json", b->json);
}

int main(int argc, char **argv)
{
    console_begin("det-bench");
    struct bench b = {.tool = TOOL_INIT("det-bench"), .batch = 1, .repeat = 100, .threshold = 0.5};
    const struct option table[] = {
        {"size", OPTION_STRING, &b.size, "HxW",
         "input of the network, or one number for a square; without it the model's own"},
        {"batch", OPTION_INT, &b.batch, "N", "images per run"},
        {"repeat", OPTION_INT, &b.repeat, "R", "runs that count, after three that do not"},
        {"image", OPTION_STRING, &b.image_path, "FILE",
         "the JPEG or PNG to detect in; without it a drawn JPEG of 1280 x 720"},
        {"fast_decode", OPTION_FLAG, &b.fast_decode, NULL,
         "decode a large JPEG at a part of its size (other pixels than TensorFlow's)"},
        {"threshold", OPTION_DOUBLE, &b.threshold, "X", "lowest score of a detection"},
        {"json", OPTION_OUTPUT, &b.json, "FILE",
         "writes the figures as one JSON object; -: standard output, the table then goes to "
         "standard error"},
        TOOL_IMAGE_OPTIONS(&b.tool),
        TOOL_OPTIONS(&b.tool),
        {0}};
    struct options options = {
        .program = "det-bench",
        .usage = "MODEL.det",
        .description =
            "Times a model: load, first image, then median and 99th percentile of the network "
            "alone\nand of the whole path (JPEG decode, resize, network, non-maximum suppression).",
        .table = table,
        .aliases = tf_flags_of_all,
        .positional_max = 1,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    result = check(&options, &b);
    if (result == 0 && tool_open(&b.tool, &result)) {
        det_status status = announce(&b);
        const double start = det_clock_seconds();
        if (status == DET_OK)
            status = load(&b);
        b.load_ms = (det_clock_seconds() - start) * 1e3;
        if (status == DET_OK)
            status = read_picture(&b);
        result = status == DET_OK ? measure(&b) : tool_fail(&b.tool, status);
        det_detector_destroy(&b.detector);
        det_model_destroy(&b.model);
        det_file_release(&b.contents);
        det_picture_destroy(&b.drawn);
        tool_close(&b.tool);
    }
    options_free(&options);
    return console_end(result);
}
