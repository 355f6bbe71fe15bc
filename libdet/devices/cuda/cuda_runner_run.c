#include <string.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_runner.h"
#include "support/clock.h"
#include "support/mem.h"

/* The input for the run after the one that is under way, or for the next when none is. */
static struct det_cuda_input *to_fill(struct det_runner *r)
{
    if (r->running && r->filled == r->computed)
        r->filled = r->computed == &r->inputs[0] ? &r->inputs[1] : &r->inputs[0];
    return r->filled;
}

det_status det_cuda_runner_set_picture(struct det_env *env, struct det_runner *r, int32_t index,
                                       const det_image_view *view, const struct det_frame *frame)
{
    const uint64_t start = det_clock_ns();
    struct det_cuda_input *in = to_fill(r);
    DET_TRY_RETURN(det_cuda_device_use(env, r->device));
    DET_TRY_RETURN(det_cuda_pictures_set(env, r->device, &in->pictures, index, view, frame));
    memcpy(in->staged_windows[index], frame->window, sizeof frame->window);
    in->source = DET_CUDA_PICTURES;
    in->fresh = true;
    r->input_ns += det_clock_ns() - start;
    return DET_OK;
}

/* Image by image, so that the device fetches one while the host copies the next. */
static det_status stage_images(struct det_env *env, const struct det_runner *r,
                               const struct det_cuda_input *in, const float *images)
{
    const size_t floats = (size_t)in->image_height * (size_t)in->image_width * 3;
    for (size_t n = 0; n < (size_t)r->settings.batch; n++) {
        float *staged = in->staged_images + n * floats;
        memcpy(staged, images + n * floats, floats * sizeof *staged);
        DET_TRY_RETURN(det_cuda_input_upload(env, r->device, in->images + n * floats, staged,
                                             floats * sizeof *staged, "uploading the images"));
    }
    return DET_OK;
}

det_status det_cuda_runner_set_images(struct det_env *env, struct det_runner *r,
                                      const float *images, int32_t height, int32_t width,
                                      const float (*windows)[4])
{
    const uint64_t start = det_clock_ns();
    const struct det_model_spec *spec = r->settings.spec;
    if (!r->settings.evaluate || height < 1 || width < 1 || height > spec->input_height ||
        width > spec->input_width)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "inference: images of %d x %d, expected up to %d x %d and a runner made to "
                        "evaluate",
                        height, width, spec->input_height, spec->input_width);
    struct det_cuda_input *in = to_fill(r);
    DET_TRY_RETURN(det_cuda_device_use(env, r->device));
    if (in->images_under_way)
        DET_TRY_RETURN(det_cuda_input_wait(env, r->device));
    if (height != in->image_height || width != in->image_width)
        det_cuda_graph_forget(&in->graphs[DET_CUDA_IMAGES]);
    in->image_height = height;
    in->image_width = width;
    in->images_under_way = true;
    in->source = DET_CUDA_IMAGES;
    in->fresh = true;
    memcpy(in->staged_windows, windows, (size_t)r->settings.batch * sizeof *windows);
    DET_TRY_RETURN(stage_images(env, r, in, images));
    r->input_ns += det_clock_ns() - start;
    return DET_OK;
}

/* From images or pictures, in each form that the network reads. */
static cudaError_t make_input(const struct det_runner *r)
{
    const struct det_device *d = r->device;
    const struct det_cuda_input *in = r->computed;
    const int32_t batch = r->settings.batch;
    const struct det_tensor input = r->settings.graph->tensors[0];
    const bool images = in->source == DET_CUDA_IMAGES;
    void *values = det_cuda_net_input(&r->net);
    int8_t *levels = det_cuda_net_input_q8(&r->net);
    cudaError_t error = cudaSuccess;
    if (values != NULL)
        error = images ? detk_normalize(d->stream, d->type, in->images, batch, in->image_height,
                                        in->image_width, input.height, input.width, values)
                       : detk_preprocess(d->stream, d->type, in->table, batch, input.height,
                                         input.width, values);
    if (levels != NULL && error == cudaSuccess)
        error = images ? detk_normalize_q8(d->stream, in->images, batch, in->image_height,
                                           in->image_width, input.height, input.width, levels)
                       : detk_preprocess_q8(d->stream, in->table, batch, input.height, input.width,
                                            levels);
    return error;
}

