#include "devices/cuda/cuda_runner.h"

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_fit.h"
#include "devices/precision.h"
#include "support/mem.h"

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t image_bytes(const struct det_model_spec *spec)
{
    return (size_t)spec->input_height * (size_t)spec->input_width * 3 * sizeof(float);
}

/* Classes with a threshold of their own. */
static size_t threshold_count(const struct det_runner *r)
{
    return r->class_thresholds != NULL ? (size_t)r->settings.spec->num_classes : 0;
}

/* One piece, since it is fetched with one copy. */
static void place_detections(struct det_runner *r, int32_t batch)
{
    const size_t images = (size_t)batch;
    const size_t all = images * (size_t)r->postprocess.max_total_detections;
    struct det_cuda_layout *layout = &r->layout;
    r->found_at = layout->bytes;
    r->count_at = det_cuda_layout_add(layout, images, sizeof(int32_t));
    r->finite_at = det_cuda_layout_add(layout, images, sizeof(int32_t));
    r->boxes_at = det_cuda_layout_add(layout, all, 4 * sizeof(float));
    r->class_at = det_cuda_layout_add(layout, all, sizeof(int32_t));
    r->score_at = det_cuda_layout_add(layout, all, sizeof(float));
    r->anchor_at = det_cuda_layout_add(layout, all, sizeof(int32_t));
    r->found_bytes = layout->bytes - r->found_at;
}

static void place(struct det_runner *r, int32_t batch)
{
    const struct det_runner_settings *s = &r->settings;
    struct det_cuda_layout *layout = &r->layout;
    const size_t images = (size_t)batch;
    r->params_at = det_cuda_layout_add(layout, s->graph->param_floats, sizeof(float));
    r->anchors_at = det_cuda_layout_add(layout, (size_t)s->anchor_count, 4 * sizeof(float));
    r->thresholds_at = det_cuda_layout_add(layout, threshold_count(r), sizeof(float));
    for (int i = 0; i < DET_CUDA_INPUTS; i++) {
        struct det_cuda_input *in = &r->inputs[i];
        in->windows_at = det_cuda_layout_add(layout, images, 4 * sizeof(float));
        in->table_at = det_cuda_layout_add(layout, images, sizeof(struct detk_image));
        in->images_at = det_cuda_layout_add(layout, s->evaluate ? images : 0, image_bytes(s->spec));
    }
    place_detections(r, batch);
    const size_t post =
        detk_postprocess_workspace(&r->postprocess, batch, s->anchor_count, s->spec->num_classes);
    r->workspace_at = det_cuda_layout_add(layout, most(r->net.workspace_bytes, post), 1);
}

static det_status plan(struct det_env *env, struct det_device *device,
                       const struct det_runner_settings *settings, int32_t batch,
                       struct det_runner *r)
{
    *r = (struct det_runner){
        .device = device,
        .settings = *settings,
        .spec = *settings->spec,
        .postprocess = *settings->postprocess,
        .class_thresholds = settings->postprocess->class_thresholds,
    };
    DET_TRY_RETURN(det_cuda_net_plan(env, device, settings->graph, settings->quantised, batch,
                                     settings->graph->folded ? DET_NET_INFER : DET_NET_EVALUATE,
                                     &r->layout, &r->net));
    place(r, batch);
    return DET_OK;
}

static det_status bytes_for(struct det_env *env, void *argument, int32_t batch, size_t *bytes)
{
    const struct det_runner *of = argument;
    struct det_runner trial;
    DET_TRY_RETURN(plan(env, of->device, &of->settings, batch, &trial));
    *bytes = trial.layout.too_large ? SIZE_MAX : trial.layout.bytes;
    det_cuda_net_free(env, &trial.net);
    return DET_OK;
}

