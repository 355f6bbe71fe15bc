/* q8_stem.h: the first convolution in 8 bits as a product. The values of an output pixel's window,
 * row after row of taps, are its `channels`: blocks of 16, a plane of all the row's pixels for
 * each. The last block holds more than the window, for which there are no weights.
 *
 * Kernels with `windows` (blocked.h) read them where they lie: of an output row its first two lines
 * of the image as one, and the third. */
#ifndef DET_DEVICES_CPU_PREPARED_Q8_STEM_H
#define DET_DEVICES_CPU_PREPARED_Q8_STEM_H

#include "devices/cpu/prepared/prepared_steps.h"

/* Whether a window's row fits a block. */
static inline bool detk_q8_stem_fits(const struct detk_view *view)
{
    return view->c == 3 && view->taps_w * view->c <= DETK_BLOCK;
}

/* Weights and what else the product needs, as detk_q8_pointwise_pack() has it. */
det_status detk_q8_stem_pack(struct det_env *env, const struct detk_blocked *kernels,
                             const struct detk_view *view, int32_t out_c,
                             const struct det_q8_conv *layer, float real_scale,
                             struct detk_pointwise *to);

/* Words of a plane, and of an output row: its planes. Or of its first two lines, and of all. */
ptrdiff_t detk_q8_slab_plane(const struct detk_blocked *kernels, const struct detk_view *view);
ptrdiff_t detk_q8_slab_row(const struct detk_blocked *kernels, const struct detk_view *view);
/* Of a slab for `rows` rows of output. */
size_t detk_q8_slab_words(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows);
/* Makes output rows y..y+rows-1 of an image. */
void detk_q8_slab_fill(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int32_t y, int32_t rows, float *slab);

#endif
