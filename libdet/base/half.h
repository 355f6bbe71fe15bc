/* half.h: IEEE 754 binary16 values as files hold them. Conversion to half rounds to nearest, ties
 * to even; what is too large becomes infinity. */
#ifndef DET_BASE_HALF_H
#define DET_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

float det_half_to_float(uint16_t half);
uint16_t det_float_to_half(float value);

#endif
