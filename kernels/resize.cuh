/* resize.cuh: how a value of the network's input is read from an image, to the bit as data/resize.c
 * does. */
#ifndef DET_KERNELS_RESIZE_CUH
#define DET_KERNELS_RESIZE_CUH

#include "vec.cuh"

/* Where an output coordinate reads: two places in the image and the share of the second. */
struct det_tap {
    int low, high;
    float share;
};

__device__ __forceinline__ det_tap det_tap_at(int out, int in_size, int out_size)
{
    const float position = __fmul_rn((float)out, __fdiv_rn((float)in_size, (float)out_size));
    const float low = floorf(position);
    /* Rounding of the scale may reach the end. */
    return {min((int)low, in_size - 1), min((int)ceilf(position), in_size - 1),
            __fsub_rn(position, low)};
}

__device__ __forceinline__ float det_blend(float a, float b, float share)
{
    return __fadd_rn(a, __fmul_rn(__fsub_rn(b, a), share));
}

__device__ __forceinline__ float det_normalized(float value)
{
    return __fsub_rn(__fmul_rn(2.0f / 255.0f, value), 1.0f);
}

#endif
