/* norm_dwconv_kernel.h: depthwise 3x3 convolutions of training. Included by the three ISA files, see cpu_ops.h.
 *
 * A task takes a band of rows of one image. The rows that its next output needs are in a ring of three slots, normalised
 * when they enter it (backward: turned into the gradient of the convolution's result), with zeros at both ends where taps
 * leave the image, and a row of zeros stands for the rows above and below it: no pixel is a special case. What was made of
 * them, and what the weights' gradient needs, is in the cache: the sums are taken row by row.
 *
 * Backward, a task's rows are those of the input. With P = iy + pad_top, row iy meets dout rows (P - ky) / stride, so with
 * stride 2 an even P the first and third row of the kernel, an odd one the second.
 *
 * Workspace: for each worker a scratch of three slots, the zeros and (backward) the row of the input; for each task its
 * sums, and of the weights' gradient [9][padded c] doubles and as many floats that are emptied into them after FLUSH_PIXELS
 * pixels; the turned weights. */
#ifndef DET_BACKEND_CPU_NORM_DWCONV_KERNEL_H
#define DET_BACKEND_CPU_NORM_DWCONV_KERNEL_H

#include <string.h>

#include "backend/cpu/dwconv_column.h"
#include "backend/cpu/norm_dwconv.h"

#define BANDS        32 /* of all images, about: more for larger batches */
#define BAND_ROWS    10 /* at least: the next band makes two of them again */
#define FLUSH_PIXELS 256

#define ROWS_TABLE(isa)  ROWS_TABLE_(isa)
#define ROWS_TABLE_(isa) detk_rows_##isa
#define ROWS             ROWS_TABLE(DET_ISA)

struct job {
    struct det_conv_shape s;
    const struct detk_norm_forward *forward;
    const struct detk_norm_backward *backward;
    int32_t rows, bands, tasks; /* rows of an image that are cut into bands */
    /* A slot of the ring: `slot_left` pixels of zeros, then a row of source_w pixels, then zeros. */
    int32_t source_h, source_w, slot_left, slot_w;
    int64_t pitch;        /* floats from pixel to pixel of what is in the scratch */
    int64_t slot, in_row; /* floats of a slot, of the padded row of the input */
    int64_t scratch_floats, padded;
    float *scratch, *turned, *partial;
    double *sums;
    void *feeds;
};

static void plan(struct job *job, const struct det_conv_shape *s, bool backward)
{
    *job = (struct job){.s = *s, .padded = v_padded(s->in_c), .pitch = detk_scratch_row(s->in_c)};
    const int32_t in_w = (s->out_w - 1) * s->stride + 3; /* padding included */
    job->rows = backward ? s->in_h : s->out_h;
    const int32_t wanted = (BANDS + s->n - 1) / s->n, most = job->rows / BAND_ROWS;
    job->bands = wanted < most ? wanted : most > 0 ? most : 1;
    job->tasks = s->n * job->bands;
    job->source_h = backward ? s->out_h : s->in_h;
    job->source_w = backward ? s->out_w : s->in_w;
    if (!backward) {
        job->slot_left = s->pad_left;
        job->slot_w = in_w;
    } else if (s->stride == 1) {
        job->slot_left = 2 - s->pad_left;
        job->slot_w = s->in_w + 2;
    } else {
        job->slot_left = 1;
        job->slot_w = s->out_w + 2;
    }
    job->slot = job->slot_w * job->pitch;
    job->in_row = backward ? in_w * job->pitch : 0;
    job->scratch_floats = (4 * job->slot + job->in_row + 15) / 16 * 16;
}

/* Bytes of workspace; and where everything is, when `memory` is given. */
static size_t lay_out(struct job *job, bool backward, void *memory, int threads)
{
    size_t bytes = 0;
    const size_t c = (size_t)job->padded, tasks = (size_t)job->tasks;
    job->scratch =
        detk_place(memory, &bytes, (size_t)threads * (size_t)job->scratch_floats * sizeof(float));
    job->feeds = detk_place(memory, &bytes, tasks * detk_feed_bytes(job->s.in_c));
    if (backward) {
        job->turned = detk_place(memory, &bytes, 9 * c * sizeof(float));
        job->sums = detk_place(memory, &bytes, tasks * 9 * c * sizeof(double));
        job->partial = detk_place(memory, &bytes, tasks * 9 * c * sizeof(float));
    }
    return bytes;
}