det_status det_cuda_runner_enqueue_input(struct det_env *env, const struct det_runner *r)
{
    const struct det_device *d = r->device;
    const struct det_cuda_input *in = r->computed;
    const size_t batch = (size_t)r->settings.batch;
    const bool images = in->source == DET_CUDA_IMAGES;
    DET_TRY_RETURN(det_cuda_enqueue_upload(env, d, in->windows, in->staged_windows,
                                           batch * sizeof *in->windows, "uploading the windows"));
    if (!images)
        DET_TRY_RETURN(det_cuda_enqueue_upload(env, d, in->table, in->pictures.images,
                                               batch * sizeof *in->table,
                                               "uploading the pictures' sizes"));
    return det_cuda_check(env, make_input(r),
                          images ? "normalising the images" : "resizing the pictures");
}

det_status det_cuda_runner_enqueue_postprocess(struct det_env *env, const struct det_runner *r)
{
    const struct det_runner_settings *s = &r->settings;
    return det_cuda_check(env,
                          detk_postprocess(r->device->stream, &r->postprocess,
                                           (const float(*)[4])r->anchors, s->batch, s->anchor_count,
                                           s->spec->num_classes, r->net.logits, r->net.encodings,
                                           (const float(*)[4])r->computed->windows, &r->found,
                                           r->workspace),
                          "post-processing");
}

static det_status enqueue_thresholds(struct det_env *env, const struct det_runner *r)
{
    if (r->class_thresholds == NULL)
        return DET_OK;
    return det_cuda_enqueue_upload(env, r->device, r->thresholds, r->staged_thresholds,
                                   (size_t)r->spec.num_classes * sizeof *r->thresholds,
                                   "uploading the thresholds");
}

static det_status enqueue_outputs(struct det_env *env, const struct det_runner *r)
{
    const struct det_runner_settings *s = &r->settings;
    const size_t anchors = (size_t)s->batch * (size_t)s->anchor_count;
    DET_TRY_RETURN(det_cuda_enqueue_download(env, r->device, r->result, r->memory.at + r->found_at,
                                             r->found_bytes, "fetching the detections"));
    if (!s->evaluate && !s->outputs)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_enqueue_download(
        env, r->device, r->logits, r->net.logits,
        anchors * (size_t)s->graph->class_slots * sizeof(float), "fetching the logits"));
    return det_cuda_enqueue_download(env, r->device, r->encodings, r->net.encodings,
                                     anchors * 4 * sizeof(float), "fetching the encodings");
}

static det_status whole_run(struct det_env *env, void *argument)
{
    const struct det_runner *r = argument;
    DET_TRY_RETURN(det_cuda_runner_enqueue_input(env, r));
    DET_TRY_RETURN(enqueue_thresholds(env, r));
    DET_TRY_RETURN(det_cuda_net_forward(env, &r->net));
    DET_TRY_RETURN(det_cuda_runner_enqueue_postprocess(env, r));
    return enqueue_outputs(env, r);
}

det_status det_cuda_runner_begin(struct det_env *env, struct det_runner *r)
{
    if (r->running)
        return det_fail(env, DET_STATUS_INTERNAL, "inference without the end of the run before");
    struct det_cuda_input *in = r->filled;
    r->begun_ns = det_clock_ns();
    r->times[0] = r->input_ns;
    r->input_ns = 0;
    DET_TRY_RETURN(det_cuda_device_use(env, r->device));
    if (in->fresh) {
        DET_TRY_RETURN(det_cuda_input_uploaded(env, r->device, in->uploaded));
        DET_TRY_RETURN(det_cuda_input_awaited(env, r->device, in->uploaded));
    }
    in->fresh = false;
    if (r->class_thresholds != NULL)
        memcpy(r->staged_thresholds, r->class_thresholds,
               (size_t)r->spec.num_classes * sizeof *r->thresholds);
    r->computed = in;
    r->running = true;
    const det_status status =
        det_cuda_graph_run(env, r->device, &in->graphs[in->source], whole_run, r);
    if (status != DET_OK) {
        /* Half a run was enqueued: its input may be filled anew when it is over. */
        (void)cudaStreamSynchronize(r->device->stream);
        r->running = false;
    }
    return status;
}

