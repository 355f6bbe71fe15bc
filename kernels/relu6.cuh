/* relu6.cuh: min(max(x, 0), 6) in which NaN stays; fminf and fmaxf would drop it. nvcc makes a
 * branch of each comparison that is written out, eight instructions a value: two here. */
#ifndef DET_KERNELS_RELU6_CUH
#define DET_KERNELS_RELU6_CUH

#include "launch.cuh"

__device__ __forceinline__ float det_relu6(float x)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    float y;
    asm("max.NaN.f32 %0, %1, 0f00000000;" : "=f"(y) : "f"(x));
    asm("min.NaN.f32 %0, %0, 0f40C00000;" : "+f"(y));
    return y;
#else
    return x != x ? x : fminf(fmaxf(x, 0.0f), 6.0f);
#endif
}

#endif
