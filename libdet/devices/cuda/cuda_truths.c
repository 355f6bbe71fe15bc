#include "devices/cuda/cuda_truths.h"

#include <string.h>

static void place(struct det_cuda_truths *t, struct det_cuda_layout *layout)
{
    const size_t boxes = (size_t)t->capacity;
    t->offsets_at = det_cuda_layout_add(layout, (size_t)t->images + 1, sizeof(int32_t));
    t->boxes_at = det_cuda_layout_add(layout, boxes, 4 * sizeof(float));
    t->class_at = det_cuda_layout_add(layout, boxes, sizeof(int32_t));
    t->weight_at = det_cuda_layout_add(layout, boxes, sizeof(float));
    t->copied_bytes = layout->bytes;
    t->workspace_at =
        det_cuda_layout_add(layout, detk_targets_workspace(t->images, t->anchors, t->capacity), 1);
}

size_t det_cuda_truths_bytes(int32_t images, int32_t anchors, int32_t capacity)
{
    struct det_cuda_truths t = {.images = images, .anchors = anchors, .capacity = capacity};
    struct det_cuda_layout layout = {0};
    place(&t, &layout);
    return layout.bytes;
}

det_status det_cuda_truths_create(struct det_env *env, int32_t images, int32_t anchors,
                                  int32_t capacity, struct det_cuda_truths *t)
{
    *t = (struct det_cuda_truths){.images = images, .anchors = anchors, .capacity = capacity};
    struct det_cuda_layout layout = {0};
    place(t, &layout);
    det_status status = DET_OK;
    DET_TRY(
        det_cuda_block_create(env, DET_CUDA_PINNED, t->copied_bytes, "ground truth", &t->pinned));
    DET_TRY(det_cuda_block_create(env, DET_CUDA_DEVICE, layout.bytes, "ground truth", &t->device));
    /* All of it is copied each time, whatever there is. */
    memset(t->pinned.at, 0, t->copied_bytes);
    return DET_OK;
fail:
    det_cuda_truths_destroy(t);
    return status;
}

void det_cuda_truths_destroy(struct det_cuda_truths *t)
{
    det_cuda_block_destroy(&t->pinned);
    det_cuda_block_destroy(&t->device);
}

static det_status make_room(struct det_env *env, struct det_cuda_truths *t, int64_t boxes,
                            bool *moved)
{
    if (boxes <= t->capacity)
        return DET_OK;
    if (boxes > INT32_MAX / 2)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "ground truth: %lld boxes in a batch",
                        (long long)boxes);
    const int32_t doubled = t->capacity * 2;
    struct det_cuda_truths larger;
    DET_TRY_RETURN(det_cuda_truths_create(env, t->images, t->anchors,
                                          boxes > doubled ? (int32_t)boxes : doubled, &larger));
    det_cuda_truths_destroy(t);
    *t = larger;
    *moved = true;
    return DET_OK;
}

det_status det_cuda_truths_stage(struct det_env *env, struct det_cuda_truths *t,
                                 const struct det_ground_truth *batch, bool *moved)
{
    *moved = false;
    int64_t boxes = 0;
    for (int32_t n = 0; n < t->images; n++)
        boxes += batch[n].count;
    DET_TRY_RETURN(make_room(env, t, boxes, moved));
    int32_t *offsets = (int32_t *)(void *)(t->pinned.at + t->offsets_at);
    offsets[0] = 0;
    for (int32_t n = 0; n < t->images; n++) {
        const size_t first = (size_t)offsets[n], count = (size_t)batch[n].count;
        offsets[n + 1] = offsets[n] + batch[n].count;
        if (count == 0)
            continue;
        memcpy(t->pinned.at + t->boxes_at + first * 4 * sizeof(float), batch[n].boxes,
               count * 4 * sizeof(float));
        memcpy(t->pinned.at + t->class_at + first * sizeof(int32_t), batch[n].class_index,
               count * sizeof(int32_t));
        memcpy(t->pinned.at + t->weight_at + first * sizeof(float), batch[n].weight,
               count * sizeof(float));
    }
    return DET_OK;
}

det_status det_cuda_truths_enqueue(struct det_env *env, const struct det_device *device,
                                   const struct det_cuda_truths *t)
{
    return det_cuda_enqueue_upload(env, device, t->device.at, t->pinned.at, t->copied_bytes,
                                   "uploading the ground truth");
}

struct detk_truths det_cuda_truths_of(const struct det_cuda_truths *t)
{
    const uint8_t *at = t->device.at;
    return (struct detk_truths){
        .offsets = (const int32_t *)(const void *)(at + t->offsets_at),
        .boxes = (const float(*)[4])(const void *)(at + t->boxes_at),
        .class_index = (const int32_t *)(const void *)(at + t->class_at),
        .weight = (const float *)(const void *)(at + t->weight_at),
    };
}

void *det_cuda_truths_workspace(const struct det_cuda_truths *t)
{
    return t->device.at + t->workspace_at;
}