det_status det_cuda_runner_end(struct det_env *env, struct det_runner *r)
{
    if (!r->running)
        return det_fail(env, DET_STATUS_INTERNAL, "the end of no run");
    r->running = false;
    DET_TRY_RETURN(det_cuda_device_use(env, r->device));
    DET_TRY_RETURN(det_cuda_device_wait(env, r->device, "inference"));
    det_cuda_pictures_arrived(&r->computed->pictures);
    r->computed->images_under_way = false;
    r->times[1] = det_clock_ns() - r->begun_ns;
    return DET_OK;
}

/* Where the array at `offset` of the device's memory has its copy, at element `first` of `size`
 * bytes. */
static void *fetched(const struct det_runner *r, size_t offset, size_t first, size_t size)
{
    return r->result + (offset - r->found_at) + first * size;
}

det_status det_cuda_runner_detections(struct det_env *env, struct det_runner *r, int32_t index,
                                      const struct det_detections **detections)
{
    const size_t image = (size_t)index;
    const size_t first = image * (size_t)r->postprocess.max_total_detections;
    *detections = NULL;
    if (*(const int32_t *)fetched(r, r->finite_at, image, sizeof(int32_t)) == 0)
        return det_fail(env, DET_STATUS_NON_FINITE,
                        "the network's outputs hold NaN or infinity: the model's weights are "
                        "damaged or its training diverged");
    r->detections = (struct det_detections){
        .count = *(const int32_t *)fetched(r, r->count_at, image, sizeof(int32_t)),
        .boxes = fetched(r, r->boxes_at, first, 4 * sizeof(float)),
        .class_index = fetched(r, r->class_at, first, sizeof(int32_t)),
        .score = fetched(r, r->score_at, first, sizeof(float)),
        .anchor = fetched(r, r->anchor_at, first, sizeof(int32_t)),
    };
    *detections = &r->detections;
    return DET_OK;
}

/* Seldom asked for: the logits are fetched for it. */
det_status det_cuda_runner_top_score(struct det_env *env, struct det_runner *r, int32_t index,
                                     float *score, int32_t *class_index)
{
    const struct det_runner_settings *s = &r->settings;
    const size_t values = (size_t)s->anchor_count * (size_t)s->graph->class_slots;
    const struct det_detections *found = NULL;
    float *logits = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_cuda_runner_detections(env, r, index, &found));
    DET_TRY_RETURN(det_cuda_device_use(env, r->device));
    DET_TRY_RETURN(det_alloc_raw(env, &logits, values, sizeof *logits, "logits"));
    DET_TRY(det_cuda_download(env, r->device, logits, r->net.logits + (size_t)index * values,
                              values * sizeof *logits, "fetching the logits"));
    det_top_score(logits, s->anchor_count, r->spec.num_classes, score, class_index);
fail:
    det_free(env, &logits);
    return status;
}

det_status det_cuda_runner_outputs(struct det_env *env, struct det_runner *r, const float **logits,
                                   const float **encodings)
{
    *logits = *encodings = NULL;
    if (!r->settings.evaluate && !r->settings.outputs)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "inference: outputs of a runner that was not made to show them");
    *logits = r->logits;
    *encodings = r->encodings;
    return DET_OK;
}

void det_cuda_runner_times(const struct det_runner *r, uint64_t ns[3])
{
    memcpy(ns, r->times, sizeof r->times);
}