/* The ring of one task. */
struct ring {
    const struct job *job;
    int32_t image;
    int32_t held[3]; /* which row of the source a slot holds */
    float *slots, *zeros;
};

static struct ring ring_start(const struct job *job, int32_t image, int32_t worker)
{
    struct ring ring = {.job = job, .image = image, .held = {-1, -1, -1}};
    ring.slots = job->scratch + worker * job->scratch_floats;
    ring.zeros = ring.slots + 3 * job->slot;
    memset(ring.slots, 0, (size_t)job->scratch_floats * sizeof *ring.slots);
    return ring;
}

/* The slot with row y of the source. */
static const float *ring_row(struct ring *ring, int32_t y)
{
    const struct job *job = ring->job;
    if (y < 0 || y >= job->source_h)
        return ring->zeros;
    float *slot = ring->slots + y % 3 * job->slot;
    if (ring->held[y % 3] == y)
        return slot;
    ring->held[y % 3] = y;
    const int32_t c = job->s.in_c, room = job->slot_w - job->slot_left;
    const int32_t count = job->source_w < room ? job->source_w : room;
    const int64_t first = ((int64_t)ring->image * job->source_h + y) * job->source_w;
    float *to = slot + job->slot_left * job->pitch;
    if (job->backward == NULL) {
        const struct det_operand *in = &job->forward->in;
        ROWS.value(in->norm, c, in->x + first * c, count, to, job->pitch);
    } else {
        ROWS.gradient(&job->backward->dout, c, first, count, to, job->pitch);
    }
    return slot;
}

V_INLINE void load_rows(v_f32 (*column)[VECTORS], const float *const *rows, int64_t at, int count,
                        int vectors, int lanes)
{
    UNROLL_3 for (int r = 0; r < count; r++)
    {
        UNROLL_V for (int v = 0; v < vectors; v++) column[r][v] =
            v_load(rows[r] + at + v * V_WIDTH, lanes);
    }
}

V_INLINE void put(float *to, v_f32 value, bool add, int lanes)
{
    v_store(to, add ? v_add(value, v_load(to, lanes)) : value, lanes);
}

/* `count` outputs from three padded rows. */
V_INLINE void slide(const float *const *rows, int64_t pitch, int64_t c, int32_t count,
                    const float *w, const float *bias, float *out, bool add, int stride, int32_t j,
                    int vectors, int lanes)
{
    struct weights k;
    load_weights(&k, w + j, c, 3, 1, vectors, lanes);
    v_f32 start[VECTORS], first[VECTORS], second[VECTORS], third[VECTORS], column[3][VECTORS];
    const v_f32(*const loaded)[VECTORS] = (const v_f32(*)[VECTORS])column;
    UNROLL_V for (int v = 0; v < vectors; v++)
    {
        start[v] = bias != NULL ? v_load(bias + j + v * V_WIDTH, lanes) : v_zero();
        first[v] = second[v] = start[v];
    }
    load_rows(column, rows, j, 3, vectors, lanes);
    add_column(first, loaded, &k, 0, 3, vectors);
    int64_t at = pitch + j;
    out += j;
    if (stride == 1) { /* sums of this output (has 2 columns), the next (1) and the one after */
        load_rows(column, rows, at, 3, vectors, lanes);
        add_column(first, loaded, &k, 1, 3, vectors);
        add_column(second, loaded, &k, 0, 3, vectors);
        at += pitch;
    }
    for (int32_t i = 0; i < count; i++) {
        load_rows(column, rows, at, 3, vectors, lanes);
        at += pitch;
        if (stride == 1) {
            add_column(first, loaded, &k, 2, 3, vectors);
            add_column(second, loaded, &k, 1, 3, vectors);
            UNROLL_V for (int v = 0; v < vectors; v++) third[v] = start[v];
            add_column(third, loaded, &k, 0, 3, vectors);
        } else {
            add_column(first, loaded, &k, 1, 3, vectors);
            load_rows(column, rows, at, 3, vectors, lanes);
            add_column(first, loaded, &k, 2, 3, vectors);
            UNROLL_V for (int v = 0; v < vectors; v++) second[v] = start[v];
            /* Behind the last output there is no column for the next one. */
            add_column(second, loaded, &k, 0, 3, vectors);
            at += pitch;
        }
        UNROLL_V for (int v = 0; v < vectors; v++)
        {
            put(out + v * V_WIDTH, first[v], add, lanes);
            first[v] = second[v];
            if (stride == 1)
                second[v] = third[v];
        }
        out += c;
    }
}

