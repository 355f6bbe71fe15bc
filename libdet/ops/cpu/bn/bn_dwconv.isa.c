/* bn_dwconv.isa.c: depthwise 3x3 convolutions of training, for each instruction set.
 *
 * A task takes a band of rows of one image, and of these one tile of columns after the other, so
 * narrow that all it works on stays in the second-level cache. The rows that its next output needs
 * are in a ring of three slots, normalised when they enter it (backward: turned into the gradient
 * of the convolution's result), with zeros where taps leave the image: no pixel is a special case.
 * What was made of them, and what the weights' gradient needs, is in the cache: the sums are taken
 * row by row.
 *
 * Backward, a task's rows are those of the input. With P = iy + pad_top, row iy meets dout rows (P
 * - ky) / stride, so with stride 2 an even P the first and third row of the kernel, an odd one the
 * second; likewise columns.
 *
 * Workspace: for each worker a scratch of three slots and (backward) the row of the input; for each
 * task its sums, and of the weights' gradient [9][padded c] doubles and as many floats that are
 * emptied into them after FLUSH_PIXELS pixels; the packed weights, [c / V_WIDTH][9][V_WIDTH] like
 * these, and the bias. */
#include <string.h>

#include "ops/cpu/bn/bn_dwconv_loops.h"

/* Bands of all images: of at least so many rows, as the next band makes two of them again, until
 * there are BANDS. */
#define BANDS        32
#define BANDS_FEW    16 /* with less, ... */
#define BAND_ROWS    20
#define FEW_ROWS     10 /* ... bands may be so short */
#define FLUSH_PIXELS 256
#define SLOT_FLOATS  8192 /* about, ... */
#define TILE_PIXELS  32   /* ... but the next tile makes two of so many pixels again */

#define ROWS DETK_NAME(detk_rows)

struct job {
    struct det_conv_shape s;
    const struct detk_bn_forward *forward;
    const struct detk_bn_backward *backward;
    bool back;
    int32_t rows, bands, tasks; /* rows of an image that are cut into bands */
    int32_t tiles;
    int32_t source_h, source_w; /* the ring holds rows of it */
    /* Floats from block to block of a slot and of the row of the input, of these, of a worker. */
    int64_t slot_block, in_block, slot, scratch_floats;
    int64_t packed_floats; /* nine values for each channel */
    float *scratch, *packed, *bias, *partial;
    double *sums;
    void *feeds;
};

/* Some columns of the rows that a task makes, and what they need. Columns may lie outside of the
 * image. */
struct tile {
    int32_t begin, count;       /* columns that are made */
    int32_t first, width;       /* columns of the source in a slot */
    int32_t window;             /* pixel of a slot where the window of `begin` begins */
    int32_t in_first, in_width; /* backward: columns of the row of the input */
    int32_t pixel, pixels; /* stride 1: pixels of a slot whose products with that row are summed */
};

static struct tile tile_at(const struct job *job, int32_t index)
{
    const struct det_conv_shape *s = &job->s;
    const int32_t pad = s->pad_left, made = job->back ? s->in_w : s->out_w;
    const int32_t begin = (int32_t)detk_cut(made, job->tiles, index);
    const int32_t end = (int32_t)detk_cut(made, job->tiles, index + 1);
    struct tile t = {.begin = begin, .count = end - begin};
    if (!job->back) {
        t.first = begin * s->stride - pad;
        t.width = (t.count - 1) * s->stride + 3;
    } else if (s->stride == 1) {
        const int32_t from = (int32_t)detk_cut(s->out_w, job->tiles, index);
        const int32_t to = (int32_t)detk_cut(s->out_w, job->tiles, index + 1);
        t.pixels = to - from;
        t.in_first = from - pad;
        t.in_width = t.pixels + 2;
        t.first = (int32_t)detk_min(begin + pad - 2, from);
        t.width = (int32_t)detk_max(end + pad, to) - t.first;
        t.window = begin + pad - 2 - t.first;
        t.pixel = from - t.first;
    } else { /* cut before pixels with an even P */
        const int32_t pairs = (s->in_w + pad + 1) / 2;
        const int32_t from = (int32_t)detk_cut(pairs, job->tiles, index);
        const int32_t to = (int32_t)detk_cut(pairs, job->tiles, index + 1);
        t.begin = (int32_t)detk_max(2 * from - pad, 0);
        t.count = (int32_t)detk_min(2 * to - pad, s->in_w) - t.begin;
        t.in_first = 2 * from - pad;
        t.in_width = 2 * (to - from);
        t.first = from - 1;
        t.width = to - from + 1;
    }
    return t;
}

