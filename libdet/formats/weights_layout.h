/* weights_layout.h: the fixed header of a `.det` file (weights.h), shared by its writer and its
 * reader. */
#ifndef DET_FORMATS_WEIGHTS_LAYOUT_H
#define DET_FORMATS_WEIGHTS_LAYOUT_H

#include "formats/weights.h"

#define WEIGHTS_MAGIC       "DETWGHT" /* and its NUL */
#define WEIGHTS_MAGIC_BYTES 8u
#define WEIGHTS_FIXED_BYTES 64u
#define WEIGHTS_ALIGN       64u

enum {
    WEIGHTS_AT_VERSION = 8,
    WEIGHTS_AT_CRC = 12,
    WEIGHTS_AT_HEADER_BYTES = 16, /* the CRC covers from here on */
    WEIGHTS_AT_FILE_BYTES = 24,
};

/* Rounds up to a multiple of WEIGHTS_ALIGN; false when it does not fit. */
static inline bool weights_align(size_t bytes, size_t *out)
{
    *out = 0;
    if (bytes > SIZE_MAX - (WEIGHTS_ALIGN - 1))
        return false;
    *out = (bytes + WEIGHTS_ALIGN - 1) / WEIGHTS_ALIGN * WEIGHTS_ALIGN;
    return true;
}

/* Elements of a shape and their bytes; false for a negative size or when it does not fit. */
bool det_weights_shape_bytes(enum det_weights_type dtype, const int64_t *shape, int32_t dims,
                             size_t *count, size_t *bytes);

#endif
