/* nms.h: non-maximum suppression of one class, as TensorFlow's CPU kernel of NonMaxSuppressionV5
 * does it without soft suppression (tensorflow/core/kernels/image/non_max_suppression_op.cc):
 * candidates by falling score are kept unless their IoU with a kept one is above the threshold.
 * Candidates come out of a heap, so that only those that are looked at are sorted.
 */
#ifndef DET_MODEL_NMS_H
#define DET_MODEL_NMS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Keys: score's bits above, the complement of an index below. Scores are never negative, so that
 * their bits rise with them; of equal scores the lower index makes the larger key. */
static inline uint64_t det_score_key(float score, uint32_t index)
{
    uint32_t bits = 0;
    memcpy(&bits, &score, sizeof bits);
    return (uint64_t)bits << 32 | (UINT32_MAX - index);
}

static inline uint32_t det_key_index(uint64_t key)
{
    return UINT32_MAX - (uint32_t)key;
}

static inline float det_key_score(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float score = 0;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* Restores a max-heap of `count` keys whose root `at` may be too small. */
static inline void det_heap_sift_down(uint64_t *heap, size_t count, size_t at)
{
    const uint64_t key = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static inline void det_heap_make(uint64_t *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        det_heap_sift_down(heap, count, i);
}

static inline uint64_t det_heap_pop(uint64_t *heap, size_t *count)
{
    const uint64_t top = heap[0];
    heap[0] = heap[--*count];
    if (*count > 0)
        det_heap_sift_down(heap, *count, 0);
    return top;
}

/* heap [candidates]: keys of places in `boxes`, in any order, which is used up. kept [limit] gets
 * the places that stay, by falling score; returns how many. Boxes are finite, with ymin <= ymax and
 * xmin <= xmax. */
int32_t det_nms(uint64_t *heap, size_t candidates, const float (*boxes)[4], float iou_threshold,
                int32_t limit, int32_t *kept);

#endif
