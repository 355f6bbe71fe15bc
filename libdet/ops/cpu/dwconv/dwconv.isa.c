/* dwconv.isa.c: depthwise convolution, forward and both gradients, for each instruction set
 * (isas.h).
 *
 * 3x3 with stride 1 or 2 keeps the nine weights of some channels in registers and walks along a
 * row, so that each column of the input is loaded once; columns are cut into tiles that fit the
 * first-level cache, because the next channels read the same cache lines. Any other kernel, and the
 * outputs whose taps leave the image, go pixel by pixel over all channels. The input's gradient
 * with stride 1 is a convolution with the turned kernel. The other gradients are for what
 * ops/cpu/bn/bn_dwconv.isa.c does not serve, kernels of another size: pixel by pixel.
 *
 * Workspace: the turned weights; or for the weights' gradient, for each chunk of rows, [kernel_h *
 * kernel_w][padded c] doubles, and as many floats that are emptied into them every FLUSH_PIXELS
 * pixels. */
#include <string.h>

#include "ops/conv_shape.h"
#include "ops/cpu/dwconv/dwconv_column.h"

#define CHUNK        131072 /* values a task, about */
#define TILE_BYTES   24576
#define CHUNKS_MAX   64
#define FLUSH_PIXELS 256

enum finish { FINISH_STORE, FINISH_RELU6, FINISH_ADD };

struct dw_job {
    /* of the loop: the input's gradient with stride 1 has in and out swapped */
    struct det_conv_shape s;
    int64_t rows; /* n * out_h, or n * in_h for the gradient with stride 2 */
    int64_t rows_per_task;
    int32_t tasks, tile;
    struct det_range inside; /* columns for the fast path */
    const float *in, *dout, *w, *bias;
    enum finish finish;
    float *to;
    /* weights' gradient */
    int64_t padded;
    double *sums;
    float *partial;
    bool accumulate;
};

static void plan_rows(struct dw_job *job, int64_t rows, int32_t width, int64_t tasks_max)
{
    const int64_t row_size = (int64_t)width * job->s.in_c;
    job->rows = rows;
    job->rows_per_task = row_size >= CHUNK ? 1 : CHUNK / row_size;
    if (job->rows_per_task * tasks_max < rows)
        job->rows_per_task = (rows + tasks_max - 1) / tasks_max;
    job->tasks = (int32_t)((rows + job->rows_per_task - 1) / job->rows_per_task);
    job->tile = TILE_BYTES / (int32_t)sizeof(float) / 3 / job->s.in_c;
    if (job->tile < 8)
        job->tile = 8;
}

static int64_t rows_end(const struct dw_job *job, int32_t task)
{
    const int64_t end = (task + 1) * job->rows_per_task;
    return end < job->rows ? end : job->rows;
}

static bool is_fast(const struct det_conv_shape *s)
{
    return s->kernel_h == 3 && s->kernel_w == 3 && (s->stride == 1 || s->stride == 2);
}

static struct det_range clipped(int32_t begin, int32_t size, int32_t end)
{
    const struct det_range range = {begin, end - begin < size ? end : begin + size};
    return range;
}

V_INLINE void store_finished(enum finish finish, float *to, v_f32 value, int lanes)
{
    if (finish == FINISH_RELU6)
        value = v_relu6(value);
    else if (finish == FINISH_ADD)
        value = v_add(value, v_load(to, lanes));
    v_store(to, value, lanes);
}

V_INLINE void load_column(v_f32 (*column)[VECTORS], const float *in, int64_t row_size, int rows,
                          int vectors, int lanes)
{
    UNROLL_3 for (int r = 0; r < rows; r++)
    {
        UNROLL_V for (int v = 0; v < vectors; v++) column[r][v] =
            v_load(in + r * row_size + v * V_WIDTH, lanes);
    }
}

/* Forward. */

/* `count` outputs of a row. `in` is the first tap's column of the first output, in the first row
 * that exists; `rows` (a constant) rows exist and `w` begins at the first one's weights. `bias` may
 * be NULL. */
