/* prepared_beside.h: what products of some kernels need beside their input, made once for all
 * panels of columns: by Winograd's identity (blocked.h) a 32-bit integer of each pixel, by
 * Strassen's scheme (strassen.h) sums of each group of pixels. Other kernels need nothing: then
 * there are no words, and nothing is made. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_BESIDE_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_BESIDE_H

#include "devices/cpu/prepared/prepared_weights.h"

struct det_pool;

/* Words of `rows` times `count` pixels. */
size_t detk_beside_words(const struct detk_pointwise *p, int64_t rows, int32_t count);

/* Of `rows` times `count` neighbouring pixels, strides as in blocked.h, made in `words`. */
struct detk_beside detk_beside_make(const struct detk_pointwise *p, const float *a, ptrdiff_t a_row,
                                    ptrdiff_t a_block, int32_t rows, int32_t count, float *words);

/* The same of whole images of a map by all workers, images first .. first + images - 1. */
struct detk_beside detk_beside_of_map(struct det_pool *pool, const struct detk_pointwise *p,
                                      const struct detk_map *map, int32_t first, int32_t images,
                                      float *words);

/* From row `row` of `count` pixels on; no sums where a group does not begin with it. */
struct detk_beside detk_beside_from(struct detk_beside beside, ptrdiff_t row, int32_t count);

#endif
