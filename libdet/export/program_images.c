#include <math.h>
#include <string.h>

#include "export/program_nodes.h"
#include "support/mem.h"

/* Convolutions reckon in int32_t. */
static bool fits(int64_t value, int64_t least)
{
    return value >= least && value <= INT32_MAX / 4;
}

det_status det_node_conv_shape(const struct det_node_run *run, struct det_conv_shape *s)
{
    const struct det_node *node = run->node;
    const struct det_array *x = run->in[0], *w = run->in[1], *bias = run->in[2];
    if (x->dims != 4 || w->dims != 4)
        return det_node_fail(run, "input and weights of %d and %d dimensions, expected 4", x->dims,
                             w->dims);
    const int at = node->conv.channels_first ? 2 : 1;
    const int64_t in_h = x->shape[at], in_w = x->shape[at + 1];
    const int64_t in_c = x->shape[node->conv.channels_first ? 1 : 3];
    const int64_t out_c = node->conv.depthwise ? in_c : w->shape[3];
    const int64_t room_h = in_h + node->conv.pad_top + node->conv.pad_bottom - w->shape[0];
    const int64_t room_w = in_w + node->conv.pad_left + node->conv.pad_right - w->shape[1];
    if (!fits(x->shape[0], 1) || !fits(in_h, 1) || !fits(in_w, 1) || !fits(in_c, 1) ||
        !fits(out_c, 1) || !fits(w->shape[0], 1) || !fits(w->shape[1], 1) ||
        !fits(node->conv.stride, 1) || !fits(node->conv.pad_top, 0) ||
        !fits(node->conv.pad_left, 0) || !fits(node->conv.pad_bottom, 0) ||
        !fits(node->conv.pad_right, 0) || !fits(room_h, 0) || !fits(room_w, 0))
        return det_node_fail(run, "%lld x %lld kernel on an input of %lld x %lld",
                             (long long)w->shape[0], (long long)w->shape[1], (long long)in_h,
                             (long long)in_w);
    if (w->shape[2] != in_c || (node->conv.depthwise && w->shape[3] != 1))
        return det_node_fail(run, "weights for %lld channels, the input has %lld",
                             (long long)w->shape[2], (long long)in_c);
    if (bias != NULL && bias->count != (size_t)out_c)
        return det_node_fail(run, "%zu biases for %lld channels", bias->count, (long long)out_c);
    *s = (struct det_conv_shape){.n = (int32_t)x->shape[0],
                                 .in_h = (int32_t)in_h,
                                 .in_w = (int32_t)in_w,
                                 .in_c = (int32_t)in_c,
                                 .out_h = (int32_t)(room_h / node->conv.stride + 1),
                                 .out_w = (int32_t)(room_w / node->conv.stride + 1),
                                 .out_c = (int32_t)out_c,
                                 .kernel_h = (int32_t)w->shape[0],
                                 .kernel_w = (int32_t)w->shape[1],
                                 .stride = node->conv.stride,
                                 .pad_top = node->conv.pad_top,
                                 .pad_left = node->conv.pad_left};
    return DET_OK;
}

/* Columns become rows: [n][rows][columns] -> [n][columns][rows]. */
static void turn(const float *from, size_t n, size_t rows, size_t columns, float *to)
{
    for (size_t i = 0; i < n; i++, from += rows * columns, to += rows * columns)
        for (size_t row = 0; row < rows; row++)
            for (size_t column = 0; column < columns; column++)
                to[column * rows + row] = from[row * columns + column];
}

static det_status convolve(const struct det_node_run *run, const struct det_conv_shape *s,
                           const float *in, float *out)
{
    const bool depthwise = run->node->conv.depthwise;
    const int threads = det_pool_threads(run->pool);
    const float *bias = run->in[2] == NULL ? NULL : run->in[2]->floats;
    struct det_exec exec = {.pool = run->pool};
    exec.workspace_bytes =
        depthwise ? run->ops->dwconv_workspace(s, threads) : run->ops->conv_workspace(s, threads);
    DET_TRY_RETURN(
        det_alloc_raw(run->env, &exec.workspace, 1, exec.workspace_bytes, run->node->name));
    (depthwise ? run->ops->dwconv_forward : run->ops->conv_forward)(
        &exec, s, in, run->in[1]->floats, bias, run->node->conv.act, out);
    det_free(run->env, &exec.workspace);
    return DET_OK;
}

/* The operations have channels last. */
static det_status convolve_channels_first(struct det_node_run *run, const struct det_conv_shape *s)
{
    det_status status = DET_OK;
    const size_t n = (size_t)s->n, in_c = (size_t)s->in_c, out_c = (size_t)s->out_c;
    const size_t in_pixels = (size_t)s->in_h * (size_t)s->in_w;
    const size_t out_pixels = (size_t)s->out_h * (size_t)s->out_w;
    float *in = NULL, *out = NULL;
    DET_TRY(det_alloc_raw(run->env, &in, run->in[0]->count, sizeof *in, run->node->name));
    DET_TRY(det_alloc_raw(run->env, &out, run->out[0].count, sizeof *out, run->node->name));
    turn(run->in[0]->floats, n, in_c, in_pixels, in);
    DET_TRY(convolve(run, s, in, out));
    turn(out, n, out_pixels, out_c, run->out[0].floats);
fail:
    det_free(run->env, &in);
    det_free(run->env, &out);
    return status;
}