V_INLINE void slide(const struct dw_job *job, const float *in, int32_t count, const float *w,
                    const float *bias, float *out, int rows, int stride, int vectors, int lanes)
{
    const int64_t c = job->s.in_c, row_size = job->s.in_w * c;
    const enum finish finish = job->finish;
    struct weights k;
    load_weights(&k, w, c, rows, 1, vectors, lanes);
    v_f32 start[VECTORS], first[VECTORS], second[VECTORS], third[VECTORS], column[3][VECTORS];
    UNROLL_V for (int v = 0; v < vectors; v++)
    {
        start[v] = bias != NULL ? v_load(bias + v * V_WIDTH, lanes) : v_zero();
        first[v] = start[v];
    }
    load_column(column, in, row_size, rows, vectors, lanes);
    add_column(first, (const v_f32(*)[VECTORS])column, &k, 0, rows, vectors);
    in += c;
    if (stride == 1) { /* sums of this output (has 2 columns), the next (1) and the one after */
        load_column(column, in, row_size, rows, vectors, lanes);
        add_column(first, (const v_f32(*)[VECTORS])column, &k, 1, rows, vectors);
        UNROLL_V for (int v = 0; v < vectors; v++) second[v] = start[v];
        add_column(second, (const v_f32(*)[VECTORS])column, &k, 0, rows, vectors);
        in += c;
    }
    for (int32_t i = 0; i < count; i++) {
        load_column(column, in, row_size, rows, vectors, lanes);
        if (stride == 1) {
            add_column(first, (const v_f32(*)[VECTORS])column, &k, 2, rows, vectors);
            add_column(second, (const v_f32(*)[VECTORS])column, &k, 1, rows, vectors);
            UNROLL_V for (int v = 0; v < vectors; v++) third[v] = start[v];
            add_column(third, (const v_f32(*)[VECTORS])column, &k, 0, rows, vectors);
            in += c;
        } else {
            add_column(first, (const v_f32(*)[VECTORS])column, &k, 1, rows, vectors);
            load_column(column, in + c, row_size, rows, vectors, lanes);
            add_column(first, (const v_f32(*)[VECTORS])column, &k, 2, rows, vectors);
            UNROLL_V for (int v = 0; v < vectors; v++) second[v] = start[v];
            add_column(second, (const v_f32(*)[VECTORS])column, &k, 0, rows, vectors);
            in += 2 * c;
        }
        UNROLL_V for (int v = 0; v < vectors; v++)
        {
            store_finished(finish, out + v * V_WIDTH, first[v], lanes);
            first[v] = second[v];
            if (stride == 1)
                second[v] = third[v];
        }
        out += c;
    }
}

#define BIAS_AT(job, j) ((job)->bias != NULL ? (job)->bias + (j) : NULL)

V_INLINE void slide_tile(const struct dw_job *job, const float *in, int32_t count, const float *w,
                         float *out, int rows, int stride)
{
    const int32_t c = job->s.in_c;
    FOR_BLOCKS(c, slide(job, in + j, count, w + j, BIAS_AT(job, j), out + j, rows, stride, vectors,
                        lanes));
}

static void slide_tile_any(const struct dw_job *job, const float *in, int32_t count, const float *w,
                           float *out, int rows)
{
    const bool one = job->s.stride == 1;
    if (rows == 3)
        one ? slide_tile(job, in, count, w, out, 3, 1) : slide_tile(job, in, count, w, out, 3, 2);
    else if (rows == 2)
        one ? slide_tile(job, in, count, w, out, 2, 1) : slide_tile(job, in, count, w, out, 2, 2);
    else
        one ? slide_tile(job, in, count, w, out, 1, 1) : slide_tile(job, in, count, w, out, 1, 2);
}

/* One output, taps h x w of which `in` and `weights` are the first. */
V_INLINE void pixel(const struct dw_job *job, const float *in, const float *weights, int32_t h,
                    int32_t w, const float *bias, float *out, int lanes)
{
    const struct det_conv_shape *s = &job->s;
    v_f32 sum = bias != NULL ? v_load(bias, lanes) : v_zero();
    for (int32_t y = 0; y < h; y++) {
        const float *from = in + (int64_t)y * s->in_w * s->in_c;
        const float *k = weights + (int64_t)y * s->kernel_w * s->in_c;
        for (int32_t x = 0; x < w; x++)
            sum = v_fma(v_load(from + (int64_t)x * s->in_c, lanes),
                        v_load(k + (int64_t)x * s->in_c, lanes), sum);
    }
    store_finished(job->finish, out, sum, lanes);
}

