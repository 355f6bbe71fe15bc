/* augment_boxes.c: operations on the objects alone. */
#include <math.h>

#include "data/augment_ops.h"

/* Two sides of a box by one draw each: `1 + u` times the half size away from the centre. */
static void jitter_sides(struct det_rng *rng, float low, float high, float *near_side,
                         float *far_side)
{
    const float centre = (*near_side + *far_side) / 2.0f;
    const float half = fmaxf(fabsf(*far_side - *near_side), 1e-6f) / 2.0f;
    *near_side = centre - half * (1.0f + det_rng_range(rng, low, high));
    *far_side = centre + half * (1.0f + det_rng_range(rng, low, high));
}

/* random_jitter_boxes. A symmetric change is limited so that neither side leaves the image. */
static void jitter_symmetric(struct det_rng *rng, float low, float high, bool same, float box[4])
{
    float factor[2], most[2], centre[2], half[2];
    for (int i = 0; i < 2; i++) {
        centre[i] = (box[i] + box[i + 2]) / 2.0f;
        half[i] = fmaxf(fabsf(box[i + 2] - box[i]), 1e-6f) / 2.0f;
        factor[i] = 1.0f + det_rng_range(rng, low, high);
        most[i] = fabsf(fminf(centre[i], 1.0f - centre[i]) / half[i]);
    }
    if (same) {
        factor[1] = factor[0];
        most[0] = most[1] = fminf(most[0], most[1]);
    }
    for (int i = 0; i < 2; i++) {
        factor[i] = fminf(fmaxf(factor[i], -most[i]), most[i]);
        box[i] = centre[i] - half[i] * factor[i];
        box[i + 2] = centre[i] + half[i] * factor[i];
    }
}

void det_augment_jitter_boxes(struct det_rng *rng, float ratio, enum det_jitter mode,
                              struct det_sample *sample)
{
    const bool only_out = mode == DET_JITTER_SIDES_OUT || mode == DET_JITTER_SYMMETRIC_OUT ||
                          mode == DET_JITTER_SYMMETRIC_XY_OUT;
    const bool only_in = mode == DET_JITTER_SIDES_IN || mode == DET_JITTER_SYMMETRIC_IN ||
                         mode == DET_JITTER_SYMMETRIC_XY_IN;
    const float low = only_out ? 0.0f : -ratio, high = only_in ? 0.0f : ratio;
    for (int32_t i = 0; i < sample->truth.count; i++) {
        float *box = sample->truth.boxes[i];
        if (mode == DET_JITTER_SIDES || mode == DET_JITTER_SIDES_OUT ||
            mode == DET_JITTER_SIDES_IN) {
            jitter_sides(rng, low, high, &box[0], &box[2]);
            jitter_sides(rng, low, high, &box[1], &box[3]);
        } else {
            jitter_symmetric(
                rng, low, high,
                mode == DET_JITTER_SYMMETRIC_XY_OUT || mode == DET_JITTER_SYMMETRIC_XY_IN, box);
        }
        for (int c = 0; c < 4; c++)
            box[c] = fminf(fmaxf(box[c], 0.0f), 1.0f);
    }
}

/* drop_label_probabilistically: each object of this class goes unless its draw is above the
 * probability. */
void det_augment_drop_label(struct det_rng *rng, int32_t class_id, float probability,
                            struct det_sample *sample)
{
    struct det_ground_truth *truth = &sample->truth;
    int32_t kept = 0;
    for (int32_t i = 0; i < truth->count; i++) {
        const bool stays = det_rng_uniform(rng) > probability;
        if (truth->class_index[i] + 1 == class_id && !stays)
            continue;
        det_ground_truth_move(truth, kept++, i);
    }
    truth->count = kept;
}

/* remap_labels: objects of these classes become the other one. */
void det_augment_remap_labels(const int32_t *class_ids, int32_t count, int32_t new_class_id,
                              struct det_sample *sample)
{
    for (int32_t i = 0; i < sample->truth.count; i++)
        for (int32_t k = 0; k < count; k++)
            if (sample->truth.class_index[i] + 1 == class_ids[k]) {
                sample->truth.class_index[i] = new_class_id - 1;
                break;
            }
}