/* Black pictures in whole windows, until others are set. */
static det_status open_input(struct det_env *env, struct det_runner *r, struct det_cuda_input *in,
                             struct detk_image *table)
{
    in->source = r->settings.evaluate ? DET_CUDA_IMAGES : DET_CUDA_PICTURES;
    for (int32_t i = 0; i < r->settings.batch; i++) {
        in->staged_windows[i][0] = in->staged_windows[i][1] = 0;
        in->staged_windows[i][2] = in->staged_windows[i][3] = 1;
    }
    DET_TRY_RETURN(det_cuda_check(
        env, cudaEventCreateWithFlags(&in->uploaded, cudaEventDisableTiming), "creating an event"));
    return det_cuda_pictures_create(env, r->device, r->settings.batch, table, &in->pictures);
}

static void close_input(struct det_env *env, struct det_cuda_input *in)
{
    for (int i = 0; i < DET_CUDA_SOURCES; i++)
        det_cuda_graph_forget(&in->graphs[i]);
    det_cuda_pictures_destroy(env, &in->pictures);
    if (in->uploaded != NULL)
        (void)cudaEventDestroy(in->uploaded);
    in->uploaded = NULL;
}

static det_status take_pinned(struct det_env *env, struct det_runner *r)
{
    const struct det_runner_settings *s = &r->settings;
    const size_t images = (size_t)s->batch, anchors = images * (size_t)s->anchor_count;
    struct det_cuda_layout layout = {0};
    const size_t result_at = det_cuda_layout_add(&layout, r->found_bytes, 1);
    const size_t thresholds_at = det_cuda_layout_add(&layout, threshold_count(r), sizeof(float));
    const size_t evaluated = s->evaluate ? 1 : 0;
    const size_t wanted = s->evaluate || s->outputs ? anchors : 0; /* rows of outputs */
    size_t windows_at[DET_CUDA_INPUTS], table_at[DET_CUDA_INPUTS], images_at[DET_CUDA_INPUTS];
    for (int i = 0; i < DET_CUDA_INPUTS; i++) {
        windows_at[i] = det_cuda_layout_add(&layout, images, 4 * sizeof(float));
        table_at[i] = det_cuda_layout_add(&layout, images, sizeof(struct detk_image));
        images_at[i] = det_cuda_layout_add(&layout, evaluated * images, image_bytes(s->spec));
    }
    const size_t logits_at =
        det_cuda_layout_add(&layout, wanted, (size_t)s->graph->class_slots * sizeof(float));
    const size_t encodings_at = det_cuda_layout_add(&layout, wanted, 4 * sizeof(float));
    DET_TRY_RETURN(
        det_cuda_block_create(env, DET_CUDA_PINNED, layout.bytes, "inference", &r->pinned));
    uint8_t *at = r->pinned.at;
    r->result = at + result_at;
    r->staged_thresholds = (float *)(void *)(at + thresholds_at);
    r->logits = (float *)(void *)(at + logits_at);
    r->encodings = (float *)(void *)(at + encodings_at);
    for (int i = 0; i < DET_CUDA_INPUTS; i++) {
        struct det_cuda_input *in = &r->inputs[i];
        in->staged_windows = (float(*)[4])(void *)(at + windows_at[i]);
        in->staged_images = (float *)(void *)(at + images_at[i]);
        DET_TRY_RETURN(open_input(env, r, in, (struct detk_image *)(void *)(at + table_at[i])));
    }
    return DET_OK;
}

static void *in_memory(const struct det_runner *r, size_t offset)
{
    return r->memory.at + offset;
}

static void bind(struct det_runner *r)
{
    r->params = in_memory(r, r->params_at);
    r->anchors = in_memory(r, r->anchors_at);
    r->thresholds = in_memory(r, r->thresholds_at);
    r->postprocess.class_thresholds = r->class_thresholds != NULL ? r->thresholds : NULL;
    for (int i = 0; i < DET_CUDA_INPUTS; i++) {
        struct det_cuda_input *in = &r->inputs[i];
        in->windows = in_memory(r, in->windows_at);
        in->table = in_memory(r, in->table_at);
        in->images = in_memory(r, in->images_at);
    }
    r->filled = r->computed = &r->inputs[0];
    r->workspace = in_memory(r, r->workspace_at);
    r->found = (struct detk_detections){
        .count = in_memory(r, r->count_at),
        .boxes = in_memory(r, r->boxes_at),
        .class_index = in_memory(r, r->class_at),
        .score = in_memory(r, r->score_at),
        .anchor = in_memory(r, r->anchor_at),
        .finite = in_memory(r, r->finite_at),
    };
    det_cuda_net_bind(&r->net, r->memory.at, r->params, NULL, r->workspace);
}

