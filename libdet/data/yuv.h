/* yuv.h: from brightness and colour difference, as cameras and video codecs have them, to RGB.
 *
 * ITU-R BT.601-7 and BT.709-6, section 3 of each: with Kr and Kb of the standard,
 * Kg = 1 - Kr - Kb, and y, u and v scaled by the range to 0..1, -.5 to .5 and -.5 to .5,
 *   R = y + 2 (1 - Kr) v
 *   G = y - 2 (1 - Kb) Kb / Kg u - 2 (1 - Kr) Kr / Kg v
 *   B = y + 2 (1 - Kb) u
 * times 255, cut to 0..255 and rounded to the nearest. swscale, whose numbers have fewer bits, is
 * up to 3 apart.
 */
#ifndef DET_DATA_YUV_H
#define DET_DATA_YUV_H

#include <stdint.h>

#include "det/detector.h"

/* The compiler's own vectors, which it turns into what the machine has. */
typedef float det_yuv_floats __attribute__((vector_size(16)));
typedef int32_t det_yuv_ints __attribute__((vector_size(16)));

struct det_yuv {
    float black;         /* the Y that is 0 */
    float y;             /* what a step of Y is worth */
    det_yuv_floats u, v; /* what a step of each is worth in R, G and B; and 0 */
};

/* Static; NULL: there is no such colour. */
const struct det_yuv *det_yuv_of(det_yuv_color color);

/* R, G and B, whole numbers, and 0. */
static inline det_yuv_floats det_yuv_to_rgb(const struct det_yuv *yuv, uint8_t y, uint8_t u,
                                            uint8_t v)
{
    const float bright = ((float)y - yuv->black) * yuv->y + .5f;
    const det_yuv_floats zero = {0}, most = {255, 255, 255, 0};
    det_yuv_floats value = bright + (float)(u - 128) * yuv->u + (float)(v - 128) * yuv->v;
    const det_yuv_ints above = value > most;
    value = (det_yuv_floats)((above & (det_yuv_ints)most) | (~above & (det_yuv_ints)value));
    value = (det_yuv_floats)((det_yuv_ints)value & (value > zero));
    return __builtin_convertvector(__builtin_convertvector(value, det_yuv_ints), det_yuv_floats);
}

#endif
