/* cuda_truths.h: the labelled objects of a batch on their way to the device: in pinned memory and,
 * at the same offsets, on the device, with what the assignment of targets needs for as many boxes.
 * One copy brings all. */
#ifndef DET_DEVICES_CUDA_TRUTHS_H
#define DET_DEVICES_CUDA_TRUTHS_H

#include "data/ground_truth.h"
#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_memory.h"
#include "targets.h"

struct det_cuda_truths {
    int32_t images, anchors;
    int32_t capacity; /* boxes of a batch */
    struct det_cuda_block pinned, device;
    size_t offsets_at, boxes_at, class_at, weight_at; /* in both */
    size_t copied_bytes;
    size_t workspace_at; /* in `device` */
};

/* Bytes on the device for `capacity` boxes. */
size_t det_cuda_truths_bytes(int32_t images, int32_t anchors, int32_t capacity);
det_status det_cuda_truths_create(struct det_env *env, int32_t images, int32_t anchors,
                                  int32_t capacity, struct det_cuda_truths *truths);
void det_cuda_truths_destroy(struct det_cuda_truths *truths);

/* Puts a batch (checked: det_truths_check()) into the pinned memory. When it has more boxes than
 * any before, all moves to larger memory: then *moved is true, and recorded work that knows the old
 * addresses must be forgotten. Nothing may be under way. */
det_status det_cuda_truths_stage(struct det_env *env, struct det_cuda_truths *truths,
                                 const struct det_ground_truth *batch, bool *moved);
det_status det_cuda_truths_enqueue(struct det_env *env, const struct det_device *device,
                                   const struct det_cuda_truths *truths);

/* What kernels get. */
struct detk_truths det_cuda_truths_of(const struct det_cuda_truths *truths);
void *det_cuda_truths_workspace(const struct det_cuda_truths *truths);

#endif
