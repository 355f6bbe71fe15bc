/* anchors.h: the multiscale anchor grid (Lin et al., "Focal Loss for Dense Object Detection",
 * section 4), as anchor_generators/multiscale_grid_anchor_generator.py and grid_anchor_generator.py
 * of the TF Object Detection API make it, in float32 and in their order of operations.
 *
 * Order: level, grid row, grid column, aspect ratio, scale (the scale runs fastest). The grid's
 * offset is half a stride in a direction only where the image size is a multiple of the stride,
 * else 0. Boxes are not clipped.
 *
 * Feature maps belong to the network's input, which the feature extractor pads to a multiple of
 * pad_to_multiple; the image size (offset rule, normalisation) is the one before that padding. Both
 * are therefore parameters.
 */
#ifndef DET_MODEL_ANCHORS_H
#define DET_MODEL_ANCHORS_H

#include "support/env.h"

#define DET_ANCHOR_ASPECTS_MAX 16
#define DET_ANCHOR_LEVELS_MAX  16

struct det_anchor_settings {
    int32_t min_level, max_level; /* 3..7; strides are 2^level */
    float anchor_scale;           /* size of the base anchor in strides */
    float aspect_ratios[DET_ANCHOR_ASPECTS_MAX];
    int32_t aspect_ratio_count;
    int32_t scales_per_octave;
    bool normalize; /* false: pixels */
};

struct det_grid_size {
    int32_t height, width;
};

/* The zoo's settings: levels 3..7, scale 4, aspects 1, 2, .5, two scales per octave, normalised. */
void det_anchor_settings_default(struct det_anchor_settings *settings);

/* Side of the feature map of a level: ceil(padded / 2^level), padded = image_px raised to a
 * multiple of pad_to_multiple (1 = no padding). */
int32_t det_anchor_grid_side(int32_t image_px, int32_t pad_to_multiple, int32_t level);

int32_t det_anchors_per_cell(const struct det_anchor_settings *settings);

/* grids: one per level, from min_level on. *anchors ([A][4], caller frees with det_free) and
 * *count. */
det_status det_anchors_create(struct det_env *env, const struct det_anchor_settings *settings,
                              const struct det_grid_size *grids, int32_t image_height_px,
                              int32_t image_width_px, float (**anchors)[4], int32_t *count);

#endif