/* `bias` may be NULL. */
static void slide_row(const float *const *rows, int64_t pitch, int32_t c, int32_t count,
                      const float *w, const float *bias, float *out, bool add, int stride)
{
    if (stride == 2)
        FOR_BLOCKS(c, slide(rows, pitch, c, count, w, bias, out, false, 2, j, vectors, lanes));
    else if (add)
        FOR_BLOCKS(c, slide(rows, pitch, c, count, w, bias, out, true, 1, j, vectors, lanes));
    else
        FOR_BLOCKS(c, slide(rows, pitch, c, count, w, bias, out, false, 1, j, vectors, lanes));
}

static void band_of(const struct job *job, int32_t task, int32_t *image, int32_t *begin,
                    int32_t *end)
{
    *image = task / job->bands;
    const int64_t band = task % job->bands;
    *begin = (int32_t)(job->rows * band / job->bands);
    *end = (int32_t)(job->rows * (band + 1) / job->bands);
}

static void forward_band(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const struct detk_norm_forward *call = job->forward;
    int32_t image, begin, end;
    band_of(job, task, &image, &begin, &end);
    struct ring ring = ring_start(job, image, worker);
    struct detk_feed feed = detk_feed_start(job->feeds, s->in_c, task);
    for (int32_t oy = begin; oy < end; oy++) {
        const int32_t top = oy * s->stride - s->pad_top;
        const float *const rows[3] = {ring_row(&ring, top), ring_row(&ring, top + 1),
                                      ring_row(&ring, top + 2)};
        float *out = call->out + ((int64_t)image * s->out_h + oy) * s->out_w * s->in_c;
        slide_row(rows, job->pitch, s->in_c, s->out_w, call->w, call->bias, out, false, s->stride);
        if (call->mean != NULL)
            ROWS.feed_statistics(&feed, out, s->out_w);
    }
    ROWS.end_statistics(&feed);
}

void DET_OP(norm_dwconv_forward, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                          const struct detk_norm_forward *call)
{
    struct job job;
    plan(&job, s, false);
    job.forward = call;
    lay_out(&job, false, x->workspace, det_pool_threads(x->pool));
    det_pool_run(x->pool, job.tasks, forward_band, &job);
    if (call->mean != NULL)
        detk_feeds_statistics(x, job.feeds, s->in_c, job.tasks, call->mean, call->variance);
}

/* Stride 2: pixels of a row of din. `rows` has the slots of `count` (a constant, 1 or 2) rows of dout, the lower one first,
 * and w the weights of the first; those of the second are two rows further. Pixel P = ix + pad_left, an even one gets
 * columns 0 and 2 of the kernel from dout columns P / 2 and the one before, an odd one column 1 from P / 2. */
V_INLINE void spread(const float *const *rows, int count, int64_t pitch, int64_t c, int32_t begin,
                     int32_t end, const float *w, float *din, bool add, int32_t j, int vectors,
                     int lanes)
{
    struct weights k;
    load_weights(&k, w + j, c, count, 2, vectors, lanes);
    v_f32 sum[VECTORS], column[3][VECTORS];
    const v_f32(*const loaded)[VECTORS] = (const v_f32(*)[VECTORS])column;
    for (int32_t p = begin; p < end;) {
        const int64_t at = (p / 2 + 1) * pitch + j; /* a slot begins with a pixel of zeros */
        UNROLL_V for (int v = 0; v < vectors; v++) sum[v] = v_zero();
        if (p % 2 == 0) {
            load_rows(column, rows, at - pitch, count, vectors, lanes);
            add_column(sum, loaded, &k, 2, count, vectors);
            load_rows(column, rows, at, count, vectors, lanes);
            add_column(sum, loaded, &k, 0, count, vectors);
            UNROLL_V for (int v = 0; v < vectors; v++)
            {
                put(din + (p - begin) * c + j + v * V_WIDTH, sum[v], add, lanes);
                sum[v] = v_zero();
            }
            if (++p == end)
                break;
        } else {
            load_rows(column, rows, at, count, vectors, lanes);
        }
        add_column(sum, loaded, &k, 1, count, vectors);
        UNROLL_V for (int v = 0; v < vectors; v++)
            put(din + (p - begin) * c + j + v * V_WIDTH, sum[v], add, lanes);
        p++;
    }
}

