/* input.h: from a caller's pixels to the network's input, and what is needed to bring boxes back.
 *
 * Agrees with SSDMetaArch.preprocess() and _compute_clip_window() of the TF Object Detection API:
 * the image stands in the top left corner of the network's frame; what keep_aspect_ratio_resizer
 * pads, and what pad_to_multiple adds, is zero *after* normalisation; anchors and boxes refer to
 * the frame before pad_to_multiple. Differs: keep_aspect_ratio_resizer without pad_to_max_dimension
 * is padded as well, since memory is planned for one size. */
#ifndef DET_MODEL_INPUT_H
#define DET_MODEL_INPUT_H

#include "base/pool.h"
#include "data/image_view.h"
#include "model/spec.h"

/* Where the image lies in the network's frame (input_height x input_width of the spec). */
struct det_frame {
    int32_t height, width; /* size the image is resized to */
    float window[4];       /* that part of the frame, for det_postprocess_run() */
};

struct det_frame det_frame_of(const struct det_model_spec *spec, int32_t height, int32_t width);

/* Resizes and normalises a checked view into `out` [out_height][out_width][3], zeros around it, on
 * the pool's threads (NULL: this one). The resizer is kept between images. */
det_status det_input_fill(struct det_env *env, struct det_resizer *resizer, struct det_pool *pool,
                          const det_image_view *view, const struct det_frame *frame, float *out,
                          int32_t out_height, int32_t out_width);

#endif