/* Floats of a row of `width` pixels in blocks an odd number of cache lines apart. */
static int64_t block_floats(int32_t width)
{
    return (width | 1) * (int64_t)LINE;
}

static void plan(struct job *job, const struct det_conv_shape *s, bool back)
{
    *job = (struct job){.s = *s, .back = back};
    const int64_t padded = v_padded(s->in_c);
    job->rows = back ? s->in_h : s->out_h;
    const int64_t few = detk_min(detk_div_up(BANDS_FEW, s->n), detk_max(1, job->rows / FEW_ROWS));
    job->bands = (int32_t)detk_max(few, detk_min(detk_div_up(BANDS, s->n), job->rows / BAND_ROWS));
    job->tasks = s->n * job->bands;
    job->source_h = back ? s->out_h : s->in_h;
    job->source_w = back ? s->out_w : s->in_w;
    job->tiles = (int32_t)detk_div_up(s->in_w, detk_max(TILE_PIXELS, SLOT_FLOATS / padded));
    int32_t width = 0, in_width = 0;
    for (int32_t i = 0; i < job->tiles; i++) {
        const struct tile t = tile_at(job, i);
        width = (int32_t)detk_max(width, t.width);
        in_width = (int32_t)detk_max(in_width, t.in_width);
    }
    job->slot_block = block_floats(width);
    job->in_block = block_floats(in_width);
    job->slot = job->slot_block * (padded / LINE);
    job->scratch_floats = 3 * job->slot + (back ? job->in_block * (padded / LINE) : 0);
    job->packed_floats = 9 * padded;
}

/* Bytes of workspace; and where everything is, when `memory` is given. */
static size_t lay_out(struct job *job, void *memory, int threads)
{
    size_t bytes = 0;
    const size_t packed = (size_t)job->packed_floats, tasks = (size_t)job->tasks;
    job->scratch =
        detk_place(memory, &bytes, (size_t)threads * (size_t)job->scratch_floats * sizeof(float));
    job->feeds = detk_place(memory, &bytes, tasks * detk_feed_bytes(job->s.in_c));
    job->packed = detk_place(memory, &bytes, packed * sizeof(float));
    if (job->back) {
        job->sums = detk_place(memory, &bytes, tasks * packed * sizeof(double));
        job->partial = detk_place(memory, &bytes, tasks * packed * sizeof(float));
    } else {
        job->bias = detk_place(memory, &bytes, packed / 9 * sizeof(float));
    }
    return bytes;
}

/* Where value `tap` of channel j is. */
static int64_t packed_at(int32_t tap, int32_t j)
{
    return (j / V_WIDTH * 9 + tap) * (int64_t)V_WIDTH + j % V_WIDTH;
}

static void pack(const struct job *job, const float *w, bool turned, float *to)
{
    const int32_t c = job->s.in_c;
    for (int32_t tap = 0; tap < 9; tap++, w += c)
        V_FOR_CHANNELS(
            c, v_store_all(to + packed_at(turned ? 8 - tap : tap, j), v_load(w + j, lanes)));
}

/* A task at work on a tile. */
struct band {
    const struct job *job;
    int32_t image, begin, end; /* rows */
    struct tile tile;
    int32_t held[3]; /* which row of the source a slot holds */
    float *slots, *in;
    struct detk_feed feed;
    struct detk_ahead ahead;
};

static struct band band_start(const struct job *job, int32_t task, int32_t worker)
{
    struct band band = {.job = job, .image = task / job->bands};
    band.begin = (int32_t)detk_cut(job->rows, job->bands, task % job->bands);
    band.end = (int32_t)detk_cut(job->rows, job->bands, task % job->bands + 1);
    band.slots = job->scratch + worker * job->scratch_floats;
    band.in = band.slots + 3 * job->slot;
    band.feed = detk_feed_start(job->feeds, job->s.in_c, task);
    return band;
}

static void band_tile(struct band *band, int32_t index)
{
    band->tile = tile_at(band->job, index);
    for (int i = 0; i < 3; i++)
        band->held[i] = INT32_MIN;
}

/* Columns [first, first + width) of a row of `w` pixels: how many are left of it, how many in
 * it. */
struct span {
    int32_t left, count;
};