static void spread_row(const struct job *job, const float *const *rows, int count, const float *w,
                       float *din)
{
    const struct det_conv_shape *s = &job->s;
    const int32_t c = s->in_c, begin = s->pad_left, end = s->pad_left + s->in_w;
    const bool add = job->backward->to.accumulate;
    if (count == 2)
        FOR_BLOCKS(c, spread(rows, 2, job->pitch, c, begin, end, w, din, add, j, vectors, lanes));
    else
        FOR_BLOCKS(c, spread(rows, 1, job->pitch, c, begin, end, w, din, add, j, vectors, lanes));
}

/* Rows first, first + step, ... (`count` of them, a constant) of partial[9][padded] += the products of a padded row of the
 * input with rows of dout. */
V_INLINE void gather(const float *in, const float *const *rows, int count, int64_t pitch,
                     int64_t at, int32_t pixels, int stride, float *partial, int64_t padded,
                     int step, int32_t j, int vectors, int lanes)
{
    v_f32 sum[3][3][VECTORS], column[3][VECTORS], d[3][VECTORS];
    partial += j;
    in += j;
    at += j;
    UNROLL_3 for (int r = 0; r < count; r++)
    {
        UNROLL_3 for (int k = 0; k < 3; k++)
        {
            UNROLL_V for (int v = 0; v < vectors; v++) sum[r][k][v] =
                v_load_all(partial + (r * step * 3 + k) * padded + v * V_WIDTH);
        }
    }
    UNROLL_V for (int v = 0; v < vectors; v++)
    {
        column[0][v] = v_load(in + v * V_WIDTH, lanes);
        column[1][v] = v_load(in + pitch + v * V_WIDTH, lanes);
    }
    in += 2 * pitch;
    for (int32_t i = 0; i < pixels; i++) {
        load_rows(d, rows, at, count, vectors, lanes);
        UNROLL_V for (int v = 0; v < vectors; v++) column[2][v] = v_load(in + v * V_WIDTH, lanes);
        UNROLL_3 for (int r = 0; r < count; r++)
        {
            UNROLL_3 for (int k = 0; k < 3; k++)
            {
                UNROLL_V for (int v = 0; v < vectors; v++) sum[r][k][v] =
                    v_fma(column[k][v], d[r][v], sum[r][k][v]);
            }
        }
        at += pitch;
        in += pitch;
        UNROLL_V for (int v = 0; v < vectors; v++)
        {
            column[0][v] = stride == 1 ? column[1][v] : column[2][v];
            if (stride == 1)
                column[1][v] = column[2][v];
            else if (i + 1 < pixels)
                column[1][v] = v_load(in + v * V_WIDTH, lanes);
        }
        if (stride == 2)
            in += pitch;
    }
    UNROLL_3 for (int r = 0; r < count; r++)
    {
        UNROLL_3 for (int k = 0; k < 3; k++)
        {
            UNROLL_V for (int v = 0; v < vectors; v++)
                v_store_all(partial + (r * step * 3 + k) * padded + v * V_WIDTH, sum[r][k][v]);
        }
    }
}

static void gather_row(const struct job *job, const float *in, const float *const *rows, int count,
                       float *partial)
{
    const struct det_conv_shape *s = &job->s;
    const int32_t c = s->in_c, w = s->out_w;
    const int64_t pitch = job->pitch, at = job->slot_left * pitch, padded = job->padded;
    if (count == 3)
        FOR_BLOCKS(c, gather(in, rows, 3, pitch, at, w, 1, partial, padded, 1, j, vectors, lanes));
    else if (count == 2)
        FOR_BLOCKS(c, gather(in, rows, 2, pitch, at, w, 2, partial, padded, 2, j, vectors, lanes));
    else
        FOR_BLOCKS(c, gather(in, rows, 1, pitch, at, w, 2, partial, padded, 2, j, vectors, lanes));
}

static void flush(float *partial, double *sums, int64_t count)
{
    for (int64_t i = 0; i < count; i += V_WIDTH) {
        v_add_to_double(sums + i, v_load_all(partial + i));
        v_store_all(partial + i, v_zero());
    }
}

