/* quant.cuh: the arithmetic of 8 bits that kernels of training share (model/quantised.h). */
#ifndef DET_KERNELS_QUANT_CUH
#define DET_KERNELS_QUANT_CUH

#include <math.h>

#include "launch.cuh"

struct det_quant {
    float scale;
    int32_t zero;
};

/* round() and roundf(): halves away from zero; what is left of the whole is exact. */
__device__ __forceinline__ double det_round_away(double value)
{
    const double whole = trunc(value), left = value - whole;
    return left >= 0.5 ? whole + 1 : left <= -0.5 ? whole - 1 : whole;
}

__device__ __forceinline__ float det_round_away(float value)
{
    const float whole = truncf(value), left = value - whole;
    return left >= 0.5f ? whole + 1 : left <= -0.5f ? whole - 1 : whole;
}

/* det_q8_tensor_of() */
__device__ __forceinline__ struct det_quant det_quant_of(float low, float high)
{
    const double least = low < 0 ? (double)low : 0.0, most = high > 0 ? (double)high : 0.0;
    const double scale = fmax((most - least) / 255, 1e-30);
    const double zero = det_round_away(-128 - least / scale);
    struct det_quant q;
    q.scale = (float)scale;
    q.zero = (int32_t)fmin(fmax(zero, -128.0), 127.0);
    return q;
}

#endif