static struct span span_of(int32_t first, int32_t width, int32_t w)
{
    const int64_t from = detk_min(detk_max(first, 0), w);
    const int64_t to = detk_max(from, detk_min(first + width, w));
    return (struct span){(int32_t)detk_min(detk_max(from - first, 0), width), (int32_t)(to - from)};
}

/* The slot with row y of the source. */
static const float *ring_row(struct band *band, int32_t y)
{
    const struct job *job = band->job;
    const struct tile *t = &band->tile;
    const int32_t index = (y + 3) % 3, c = job->s.in_c; /* y is at least -2 */
    float *slot = band->slots + index * job->slot;
    if (band->held[index] == y)
        return slot;
    band->held[index] = y;
    struct span span = {t->width, 0};
    if (y >= 0 && y < job->source_h)
        span = span_of(t->first, t->width, job->source_w);
    const int64_t first =
        ((int64_t)band->image * job->source_h + y) * job->source_w + t->first + span.left;
    float *to = slot + span.left * LINE;
    if (span.count > 0 && job->back) {
        fill_gradients(&job->backward->dout, c, first, span.count, to, job->slot_block,
                       &band->ahead);
    } else if (span.count > 0) {
        const struct det_operand *in = &job->forward->in;
        fill_values(in->bn, in->x + first * c, c, span.count, to, job->slot_block, &band->ahead);
    }
    fill_zeros(c, span.left, slot, job->slot_block);
    const int32_t done = span.left + span.count;
    fill_zeros(c, t->width - done, slot + done * LINE, job->slot_block);
    return slot;
}

/* Row y of the source will be needed next. */
static void ring_ahead(struct band *band, int32_t y)
{
    const struct job *job = band->job;
    const struct tile *t = &band->tile;
    if (y < 0 || y >= job->source_h)
        return;
    const struct span span = span_of(t->first, t->width, job->source_w);
    const int64_t c = job->s.in_c, floats = span.count * c;
    const int64_t at =
        c * (((int64_t)band->image * job->source_h + y) * job->source_w + t->first + span.left);
    if (!job->back) {
        detk_ahead_add(&band->ahead, job->forward->in.x + at, floats);
        return;
    }
    const struct det_gradient *dout = &job->backward->dout;
    detk_ahead_add(&band->ahead, dout->dy + at, floats);
    if (dout->bn != NULL)
        detk_ahead_add(&band->ahead, dout->x + at, floats);
}

V_INLINE void slide(const float *const *rows, int64_t at, int32_t count, const float *w,
                    v_f32 start, float *out, int64_t c, bool add, int stride,
                    struct detk_ahead *ahead, int lanes)
{
    const float *const from[3] = {rows[0] + at, rows[1] + at, rows[2] + at};
    const struct detk_fetch f = detk_ahead_take(ahead, stride == 1 ? count / 3 * 2 : count, w);
    if (stride == 1)
        slide_1(from, count, w, start, out, c, add, f, lanes);
    else
        slide_2(from, count, w, start, out, c, f, lanes);
}

static void forward_row(struct band *band, int32_t oy)
{
    const struct job *job = band->job;
    const struct det_conv_shape *s = &job->s;
    const struct tile *t = &band->tile;
    const int32_t top = oy * s->stride - s->pad_top, c = s->in_c;
    float *out =
        job->forward->out + (((int64_t)band->image * s->out_h + oy) * s->out_w + t->begin) * c;
    band->ahead = (struct detk_ahead){.step = DETK_AHEAD_LINE};
    detk_ahead_add(&band->ahead, out, (int64_t)t->count * c);
    if (oy + 1 < band->end) {
        for (int32_t y = 0; y < s->stride; y++)
            ring_ahead(band, top + 3 + y);
    }
    const float *const rows[3] = {ring_row(band, top), ring_row(band, top + 1),
                                  ring_row(band, top + 2)};
    if (s->stride == 1)
        FOR_VECTORS(c, job->slot_block,
                    slide(rows, at, t->count, job->packed + 9 * j, v_load_all(job->bias + j),
                          out + j, c, false, 1, &band->ahead, lanes));
    else
        FOR_VECTORS(c, job->slot_block,
                    slide(rows, at, t->count, job->packed + 9 * j, v_load_all(job->bias + j),
                          out + j, c, false, 2, &band->ahead, lanes));
    if (job->forward->mean != NULL)
        ROWS.feed_statistics(&band->feed, out, t->count);
}

