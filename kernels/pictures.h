/* pictures.h: the network's input from a batch of pictures (data/picture.h) as they were cropped
 * from decoded images: mirrored, coloured, resized, framed and normalised. The bits of
 * det_picture_to_floats() and det_normalize_pixels(); bf16 the same rounded.
 *
 * A contrast needs the means of the picture as the operations before it leave it: a pass over the
 * pixels for each, before the one that makes the input. Sums are integers (DET_COLOR_UNITS), so
 * that blocks add to them in any order. */
#ifndef DET_KERNELS_PICTURES_H
#define DET_KERNELS_PICTURES_H

#include "data/picture.h"
#include "kernel.h"

DETK_BEGIN

size_t detk_pictures_workspace(int32_t n);
/* pictures: `n` of them in DEVICE memory, and their pixels too (floats aligned to 4 bytes), so that
 * a captured graph can be replayed with others; `contrasts` is no less than any one's
 * contrast_count, and launches as many passes. They were checked for h x w. out [n, out_h, out_w,
 * 3] has zeros beyond h, w. */
cudaError_t detk_pictures(cudaStream_t stream, enum detk_type type,
                          const struct det_picture *pictures, int32_t n, int32_t contrasts,
                          int32_t h, int32_t w, int32_t out_h, int32_t out_w, void *out,
                          void *workspace);

DETK_END
#endif
