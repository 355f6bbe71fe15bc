/* detector.c: det/detector.h: preprocessing, network and post-processing with all memory planned.
 */
#include "det/detector.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arguments.h"
#include "detect/collect.h"
#include "detect/tiling.h"
#include "devices/backend.h"
#include "devices/context.h"
#include "model/inference.h"
#include "model/input.h"
#include "model/spec_anchors.h"
#include "support/clock.h"
#include "support/mem.h"

#define MOST_DETECTIONS 1000000
#define MOST_IMAGES     4096

struct det_detector {
    det_context *context;
    const det_model *model;
    struct det_model_spec spec; /* the model's, with the input size of the settings */
    int32_t batch, most;        /* images, detections of one */

    /* [K] of each class: the lowest score that is reported, whether it is at all, and what comes of
     * both for the runner, which looks at it whenever it runs. */
    float *class_score;
    bool *chosen;
    float *class_thresholds;
    bool keep_outputs;
    size_t seen, images; /* that the network saw in the last run; all of them, if that succeeded */
    float (*windows)[4]; /* [batch] of the last run */

    struct det_inference inference;
    struct det_runner *runner;
    det_detection *detections;   /* [batch][most] */
    struct det_tiling *tiling;   /* NULL: pictures are looked at as they are */
    det_image_detections *found; /* [batch] of tiles, with `tiling` */
    det_detector_times times;
    size_t planned_bytes;
};

void det_detector_settings_init(det_detector_settings *settings, size_t struct_size)
{
    static const det_detector_settings defaults = {.score_threshold = 0.5f, .batch = 1};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static det_status check_score(struct det_env *env, const char *what, float score)
{
    return score >= 0 && score <= 1
               ? DET_OK
               : det_fail(env, DET_STATUS_INVALID_ARGUMENT, "detector: %s is %g, expected 0 to 1",
                          what, (double)score);
}

/* settings->tiles, where they are given, become `tiles`. */
static det_status take_settings(struct det_env *env, const det_detector_settings *given,
                                det_detector_settings *settings, det_tile_settings *tiles)
{
    det_detector_settings_default(settings);
    det_tile_settings_default(tiles);
    DET_TRY_RETURN(DET_TAKE(env, det_detector_settings, settings, given));
    DET_TRY_RETURN(DET_TAKE(env, det_tile_settings, tiles, settings->tiles));
    DET_TRY_RETURN(det_tile_settings_check(env, tiles));
    if (settings->tiles != NULL)
        settings->tiles = tiles;
    if (settings->tiles != NULL && settings->keep_outputs != 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: keep_outputs is set, and tiles: outputs are those of one look "
                        "at an image");
    DET_TRY_RETURN(check_score(env, "score threshold", settings->score_threshold));
    if (settings->max_detections < 0 || settings->max_detections > MOST_DETECTIONS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: max_detections is %d, expected 0 to %d",
                        settings->max_detections, MOST_DETECTIONS);
    if (settings->batch < 1 || settings->batch > MOST_IMAGES)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "detector: batch is %d, expected 1 to %d",
                        settings->batch, MOST_IMAGES);
    return DET_OK;
}

/* The model's spec for another size of the network's input. */
static det_status set_input_size(struct det_env *env, const det_detector_settings *settings,
                                 struct det_model_spec *spec)
{
    const int32_t height = settings->input_height, width = settings->input_width;
    if (height == 0 && width == 0)
        return DET_OK;
    if (height < 1 || width < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: input size is %d x %d (height x width), expected two positive "
                        "numbers, or 0 x 0 for the model's own",
                        height, width);
    if (spec->resize_mode == DET_RESIZE_KEEP_ASPECT) {
        if (height != width)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "detector: input size is %d x %d (height x width), but the model keeps "
                            "the images' aspect and pads them to a square",
                            height, width);
        const double factor = (double)height / (double)spec->max_dimension;
        spec->min_dimension = (int32_t)fmax(1, round(spec->min_dimension * factor));
        spec->max_dimension = height;
    }
    spec->input_height = height;
    spec->input_width = width;
    return det_model_spec_check(env, spec);
}

/* What the settings change of the spec's post-processing. */
static void apply_settings(const det_detector_settings *settings,
                           struct det_postprocess_settings *p)
{
    const int32_t most = settings->max_detections;
    if (most > p->max_total_detections && most > p->max_detections_per_class)
        p->max_detections_per_class = most;
    if (most > 0)
        p->max_total_detections = most;
}