static det_status upload_constants(struct det_env *env, struct det_runner *r)
{
    const struct det_runner_settings *s = &r->settings;
    DET_TRY_RETURN(det_cuda_upload(env, r->device, r->params, s->params,
                                   s->graph->param_floats * sizeof(float),
                                   "uploading the parameters"));
    DET_TRY_RETURN(det_cuda_net_refresh_params(env, &r->net));
    DET_TRY_RETURN(det_cuda_q8_upload(env, &r->net, s->params));
    DET_TRY_RETURN(det_cuda_upload(env, r->device, r->anchors, s->anchors,
                                   (size_t)s->anchor_count * sizeof *s->anchors,
                                   "uploading the anchors"));
    DET_TRY_RETURN(det_cuda_input_wait(env, r->device));
    for (int i = 0; i < DET_CUDA_INPUTS; i++)
        det_cuda_pictures_arrived(&r->inputs[i].pictures);
    return DET_OK;
}

static det_status make(struct det_env *env, struct det_runner *r)
{
    DET_TRY_RETURN(det_cuda_fit(env, "inference", r->settings.batch,
                                r->layout.too_large ? SIZE_MAX : r->layout.bytes, bytes_for, r));
    DET_TRY_RETURN(
        det_cuda_block_create(env, DET_CUDA_DEVICE, r->layout.bytes, "inference", &r->memory));
    DET_TRY_RETURN(take_pinned(env, r));
    bind(r);
    DET_TRY_RETURN(det_cuda_net_tune(env, &r->net));
    return upload_constants(env, r);
}

det_status det_cuda_runner_create(struct det_env *env, struct det_device *device,
                                  const struct det_runner_settings *settings,
                                  struct det_runner **out)
{
    *out = NULL;
    struct det_runner *r = NULL;
    DET_TRY_RETURN(det_precision_runs(env, device->settings.precision, settings->quantised));
    if (settings->quantised != NULL && device->type != DETK_F32)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "cuda:%d: precision bf16: the model is in 8 bits, beside which a GPU "
                        "computes in float32: precision int8, f32 or tf32 runs it",
                        device->index);
    DET_TRY_RETURN(det_cuda_device_use(env, device));
    DET_TRY_RETURN(det_postprocess_settings_check(env, settings->postprocess));
    DET_TRY_RETURN(det_alloc(env, &r, 1, sizeof *r, "inference"));
    det_status status = plan(env, device, settings, settings->batch, r);
    if (status == DET_OK)
        status = make(env, r);
    if (status != DET_OK)
        det_cuda_runner_destroy(env, &r);
    *out = r;
    return status;
}

void det_cuda_runner_destroy(struct det_env *env, struct det_runner **runner)
{
    struct det_runner *r = *runner;
    if (r == NULL)
        return;
    (void)cudaSetDevice(r->device->index);
    /* An input may be on its way. */
    (void)cudaStreamSynchronize(r->device->copies);
    (void)cudaStreamSynchronize(r->device->stream);
    for (int i = 0; i < DET_CUDA_INPUTS; i++)
        close_input(env, &r->inputs[i]);
    det_cuda_net_free(env, &r->net);
    det_cuda_block_destroy(&r->memory);
    det_cuda_block_destroy(&r->pinned);
    det_free(env, runner);
}

size_t det_cuda_runner_bytes(const struct det_runner *r)
{
    size_t bytes = sizeof *r + r->memory.bytes + r->pinned.bytes;
    for (int i = 0; i < DET_CUDA_INPUTS; i++)
        bytes += det_cuda_pictures_bytes(&r->inputs[i].pictures);
    return bytes;
}
