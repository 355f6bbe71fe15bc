/* cuda_batch.h: a batch of training on its way to the device: its images, its boxes, and the recording of the step that learns from
 * them, since a recording knows addresses. A step has two: one being learned from, one being filled. */
#ifndef DET_BACKEND_CUDA_BATCH_H
#define DET_BACKEND_CUDA_BATCH_H

#include "backend/cuda/cuda_graph.h"
#include "backend/cuda/cuda_truths.h"

enum { DET_CUDA_BATCHES = 2 };

struct det_cuda_batch {
    struct det_cuda_truths truths;
    struct det_cuda_graph graph; /* of the whole step */
    size_t images_at;            /* in the step's device memory */
    float *images, *staged;      /* there, and in pinned memory */
    cudaEvent_t uploaded;
    bool under_way; /* the upload may not have ended */
};

/* Boxes and event; the images' memory is the step's. */
det_status det_cuda_batch_create(struct det_env *env, int32_t images, int32_t anchors,
                                 int32_t boxes, struct det_cuda_batch *batch);
/* Nothing may be under way. */
void det_cuda_batch_destroy(struct det_cuda_batch *batch);

/* Fills the batch with `count` images of `image_bytes` and their checked truths; their upload is enqueued. No step may be using
 * it. */
det_status det_cuda_batch_fill(struct det_env *env, const struct det_device *device,
                               struct det_cuda_batch *batch, const float *images, int32_t count,
                               size_t image_bytes, const struct det_ground_truth *truths);

#endif