static void forward_band(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    struct band band = band_start(job, task, worker);
    for (int32_t i = 0; i < job->tiles; i++) {
        band_tile(&band, i);
        for (int32_t oy = band.begin; oy < band.end; oy++)
            forward_row(&band, oy);
    }
    ROWS.end_statistics(&band.feed);
}

void DET_OP(bn_dwconv_forward, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                        const struct detk_bn_forward *call)
{
    struct job job;
    plan(&job, s, false);
    job.forward = call;
    lay_out(&job, x->workspace, det_pool_threads(x->pool));
    pack(&job, call->w, false, job.packed);
    memset(job.bias, 0, (size_t)job.packed_floats / 9 * sizeof(float));
    if (call->bias != NULL)
        memcpy(job.bias, call->bias, (size_t)s->in_c * sizeof(float));
    det_pool_run(x->pool, job.tasks, forward_band, &job);
    if (call->mean != NULL)
        detk_feeds_statistics(x, job.feeds, s->in_c, job.tasks, call->mean, call->variance);
}

/* Channel j of the row of the input. */
V_INLINE const float *input_at(const struct band *band, int32_t j)
{
    return band->in + j / LINE * band->job->in_block + j % LINE;
}

/* A vector of channels of a row of din and of the weights' gradient. `rows` are the dout rows (P -
 * ky) / stride, the one of the lowest ky, thus the lowest in the image, first. */
V_INLINE void backward_1(const struct band *band, const float *const *rows, float *din, bool add,
                         float *partial, struct detk_ahead *ahead, int64_t at, int32_t j, int lanes)
{
    const struct tile *t = &band->tile;
    const float *w = band->job->packed + 9 * j;
    const float *const down[3] = {rows[2], rows[1], rows[0]};
    if (din != NULL)
        slide(down, at + t->window * LINE, t->count, w, v_zero(), din + j, band->job->s.in_c, add,
              1, ahead, lanes);
    const int64_t own = at + t->pixel * LINE;
    const float *const from[3] = {rows[0] + own, rows[1] + own, rows[2] + own};
    gather_1(input_at(band, j), from, t->pixels, partial + 9 * j,
             detk_ahead_take(ahead, t->pixels / 2, w));
}

V_INLINE void backward_2(const struct band *band, const float *const *rows, int count, int ky,
                         float *din, bool add, float *partial, struct detk_ahead *ahead, int64_t at,
                         int32_t j, int lanes)
{
    const struct tile *t = &band->tile;
    const float *w = band->job->packed + 9 * j + 3 * ky * V_WIDTH;
    const float *const from[2] = {rows[0] + at, rows[count - 1] + at};
    const int32_t skip = t->begin - t->in_first;
    if (din != NULL)
        spread(from, count, skip, skip + t->count, w, din + j, band->job->s.in_c, add,
               detk_ahead_take(ahead, t->count, w), lanes);
    gather_2(input_at(band, j), from, count, t->in_width / 2, partial + 9 * j + 3 * ky * V_WIDTH,
             detk_ahead_take(ahead, t->in_width / 2, w));
}

static void flush(float *partial, double *sums, int64_t count)
{
    for (int64_t i = 0; i < count; i += V_WIDTH) {
        v_add_to_double(sums + i, v_load_all(partial + i));
        v_store_all(partial + i, v_zero());
    }
}

/* The tile's columns of row iy of the input. */
static void fill_input(struct band *band, int32_t iy)
{
    const struct job *job = band->job;
    const struct det_conv_shape *s = &job->s;
    const struct det_operand *in = &job->backward->in;
    const struct tile *t = &band->tile;
    const struct span span = span_of(t->in_first, t->in_width, s->in_w);
    const int64_t first = ((int64_t)band->image * s->in_h + iy) * s->in_w + t->in_first + span.left;
    const int32_t done = span.left + span.count;
    fill_zeros(s->in_c, span.left, band->in, job->in_block);
    fill_values(in->bn, in->x + first * s->in_c, s->in_c, span.count, band->in + span.left * LINE,
                job->in_block, &band->ahead);
    fill_zeros(s->in_c, t->in_width - done, band->in + done * LINE, job->in_block);
}

