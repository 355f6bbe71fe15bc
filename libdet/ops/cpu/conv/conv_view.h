/* conv_view.h: how a convolution's product reads its source, shared by conv_pixels.c and
 * conv_weights.c, and the entries of these two files.
 *
 * Output pixel (y, x) sees the window of taps_h x taps_w source pixels whose first is (y0 + y *
 * step, x0 + x * step); what lies outside the source is zero. In memory a row of the window is a
 * run of taps_w * c contiguous floats, the next row is one pitch further. Where windows reach out
 * of the source a task works on a slab: a copy of its rows with the zeros in place.
 */
#ifndef DET_OPS_CPU_CONV_CONV_VIEW_H
#define DET_OPS_CPU_CONV_CONV_VIEW_H

#include "ops/cpu/gemm/gemm.h"
#include "ops/ops.h"

struct detk_view {
    int32_t n, h, w, c; /* source */
    int32_t step;
    int32_t y0, x0; /* may be negative */
    int32_t taps_h, taps_w;
    int32_t out_h, out_w;
};

/* The view of the forward pass: source = the convolution's input. */
struct detk_view detk_view_of(const struct det_conv_shape *s);

/* No window leaves the source: it can be read in place. */
bool detk_view_inside(const struct detk_view *view);
/* The pixels' windows are the source's pixels, in order: a plain matrix [n * h * w][c]. */
bool detk_view_is_matrix(const struct detk_view *view);

/* Length of the reduction of a pixel: taps_h * taps_w * c. */
int64_t detk_view_terms(const struct detk_view *view);

/* Floats of a slab for `rows` rows of output and of one of its rows. */
int64_t detk_slab_pitch(const struct detk_view *view);
int64_t detk_slab_floats(const struct detk_view *view, int32_t rows);
/* Copies what output rows y..y+rows-1 of an image see. */
void detk_slab_fill(const struct detk_view *view, const float *source, int32_t image, int32_t y,
                    int32_t rows, float *slab);

/* Cuts `count` things into `parts` nearly equal ranges; the first thing of range `part`. */
static inline int64_t detk_cut(int64_t count, int64_t parts, int64_t part)
{
    return count * part / parts;
}

static inline int64_t detk_div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t detk_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t detk_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Whole cache lines of floats, so that no two workers share one. */
static inline int64_t detk_lines(int64_t floats)
{
    return (floats + 15) / 16 * 16;
}

/* Into how many tasks work of so many multiply-adds is worth cutting: 20 us each on a fast core, at
 * most 256. */
int64_t detk_conv_tasks(int64_t multiply_adds);

/* Columns are processed by panels of `lanes * 2`; the last is one vector wide when that suffices.
 */
struct detk_panel {
    int32_t first, cols, vectors;
};
int32_t detk_panels(const struct detk_gemm *gemm, int32_t cols);
struct detk_panel detk_panel_at(const struct detk_gemm *gemm, int32_t cols, int32_t index);

/* to[n][j] = from[j][n] for a block of rows x cols (at most a cache line) of the source, zeros up
 * to width. */
void detk_transpose(const float *from, int64_t from_row, int32_t rows, int32_t cols, float *to,
                    int32_t width);

/* conv_pixels.c: forward and backward data. Floats of workspace, and the run. */
int64_t detk_conv_pixels_floats(const struct detk_gemm *gemm, const struct det_conv_shape *s,
                                bool backward, int threads);
void detk_conv_pixels_forward(const struct detk_gemm *gemm, const struct det_exec *x,
                              const struct det_conv_shape *s, const float *in, const float *w,
                              const float *bias, enum det_activation act, float *out);
void detk_conv_pixels_backward(const struct detk_gemm *gemm, const struct det_exec *x,
                               const struct det_conv_shape *s, const float *dout, const float *w,
                               float *din, bool accumulate);

/* conv_weights.c: backward weight. */
int64_t detk_conv_weights_floats(const struct detk_gemm *gemm, const struct det_conv_shape *s,
                                 int threads);
void detk_conv_weights(const struct detk_gemm *gemm, const struct det_exec *x,
                       const struct det_conv_shape *s, const float *in, const float *dout,
                       float *dw, bool accumulate);

#endif
