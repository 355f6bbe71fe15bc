/* cpu_runner.c: inference on the CPU: preprocessing, network and post-processing with all memory
 * planned. A folded graph runs as a prepared network, where the operations have kernels for one,
 * else a det_net walks it. */
#include <string.h>

#include "base/pool.h"
#include "devices/cpu/cpu_device.h"
#include "devices/cpu/folded_net.h"
#include "devices/precision.h"
#include "model/input.h"
#include "model/model.h"
#include "model/net.h"
#include "model/postprocess.h"
#include "support/clock.h"
#include "support/finite.h"
#include "support/mem.h"

/* One image of the batch. */
struct place {
    struct det_postprocess *postprocess;
    const struct det_detections *found; /* NULL: its outputs were not finite */
    const char *bad;                    /* which ones, then */
    float window[4];
};

struct det_runner {
    struct det_runner_settings settings;
    struct det_folded_net folded; /* one of the two */
    struct det_net *net;
    float *network_input;
    const float *logits, *encodings;
    struct place *places; /* [batch] */
    struct det_pool *pool;
    struct det_resizer resizer;
    uint64_t input_ns; /* since the last run */
    uint64_t times[3];
    size_t planned_bytes;
};

static float *input_of(const struct det_runner *r, int32_t index)
{
    const struct det_tensor in = r->settings.graph->tensors[0];
    return r->network_input + (size_t)index * (size_t)in.height * (size_t)in.width * 3;
}

/* The resizer's tables and rows for the widest output, so that no later picture makes them grow. */
static det_status warm_up_input(struct det_env *env, struct det_runner *r)
{
    const struct det_model_spec *spec = r->settings.spec;
    const uint8_t pixel[3] = {0};
    const det_image_view view = {.pixels = pixel, .width = 1, .height = 1};
    const struct det_frame frame = {spec->input_height, spec->input_width, {0, 0, 1, 1}};
    return det_cpu_runner_set_picture(env, r, 0, &view, &frame);
}

static det_status plan_network(struct det_env *env, const struct det_device *device,
                               struct det_runner *r, size_t *bytes)
{
    const struct det_runner_settings *s = &r->settings;
    DET_TRY_RETURN(det_precision_runs(env, device->precision, s->quantised));
    const enum det_net_mode mode = s->graph->folded ? DET_NET_INFER : DET_NET_EVALUATE;
    if (s->quantised != NULL || (s->graph->folded && device->ops->blocked != NULL)) {
        DET_TRY_RETURN(det_folded_net_create(env, s->graph, s->quantised, s->params, device->ops,
                                             device->pool, s->batch, &r->folded));
        r->network_input = r->folded.input;
        r->logits = r->folded.logits;
        r->encodings = r->folded.encodings;
        *bytes = r->folded.bytes;
        return DET_OK;
    }
    DET_TRY_RETURN(
        det_net_create(env, s->graph, device->ops, device->pool, s->batch, mode, &r->net));
    r->network_input = det_net_input(r->net);
    r->logits = det_net_logits(r->net);
    r->encodings = det_net_encodings(r->net);
    return det_net_memory_bytes(env, s->graph, device->ops, det_pool_threads(device->pool),
                                s->batch, mode, bytes);
}

static det_status plan(struct det_env *env, const struct det_device *device, struct det_runner *r)
{
    const struct det_runner_settings *s = &r->settings;
    size_t net_bytes = 0;
    if (s->anchor_count != s->graph->anchor_count)
        return det_fail(env, DET_STATUS_INTERNAL, "%d anchors for %d predictions", s->anchor_count,
                        s->graph->anchor_count);
    DET_TRY_RETURN(plan_network(env, device, r, &net_bytes));
    DET_TRY_RETURN(det_alloc(env, &r->places, (size_t)s->batch, sizeof *r->places, "runner"));
    for (int32_t i = 0; i < s->batch; i++)
        DET_TRY_RETURN(det_postprocess_create(env, s->postprocess, s->anchors, s->anchor_count,
                                              s->spec->num_classes, device->pool,
                                              &r->places[i].postprocess));
    r->planned_bytes =
        sizeof *r + net_bytes +
        (size_t)s->batch * (sizeof *r->places + det_postprocess_bytes(r->places[0].postprocess));
    return s->evaluate ? DET_OK : warm_up_input(env, r);
}

det_status det_cpu_runner_create(struct det_env *env, struct det_device *device,
                                 const struct det_runner_settings *settings,
                                 struct det_runner **out)
{
    struct det_runner *r = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &r, 1, sizeof *r, "runner"));
    r->settings = *settings;
    r->pool = device->pool;
    const struct det_budget before = det_budget_open(env, "network");
    const det_status status = plan(env, device, r);
    det_budget_close(env, before);
    if (status != DET_OK)
        det_cpu_runner_destroy(env, &r);
    *out = r;
    return status;
}

