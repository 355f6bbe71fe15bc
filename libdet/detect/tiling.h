/* tiling.h: pictures through a detector tile by tile: which view of which picture comes next, and
 * what is made of what was found in them. Tiles of several pictures may share a batch. */
#ifndef DET_DETECT_TILING_H
#define DET_DETECT_TILING_H

#include "detect/sightings.h"

struct det_tiling; /* settings and workspace, which grows with pictures and what is in them */

/* What a detector is to do. */
struct det_tiling_settings {
    const det_tile_settings *tiles;    /* checked */
    int32_t input_height, input_width; /* of the network: tiles of size 0 */
    int32_t batch;                     /* most pictures, and views at once */
    size_t most;                       /* detections of a picture */
    float iou_threshold;               /* of the model */
};

det_status det_tiling_create(struct det_env *env, const struct det_tiling_settings *settings,
                             struct det_tiling **tiling);
void det_tiling_destroy(struct det_env *env, struct det_tiling **tiling);
size_t det_tiling_bytes(const struct det_tiling *tiling);

/* Checked views; they stay the caller's until the results are there. */
det_status det_tiling_begin(struct det_env *env, struct det_tiling *tiling,
                            const det_image_view *images, size_t count);
/* The next views, [*count] <= batch; none are left: 0. */
const det_image_view *det_tiling_next(struct det_tiling *tiling, size_t *count);
/* Whether anything was found yet in the picture whose view is taken next. */
bool det_tiling_has_found(const struct det_tiling *tiling);
/* Of each of those views, in their order: what was found, boxes normalised to the whole image, and
 * the highest score in it. */
det_status det_tiling_take(struct det_env *env, struct det_tiling *tiling,
                           const det_image_detections *found, float top_score, int32_t top_class);
/* Of each picture, when there are no more views. */
void det_tiling_results(const struct det_tiling *tiling, det_image_detections *results);
/* Of picture `index`, where a view of it was taken. */
void det_tiling_top_score(const struct det_tiling *tiling, size_t index, float *score,
                          int32_t *top_class);

#endif
