/* prepared_strassen.h: a product's weights for Strassen's scheme (strassen.h), where the kernels
 * have it and the product is large enough to gain by it. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_STRASSEN_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_STRASSEN_H

#include "devices/cpu/prepared/prepared_weights.h"

/* Whether products of this one with pixels of `h` rows of `w` gain by it. */
bool detk_strassen_gains(const struct detk_pointwise *p, int32_t h, int32_t w);

/* From what is packed. Nothing where the kernels do not have it, or there is no whole panel. */
det_status detk_strassen_pack(struct det_env *env, struct detk_pointwise *p);

/* Of all panels; 0: not by this scheme. */
size_t detk_strassen_floats(const struct detk_pointwise *p);

/* Of one; NULL: not by this scheme. */
const float *detk_strassen_panel(const struct detk_pointwise *p, int32_t panel);

/* Panels that this is not for: the last may be narrower. */
bool detk_strassen_leaves_columns(const struct detk_pointwise *p);

#endif
