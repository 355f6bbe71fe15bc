/* yuv.h: from brightness and colour difference, as cameras and video codecs have them, to RGB.
 *
 * ITU-R BT.601-7 and BT.709-6, section 3 of each: with Kr and Kb of the standard, Kg = 1 - Kr - Kb, y, u and v scaled to 0..1 and
 * -.5...5 by the range,
 *   R = y + 2 (1 - Kr) v    B = y + 2 (1 - Kb) u    G = y - 2 (1 - Kb) Kb / Kg u - 2 (1 - Kr) Kr / Kg v
 * times 255, rounded and cut to 0..255. In whole numbers, as swscale and libyuv do it, but with enough bits for the rounding to be
 * that of the formula: at most 1 apart, where it stands at a half.
 */
#ifndef DET_DATA_YUV_H
#define DET_DATA_YUV_H

#include <stdint.h>

#include "det/detector.h"

#define DET_YUV_SHIFT 20

/* What a step of each is worth, in units of 2^-DET_YUV_SHIFT. */
struct det_yuv {
    int32_t black; /* Y that is 0 */
    int32_t y;
    int32_t red_v, green_u, green_v, blue_u;
};

/* Static; NULL: there is no such colour. */
const struct det_yuv *det_yuv_of(det_yuv_color color);

static inline int32_t det_yuv_byte(int32_t sum)
{
    const int32_t value = (sum + (1 << (DET_YUV_SHIFT - 1))) >> DET_YUV_SHIFT;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static inline void det_yuv_to_rgb(const struct det_yuv *yuv, uint8_t y, uint8_t u, uint8_t v,
                                  int32_t rgb[3])
{
    const int32_t bright = (y - yuv->black) * yuv->y, blue = u - 128, red = v - 128;
    rgb[0] = det_yuv_byte(bright + red * yuv->red_v);
    rgb[1] = det_yuv_byte(bright + blue * yuv->green_u + red * yuv->green_v);
    rgb[2] = det_yuv_byte(bright + blue * yuv->blue_u);
}

#endif
