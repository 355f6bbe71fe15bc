#include "data/yuv.h"

#include <stddef.h>

/* Y has `y_steps` steps from black to white, U and V have `c_steps` from end to end. */
#define YUV(kr, kb, zero, y_steps, c_steps)                                             \
    {                                                                                   \
        .black = (zero), .y = (float)(255. / (y_steps)),                                \
        .u = {0, (float)(-2 * (1 - (kb)) * (kb) / (1 - (kr) - (kb)) * 255 / (c_steps)), \
              (float)(2 * (1 - (kb)) * 255 / (c_steps))},                               \
        .v = {(float)(2 * (1 - (kr)) * 255 / (c_steps)),                                \
              (float)(-2 * (1 - (kr)) * (kr) / (1 - (kr) - (kb)) * 255 / (c_steps))},   \
    }

const struct det_yuv *det_yuv_of(det_yuv_color color)
{
    static const struct det_yuv colors[] = {
        [DET_YUV_BT601] = YUV(.299, .114, 16, 219, 224),
        [DET_YUV_BT601_FULL] = YUV(.299, .114, 0, 255, 255),
        [DET_YUV_BT709] = YUV(.2126, .0722, 16, 219, 224),
        [DET_YUV_BT709_FULL] = YUV(.2126, .0722, 0, 255, 255),
    };
    return (size_t)color < sizeof colors / sizeof colors[0] ? &colors[color] : NULL;
}