void det_cpu_runner_destroy(struct det_env *env, struct det_runner **out)
{
    struct det_runner *r = *out;
    if (r == NULL)
        return;
    det_folded_net_free(env, &r->folded);
    det_net_destroy(env, &r->net);
    for (int32_t i = 0; r->places != NULL && i < r->settings.batch; i++)
        det_postprocess_destroy(env, &r->places[i].postprocess);
    det_free(env, &r->places);
    det_resizer_free(env, &r->resizer);
    det_free(env, out);
}

det_status det_cpu_runner_set_picture(struct det_env *env, struct det_runner *r, int32_t index,
                                      const det_image_view *view, const struct det_frame *frame)
{
    const uint64_t start = det_clock_ns();
    const struct det_tensor in = r->settings.graph->tensors[0];
    DET_TRY_RETURN(det_input_fill(env, &r->resizer, r->pool, view, frame, input_of(r, index),
                                  in.height, in.width));
    memcpy(r->places[index].window, frame->window, sizeof frame->window);
    r->input_ns += det_clock_ns() - start;
    return DET_OK;
}

det_status det_cpu_runner_set_images(struct det_env *env, struct det_runner *r, const float *images,
                                     int32_t height, int32_t width, const float (*windows)[4])
{
    (void)env;
    const uint64_t start = det_clock_ns();
    det_net_fill_input(r->settings.graph, r->settings.batch, images, height, width,
                       r->network_input);
    for (int32_t i = 0; i < r->settings.batch; i++)
        memcpy(r->places[i].window, windows[i], sizeof r->places[i].window);
    r->input_ns += det_clock_ns() - start;
    return DET_OK;
}

static const float *logits_of(const struct det_runner *r, int32_t index)
{
    return r->logits + (size_t)index * (size_t)r->settings.anchor_count *
                           (size_t)r->settings.graph->class_slots;
}

static void find(struct det_runner *r, int32_t index)
{
    const size_t anchors = (size_t)r->settings.anchor_count;
    const size_t slots = (size_t)r->settings.graph->class_slots;
    const float *logits = logits_of(r, index);
    const float *encodings = r->encodings + (size_t)index * anchors * 4;
    struct place *place = &r->places[index];
    place->found = NULL;
    if (!det_all_finite(encodings, anchors * 4))
        place->bad = "box encodings";
    else if (!det_all_finite(logits, anchors * slots))
        place->bad = "class logits";
    else
        place->found = det_postprocess_run(place->postprocess, logits, encodings, place->window);
}

det_status det_cpu_runner_begin(struct det_env *env, struct det_runner *r)
{
    (void)env;
    (void)r;
    return DET_OK;
}

det_status det_cpu_runner_end(struct det_env *env, struct det_runner *r)
{
    (void)env;
    const uint64_t start = det_clock_ns();
    if (r->net != NULL)
        det_net_forward(r->net, r->settings.params);
    else
        det_folded_net_forward(&r->folded);
    const uint64_t computed = det_clock_ns();
    for (int32_t i = 0; i < r->settings.batch; i++)
        find(r, i);
    r->times[0] = r->input_ns;
    r->times[1] = computed - start;
    r->times[2] = det_clock_ns() - computed;
    r->input_ns = 0;
    return DET_OK;
}

det_status det_cpu_runner_detections(struct det_env *env, struct det_runner *r, int32_t index,
                                     const struct det_detections **detections)
{
    *detections = r->places[index].found;
    if (*detections == NULL)
        return det_fail(env, DET_STATUS_NON_FINITE,
                        "the network's %s hold NaN or infinity: the model's weights are damaged or "
                        "its training diverged",
                        r->places[index].bad);
    return DET_OK;
}

det_status det_cpu_runner_top_score(struct det_env *env, struct det_runner *r, int32_t index,
                                    float *score, int32_t *class_index)
{
    const struct det_detections *found = NULL;
    DET_TRY_RETURN(det_cpu_runner_detections(env, r, index, &found));
    det_top_score(logits_of(r, index), r->settings.anchor_count, r->settings.spec->num_classes,
                  score, class_index);
    return DET_OK;
}

det_status det_cpu_runner_outputs(struct det_env *env, struct det_runner *r, const float **logits,
                                  const float **encodings)
{
    (void)env;
    *logits = r->logits;
    *encodings = r->encodings;
    return DET_OK;
}

void det_cpu_runner_times(const struct det_runner *r, uint64_t ns[3])
{
    memcpy(ns, r->times, sizeof r->times);
}

size_t det_cpu_runner_bytes(const struct det_runner *r)
{
    return r->planned_bytes + det_resizer_bytes(&r->resizer);
}
