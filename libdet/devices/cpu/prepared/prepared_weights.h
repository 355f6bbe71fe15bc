/* prepared_weights.h: a convolution's weights as the kernels of blocked.h read them, packed
 * once. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_WEIGHTS_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_WEIGHTS_H

#include "devices/cpu/prepared/prepared_map.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/gemm/gemm.h"
#include "ops/ops.h"

/* 1x1. Columns in panels, each [rows][vectors * lanes], zeros behind the last column. A row is an
 * input channel; in bf16 a pair of them, in 8 bits four or two, the last perhaps with zeros. In
 * what order, blocked.h's `crossed` and `pairs` say. */
struct detk_pointwise {
    const struct detk_blocked *kernels;
    int32_t in_c, out_c, rows, panels;
    bool relu6;
    bool paired;                  /* by Winograd's identity (blocked.h) */
    bool windows;                 /* of 3x3 windows of 3 channels (blocked.h) */
    float *packed, *bias;         /* bias: zeros where there is none */
    float *strassen;              /* of whole panels, strassen.h; NULL: not by that scheme */
    struct detk_q8_finish finish; /* 8 bits: of all columns; its arrays lie behind `bias` */
    struct detk_q8_sum sum;       /* 8 bits: of an `add`, set by whoever gives one */
};
struct detk_panel_span {
    int32_t first, vectors; /* `first` begins a block */
    int32_t block, end_block;
};
struct detk_panel_span detk_panel_span_at(const struct detk_pointwise *p, int32_t index);

/* w [in_c][out_c]; bias [out_c] or NULL. */
det_status detk_pointwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                               int32_t in_c, int32_t out_c, const float *w, const float *bias,
                               bool relu6, struct detk_pointwise *to);
void detk_pointwise_free(struct det_env *env, struct detk_pointwise *p);
size_t detk_pointwise_floats(const struct detk_pointwise *p);

/* One panel's columns of pixels in rows y..end-1 of an image: out = act(in * w + bias + add); `in`
 * is read from row in_y on, and in->beside is of that row and the next. `add` is NULL or in blocks;
 * not with a plain `out`. */
void detk_pointwise_run(const struct detk_pointwise *p, int32_t panel, const struct detk_map *in,
                        int32_t in_y, const struct detk_map *add, const struct detk_map *out,
                        int32_t image, int32_t y, int32_t end);
/* The same for `rows` times `count` neighbouring pixels, at least one; the strides as in
 * blocked.h. */
struct detk_pixels {
    int32_t rows, count;
    const float *a;
    ptrdiff_t a_row, a_block;
    struct detk_beside beside;
    const float *add;
    ptrdiff_t add_row, add_block;
    float *c;
    ptrdiff_t c_pixel, c_row, c_block;
    bool plain; /* c is NHWC: nothing may be written behind its last column */
};
void detk_pointwise_pixels(const struct detk_pointwise *p, int32_t panel,
                           const struct detk_pixels *pixels);

/* Depthwise 3x3: [blocks][9][16] and [blocks][16], in 8 bits [blocks][3][16] words. */
struct detk_depthwise {
    const struct detk_blocked *kernels;
    int32_t c, stride, pad_top, pad_left;
    bool relu6;
    float *w, *bias;
    struct detk_q8_finish finish; /* as above */
};
/* w [3][3][c]; bias [c] or NULL. */
det_status detk_depthwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                               const struct det_conv_shape *shape, const float *w,
                               const float *bias, bool relu6, struct detk_depthwise *to);
void detk_depthwise_free(struct det_env *env, struct detk_depthwise *d);
size_t detk_depthwise_floats(const struct detk_depthwise *d);
/* One block of channels. rows as in struct detk_dw_rows. */
void detk_depthwise_run(const struct detk_depthwise *d, int32_t block, const float *const *rows,
                        int32_t out_rows, int32_t out_w, float *out, ptrdiff_t out_row);

/* prepared_q8.c: the same for 8 bits; `in` and `out` are what the layer reads and writes. `w` of a
 * product [in_c][out_c], and of a depthwise convolution [3][3][c], is layer->weights. */
det_status detk_q8_pointwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                                  int32_t in_c, int32_t out_c, const struct det_q8_conv *layer,
                                  float real_scale, struct detk_pointwise *to);
/* A dense convolution's, HWIO, for a product of windows: taps behind each other, each all the
 * channel blocks of the input. */
det_status detk_q8_dense_pack(struct det_env *env, const struct detk_blocked *kernels,
                              const struct det_conv_shape *shape, const struct det_q8_conv *layer,
                              float real_scale, struct detk_pointwise *to);
det_status detk_q8_depthwise_pack(struct det_env *env, const struct detk_blocked *kernels,
                                  const struct det_conv_shape *shape,
                                  const struct det_q8_conv *layer, struct detk_depthwise *to);
/* Words for `columns` of them: bias and what `finish` points to. */
#define DETK_Q8_COLUMN_WORDS 2

/* Of a panel, so that who packs need not know: the columns with the zeros behind them, and how the
 * columns are cut. */
int32_t detk_panel_count(const struct detk_blocked *kernels, int32_t out_c);
size_t detk_padded_columns(const struct detk_pointwise *p);

#endif
