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

/* Pixels of the image to one of the output. */
__device__ __forceinline__ float det_step_of(int in_size, int out_size)
{
    return __fdiv_rn((float)in_size, (float)out_size);
}

__device__ __forceinline__ det_tap det_tap_at(int out, int in_size, float step)
{
    const float position = __fmul_rn((float)out, step);
    const int low = (int)position; /* its floor: it is not negative */
    const float share = __fsub_rn(position, (float)low);
    /* Rounding of the step may reach the end. */
    return {min(low, in_size - 1), min(share > 0 ? low + 1 : low, in_size - 1), share};
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