static void pixels(const struct dw_job *job, const float *image, int64_t top, struct det_range ky,
                   int32_t begin, int32_t end, float *out_row)
{
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    for (int32_t ox = begin; ox < end; ox++) {
        const struct det_range kx =
            det_taps_inside(ox, s->stride, s->pad_left, s->kernel_w, s->in_w);
        const int64_t left = (int64_t)ox * s->stride - s->pad_left + kx.begin;
        const bool any = ky.begin < ky.end && kx.begin < kx.end;
        const float *in = any ? image + ((top + ky.begin) * s->in_w + left) * c : image;
        const float *w = job->w + ((int64_t)ky.begin * s->kernel_w + kx.begin) * c;
        const int32_t rows = any ? ky.end - ky.begin : 0, columns = kx.end - kx.begin;
        V_FOR_CHANNELS(c, pixel(job, in + j, w + j, rows, columns, BIAS_AT(job, j),
                                out_row + ox * c + j, lanes));
    }
}

static void forward_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct dw_job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    for (int64_t row = task * job->rows_per_task; row < rows_end(job, task); row++) {
        const int32_t oy = (int32_t)(row % s->out_h);
        const float *image = job->in + row / s->out_h * s->in_h * s->in_w * c;
        float *out = job->to + row * s->out_w * c;
        const struct det_range ky =
            det_taps_inside(oy, s->stride, s->pad_top, s->kernel_h, s->in_h);
        const int64_t top = (int64_t)oy * s->stride - s->pad_top;
        if (ky.begin == ky.end || job->inside.begin == job->inside.end) {
            pixels(job, image, top, ky, 0, s->out_w, out);
            continue;
        }
        pixels(job, image, top, ky, 0, job->inside.begin, out);
        for (int32_t x = job->inside.begin; x < job->inside.end; x += job->tile) {
            const struct det_range part = clipped(x, job->tile, job->inside.end);
            const int64_t left = (int64_t)x * s->stride - s->pad_left;
            slide_tile_any(job, image + ((top + ky.begin) * s->in_w + left) * c,
                           part.end - part.begin, job->w + (int64_t)ky.begin * 3 * c, out + x * c,
                           ky.end - ky.begin);
        }
        pixels(job, image, top, ky, job->inside.end, s->out_w, out);
    }
}

static void run_forward(const struct det_exec *x, struct dw_job *job)
{
    const struct det_conv_shape *s = &job->s;
    plan_rows(job, (int64_t)s->n * s->out_h, s->out_w, INT32_MAX);
    if (is_fast(s))
        job->inside = det_outputs_inside(s->out_w, s->stride, s->pad_left, s->kernel_w, s->in_w);
    det_pool_run(x->pool, job->tasks, forward_rows, job);
}

void DET_OP(dwconv_forward, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                     const float *in, const float *w, const float *bias,
                                     enum det_activation act, float *out)
{
    struct dw_job job = {.s = *s,
                         .in = in,
                         .w = w,
                         .bias = bias,
                         .finish = act == DET_ACTIVATION_RELU6 ? FINISH_RELU6 : FINISH_STORE,
                         .to = out};
    run_forward(x, &job);
}

/* Gradient of the input, stride above 1. */

/* The taps k, k + stride, ... that an input position belongs to, and their outputs o, o - 1, ... */
struct taps {
    int32_t k, o, count;
};

static struct taps taps_of_input(int32_t in_index, int32_t stride, int32_t pad, int32_t kernel,
                                 int32_t out_size)
{
    struct taps taps = {0, 0, 0};
    const int64_t position = (int64_t)in_index + pad;
    if (position < 0)
        return taps;
    int64_t k = position % stride, o = position / stride;
    if (o >= out_size) {
        k += (o - out_size + 1) * stride;
        o = out_size - 1;
    }
    if (k >= kernel)
        return taps;
    const int64_t count = (kernel - 1 - k) / stride + 1;
    taps.k = (int32_t)k;
    taps.o = (int32_t)o;
    taps.count = (int32_t)(count < o + 1 ? count : o + 1);
    return taps;
}

