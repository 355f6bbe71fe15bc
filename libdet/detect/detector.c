/* detector.c: det/detector.h: preprocessing, network and post-processing with all memory planned.
 */
#include "det/detector.h"

#include <math.h>

#include "backend/backend.h"
#include "base/context.h"
#include "base/mem.h"
#include "detect/input.h"
#include "model/model.h"
#include "model/postprocess.h"
#include "train/learner.h"

#define MOST_DETECTIONS 1000000

struct det_detector {
    det_context *context;
    const det_model *model;

    /* Folded here for a model in training form, else unused: the model's own are taken. */
    struct det_graph own_graph;
    float *own_params;
    const struct det_graph *graph;
    const float *params;

    float (*anchors)[4];
    struct det_runner *runner;
    det_detection *detections; /* [max_detections] */
    det_detector_times times;
    size_t planned_bytes;
};

void det_detector_settings_default(det_detector_settings *settings)
{
    *settings = (det_detector_settings){.struct_size = sizeof *settings, .score_threshold = 0.5f};
}

static det_status check_settings(struct det_env *env, const det_detector_settings *settings)
{
    if (settings->struct_size != sizeof *settings)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector settings: struct_size is %zu, expected %zu: fill them in with "
                        "det_detector_settings_default()",
                        settings->struct_size, sizeof *settings);
    if (!(settings->score_threshold >= 0 && settings->score_threshold <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: score threshold is %g, expected 0 to 1",
                        (double)settings->score_threshold);
    if (settings->max_detections < 0 || settings->max_detections > MOST_DETECTIONS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "detector: max_detections is %d, expected 0 to %d",
                        settings->max_detections, MOST_DETECTIONS);
    return DET_OK;
}

static det_status take_weights(struct det_env *env, det_detector *d)
{
    const det_model *model = d->model;
    if (model->graph.folded) {
        d->graph = &model->graph;
        d->params = model->params;
        return DET_OK;
    }
    DET_TRY_RETURN(det_graph_build(env, &model->spec, true, &d->own_graph));
    DET_TRY_RETURN(det_alloc(env, &d->own_params, d->own_graph.param_floats, sizeof(float),
                             "folded parameters"));
    det_graph_fold_params(&model->graph, model->params, &d->own_graph, d->own_params);
    d->graph = &d->own_graph;
    d->params = d->own_params;
    return DET_OK;
}

/* What the post-processing does for these settings; `total` is the most detections. */
static struct det_postprocess_settings postprocess_settings(const struct det_model_spec *spec,
                                                            const det_detector_settings *settings)
{
    struct det_postprocess_settings p = {
        /* Candidates are *above* their threshold, ours is the lowest score that is reported. */
        .score_threshold = fmaxf(spec->score_threshold, nextafterf(settings->score_threshold, -1)),
        .iou_threshold = spec->iou_threshold,
        .max_detections_per_class = spec->max_per_class,
        .max_total_detections = spec->max_total,
        .change_coordinate_frame = true,
        .coder = {spec->y_scale, spec->x_scale, spec->height_scale, spec->width_scale},
    };
    if (settings->max_detections > spec->max_total &&
        settings->max_detections > spec->max_per_class)
        p.max_detections_per_class = settings->max_detections;
    if (settings->max_detections > 0)
        p.max_total_detections = settings->max_detections;
    return p;
}

static det_status plan(struct det_env *env, det_detector *d, const det_detector_settings *settings)
{
    const struct det_model_spec *spec = &d->model->spec;
    int32_t anchor_count = 0;
    DET_TRY_RETURN(take_weights(env, d));
    DET_TRY_RETURN(det_spec_anchors(env, spec, &d->anchors, &anchor_count));
    const struct det_postprocess_settings post = postprocess_settings(spec, settings);
    const struct det_runner_settings running = {
        .spec = spec,
        .graph = d->graph,
        .params = d->params,
        .batch = 1,
        .postprocess = &post,
        .anchors = (const float(*)[4])d->anchors,
        .anchor_count = anchor_count,
    };
    DET_TRY_RETURN(
        d->context->backend->runner_create(env, d->context->device, &running, &d->runner));
    DET_TRY_RETURN(det_alloc(env, &d->detections, (size_t)post.max_total_detections,
                             sizeof *d->detections, "detections"));
    d->planned_bytes = sizeof *d + (size_t)anchor_count * sizeof *d->anchors +
                       (size_t)post.max_total_detections * sizeof *d->detections;
    return DET_OK;
}

det_status det_detector_create(det_context *context, const det_model *model,
                               const det_detector_settings *settings, det_detector **out)
{
    if (context == NULL || out == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(context);
    *out = NULL;
    if (model == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "detector: model is NULL");
    det_detector_settings defaults;
    det_detector_settings_default(&defaults);
    if (settings == NULL)
        settings = &defaults;
    DET_TRY_RETURN(check_settings(env, settings));
    det_detector *d = NULL;
    DET_TRY_RETURN(det_alloc(env, &d, 1, sizeof *d, "detector"));
    d->context = context;
    d->model = model;
    const det_status status = plan(env, d, settings);
    if (status != DET_OK)
        det_detector_destroy(&d);
    *out = d;
    return status;
}

void det_detector_destroy(det_detector **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_detector *d = *out;
    struct det_env *env = det_context_env(d->context);
    if (d->runner != NULL)
        d->context->backend->runner_destroy(env, &d->runner);
    det_free(env, &d->anchors);
    det_free(env, &d->detections);
    det_free(env, &d->own_params);
    det_graph_free(env, &d->own_graph);
    det_free(env, out);
}

static size_t collect(det_detector *d, const struct det_detections *from)
{
    for (int32_t i = 0; i < from->count; i++) {
        float box[4];
        /* Inside the window already; its rounding may pass 1 by a bit. */
        for (int c = 0; c < 4; c++)
            box[c] = fminf(fmaxf(from->boxes[i][c], 0), 1);
        d->detections[i] = (det_detection){.class_id = from->class_index[i] + 1,
                                           .score = from->score[i],
                                           .ymin = box[0],
                                           .xmin = box[1],
                                           .ymax = box[2],
                                           .xmax = box[3]};
    }
    return (size_t)from->count;
}

det_status det_detector_run(det_detector *d, const det_image_view *image,
                            const det_detection **detections, size_t *count)
{
    if (d == NULL || detections == NULL || count == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(d->context);
    *detections = NULL;
    *count = 0;
    d->times = (det_detector_times){0};
    DET_TRY_RETURN(det_image_view_check(env, image));
    const struct det_backend *backend = d->context->backend;
    const struct det_frame frame = det_frame_of(&d->model->spec, image->height, image->width);
    const struct det_detections *found = NULL;
    uint64_t times[3];
    DET_TRY_RETURN(backend->runner_set_picture(env, d->runner, 0, image, &frame));
    DET_TRY_RETURN(det_backend_run(env, backend, d->runner));
    DET_TRY_RETURN(backend->runner_detections(env, d->runner, 0, &found));
    *count = collect(d, found);
    *detections = d->detections;
    backend->runner_times(d->runner, times);
    d->times = (det_detector_times){
        .preprocess_ns = times[0], .network_ns = times[1], .postprocess_ns = times[2]};
    return DET_OK;
}

void det_detector_last_times(const det_detector *detector, det_detector_times *times)
{
    *times = (det_detector_times){0};
    if (detector != NULL)
        *times = detector->times;
}

size_t det_detector_memory_bytes(const det_detector *detector)
{
    return detector == NULL ? 0
                            : detector->planned_bytes +
                                  detector->context->backend->runner_bytes(detector->runner);
}
