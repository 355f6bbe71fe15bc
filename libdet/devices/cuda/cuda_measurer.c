#include "devices/cuda/cuda_measurer.h"

#include <string.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_fit.h"
#include "preprocess.h"
#include "support/mem.h"

/* Floats of the largest images that the network takes. */
static size_t image_floats(const struct det_graph *graph)
{
    return (size_t)graph->tensors[0].height * (size_t)graph->tensors[0].width * 3;
}

static det_status plan(struct det_env *env, struct det_device *device,
                       const struct det_graph *graph, int32_t batch, struct det_measurer *m)
{
    *m = (struct det_measurer){.device = device, .graph = graph, .batch = batch};
    DET_TRY_RETURN(
        det_cuda_net_plan(env, device, graph, NULL, batch, DET_NET_MEASURE, &m->layout, &m->net));
    m->params_at = det_cuda_layout_add(&m->layout, graph->param_floats, sizeof(float));
    m->images_at =
        det_cuda_layout_add(&m->layout, (size_t)batch, image_floats(graph) * sizeof(float));
    m->workspace_at = det_cuda_layout_add(&m->layout, m->net.workspace_bytes, 1);
    return DET_OK;
}

static det_status bytes_for(struct det_env *env, void *argument, int32_t batch, size_t *bytes)
{
    const struct det_measurer *of = argument;
    struct det_measurer trial;
    DET_TRY_RETURN(plan(env, of->device, of->graph, batch, &trial));
    *bytes = trial.layout.too_large ? SIZE_MAX : trial.layout.bytes;
    det_cuda_net_free(env, &trial.net);
    return DET_OK;
}

static det_status take_pinned(struct det_env *env, struct det_measurer *m)
{
    struct det_cuda_layout layout = {0};
    const size_t images_at =
        det_cuda_layout_add(&layout, (size_t)m->batch, image_floats(m->graph) * sizeof(float));
    const size_t statistics_at =
        det_cuda_layout_add(&layout, m->net.plan.statistics_floats, sizeof(float));
    DET_TRY_RETURN(
        det_cuda_block_create(env, DET_CUDA_PINNED, layout.bytes, "batch statistics", &m->pinned));
    m->staged_images = (float *)(void *)(m->pinned.at + images_at);
    m->statistics = (float *)(void *)(m->pinned.at + statistics_at);
    return DET_OK;
}

static det_status make(struct det_env *env, struct det_measurer *m, const float *params)
{
    DET_TRY_RETURN(det_cuda_fit(env, "taking batch statistics", m->batch,
                                m->layout.too_large ? SIZE_MAX : m->layout.bytes, bytes_for, m));
    DET_TRY_RETURN(det_cuda_block_create(env, DET_CUDA_DEVICE, m->layout.bytes, "batch statistics",
                                         &m->memory));
    DET_TRY_RETURN(take_pinned(env, m));
    uint8_t *at = m->memory.at;
    float *device_params = (float *)(void *)(at + m->params_at);
    m->images = (float *)(void *)(at + m->images_at);
    det_cuda_net_bind(&m->net, at, device_params, NULL, at + m->workspace_at);
    DET_TRY_RETURN(det_cuda_upload(env, m->device, device_params, params,
                                   m->graph->param_floats * sizeof(float),
                                   "uploading the parameters"));
    return det_cuda_net_refresh_params(env, &m->net);
}

det_status det_cuda_measurer_create(struct det_env *env, struct det_device *device,
                                    const struct det_graph *graph, const float *params,
                                    int32_t batch, struct det_step *idle, struct det_measurer **out)
{
    (void)idle;
    struct det_measurer *m = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_cuda_device_use(env, device));
    DET_TRY_RETURN(det_alloc(env, &m, 1, sizeof *m, "batch statistics"));
    det_status status = plan(env, device, graph, batch, m);
    if (status == DET_OK)
        status = make(env, m, params);
    if (status != DET_OK)
        det_cuda_measurer_destroy(env, &m);
    *out = m;
    return status;
}

void det_cuda_measurer_destroy(struct det_env *env, struct det_measurer **measurer)
{
    struct det_measurer *m = *measurer;
    if (m == NULL)
        return;
    (void)cudaSetDevice(m->device->index);
    (void)cudaStreamSynchronize(m->device->stream);
    det_cuda_net_free(env, &m->net);
    det_cuda_block_destroy(&m->memory);
    det_cuda_block_destroy(&m->pinned);
    det_free(env, measurer);
}

det_status det_cuda_measurer_run(struct det_env *env, struct det_measurer *m, const float *images,
                                 int32_t height, int32_t width)
{
    const struct det_device *d = m->device;
    const struct det_tensor input = m->graph->tensors[0];
    const size_t bytes =
        (size_t)m->batch * (size_t)height * (size_t)width * 3 * sizeof *m->staged_images;
    if (height < 1 || width < 1 || height > input.height || width > input.width)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "batch statistics: images of %d x %d, expected up to %d x %d", height,
                        width, input.height, input.width);
    DET_TRY_RETURN(det_cuda_device_use(env, d));
    memcpy(m->staged_images, images, bytes);
    DET_TRY_RETURN(det_cuda_enqueue_upload(env, d, m->images, m->staged_images, bytes,
                                           "uploading the images"));
    DET_TRY_RETURN(
        det_cuda_check(env,
                       detk_normalize(d->stream, d->type, m->images, m->batch, height, width,
                                      input.height, input.width, det_cuda_net_input(&m->net)),
                       "normalising the images"));
    DET_TRY_RETURN(det_cuda_net_forward(env, &m->net));
    DET_TRY_RETURN(det_cuda_enqueue_download(env, d, m->statistics, m->net.statistics,
                                             m->net.plan.statistics_floats * sizeof(float),
                                             "fetching the batch statistics"));
    return det_cuda_device_wait(env, d, "taking batch statistics");
}

void det_cuda_measurer_statistics(const struct det_measurer *m, int32_t op, const float **mean,
                                  const float **variance)
{
    *mean = m->statistics + m->net.plan.statistics_offsets[op];
    *variance = *mean + m->graph->tensors[m->graph->ops[op].out].channels;
}