/* A class's threshold of the runner. Candidates are *above* it, ours is the lowest score that is
 * reported. */
static void set_threshold(det_detector *d, int32_t c)
{
    d->class_thresholds[c] = d->chosen[c] ? fmaxf(d->inference.postprocess.score_threshold,
                                                  nextafterf(d->class_score[c], -1))
                                          : INFINITY;
}

static det_status check_classes(struct det_env *env, const det_detector *d, const int32_t *ids,
                                size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 1 || ids[i] > d->spec.num_classes)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "detector: class %d is chosen, the model has 1 to %d", ids[i],
                            d->spec.num_classes);
    return DET_OK;
}

/* Checked ids; none: all classes. */
static void choose(det_detector *d, const int32_t *ids, size_t count)
{
    for (int32_t c = 0; c < d->spec.num_classes; c++)
        d->chosen[c] = count == 0;
    for (size_t i = 0; i < count; i++)
        d->chosen[ids[i] - 1] = true;
    for (int32_t c = 0; c < d->spec.num_classes; c++)
        set_threshold(d, c);
}

static det_status take_classes(struct det_env *env, det_detector *d,
                               const det_detector_settings *settings)
{
    const size_t classes = (size_t)d->spec.num_classes;
    const bool own = settings->class_score != NULL;
    if (settings->class_count != (own ? d->spec.num_classes : 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: class_count is %d, expected %d: scores of all classes of the "
                        "model, or none",
                        settings->class_count, own ? d->spec.num_classes : 0);
    if (settings->chosen_count < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: chosen_count is %d, expected 0 or more", settings->chosen_count);
    const size_t chosen = (size_t)settings->chosen_count;
    if (chosen > 0 && settings->chosen_classes == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: chosen_classes is NULL, with a chosen_count of %zu", chosen);
    DET_TRY_RETURN(check_classes(env, d, settings->chosen_classes, chosen));
    DET_TRY_RETURN(det_alloc(env, &d->class_score, classes, sizeof *d->class_score, "scores"));
    DET_TRY_RETURN(det_alloc(env, &d->chosen, classes, sizeof *d->chosen, "classes"));
    DET_TRY_RETURN(
        det_alloc(env, &d->class_thresholds, classes, sizeof *d->class_thresholds, "thresholds"));
    for (size_t c = 0; c < classes; c++) {
        d->class_score[c] = own ? settings->class_score[c] : settings->score_threshold;
        DET_TRY_RETURN(check_score(env, "a class's score", d->class_score[c]));
    }
    choose(d, settings->chosen_classes, chosen);
    return DET_OK;
}

static det_status plan(struct det_env *env, det_detector *d, const det_detector_settings *settings)
{
    const struct det_compute *compute = det_context_compute(d->context);
    const struct det_model_spec *spec = &d->spec;
    struct det_inference *inference = &d->inference;
    DET_TRY_RETURN(set_input_size(env, settings, &d->spec));
    DET_TRY_RETURN(det_inference_open(env, d->model, spec, DET_INFERENCE_FOLDED, inference));
    apply_settings(settings, &inference->postprocess);
    DET_TRY_RETURN(take_classes(env, d, settings));
    inference->postprocess.class_thresholds = d->class_thresholds;
    const struct det_runner_settings running = {
        .spec = spec,
        .graph = inference->graph,
        .params = inference->params,
        .quantised = inference->quantised,
        .outputs = d->keep_outputs,
        .batch = d->batch,
        .postprocess = &inference->postprocess,
        .anchors = (const float(*)[4])inference->anchors,
        .anchor_count = inference->anchor_count,
    };
    DET_TRY_RETURN(compute->backend->runner_create(env, compute->device, &running, &d->runner));
    d->most = inference->postprocess.max_total_detections;
    const size_t detections = (size_t)d->batch * (size_t)d->most;
    DET_TRY_RETURN(det_alloc(env, &d->detections, detections, sizeof *d->detections, "detections"));
    DET_TRY_RETURN(det_alloc(env, &d->windows, (size_t)d->batch, sizeof *d->windows, "windows"));
    if (settings->tiles != NULL) {
        const struct det_tiling_settings tiling = {
            .tiles = settings->tiles,
            .input_height = spec->input_height,
            .input_width = spec->input_width,
            .batch = d->batch,
            .most = settings->max_detections > 0 ? (size_t)d->most : SIZE_MAX,
            .iou_threshold = inference->postprocess.iou_threshold,
        };
        DET_TRY_RETURN(det_tiling_create(env, &tiling, &d->tiling));
        DET_TRY_RETURN(det_alloc(env, &d->found, (size_t)d->batch, sizeof *d->found, "tiles"));
    }
    const size_t of_class =
        sizeof *d->class_score + sizeof *d->chosen + sizeof *d->class_thresholds;
    d->planned_bytes = sizeof *d + (size_t)inference->anchor_count * sizeof *inference->anchors +
                       detections * sizeof *d->detections + (size_t)d->batch * sizeof *d->windows +
                       (size_t)spec->num_classes * of_class;
    return DET_OK;
}

det_status det_detector_create(det_context *context, const det_model *model,
                               const det_detector_settings *given, det_detector **detector)
{
    struct det_env *env = det_context_env(context);
    det_detector_settings settings;
    det_tile_settings tiles;
    if (detector != NULL)
        *detector = NULL;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, detector);
    DET_TRY_RETURN(take_settings(env, given, &settings, &tiles));
    det_detector *d = NULL;
    DET_TRY_RETURN(det_alloc(env, &d, 1, sizeof *d, "detector"));
    d->context = context;
    d->model = model;
    d->spec = model->spec;
    d->batch = settings.batch;
    d->keep_outputs = settings.keep_outputs != 0;
    char name[80];
    snprintf(name, sizeof name, "detector for %d x %d pixels, %d at once",
             settings.input_width > 0 ? settings.input_width : model->spec.input_width,
             settings.input_height > 0 ? settings.input_height : model->spec.input_height,
             settings.batch);
    const struct det_budget before = det_budget_open(env, name);
    const det_status status = plan(env, d, &settings);
    det_budget_close(env, before);
    if (status != DET_OK)
        det_detector_destroy(&d);
    *detector = d;
    return status;
}

void det_detector_destroy(det_detector **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_detector *d = *out;
    struct det_env *env = det_context_env(d->context);
    if (d->runner != NULL)
        det_context_compute(d->context)->backend->runner_destroy(env, &d->runner);
    det_tiling_destroy(env, &d->tiling);
    det_free(env, &d->found);
    det_free(env, &d->detections);
    det_free(env, &d->windows);
    det_free(env, &d->class_score);
    det_free(env, &d->chosen);
    det_free(env, &d->class_thresholds);
    det_inference_close(env, &d->inference);
    det_free(env, out);
}

/* A coordinate within the window as one of the whole image, whose side is `whole`. */
static float within(float coordinate, int32_t start, int32_t size, int32_t whole)
{
    return size == whole ? coordinate : (float)((start + (double)coordinate * size) / whole);
}

/* Boxes of the image's window as boxes of all of it. */
static void to_whole_image(const det_image_view *image, det_detection *to, size_t count)
{
    const struct det_window window = det_window_of_view(image);
    for (size_t i = 0; i < count; i++) {
        to[i].ymin = within(to[i].ymin, window.y, window.height, image->height);
        to[i].xmin = within(to[i].xmin, window.x, window.width, image->width);
        to[i].ymax = within(to[i].ymax, window.y, window.height, image->height);
        to[i].xmax = within(to[i].xmax, window.x, window.width, image->width);
    }
}

/* Checked views through the network, all at once. */
static det_status look(struct det_env *env, det_detector *d, const det_image_view *images,
                       size_t count, det_image_detections *results)
{
    const struct det_backend *backend = det_context_compute(d->context)->backend;
    uint64_t times[3];
    for (size_t place = 0; place < (size_t)d->batch; place++) {
        /* A batch that is not full repeats its last image: the network always sees pictures. */
        const det_image_view *image = &images[place < count ? place : count - 1];
        const struct det_window window = det_window_of_view(image);
        const struct det_frame frame = det_frame_of(&d->spec, window.height, window.width);
        DET_TRY_RETURN(backend->runner_set_picture(env, d->runner, (int32_t)place, image, &frame));
        memcpy(d->windows[place], frame.window, sizeof frame.window);
    }
    DET_TRY_RETURN(det_backend_run(env, backend, d->runner));
    d->seen = count;
    for (size_t i = 0; i < count; i++) {
        const struct det_detections *found = NULL;
        DET_TRY_RETURN(backend->runner_detections(env, d->runner, (int32_t)i, &found));
        det_detection *to = d->detections + i * (size_t)d->most;
        results[i] = (det_image_detections){to, det_collect(found, to)};
        to_whole_image(&images[i], to, results[i].count);
    }
    backend->runner_times(d->runner, times);
    d->times = (det_detector_times){
        .preprocess_ns = times[0], .network_ns = times[1], .postprocess_ns = times[2]};
    return DET_OK;
}

/* A device may have to fetch its outputs for the top score of a view, which is of use only as long
 * as nothing was found. */
static det_status take_views(struct det_env *env, det_detector *d, size_t count)
{
    const struct det_backend *backend = det_context_compute(d->context)->backend;
    for (size_t i = 0; i < count; i++) {
        float score = 0;
        int32_t class_index = 0;
        if (d->found[i].count > 0) {
            score = d->found[i].detections[0].score;
            class_index = d->found[i].detections[0].class_id - 1;
        } else if (!det_tiling_has_found(d->tiling)) {
            DET_TRY_RETURN(
                backend->runner_top_score(env, d->runner, (int32_t)i, &score, &class_index));
        }
        DET_TRY_RETURN(det_tiling_take(env, d->tiling, &d->found[i], score, class_index));
    }
    return DET_OK;
}

static det_status look_at_tiles(struct det_env *env, det_detector *d, const det_image_view *images,
                                size_t count, det_image_detections *results)
{
    det_detector_times sum = {0};
    size_t views = 0;
    DET_TRY_RETURN(det_tiling_begin(env, d->tiling, images, count));
    for (const det_image_view *view = det_tiling_next(d->tiling, &views); views > 0;
         view = det_tiling_next(d->tiling, &views)) {
        d->seen = 0;
        DET_TRY_RETURN(look(env, d, view, views, d->found));
        const uint64_t found = det_clock_ns();
        DET_TRY_RETURN(take_views(env, d, views));
        sum.preprocess_ns += d->times.preprocess_ns;
        sum.network_ns += d->times.network_ns;
        sum.postprocess_ns += d->times.postprocess_ns + det_clock_ns() - found;
    }
    det_tiling_results(d->tiling, results);
    d->seen = count;
    d->times = sum;
    return DET_OK;
}

static det_status run(struct det_env *env, det_detector *d, const det_image_view *images,
                      size_t count, det_image_detections *results)
{
    for (size_t i = 0; i < count; i++)
        DET_TRY_RETURN(det_image_view_check(env, &images[i]));
    return d->tiling != NULL ? look_at_tiles(env, d, images, count, results)
                             : look(env, d, images, count, results);
}

static struct det_env *env_of(const det_detector *detector)
{
    return detector == NULL ? NULL : det_context_env(detector->context);
}

det_status det_detector_run_batch(det_detector *detector, const det_image_view *images,
                                  size_t count, det_image_detections *results)
{
    struct det_env *env = env_of(detector);
    DET_NEED(env, detector);
    DET_NEED(env, results);
    det_detector *d = detector;
    d->times = (det_detector_times){0};
    d->seen = d->images = 0;
    if (count < 1 || count > (size_t)d->batch)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: got %zu images, expected 1 to %d (settings.batch)", count,
                        d->batch);
    for (size_t i = 0; i < count; i++)
        results[i] = (det_image_detections){0};
    DET_NEED(env, images);
    const det_status status = run(env, d, images, count, results);
    for (size_t i = 0; status != DET_OK && i < count; i++)
        results[i] = (det_image_detections){0};
    d->images = status == DET_OK ? count : 0;
    if (status != DET_OK && d->tiling != NULL)
        d->seen = 0; /* some of the tiles say nothing of the whole */
    return status;
}

det_status det_detector_run(det_detector *detector, const det_image_view *image,
                            const det_detection **detections, size_t *count)
{
    struct det_env *env = env_of(detector);
    det_image_detections result = {0};
    if (detections != NULL)
        *detections = NULL;
    if (count != NULL)
        *count = 0;
    DET_NEED(env, detector);
    DET_NEED(env, image);
    DET_NEED(env, detections);
    DET_NEED(env, count);
    DET_TRY_RETURN(det_detector_run_batch(detector, image, 1, &result));
    *detections = result.detections;
    *count = result.count;
    return DET_OK;
}

det_status det_detector_last_times(const det_detector *detector, det_detector_times *times)
{
    struct det_env *env = env_of(detector);
    DET_NEED(env, detector);
    DET_NEED_REPORT(env, det_detector_times, times);
    det_fill_report(times, &detector->times, sizeof detector->times);
    return DET_OK;
}

det_status det_detector_top_score(det_detector *detector, size_t index, float *score,
                                  int32_t *class_id)
{
    struct det_env *env = env_of(detector);
    int32_t class_index = 0;
    if (score != NULL)
        *score = 0;
    if (class_id != NULL)
        *class_id = 0;
    DET_NEED(env, detector);
    DET_NEED(env, score);
    DET_NEED(env, class_id);
    const det_detector *d = detector;
    if (index >= d->seen)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: top score of image %zu, the last run has left %zu", index,
                        d->seen);
    if (d->tiling != NULL)
        det_tiling_top_score(d->tiling, index, score, &class_index);
    else
        DET_TRY_RETURN(
            det_context_compute(d->context)
                ->backend->runner_top_score(env, d->runner, (int32_t)index, score, &class_index));
    *class_id = class_index + 1;
    return DET_OK;
}

