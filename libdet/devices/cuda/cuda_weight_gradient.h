/* cuda_weight_gradient.h: which weights' gradients of dense convolutions kernels/weight_gradient.h
 * computes, and which are products of cublasLt's. Decided by sizes alone, so that `deterministic`
 * has nothing to leave out, and in plain numbers, so that bench/roofline_plan.c counts what is
 * launched.
 *
 * Both read their operands once at best. Ours multiplies in float32 outside of tensor cores: an
 * H100 does 66.9e12 flop/s beside 3.35e12 bytes/s, 20 flops a byte. Of its loop's instructions .62
 * to .77 multiply: six tenths are counted on, 12 flops a byte. Tiles at the edges count as whole
 * ones. Ours is taken where that arithmetic hides behind the bytes that cublasLt would move at
 * least. What it wins is not on paper but for the first layer: a product of 32 x 32 keeps a quarter
 * of a tile of 64 x 64 busy.
 *
 * The first layer's patches are read in the image itself. cublasLt needs them copied out: 27 values
 * of each pixel written and read. */
#ifndef DET_DEVICES_CUDA_WEIGHT_GRADIENT_H
#define DET_DEVICES_CUDA_WEIGHT_GRADIENT_H

#include <stdbool.h>

#include "ops/shape.h"

enum det_cuda_weight_way {
    DET_CUDA_WEIGHT_LIBRARY, /* not here: cublasLt, or cuDNN */
    DET_CUDA_WEIGHT_ROWS,    /* detk_weight_gradient(): a 1x1 convolution of stride 1 */
    DET_CUDA_WEIGHT_IMAGE,   /* detk_image_weight_gradient() */
};

struct det_cuda_weight_cost {
    double bytes, flops;  /* flops with whole tiles */
    double library_bytes; /* that cublasLt would move, copies of patches included */
};

#define DET_CUDA_WEIGHT_FLOPS_PER_BYTE 12.0
/* Blocks whose sums are stored and added up, at most: kernels/weight_gradient.cu. */
#define DET_CUDA_WEIGHT_STRIPS 264.0

/* As detk_im2col_width(). */
static inline double det_cuda_weight_columns(double used, int32_t element_bytes)
{
    const int32_t unit = 16 / element_bytes, k = (int32_t)used;
    return (double)((k + unit - 1) / unit * unit);
}

static inline bool det_cuda_weight_is_image(const struct det_conv_shape *s)
{
    return s->kernel_h == 3 && s->kernel_w == 3 && s->in_c == 3;
}

static inline struct det_cuda_weight_cost det_cuda_weight_cost(const struct det_conv_shape *s,
                                                               int32_t element_bytes)
{
    const bool image = det_cuda_weight_is_image(s);
    const double rows = (double)s->n * s->out_h * s->out_w, e = (double)element_bytes;
    const double k = (double)s->kernel_h * s->kernel_w * s->in_c, n = (double)s->out_c;
    const double in = (double)s->n * s->in_h * s->in_w * s->in_c * e;
    const double columns = rows * det_cuda_weight_columns(k, element_bytes) * e;
    const double tile_rows = image ? k : (double)((s->in_c + 7) / 8 * 8);
    const double tile_columns = (double)((s->out_c + 7) / 8 * 8);
    return (struct det_cuda_weight_cost){
        .bytes = in + rows * n * e + 2 * DET_CUDA_WEIGHT_STRIPS * k * n * 4,
        .flops = 2 * rows * tile_rows * tile_columns,
        .library_bytes = (image ? in + 2 * columns : in) + rows * n * e + k * n * 4,
    };
}

/* Our own kernels load vectors of 16 bytes alone. */
static inline bool det_cuda_weight_has_vectors(const struct det_conv_shape *s,
                                               int32_t element_bytes)
{
    const int32_t in_c = det_cuda_weight_is_image(s) ? 0 : s->in_c;
    return (in_c | s->out_c) * element_bytes % 16 == 0;
}

/* Our own way when it takes `within` the time of cublasLt's. */
static inline enum det_cuda_weight_way
det_cuda_weight_way_within(const struct det_conv_shape *s, int32_t element_bytes, double within)
{
    const bool rows = s->kernel_h == 1 && s->kernel_w == 1 && s->stride == 1;
    if ((!rows && !det_cuda_weight_is_image(s)) || !det_cuda_weight_has_vectors(s, element_bytes))
        return DET_CUDA_WEIGHT_LIBRARY;
    const struct det_cuda_weight_cost cost = det_cuda_weight_cost(s, element_bytes);
    const double arithmetic = cost.flops / DET_CUDA_WEIGHT_FLOPS_PER_BYTE;
    const double own = cost.bytes > arithmetic ? cost.bytes : arithmetic;
    if (!(own <= within * cost.library_bytes))
        return DET_CUDA_WEIGHT_LIBRARY;
    return rows ? DET_CUDA_WEIGHT_ROWS : DET_CUDA_WEIGHT_IMAGE;
}

/* The library splits sums as long as these too, and its parts are not counted: hence the tenth. */
static inline enum det_cuda_weight_way det_cuda_weight_way(const struct det_conv_shape *s,
                                                           int32_t element_bytes)
{
    return det_cuda_weight_way_within(s, element_bytes, 1.1);
}

/* Whether ours may be the faster one, should cublasLt be far from what it can do: worth a try where
 * both are timed. */
static inline enum det_cuda_weight_way det_cuda_weight_candidate(const struct det_conv_shape *s,
                                                                 int32_t element_bytes)
{
    return det_cuda_weight_way_within(s, element_bytes, 2);
}

#endif
