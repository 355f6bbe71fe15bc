/* box_coder.h: Faster R-CNN box encodings (Ren et al., "Faster R-CNN", section 3.1.2), float32, in
 * the order of operations of box_coders/faster_rcnn_box_coder.py of the TF Object Detection API: ty
 * = (y - ya) / ha * scale[0], tx likewise; th = log(h / ha) * scale[2], tw likewise with y, x the
 * centre, h, w the size, `a` the anchor, and 1e-8 added to all sizes before encoding (not before
 * decoding). Decoding takes th and tw for at most 80, so that a box stays finite; after clipping to
 * a window this makes no difference.
 */
#ifndef DET_MODEL_BOX_CODER_H
#define DET_MODEL_BOX_CODER_H

#include <stdint.h>

struct det_box_coder {
    float y_scale, x_scale, height_scale, width_scale; /* 10, 10, 5, 5 */
};

#define DET_BOX_CODER_DEFAULT ((struct det_box_coder){10, 10, 5, 5})

void det_box_encode(const struct det_box_coder *coder, const float box[4], const float anchor[4],
                    float encoding[4]);
void det_box_decode(const struct det_box_coder *coder, const float encoding[4],
                    const float anchor[4], float box[4]);

#endif
