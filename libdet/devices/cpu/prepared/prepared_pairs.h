/* prepared_pairs.h: what kernels that make products by Winograd's identity (blocked.h) need of a
 * product's input beside it: a 32-bit integer of each pixel, once for all panels of columns. Other
 * kernels need nothing: then there are no words, and nothing is made. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_PAIRS_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_PAIRS_H

#include "devices/cpu/prepared/prepared_weights.h"

struct det_pool;

size_t detk_pairs_words(const struct detk_pointwise *p, int64_t pixels);

/* Of `rows` times `count` neighbouring pixels, strides as in blocked.h: [rows][count] to `words`,
 * which is returned as what it is then; NULL where nothing is needed. */
const int32_t *detk_pairs_make(const struct detk_pointwise *p, const float *a, ptrdiff_t a_row,
                               ptrdiff_t a_block, int32_t rows, int32_t count, float *words);

/* The same of whole images of a map by all workers, images first .. first + images - 1. */
const int32_t *detk_pairs_of_map(struct det_pool *pool, const struct detk_pointwise *p,
                                 const struct detk_map *map, int32_t first, int32_t images,
                                 float *words);

#endif
