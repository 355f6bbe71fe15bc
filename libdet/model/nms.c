#include "model/nms.h"

#include <stdbool.h>

static float least(float a, float b)
{
    return a < b ? a : b;
}

static float most(float a, float b)
{
    return a > b ? a : b;
}

/* Boxes never have ymin > ymax, so the kernel's reordering of corners is not needed. An IoU
 * that is NaN (areas that overflow) suppresses, as there. */
static bool overlaps(const float a[4], const float b[4], float threshold)
{
    const float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    float iou = 0;
    if (area_a > 0 && area_b > 0) {
        const float height = most(least(a[2], b[2]) - most(a[0], b[0]), 0);
        const float width = most(least(a[3], b[3]) - most(a[1], b[1]), 0);
        const float shared = height * width;
        iou = shared / (area_a + area_b - shared);
    }
    return !(iou <= threshold);
}

int32_t det_nms(uint64_t *heap, size_t candidates, const float (*boxes)[4], float iou_threshold,
                int32_t limit, int32_t *kept)
{
    int32_t count = 0;
    det_heap_make(heap, candidates);
    while (candidates > 0 && count < limit) {
        const int32_t place = (int32_t)det_key_index(det_heap_pop(heap, &candidates));
        bool suppressed = false;
        for (int32_t k = count - 1; k >= 0 && !suppressed; k--)
            suppressed = overlaps(boxes[place], boxes[kept[k]], iou_threshold);
        if (!suppressed)
            kept[count++] = place;
    }
    return count;
}