/* The padded row iy of the input. */
static const float *input_row(const struct job *job, const struct ring *ring, int32_t iy)
{
    const struct det_conv_shape *s = &job->s;
    float *padded = ring->slots + 4 * job->slot;
    const int32_t room = (s->out_w - 1) * s->stride + 3 - s->pad_left;
    const int64_t first = ((int64_t)ring->image * s->in_h + iy) * s->in_w;
    ROWS.value(job->backward->in.norm, s->in_c, job->backward->in.x + first * s->in_c,
               s->in_w < room ? s->in_w : room, padded + s->pad_left * job->pitch, job->pitch);
    return padded;
}

static void backward_band(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct det_conv_shape *s = &job->s;
    const struct det_gradient_to *to = &job->backward->to;
    const int64_t c = s->in_c, taps = 9 * job->padded;
    float *partial = job->partial + task * taps;
    double *sums = job->sums + task * taps;
    memset(partial, 0, (size_t)taps * sizeof *partial);
    memset(sums, 0, (size_t)taps * sizeof *sums);
    int32_t image, begin, end, pixels = 0;
    band_of(job, task, &image, &begin, &end);
    struct ring ring = ring_start(job, image, worker);
    struct detk_feed feed = detk_feed_start(job->feeds, s->in_c, task);
    for (int32_t iy = begin; iy < end; iy++) {
        const int32_t p = iy + s->pad_top;
        const int64_t first = ((int64_t)image * s->in_h + iy) * s->in_w;
        const float *in = input_row(job, &ring, iy);
        float *din = to->din != NULL ? to->din + first * c : NULL;
        if (s->stride == 1) {
            const float *const rows[3] = {ring_row(&ring, p), ring_row(&ring, p - 1),
                                          ring_row(&ring, p - 2)};
            const float *const reversed[3] = {rows[2], rows[1], rows[0]};
            if (din != NULL)
                slide_row(reversed, job->pitch, s->in_c, s->in_w, job->turned, NULL, din,
                          to->accumulate, 1);
            gather_row(job, in, rows, 3, partial);
        } else if (p % 2 == 0) {
            const float *const rows[2] = {ring_row(&ring, p / 2), ring_row(&ring, p / 2 - 1)};
            if (din != NULL)
                spread_row(job, rows, 2, job->backward->w, din);
            gather_row(job, in, rows, 2, partial);
        } else {
            const float *const rows[1] = {ring_row(&ring, p / 2)};
            if (din != NULL)
                spread_row(job, rows, 1, job->backward->w + 3 * c, din);
            gather_row(job, in, rows, 1, partial + 3 * job->padded);
        }
        if (to->sums != NULL)
            ROWS.feed_gradient(&feed, to->norm, din, to->x + first * c, s->in_w);
        pixels += s->out_w;
        if (pixels >= FLUSH_PIXELS || iy + 1 == end) {
            flush(partial, sums, taps);
            pixels = 0;
        }
    }
    ROWS.end_gradient(&feed);
}

/* One tap. */
static void combine_bands(void *argument, int32_t tap, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    float *dw = job->backward->dw + (int64_t)tap * job->s.in_c;
    for (int32_t j = 0; j < job->s.in_c; j++) {
        double sum = job->backward->accumulate ? (double)dw[j] : 0.0;
        for (int32_t t = 0; t < job->tasks; t++)
            sum += job->sums[(9 * t + tap) * job->padded + j];
        dw[j] = (float)sum;
    }
}

void DET_OP(norm_dwconv_backward, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                           const struct detk_norm_backward *call)
{
    struct job job;
    plan(&job, s, true);
    job.backward = call;
    lay_out(&job, true, x->workspace, det_pool_threads(x->pool));
    const size_t c = (size_t)s->in_c;
    for (size_t k = 0; k < 9; k++)
        memcpy(job.turned + (8 - k) * c, call->w + k * c, c * sizeof(float));
    det_pool_run(x->pool, job.tasks, backward_band, &job);
    det_pool_run(x->pool, 9, combine_bands, &job);
    if (call->to.sums != NULL)
        detk_feeds_gradient(x, job.feeds, s->in_c, job.tasks, call->to.sums);
}

size_t DET_OP(norm_dwconv_workspace, DET_ISA)(const struct det_conv_shape *s, int threads)
{
    struct job job;
    plan(&job, s, false);
    const size_t forward = lay_out(&job, false, NULL, threads);
    plan(&job, s, true);
    const size_t backward = lay_out(&job, true, NULL, threads);
    return forward > backward ? forward : backward;
}

#endif
