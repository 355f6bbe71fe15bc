/* q8_stem.h: the first convolution in 8 bits as a product. Of each input row the windows of all
 * output columns lie side by side, one block of 16 values each: a window's row of taps, three
 * values a pixel, and what follows them, for which the weights are zero. The rows of a window are
 * then `channel blocks` of the output pixel, a slab's row apart. */
#ifndef DET_DEVICES_CPU_PREPARED_Q8_STEM_H
#define DET_DEVICES_CPU_PREPARED_Q8_STEM_H

#include "devices/cpu/prepared/prepared_steps.h"

/* Whether a window's row fits a block. */
static inline bool detk_q8_stem_fits(const struct detk_view *view)
{
    return view->c == 3 && view->taps_w * view->c <= DETK_BLOCK;
}

/* Weights HWIO as those of a product [taps_h * 16][out_c]. */
det_status detk_q8_stem_weights(struct det_env *env, const struct detk_view *view, int32_t out_c,
                                const int8_t *weights, int8_t **to);

/* Words of one of the slab's rows; of a slab for `rows` rows of output. */
ptrdiff_t detk_q8_slab_pitch(const struct detk_blocked *kernels, const struct detk_view *view);
size_t detk_q8_slab_words(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows);
/* What output rows y..y+rows-1 of an image see. */
void detk_q8_slab_fill(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int32_t y, int32_t rows, float *slab);

#endif
