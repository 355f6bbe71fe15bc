/* cuda_batch.h: a batch of training on its way to the device: its pictures, its boxes, and the
 * recording of the step that learns from them, since a recording knows addresses. A step has two:
 * one being learned from, one being filled.
 *
 * Each picture has a place for det_picture_most_bytes() of its pixels, as bytes or as floats; only
 * what is used of it is copied. What the pictures are stands in a table beside them, so that one
 * recording serves all batches. */
#ifndef DET_DEVICES_CUDA_BATCH_H
#define DET_DEVICES_CUDA_BATCH_H

#include "data/picture.h"
#include "devices/cuda/cuda_graph.h"
#include "devices/cuda/cuda_truths.h"

enum { DET_CUDA_BATCHES = 2 };

struct det_cuda_batch {
    struct det_cuda_truths truths;
    struct det_cuda_graph graph; /* of the whole step */
    size_t images_at, table_at;  /* in the step's device memory */
    uint8_t *images, *staged;    /* [batch] places there, and in pinned memory */
    struct det_picture *table,
        *staged_table; /* [batch] there, pointing to `images`, and in pinned memory */
    int32_t contrasts; /* the most of any picture so far: the recording has as many passes */
    cudaEvent_t uploaded;
    bool under_way; /* the upload may not have ended */
};

/* Boxes and event; the images' memory is the step's. */
det_status det_cuda_batch_create(struct det_env *env, int32_t images, int32_t anchors,
                                 int32_t boxes, struct det_cuda_batch *batch);
/* Nothing may be under way. */
void det_cuda_batch_destroy(struct det_cuda_batch *batch);

/* Fills the batch with `count` pictures of no more than `place_bytes` and their truths, both
 * checked; their upload is enqueued. No step may be using it. */
det_status det_cuda_batch_fill(struct det_env *env, const struct det_device *device,
                               struct det_cuda_batch *batch, const struct det_picture *pictures,
                               int32_t count, size_t place_bytes,
                               const struct det_ground_truth *truths);

#endif
