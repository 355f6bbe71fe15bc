/* postprocess_boxes.cuh: boxes as postprocess.cu needs them: decoded, compared, clipped. Every
 * operation rounds once, as in model/: no contraction into fma. */
#ifndef DET_KERNELS_POSTPROCESS_BOXES_CUH
#define DET_KERNELS_POSTPROCESS_BOXES_CUH

#include "launch.cuh"
#include "model/postprocess.h"

struct alignas(16) box {
    float ymin, xmin, ymax, xmax;
};

__device__ __forceinline__ float size_factor(float log_size)
{
    return expf(log_size > 80.0f ? 80.0f : log_size);
}

/* One axis of model/box_coder.c det_box_decode(). */
__device__ __forceinline__ void decode_axis(float shift, float log_size, float shift_scale,
                                            float size_scale, float low, float high, float *out_low,
                                            float *out_high)
{
    const float anchor_size = __fsub_rn(high, low);
    const float anchor_center = __fadd_rn(low, __fmul_rn(anchor_size, 0.5f));
    const float size = __fmul_rn(size_factor(__fdiv_rn(log_size, size_scale)), anchor_size);
    const float center =
        __fadd_rn(__fmul_rn(__fdiv_rn(shift, shift_scale), anchor_size), anchor_center);
    *out_low = __fsub_rn(center, __fmul_rn(size, 0.5f));
    *out_high = __fadd_rn(center, __fmul_rn(size, 0.5f));
}

__device__ __forceinline__ box decode_box(const struct det_box_coder &coder, const float (&e)[4],
                                          const float (&a)[4])
{
    box b;
    decode_axis(e[0], e[2], coder.y_scale, coder.height_scale, a[0], a[2], &b.ymin, &b.ymax);
    decode_axis(e[1], e[3], coder.x_scale, coder.width_scale, a[1], a[3], &b.xmin, &b.xmax);
    return b;
}

__device__ __forceinline__ bool is_finite(const box &b)
{
    return isfinite(b.ymin) && isfinite(b.xmin) && isfinite(b.ymax) && isfinite(b.xmax);
}

__device__ __forceinline__ float least(float a, float b)
{
    return a < b ? a : b;
}

__device__ __forceinline__ float most(float a, float b)
{
    return a > b ? a : b;
}

__device__ __forceinline__ float area(const box &b)
{
    return __fmul_rn(__fsub_rn(b.ymax, b.ymin), __fsub_rn(b.xmax, b.xmin));
}

/* Of finite boxes, in either order. An IoU that is NaN (areas that overflow) suppresses. */
__device__ __forceinline__ bool overlaps(const box &a, const box &b, float threshold)
{
    const float height = fmaxf(__fsub_rn(fminf(a.ymax, b.ymax), fmaxf(a.ymin, b.ymin)), 0);
    const float width = fmaxf(__fsub_rn(fminf(a.xmax, b.xmax), fmaxf(a.xmin, b.xmin)), 0);
    const float shared = __fmul_rn(height, width);
    float iou = 0;
    if (shared != 0) { /* most pairs are apart: they need no division */
        const float area_a = area(a), area_b = area(b);
        if (area_a > 0 && area_b > 0)
            iou = __fdiv_rn(shared, __fsub_rn(__fadd_rn(area_a, area_b), shared));
    }
    return !(iou <= threshold);
}

__device__ __forceinline__ float clip(float value, float low, float high)
{
    return most(least(value, high), low);
}

/* Clips to the window and moves to its frame when wanted; false when nothing is left. */
__device__ __forceinline__ bool place_box(box *b, const float *window, bool change_frame)
{
    const float ymin = window[0], xmin = window[1], ymax = window[2], xmax = window[3];
    *b = {clip(b->ymin, ymin, ymax), clip(b->xmin, xmin, xmax), clip(b->ymax, ymin, ymax),
          clip(b->xmax, xmin, xmax)};
    if (!(area(*b) > 0))
        return false;
    if (change_frame) {
        const float to_y = __fdiv_rn(1, __fsub_rn(ymax, ymin));
        const float to_x = __fdiv_rn(1, __fsub_rn(xmax, xmin));
        *b = {__fmul_rn(__fsub_rn(b->ymin, ymin), to_y), __fmul_rn(__fsub_rn(b->xmin, xmin), to_x),
              __fmul_rn(__fsub_rn(b->ymax, ymin), to_y), __fmul_rn(__fsub_rn(b->xmax, xmin), to_x)};
    }
    return true;
}

#endif
