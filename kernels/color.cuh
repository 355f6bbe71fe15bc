/* color.cuh: operations on the colours of pixels, to the bit as data/augment_color.c does them. */
#ifndef DET_KERNELS_COLOR_CUH
#define DET_KERNELS_COLOR_CUH

#include "data/picture.h"
#include "launch.cuh"

__device__ __forceinline__ float det_clip_pixel(float value)
{
    return value < 0.0f ? 0.0f : value > 255.0f ? 255.0f : value;
}

__device__ __forceinline__ void det_add_brightness(float delta, float (&rgb)[3])
{
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = det_clip_pixel(__fmul_rn(__fadd_rn(__fdiv_rn(rgb[c], 255.0f), delta), 255.0f));
}

__device__ __forceinline__ void det_stretch_contrast(float factor, const float (&means)[3],
                                                     float (&rgb)[3])
{
#pragma unroll
    for (int c = 0; c < 3; c++) {
        const float away = __fsub_rn(__fdiv_rn(rgb[c], 255.0f), means[c]);
        rgb[c] = det_clip_pixel(__fmul_rn(__fadd_rn(__fmul_rn(away, factor), means[c]), 255.0f));
    }
}

__device__ __forceinline__ float det_largest(const float (&rgb)[3])
{
    return fmaxf(rgb[0], fmaxf(rgb[1], rgb[2]));
}

__device__ __forceinline__ float det_smallest(const float (&rgb)[3])
{
    return fminf(rgb[0], fminf(rgb[1], rgb[2]));
}

__device__ __forceinline__ void det_scale_saturation(float factor, float (&rgb)[3])
{
    const float most = det_largest(rgb), range = __fsub_rn(most, det_smallest(rgb));
    if (range <= 0.0f)
        return; /* grey stays grey */
    const float saturation = __fdiv_rn(range, most);
    const float scale = __fdiv_rn(fminf(__fmul_rn(saturation, factor), 1.0f), saturation);
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = det_clip_pixel(__fsub_rn(most, __fmul_rn(__fsub_rn(most, rgb[c]), scale)));
}

/* Position on the colour circle in sextants, [0, 6). */
__device__ __forceinline__ float det_hue_of(const float (&rgb)[3], float most, float range)
{
    if (most == rgb[0])
        return __fadd_rn(__fdiv_rn(__fsub_rn(rgb[1], rgb[2]), range),
                         rgb[1] < rgb[2] ? 6.0f : 0.0f);
    if (most == rgb[1])
        return __fadd_rn(__fdiv_rn(__fsub_rn(rgb[2], rgb[0]), range), 2.0f);
    return __fadd_rn(__fdiv_rn(__fsub_rn(rgb[0], rgb[1]), range), 4.0f);
}

/* A channel's share of the range at a hue. */
__device__ __forceinline__ float det_trapezium(float hue)
{
    hue = hue < 0.0f ? __fadd_rn(hue, 6.0f) : hue >= 6.0f ? __fsub_rn(hue, 6.0f) : hue;
    const float value = __fsub_rn(fabsf(__fsub_rn(hue, 3.0f)), 1.0f);
    return value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
}

__device__ __forceinline__ void det_turn_hue(float turn, float (&rgb)[3])
{
    const float most = det_largest(rgb), least = det_smallest(rgb), range = __fsub_rn(most, least);
    if (range <= 0.0f)
        return; /* grey has no hue */
    float hue = __fadd_rn(det_hue_of(rgb, most, range), turn);
    while (hue < 0.0f)
        hue = __fadd_rn(hue, 6.0f);
    while (hue >= 6.0f)
        hue = __fsub_rn(hue, 6.0f);
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = det_clip_pixel(
            __fadd_rn(least, __fmul_rn(range, det_trapezium(__fsub_rn(hue, 2.0f * (float)c)))));
}

__device__ __forceinline__ void det_make_gray(float (&rgb)[3])
{
    const float red_green = __fadd_rn(__fmul_rn(rgb[0], 0.2989f), __fmul_rn(rgb[1], 0.5870f));
    rgb[0] = rgb[1] = rgb[2] = __fadd_rn(red_green, __fmul_rn(rgb[2], 0.1140f));
}

__device__ __forceinline__ void det_scale_linearly(const float (&values)[6], float (&rgb)[3])
{
#pragma unroll
    for (int c = 0; c < 3; c++)
        rgb[c] = __fadd_rn(__fmul_rn(rgb[c], values[c]), values[3 + c]);
}

/* One operation on N pixels. The means are those of a contrast. */
template <int N>
__device__ __forceinline__ void det_color_pixels(const struct det_color_op &op,
                                                 const float (&means)[3], float (&pixels)[N][3])
{
    const float value = op.values[0];
#pragma unroll
    for (int i = 0; i < N; i++)
        switch (op.kind) {
        case DET_COLOR_BRIGHTNESS:
            det_add_brightness(value, pixels[i]);
            break;
        case DET_COLOR_CONTRAST:
            det_stretch_contrast(value, means, pixels[i]);
            break;
        case DET_COLOR_SATURATION:
            det_scale_saturation(value, pixels[i]);
            break;
        case DET_COLOR_HUE:
            det_turn_hue(value, pixels[i]);
            break;
        case DET_COLOR_GRAY:
            det_make_gray(pixels[i]);
            break;
        case DET_COLOR_LINEAR:
            det_scale_linearly(op.values, pixels[i]);
            break;
        }
}

#endif
