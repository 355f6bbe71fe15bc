/* detector.c: det/detector.h: preprocessing, network and post-processing with all memory planned.
 */
#include "det/detector.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/context.h"
#include "base/mem.h"
#include "detect/input.h"
#include "model/model.h"
#include "model/net.h"
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

    struct det_net *net;
    float (*anchors)[4];
    struct det_postprocess *postprocess;
    struct det_input input;
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

/* The resizer's tables and rows for the widest output, so that no later image makes them grow. */
static det_status warm_up_input(struct det_env *env, det_detector *d)
{
    const struct det_model_spec *spec = &d->model->spec;
    const uint8_t pixel[3] = {0};
    const det_image_view view = {.pixels = pixel, .width = 1, .height = 1};
    const struct det_frame frame = {spec->input_height, spec->input_width, {0, 0, 1, 1}};
    const struct det_tensor in = d->graph->tensors[0];
    return det_input_fill(env, &d->input, &view, &frame, det_net_input(d->net), in.height,
                          in.width);
}

static det_status plan(struct det_env *env, det_detector *d, const det_detector_settings *settings)
{
    const struct det_model_spec *spec = &d->model->spec;
    struct det_pool *pool = det_context_pool(d->context);
    const struct det_ops *ops = d->context->ops;
    DET_TRY_RETURN(take_weights(env, d));
    DET_TRY_RETURN(det_net_create(env, d->graph, ops, pool, 1, DET_NET_INFER, &d->net));
    int32_t anchor_count = 0;
    DET_TRY_RETURN(det_spec_anchors(env, spec, &d->anchors, &anchor_count));
    if (anchor_count != d->graph->anchor_count)
        return det_fail(env, DET_STATUS_INTERNAL, "%d anchors for %d predictions", anchor_count,
                        d->graph->anchor_count);
    const struct det_postprocess_settings post = postprocess_settings(spec, settings);
    DET_TRY_RETURN(det_postprocess_create(env, &post, (const float(*)[4])d->anchors, anchor_count,
                                          spec->num_classes, pool, &d->postprocess));
    DET_TRY_RETURN(det_alloc(env, &d->detections, (size_t)post.max_total_detections,
                             sizeof *d->detections, "detections"));
    DET_TRY_RETURN(warm_up_input(env, d));
    size_t net_bytes = 0;
    DET_TRY_RETURN(det_net_memory_bytes(env, d->graph, ops, det_pool_threads(pool), 1,
                                        DET_NET_INFER, &net_bytes));
    d->planned_bytes = sizeof *d + net_bytes + (size_t)anchor_count * sizeof *d->anchors +
                       det_postprocess_bytes(d->postprocess) +
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
    det_net_destroy(env, &d->net);
    det_postprocess_destroy(env, &d->postprocess);
    det_input_free(env, &d->input);
    det_free(env, &d->anchors);
    det_free(env, &d->detections);
    det_free(env, &d->own_params);
    det_graph_free(env, &d->own_graph);
    det_free(env, out);
}

static uint64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* The exponent's bits are all set in infinities and NaN only. */
static bool all_finite(const float *values, size_t count)
{
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        found |= (bits & 0x7F800000U) == 0x7F800000U;
    }
    return found == 0;
}

static det_status check_outputs(struct det_env *env, const det_detector *d)
{
    const size_t anchors = (size_t)d->graph->anchor_count;
    const bool boxes = all_finite(det_net_encodings(d->net), anchors * 4);
    const bool classes =
        all_finite(det_net_logits(d->net), anchors * (size_t)d->graph->class_slots);
    if (boxes && classes)
        return DET_OK;
    return det_fail(env, DET_STATUS_NON_FINITE,
                    "the network's %s hold NaN or infinity: the model's weights are damaged or its "
                    "training diverged",
                    boxes ? "class logits" : "box encodings");
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
    const uint64_t start = now_ns();
    const struct det_tensor in = d->graph->tensors[0];
    const struct det_frame frame = det_frame_of(&d->model->spec, image->height, image->width);
    DET_TRY_RETURN(
        det_input_fill(env, &d->input, image, &frame, det_net_input(d->net), in.height, in.width));
    const uint64_t filled = now_ns();
    det_net_forward(d->net, d->params);
    const uint64_t computed = now_ns();
    DET_TRY_RETURN(check_outputs(env, d));
    const struct det_detections *found = det_postprocess_run(
        d->postprocess, det_net_logits(d->net), det_net_encodings(d->net), frame.window);
    *count = collect(d, found);
    *detections = d->detections;
    d->times = (det_detector_times){.preprocess_ns = filled - start,
                                    .network_ns = computed - filled,
                                    .postprocess_ns = now_ns() - computed};
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
    return detector == NULL ? 0 : detector->planned_bytes + det_input_bytes(&detector->input);
}