det_status det_detector_set_score(det_detector *detector, int32_t class_id, float score)
{
    struct det_env *env = env_of(detector);
    DET_NEED(env, detector);
    det_detector *d = detector;
    DET_TRY_RETURN(check_score(env, "a class's score", score));
    if (class_id < 0 || class_id > d->spec.num_classes)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: score of class %d, the model has 1 to %d (0: all)", class_id,
                        d->spec.num_classes);
    for (int32_t c = 0; c < d->spec.num_classes; c++)
        if (class_id == 0 || c == class_id - 1) {
            d->class_score[c] = score;
            set_threshold(d, c);
        }
    return DET_OK;
}

det_status det_detector_choose_classes(det_detector *detector, const int32_t *class_ids,
                                       size_t count)
{
    struct det_env *env = env_of(detector);
    DET_NEED(env, detector);
    DET_NEED_ARRAY(env, class_ids, count);
    DET_TRY_RETURN(check_classes(env, detector, class_ids, count));
    choose(detector, class_ids, count);
    return DET_OK;
}

det_status det_detector_outputs(det_detector *detector, size_t index, det_detector_raw *outputs)
{
    struct det_env *env = env_of(detector);
    const struct det_detections *found = NULL;
    const float *logits = NULL, *encodings = NULL;
    DET_NEED(env, detector);
    DET_NEED_REPORT(env, det_detector_raw, outputs);
    const det_detector *d = detector;
    const struct det_backend *backend = det_context_compute(d->context)->backend;
    const size_t anchors = (size_t)d->inference.anchor_count;
    det_detector_raw raw = {0};
    det_fill_report(outputs, &raw, sizeof raw);
    if (!d->keep_outputs)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: outputs are kept with settings.keep_outputs only");
    if (index >= d->images)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: outputs of image %zu, the last run has left %zu", index,
                        d->images);
    DET_TRY_RETURN(backend->runner_detections(env, d->runner, (int32_t)index, &found));
    DET_TRY_RETURN(backend->runner_outputs(env, d->runner, &logits, &encodings));
    raw.class_count = d->spec.num_classes;
    raw.anchor_count = d->inference.anchor_count;
    raw.logits = logits + index * anchors * ((size_t)raw.class_count + 1);
    raw.encodings = encodings + index * anchors * 4;
    raw.anchors = d->inference.anchors[0];
    memcpy(raw.window, d->windows[index], sizeof raw.window);
    det_fill_report(outputs, &raw, sizeof raw);
    return DET_OK;
}

size_t det_detector_memory_bytes(const det_detector *detector)
{
    return detector == NULL ? 0
                            : detector->planned_bytes + det_tiling_bytes(detector->tiling) +
                                  det_context_compute(detector->context)
                                      ->backend->runner_bytes(detector->runner);
}
