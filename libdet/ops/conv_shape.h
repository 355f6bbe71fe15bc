/* conv_shape.h: index arithmetic of convolutions that every CPU implementation shares. */
#ifndef DET_OPS_CONV_SHAPE_H
#define DET_OPS_CONV_SHAPE_H

#include "ops/ops.h"

/* Half-open range. */
struct det_range {
    int32_t begin, end;
};

/* The taps k of 0..kernel-1 with 0 <= out_index * stride - pad + k < in_size; begin == end when
 * there are none. */
static inline struct det_range det_taps_inside(int32_t out_index, int32_t stride, int32_t pad,
                                               int32_t kernel, int32_t in_size)
{
    const int64_t origin = (int64_t)out_index * stride - pad;
    const int64_t begin = origin < 0 ? -origin : 0;
    const int64_t end = in_size - origin < kernel ? in_size - origin : kernel;
    struct det_range range = {0, 0};
    if (begin < end) {
        range.begin = (int32_t)begin;
        range.end = (int32_t)end;
    }
    return range;
}

/* The outputs whose taps all lie inside: out_index * stride >= pad and out_index * stride - pad +
 * kernel <= in_size. */
static inline struct det_range det_outputs_inside(int32_t out_size, int32_t stride, int32_t pad,
                                                  int32_t kernel, int32_t in_size)
{
    struct det_range range = {0, 0};
    const int64_t room = (int64_t)in_size - kernel + pad;
    if (room < 0)
        return range;
    const int64_t begin = pad <= 0 ? 0 : ((int64_t)pad + stride - 1) / stride;
    int64_t end = room / stride + 1;
    if (end > out_size)
        end = out_size;
    if (begin < end) {
        range.begin = (int32_t)begin;
        range.end = (int32_t)end;
    }
    return range;
}

/* The output that tap k of input in_index belongs to, or -1. */
static inline int32_t det_output_of_tap(int32_t in_index, int32_t k, int32_t stride, int32_t pad,
                                        int32_t out_size)
{
    const int64_t position = (int64_t)in_index + pad - k;
    if (position < 0 || position % stride != 0 || position / stride >= out_size)
        return -1;
    return (int32_t)(position / stride);
}

#endif