det_status det_node_conv(struct det_node_run *run)
{
    struct det_conv_shape s = {0};
    DET_TRY_RETURN(det_node_conv_shape(run, &s));
    const bool first = run->node->conv.channels_first;
    const int64_t shape[4] = {s.n, first ? s.out_c : s.out_h, first ? s.out_h : s.out_w,
                              first ? s.out_w : s.out_c};
    DET_TRY_RETURN(det_node_make(run, 0, false, 4, shape));
    if (first)
        return convolve_channels_first(run, &s);
    return convolve(run, &s, run->in[0]->floats, run->out[0].floats);
}

/* The shape after resizing, and the dimensions that change: [2], dims where there is none. */
static det_status resized(const struct det_node_run *run, int64_t shape[DET_ARRAY_MOST_DIMS],
                          int32_t changed[2])
{
    const struct det_array *x = run->in[0];
    const struct det_array *sizes = run->node->in_count > 1 ? run->in[1] : NULL;
    if (sizes != NULL && sizes->count != (size_t)x->dims)
        return det_node_fail(run, "%zu sizes for %d dimensions", sizes->count, x->dims);
    int32_t count = 0;
    changed[0] = changed[1] = x->dims;
    for (int32_t d = 0; d < x->dims; d++) {
        const double scaled = floor((double)x->shape[d] * (double)run->node->resize.scales[d]);
        const double wanted = sizes != NULL ? (double)sizes->wholes[d] : scaled;
        if (!(wanted >= 1 && wanted <= INT32_MAX) || !fits(x->shape[d], 1))
            return det_node_fail(run, "dimension %d of %lld becomes %g", d, (long long)x->shape[d],
                                 wanted);
        shape[d] = (int64_t)wanted;
        if (shape[d] == x->shape[d])
            continue;
        if (count == 2)
            return det_node_fail(run, "more than two dimensions change");
        changed[count++] = d;
    }
    return DET_OK;
}

/* Where a place of the result reads: between two, and how far behind the first. */
struct tap {
    size_t low, high;
    float share;
};

static struct tap tap_at(int64_t place, int64_t in, int64_t out, bool linear)
{
    const float position = (float)place * ((float)in / (float)out);
    const float low = floorf(position);
    struct tap tap = {(size_t)low, (size_t)ceilf(position), linear ? position - low : 0};
    if (tap.low > (size_t)in - 1)
        tap.low = (size_t)in - 1;
    if (tap.high > (size_t)in - 1)
        tap.high = (size_t)in - 1;
    return tap;
}

static float between(float a, float b, float share)
{
    return share == 0 ? a : a + (b - a) * share;
}

/* Where an element of the result reads. */
struct corners {
    size_t top_left, top_right, bottom_left, bottom_right;
    float down, right;
};

static float interpolated(const float *x, const struct corners *c)
{
    return between(between(x[c->top_left], x[c->top_right], c->right),
                   between(x[c->bottom_left], x[c->bottom_right], c->right), c->down);
}

det_status det_node_resize(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const bool linear = run->node->resize.linear;
    int64_t shape[DET_ARRAY_MOST_DIMS] = {0};
    int32_t changed[2] = {0};
    DET_TRY_RETURN(resized(run, shape, changed));
    if (x->whole && linear)
        return det_node_fail(run, "whole numbers cannot be interpolated");
    DET_TRY_RETURN(det_node_make(run, 0, x->whole, x->dims, shape));
    struct det_array *to = &run->out[0];
    /* [outer][rows][middle][columns][inner], where only rows and columns change. */
    const int32_t row = changed[0], column = changed[1], dims = x->dims;
    if (row == dims) {
        memcpy(to->data, x->data, x->count * (x->whole ? sizeof *x->wholes : sizeof *x->floats));
        return DET_OK;
    }
    const int64_t in_columns = column < dims ? x->shape[column] : 1;
    const int64_t out_columns = column < dims ? shape[column] : 1;
    const size_t outer = det_node_extent(x, 0, row), inner_from = column < dims ? 1 : 0;
    const size_t middle = det_node_extent(x, row + 1, column);
    const size_t inner = inner_from == 1 ? det_node_extent(x, column + 1, dims) : 1;
    const size_t in_row = middle * (size_t)in_columns * inner;
    size_t place = 0;
    for (size_t o = 0; o < outer; o++) {
        for (int64_t r = 0; r < shape[row]; r++) {
            const struct tap y = tap_at(r, x->shape[row], shape[row], linear);
            const size_t top = (o * (size_t)x->shape[row] + y.low) * in_row;
            const size_t bottom = (o * (size_t)x->shape[row] + y.high) * in_row;
            for (size_t m = 0; m < middle; m++) {
                for (int64_t c = 0; c < out_columns; c++) {
                    const struct tap t = tap_at(c, in_columns, out_columns, linear);
                    const size_t left = (m * (size_t)in_columns + t.low) * inner;
                    const size_t right = (m * (size_t)in_columns + t.high) * inner;
                    for (size_t i = 0; i < inner; i++, place++) {
                        const struct corners at = {top + left + i,    top + right + i,
                                                   bottom + left + i, bottom + right + i,
                                                   y.share,           t.share};
                        if (x->whole)
                            to->wholes[place] = x->wholes[at.top_left];
                        else
                            to->floats[place] = interpolated(x->floats, &at);
                    }
                }
            }
        }
    }
    return DET_OK;
}
