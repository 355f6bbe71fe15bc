/* blocked_dw.h: body of the 3x3 depthwise convolution of blocked.h, included by blocked_table.h.
 *
 * The nine weights of a vector of channels stay in registers. A few neighbouring outputs are summed
 * side by side: each column that is loaded serves all of them, and their sums do not wait for each
 * other. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_DW_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_DW_H

#include "ops/cpu/blocked/blocked_form.h"

#define DW_OUTPUTS 4
#define DW_PIXELS  (320 * DETK_BLOCK / WORDS) /* in L1 */
#define DW_UNROLL  _Pragma("GCC unroll 32")

/* `count` outputs (a constant) from the one at `at` on. */
V_INLINE void dw_outputs(const float *const *rows, ptrdiff_t at, const v_f32 (*k)[3], v_f32 bias,
                         bool relu6, float *out, const int count, const int stride)
{
    v_f32 sum[DW_OUTPUTS];
    DW_UNROLL for (int o = 0; o < count; o++) sum[o] = bias;
    DW_UNROLL for (int r = 0; r < 3; r++)
    {
        const float *in = rows[r] + at;
        DW_UNROLL for (int x = 0; x < (count - 1) * stride + 3; x++)
        {
            v_f32 column = load_channels(in + x * WORDS);
            V_KEEP(column);
            DW_UNROLL for (int o = 0; o < count; o++)
            {
                if (x - o * stride >= 0 && x - o * stride < 3)
                    sum[o] = v_fma(column, k[r][x - o * stride], sum[o]);
            }
        }
    }
    DW_UNROLL for (int o = 0; o < count; o++)
        store_channels(out + o * WORDS, relu6 ? v_relu6(sum[o]) : sum[o]);
}

/* Outputs of some rows and columns. */
struct dw_part {
    int32_t y, end_y, x, end_x;
};

V_INLINE void dw_vector(const struct detk_dw_rows *job, struct dw_part part, int v,
                        const int stride, const bool relu6)
{
    v_f32 k[3][3];
    DW_UNROLL for (int i = 0; i < 9; i++) k[i / 3][i % 3] =
        v_load_all(job->w + i * DETK_BLOCK + v * V_WIDTH);
    const v_f32 bias = v_load_all(job->bias + v * V_WIDTH);
    for (int32_t y = part.y; y < part.end_y; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * stride;
        ptrdiff_t at = (ptrdiff_t)part.x * stride * WORDS + WORDS_OF(v * V_WIDTH);
        float *out =
            job->out + y * job->out_row + (ptrdiff_t)part.x * WORDS + WORDS_OF(v * V_WIDTH);
        int32_t left = part.end_x - part.x;
        for (; left >= DW_OUTPUTS; left -= DW_OUTPUTS) {
            dw_outputs(rows, at, (const v_f32(*)[3])k, bias, relu6, out, DW_OUTPUTS, stride);
            at += DW_OUTPUTS * stride * WORDS;
            out += DW_OUTPUTS * WORDS;
        }
        for (; left >= 2; left -= 2) {
            dw_outputs(rows, at, (const v_f32(*)[3])k, bias, relu6, out, 2, stride);
            at += 2 * stride * WORDS;
            out += 2 * WORDS;
        }
        if (left > 0)
            dw_outputs(rows, at, (const v_f32(*)[3])k, bias, relu6, out, 1, stride);
    }
}

V_INLINE void dw_all_vectors(const struct detk_dw_rows *job, struct dw_part part, const int stride)
{
    for (int v = 0; v < DETK_BLOCK / V_WIDTH; v++)
        job->relu6 ? dw_vector(job, part, v, stride, true) : dw_vector(job, part, v, stride, false);
}

static int32_t dw_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Every vector of channels reads the same lines: so few rows, or columns of one row, at once that
 * these stay in L1. */
static void dw_rows(const struct detk_dw_rows *job)
{
    const int32_t stride = job->stride, in_w = job->out_w * stride + 2;
    const int32_t fit = (DW_PIXELS / in_w - 2) / stride;
    const int32_t rows = fit < 1 ? 1 : fit, columns = fit < 1 ? DW_PIXELS / 3 / stride : job->out_w;
    for (int32_t y = 0; y < job->out_rows; y += rows) {
        for (int32_t x = 0; x < job->out_w; x += columns) {
            const struct dw_part part = {y, dw_least(y + rows, job->out_rows), x,
                                         dw_least(x + columns, job->out_w)};
            stride == 1 ? dw_all_vectors(job, part, 1) : dw_all_vectors(job, part, 2);
        }
    }
}

#endif
