#include "backend/cuda/cuda_batch.h"

#include <string.h>

#include "backend/cuda/cuda_error.h"

det_status det_cuda_batch_create(struct det_env *env, int32_t images, int32_t anchors,
                                 int32_t boxes, struct det_cuda_batch *b)
{
    DET_TRY_RETURN(det_cuda_truths_create(env, images, anchors, boxes, &b->truths));
    return det_cuda_check(env, cudaEventCreateWithFlags(&b->uploaded, cudaEventDisableTiming),
                          "creating an event");
}

void det_cuda_batch_destroy(struct det_cuda_batch *b)
{
    det_cuda_graph_forget(&b->graph);
    det_cuda_truths_destroy(&b->truths);
    if (b->uploaded != NULL)
        (void)cudaEventDestroy(b->uploaded);
    b->uploaded = NULL;
}

/* Image by image, so that the device fetches one while the host copies the next. */
static det_status upload(struct det_env *env, const struct det_device *device,
                         struct det_cuda_batch *b, const float *images, int32_t count, size_t bytes)
{
    const uint8_t *from = (const uint8_t *)images;
    uint8_t *staged = (uint8_t *)b->staged, *to = (uint8_t *)b->images;
    b->under_way = true;
    for (int32_t n = 0; n < count; n++, from += bytes, staged += bytes, to += bytes) {
        memcpy(staged, from, bytes);
        DET_TRY_RETURN(
            det_cuda_input_upload(env, device, to, staged, bytes, "uploading the images"));
    }
    return det_cuda_input_uploaded(env, device, b->uploaded);
}

det_status det_cuda_batch_fill(struct det_env *env, const struct det_device *device,
                               struct det_cuda_batch *b, const float *images, int32_t count,
                               size_t image_bytes, const struct det_ground_truth *truths)
{
    bool moved = false;
    if (b->under_way)
        DET_TRY_RETURN(det_cuda_input_wait(env, device));
    b->under_way = false;
    DET_TRY_RETURN(det_cuda_truths_stage(env, &b->truths, truths, &moved));
    if (moved)
        det_cuda_graph_forget(&b->graph);
    return upload(env, device, b, images, count, image_bytes);
}
