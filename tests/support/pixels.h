/* pixels.h: pictures in every format and distance of rows that a caller may have. */
#ifndef TESTS_SUPPORT_PIXELS_H
#define TESTS_SUPPORT_PIXELS_H

#include "data/resize.h"

/* Packed RGB of the size that `pixels` says, copied in its format: `padding` bytes behind each row
 * but the last (nobody may read those), upside down in memory with `upwards`. Sets first and
 * stride; the result is to be freed. */
uint8_t *test_pixels_copy(const uint8_t *rgb, struct det_pixels *pixels, int32_t padding,
                          bool upwards);

#endif