/* One pixel of din; `dout` and `w` are image and weights. */
V_INLINE void spread_pixel(const struct dw_job *job, const float *dout, const float *w,
                           struct taps ty, struct taps tx, float *din, int lanes)
{
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    v_f32 sum = v_zero();
    for (int32_t a = 0; a < ty.count; a++) {
        const float *from = dout + (int64_t)(ty.o - a) * s->out_w * c;
        const float *k = w + (int64_t)(ty.k + a * s->stride) * s->kernel_w * c;
        for (int32_t b = 0; b < tx.count; b++)
            sum = v_fma(v_load(from + (tx.o - b) * c, lanes),
                        v_load(k + (tx.k + b * s->stride) * c, lanes), sum);
    }
    store_finished(job->finish, din, sum, lanes);
}

static void spread_row(const struct dw_job *job, const float *dout, struct taps ty, float *din_row)
{
    const struct det_conv_shape *s = &job->s;
    const int32_t c = s->in_c;
    for (int32_t ix = 0; ix < s->in_w; ix++) {
        const struct taps tx = taps_of_input(ix, s->stride, s->pad_left, s->kernel_w, s->out_w);
        V_FOR_CHANNELS(c, spread_pixel(job, dout + j, job->w + j, ty, tx,
                                       din_row + (int64_t)ix * c + j, lanes));
    }
}

static void backward_data_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct dw_job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    for (int64_t row = task * job->rows_per_task; row < rows_end(job, task); row++) {
        const int32_t iy = (int32_t)(row % s->in_h);
        const float *dout = job->dout + row / s->in_h * s->out_h * s->out_w * c;
        float *din = job->to + row * s->in_w * c;
        const struct taps ty = taps_of_input(iy, s->stride, s->pad_top, s->kernel_h, s->out_h);
        spread_row(job, dout, ty, din);
    }
}

/* As a convolution of dout with the turned kernel. */
static void backward_data_stride_1(const struct det_exec *x, struct dw_job *job)
{
    const struct det_conv_shape s = job->s;
    const size_t c = (size_t)s.in_c;
    const int32_t taps = s.kernel_h * s.kernel_w;
    float *turned = x->workspace;
    for (int32_t k = 0; k < taps; k++)
        memcpy(turned + (size_t)(taps - 1 - k) * c, job->w + (size_t)k * c, c * sizeof *turned);
    job->w = turned;
    job->in = job->dout;
    job->s.in_h = s.out_h;
    job->s.in_w = s.out_w;
    job->s.out_h = s.in_h;
    job->s.out_w = s.in_w;
    job->s.pad_top = s.kernel_h - 1 - s.pad_top;
    job->s.pad_left = s.kernel_w - 1 - s.pad_left;
    run_forward(x, job);
}

void DET_OP(dwconv_backward_data, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                           const float *dout, const float *w, float *din,
                                           bool accumulate)
{
    struct dw_job job = {
        .s = *s, .dout = dout, .w = w, .finish = accumulate ? FINISH_ADD : FINISH_STORE, .to = din};
    if (s->stride == 1) {
        backward_data_stride_1(x, &job);
        return;
    }
    plan_rows(&job, (int64_t)s->n * s->in_h, s->in_w, INT32_MAX);
    det_pool_run(x->pool, job.tasks, backward_data_rows, &job);
}

/* Gradient of the weights. */

V_INLINE void gather_lanes(const float *in, const float *dout, float *partial, int lanes)
{
    v_store_all(partial, v_fma(v_load(in, lanes), v_load(dout, lanes), v_load_all(partial)));
}

/* `image` and `dout` of the row's image and row. */
static void gather_pixels(const struct dw_job *job, const float *image, const float *dout,
                          int64_t top, struct det_range ky, int32_t begin, int32_t end,
                          float *partial)
{
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    for (int32_t ox = begin; ox < end; ox++) {
        const struct det_range kx =
            det_taps_inside(ox, s->stride, s->pad_left, s->kernel_w, s->in_w);
        const int64_t left = (int64_t)ox * s->stride - s->pad_left;
        for (int32_t y = ky.begin; y < ky.end; y++) {
            for (int32_t x = kx.begin; x < kx.end; x++) {
                const float *in = image + ((top + y) * s->in_w + left + x) * c;
                float *to = partial + ((int64_t)y * s->kernel_w + x) * job->padded;
                V_FOR_CHANNELS(c, gather_lanes(in + j, dout + ox * c + j, to + j, lanes));
            }
        }
    }
}

