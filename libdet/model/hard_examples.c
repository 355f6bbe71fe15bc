#include "model/hard_examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/targets.h"

det_status det_hard_example_settings_check(struct det_env *env,
                                           const struct det_hard_example_settings *s)
{
    if (s->enabled && (s->count < 0 || !(s->iou_threshold >= 0 && s->iou_threshold <= 1) ||
                       s->max_negatives_per_positive < 0 || s->min_negatives_per_image < 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "hard examples: got %d examples, iou_threshold %g, %d negatives per "
                        "positive, at least %d: expected no negative number and an iou_threshold "
                        "up to 1",
                        (int)s->count, (double)s->iou_threshold, (int)s->max_negatives_per_positive,
                        (int)s->min_negatives_per_image);
    return DET_OK;
}

/* Rises as the loss falls, then with the anchor. */
static uint64_t key_of(float loss, int32_t anchor)
{
    uint32_t bits;
    memcpy(&bits, &loss, sizeof bits);
    /* Floats as integers of the same order. */
    bits = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    if (isnan(loss))
        bits = UINT32_MAX;
    return (uint64_t)(UINT32_MAX - bits) << 32 | (uint32_t)anchor;
}

static int by_key(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* As tf.image.non_max_suppression reads a box: corners in any order. One with a NaN has no area. */
static void put_in_order(const float box[4], float ordered[4])
{
    for (int d = 0; d < 2; d++) {
        ordered[d] = fminf(box[d], box[d + 2]);
        ordered[d + 2] = fmaxf(box[d], box[d + 2]);
    }
}

/* Intersection over union of two of these; nothing for a box without area. */
static float overlap(const float p[4], const float q[4])
{
    const float height = (p[2] < q[2] ? p[2] : q[2]) - (p[0] > q[0] ? p[0] : q[0]);
    const float width = (p[3] < q[3] ? p[3] : q[3]) - (p[1] > q[1] ? p[1] : q[1]);
    const float area_p = (p[2] - p[0]) * (p[3] - p[1]), area_q = (q[2] - q[0]) * (q[3] - q[1]);
    if (!(height > 0 && width > 0 && area_p > 0 && area_q > 0))
        return 0;
    return height * width / (area_p + area_q - height * width);
}

/* Returns how many were taken. */
static int32_t take(const struct det_hard_example_settings *settings, int32_t anchors,
                    const float (*boxes)[4], struct det_hard_example_space *space)
{
    const int32_t most =
        settings->count > 0 && settings->count < anchors ? settings->count : anchors;
    int32_t count = 0;
    for (int32_t i = 0; i < anchors && count < most; i++) {
        const int32_t anchor = (int32_t)(uint32_t)space->keys[i];
        float box[4];
        bool covered = false;
        put_in_order(boxes[anchor], box);
        /* At a threshold of 1 nothing can be above it. */
        for (int32_t k = count; k-- > 0 && !covered && settings->iou_threshold < 1;)
            covered = overlap(box, space->taken[k]) > settings->iou_threshold;
        if (covered)
            continue;
        memcpy(space->taken[count], box, sizeof box);
        space->order[count++] = anchor;
    }
    return count;
}

void det_hard_examples_select(const struct det_hard_example_settings *settings, int32_t anchors,
                              const float (*boxes)[4], const float *losses, const int32_t *matched,
                              struct det_hard_example_space *space, uint8_t *selected)
{
    for (int32_t i = 0; i < anchors; i++) {
        space->keys[i] = key_of(losses[i], i);
        selected[i] = 0;
    }
    qsort(space->keys, (size_t)anchors, sizeof *space->keys, by_key);
    const int32_t count = take(settings, anchors, boxes, space);
    int64_t positives = 0, negatives = 0;
    for (int32_t i = 0; i < count; i++)
        positives += matched[space->order[i]] >= 0;
    int64_t most = positives * settings->max_negatives_per_positive;
    if (most < settings->min_negatives_per_image)
        most = settings->min_negatives_per_image;
    if (settings->max_negatives_per_positive == 0)
        most = INT64_MAX;
    for (int32_t i = 0; i < count; i++) {
        const int32_t anchor = space->order[i];
        negatives += matched[anchor] == DET_MATCH_BACKGROUND;
        /* What is ignored counts for nothing, and goes with the negatives around it. */
        selected[anchor] = matched[anchor] >= 0 || negatives <= most;
    }
}