static void backward_row(struct band *band, int32_t iy, float *partial)
{
    const struct job *job = band->job;
    const struct det_conv_shape *s = &job->s;
    const struct det_gradient_to *to = &job->backward->to;
    const struct tile *t = &band->tile;
    const int32_t p = iy + s->pad_top, c = s->in_c;
    const int64_t first = (((int64_t)band->image * s->in_h + iy) * s->in_w + t->begin) * c;
    const int64_t floats = (int64_t)t->count * c, next = first + (int64_t)s->in_w * c;
    float *din = to->din != NULL ? to->din + first : NULL;
    const bool add = to->accumulate, more = iy + 1 < band->end;
    struct detk_ahead *ahead = &band->ahead;
    *ahead = (struct detk_ahead){.step = DETK_AHEAD_LINE};
    if (din != NULL)
        detk_ahead_add(ahead, din, floats);
    if (more) {
        if ((p + 1) % s->stride == 0)
            ring_ahead(band, (p + 1) / s->stride);
        detk_ahead_add(ahead, job->backward->in.x + next, floats);
    }
    fill_input(band, iy);
    if (s->stride == 1) {
        const float *const rows[3] = {ring_row(band, p), ring_row(band, p - 1),
                                      ring_row(band, p - 2)};
        if (add)
            FOR_VECTORS(c, job->slot_block,
                        backward_1(band, rows, din, true, partial, ahead, at, j, lanes));
        else
            FOR_VECTORS(c, job->slot_block,
                        backward_1(band, rows, din, false, partial, ahead, at, j, lanes));
    } else if (p % 2 == 0) {
        const float *const rows[2] = {ring_row(band, p / 2), ring_row(band, p / 2 - 1)};
        FOR_VECTORS(c, job->slot_block,
                    backward_2(band, rows, 2, 0, din, add, partial, ahead, at, j, lanes));
    } else {
        const float *const rows[1] = {ring_row(band, p / 2)};
        FOR_VECTORS(c, job->slot_block,
                    backward_2(band, rows, 1, 1, din, add, partial, ahead, at, j, lanes));
    }
    if (to->sums != NULL)
        ROWS.feed_gradient(&band->feed, to->bn, din, to->x + first, t->count);
}

static void backward_band(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    float *partial = job->partial + task * job->packed_floats;
    double *sums = job->sums + task * job->packed_floats;
    memset(partial, 0, (size_t)job->packed_floats * sizeof *partial);
    memset(sums, 0, (size_t)job->packed_floats * sizeof *sums);
    struct band band = band_start(job, task, worker);
    int32_t pixels = 0;
    for (int32_t i = 0; i < job->tiles; i++) {
        band_tile(&band, i);
        for (int32_t iy = band.begin; iy < band.end; iy++) {
            backward_row(&band, iy, partial);
            pixels += band.tile.width;
            if (pixels >= FLUSH_PIXELS || iy + 1 == band.end) {
                flush(partial, sums, job->packed_floats);
                pixels = 0;
            }
        }
    }
    ROWS.end_gradient(&band.feed);
}

/* One tap. */
static void combine_bands(void *argument, int32_t tap, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    float *dw = job->backward->dw + (int64_t)tap * job->s.in_c;
    for (int32_t j = 0; j < job->s.in_c; j++) {
        double sum = job->backward->accumulate ? (double)dw[j] : 0.0;
        const double *from = job->sums + packed_at(tap, j);
        for (int32_t t = 0; t < job->tasks; t++)
            sum += from[t * job->packed_floats];
        dw[j] = (float)sum;
    }
}

void DET_OP(bn_dwconv_backward, DET_ISA)(const struct det_exec *x, const struct det_conv_shape *s,
                                         const struct detk_bn_backward *call)
{
    struct job job;
    plan(&job, s, true);
    job.backward = call;
    lay_out(&job, x->workspace, det_pool_threads(x->pool));
    pack(&job, call->w, s->stride == 1, job.packed);
    det_pool_run(x->pool, job.tasks, backward_band, &job);
    det_pool_run(x->pool, 9, combine_bands, &job);
    if (call->to.sums != NULL)
        detk_feeds_gradient(x, job.feeds, s->in_c, job.tasks, call->to.sums);
}

size_t DET_OP(bn_dwconv_workspace, DET_ISA)(const struct det_conv_shape *s, int threads)
{
    struct job job;
    plan(&job, s, false);
    const size_t forward = lay_out(&job, NULL, threads);
    plan(&job, s, true);
    const size_t backward = lay_out(&job, NULL, threads);
    return forward > backward ? forward : backward;
}