struct gathered {
    double *sums;
    float *partial;
    int64_t count;  /* of values in each */
    int32_t pixels; /* summed in `partial` */
};

/* Pixels go on to the doubles before the floats lose digits. */
static void flush(struct gathered *to, int32_t pixels, int32_t limit)
{
    to->pixels += pixels;
    if (to->pixels < limit)
        return;
    for (int64_t i = 0; i < to->count; i += V_WIDTH) {
        v_add_to_double(to->sums + i, v_load_all(to->partial + i));
        v_store_all(to->partial + i, v_zero());
    }
    to->pixels = 0;
}

static void backward_weight_rows(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct dw_job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const int64_t c = s->in_c;
    struct gathered to = {.count = s->kernel_h * s->kernel_w * job->padded};
    to.sums = job->sums + task * to.count;
    to.partial = job->partial + task * to.count;
    memset(to.sums, 0, (size_t)to.count * sizeof *to.sums);
    memset(to.partial, 0, (size_t)to.count * sizeof *to.partial);
    for (int64_t row = task * job->rows_per_task; row < rows_end(job, task); row++) {
        const int32_t oy = (int32_t)(row % s->out_h);
        const float *image = job->in + row / s->out_h * s->in_h * s->in_w * c;
        const float *dout = job->dout + row * s->out_w * c;
        const struct det_range ky =
            det_taps_inside(oy, s->stride, s->pad_top, s->kernel_h, s->in_h);
        const int64_t top = (int64_t)oy * s->stride - s->pad_top;
        if (ky.begin == ky.end)
            continue;
        for (int32_t x = 0; x < s->out_w; x += FLUSH_PIXELS) {
            const struct det_range part = clipped(x, FLUSH_PIXELS, s->out_w);
            gather_pixels(job, image, dout, top, ky, part.begin, part.end, to.partial);
            flush(&to, part.end - part.begin, FLUSH_PIXELS);
        }
    }
    flush(&to, 0, 0);
}

/* One tap. */
static void combine_chunks(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct dw_job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const int64_t count = s->kernel_h * s->kernel_w * job->padded;
    float *dw = job->to + (int64_t)task * s->in_c;
    for (int32_t j = 0; j < s->in_c; j++) {
        double sum = job->accumulate ? (double)dw[j] : 0.0;
        for (int32_t chunk = 0; chunk < job->tasks; chunk++)
            sum += job->sums[chunk * count + task * job->padded + j];
        dw[j] = (float)sum;
    }
}

void DET_OP(dwconv_backward_weight, DET_ISA)(const struct det_exec *x,
                                             const struct det_conv_shape *s, const float *in,
                                             const float *dout, float *dw, bool accumulate)
{
    struct dw_job job = {.s = *s,
                         .in = in,
                         .dout = dout,
                         .to = dw,
                         .accumulate = accumulate,
                         .padded = v_padded(s->in_c),
                         .sums = x->workspace};
    plan_rows(&job, (int64_t)s->n * s->out_h, s->out_w, CHUNKS_MAX);
    job.partial = (float *)(void *)(job.sums + job.tasks * s->kernel_h * s->kernel_w * job.padded);
    det_pool_run(x->pool, job.tasks, backward_weight_rows, &job);
    det_pool_run(x->pool, s->kernel_h * s->kernel_w, combine_chunks, &job);
}

size_t DET_OP(dwconv_workspace, DET_ISA)(const struct det_conv_shape *s, int threads)
{
    (void)threads;
    struct dw_job job = {.s = *s};
    plan_rows(&job, (int64_t)s->n * s->out_h, s->out_w, CHUNKS_MAX);
    const size_t taps = (size_t)s->kernel_h * (size_t)s->kernel_w;
    return (size_t)job.tasks * taps * (size_t)v_padded(s->in_c) * (sizeof(double) + sizeof(float));
}
