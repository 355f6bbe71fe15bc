/* conv_weights.c: gradient of the weights, dw[terms][out_c] = sum over pixels of window(pixel)^T
 * dout(pixel).
 *
 * Pixels are cut into blocks of at most 256 (whole rows of the output unless the convolution is a
 * plain matrix product): within a block a tile's sums stay in registers, from block to block they
 * are added up in memory. Blocks are cut into chunks, each with a dw of its own in the workspace
 * when there are several; whoever finishes a chunk last adds them up in order. Rows of dw are cut
 * into ranges as well. How many of each follows from the shape alone; this staging also keeps sums
 * over 200,000 pixels accurate: no float is added to more than about 256 + blocks + chunks others.
 */
#include <stdatomic.h>
#include <string.h>

#include "ops/cpu/conv/ahead.h"

#define BLOCK_PIXELS   256
#define BLOCK_FLOATS   98304   /* of both operands: a block stays in L2 */
#define SLAB_FLOATS    65536   /* of the padded copy */
#define CHUNK_PIXELS   1024    /* at least */
#define PARTIAL_FLOATS 8388608 /* of all chunks: 32 MiB */
#define MAX_PARTS      256     /* chunks, ranges */

struct job {
    const struct detk_gemm *gemm;
    struct det_conv_shape shape;
    struct detk_view view;
    bool matrix, inside;
    int64_t terms, pixels;
    int32_t runs, run;    /* dw's rows: runs * run, a tile never spans two runs */
    int32_t run_tiles;    /* tiles of a run */
    int32_t block_rows;   /* rows of output of a block, not matrix */
    int32_t image_blocks; /* blocks of an image, not matrix */
    int64_t blocks;
    int32_t chunks, ranges;
    int64_t partial_floats, slab_floats, panel_floats;
    const float *in, *dout;
    float *dw, *partials, *scratch;
    bool accumulate;
    atomic_int finished[MAX_PARTS]; /* chunks of a range */
};

static void plan(struct job *job, const struct detk_gemm *gemm, const struct det_conv_shape *s)
{
    memset(job, 0, sizeof *job);
    job->gemm = gemm;
    job->shape = *s;
    job->view = detk_view_of(s);
    job->matrix = detk_view_is_matrix(&job->view);
    job->inside = detk_view_inside(&job->view);
    job->terms = detk_view_terms(&job->view);
    job->pixels = (int64_t)s->n * s->out_h * s->out_w;
    job->runs = s->kernel_h;
    job->run = s->kernel_w * s->in_c;
    job->run_tiles = (int32_t)detk_div_up(job->run, gemm->max_rows);
    /* Floats that a pixel brings from memory. */
    const int64_t pixel = (int64_t)s->in_c * s->stride * s->stride + s->out_c;
    const int64_t block = detk_max(64, detk_min(BLOCK_PIXELS, BLOCK_FLOATS / pixel));
    int64_t block_pixels = block;
    if (job->matrix) {
        job->blocks = detk_div_up(job->pixels, block);
    } else {
        int64_t rows = detk_max(1, block / s->out_w);
        const int64_t slab_row = detk_slab_pitch(&job->view) * s->stride;
        if (!job->inside)
            rows = detk_max(1, detk_min(rows, SLAB_FLOATS / slab_row));
        rows = detk_min(rows, s->out_h);
        job->block_rows = (int32_t)rows;
        job->image_blocks = (int32_t)detk_div_up(s->out_h, rows);
        job->blocks = (int64_t)s->n * job->image_blocks;
        block_pixels = rows * s->out_w;
        if (!job->inside)
            job->slab_floats = detk_lines(detk_slab_floats(&job->view, (int32_t)rows));
    }
    if (s->out_c % gemm->lanes != 0)
        job->panel_floats = detk_lines(block_pixels * 2 * gemm->lanes);
    const int64_t weights = job->terms * s->out_c;
    int64_t chunks = detk_min(job->pixels / CHUNK_PIXELS, job->blocks);
    /* Writing and adding up the chunks' sums should cost little beside reading the operands. */
    chunks = detk_min(chunks, job->pixels * pixel / (4 * weights));
    chunks = detk_min(chunks, detk_min(MAX_PARTS, PARTIAL_FLOATS / weights));
    job->chunks = (int32_t)detk_max(1, chunks);
    const int64_t wanted = detk_conv_tasks(job->pixels * weights);
    job->ranges =
        (int32_t)detk_max(1, detk_min((int64_t)job->runs * job->run_tiles, wanted / job->chunks));
    if (job->chunks > 1)
        job->partial_floats = detk_lines(weights);
}

/* First row of dw of a tile; tiles are counted through all runs. */
static int64_t tile_row(const struct job *job, int64_t tile)
{
    return tile / job->run_tiles * job->run +
           detk_cut(job->run, job->run_tiles, tile % job->run_tiles);
}

/* A block of pixels: where its windows and its part of dout are. */
struct block {
    const float *a;
    int64_t a_step, a_segment, a_run; /* the latter: from one run to the next */
    int32_t segments, run;
    const float *dout;
    struct detk_ahead ahead; /* operands of the next block */
};

static struct block block_at(const struct job *job, int64_t index, float *slab)
{
    const struct det_conv_shape *s = &job->shape;
    const struct detk_view *v = &job->view;
    struct block b = {0};
    if (job->matrix) {
        const int64_t first = detk_cut(job->pixels, job->blocks, index);
        b.a = job->in + first * s->in_c;
        b.a_step = s->in_c;
        b.segments = 1;
        b.run = (int32_t)(detk_cut(job->pixels, job->blocks, index + 1) - first);
        b.dout = job->dout + first * s->out_c;
        if (index + 1 < job->blocks) {
            const int64_t next = first + b.run;
            const int64_t end = detk_cut(job->pixels, job->blocks, index + 2);
            detk_ahead_add(&b.ahead, job->in + next * s->in_c, (end - next) * s->in_c);
            detk_ahead_add(&b.ahead, job->dout + next * s->out_c, (end - next) * s->out_c);
        }
        return b;
    }
    const int32_t image = (int32_t)(index / job->image_blocks);
    const int32_t y = (int32_t)(index % job->image_blocks) * job->block_rows;
    b.segments = y + job->block_rows <= s->out_h ? job->block_rows : s->out_h - y;
    b.run = s->out_w;
    b.dout = job->dout + ((int64_t)image * s->out_h + y) * s->out_w * s->out_c;
    int64_t pitch;
    if (job->inside) {
        pitch = (int64_t)v->w * v->c;
        b.a = job->in + ((int64_t)image * v->h + v->y0 + (int64_t)y * v->step) * pitch +
              (int64_t)v->x0 * v->c;
    } else {
        pitch = detk_slab_pitch(v);
        detk_slab_fill(v, job->in, image, y, b.segments, slab);
        b.a = slab;
    }
    b.a_step = (int64_t)v->step * v->c;
    b.a_segment = v->step * pitch;
    b.a_run = pitch;
    return b;
}

static void pack_tail(const struct block *b, int32_t out_c, const struct detk_panel *panel,
                      int32_t width, float *to)
{
    const float *from = b->dout + panel->first;
    const int64_t pixels = (int64_t)b->segments * b->run;
    for (int64_t i = 0; i < pixels; i++, from += out_c, to += width) {
        memcpy(to, from, (size_t)panel->cols * sizeof *to);
        for (int32_t j = panel->cols; j < width; j++)
            to[j] = 0;
    }
}

static void add_block(const struct job *job, struct block *b, int64_t first_tile, int64_t end_tile,
                      float *panel_scratch, float *to, bool accumulate)
{
    const int32_t out_c = job->shape.out_c;
    struct detk_tile tile = {.a_step = b->a_step,
                             .a_segment = b->a_segment,
                             .segments = b->segments,
                             .run = b->run,
                             .c_row = out_c,
                             .accumulate = accumulate};
    const int32_t panels = detk_panels(job->gemm, out_c);
    detk_ahead_spread(&b->ahead, panels * (end_tile - first_tile) * b->segments * b->run);
    for (int32_t p = 0; p < panels; p++) {
        const struct detk_panel panel = detk_panel_at(job->gemm, out_c, p);
        const int32_t width = panel.vectors * job->gemm->lanes;
        tile.cols = panel.cols;
        if (panel.cols < width) {
            pack_tail(b, out_c, &panel, width, panel_scratch);
            tile.b = panel_scratch;
            tile.b_step = width;
        } else {
            tile.b = b->dout + panel.first;
            tile.b_step = out_c;
        }
        for (int64_t t = first_tile; t < end_tile; t++) {
            const int64_t row = tile_row(job, t), rows = tile_row(job, t + 1) - row;
            tile.a = b->a + row / job->run * b->a_run + row % job->run;
            tile.c = to + row * out_c + panel.first;
            detk_ahead_tile(&b->ahead, &tile);
            job->gemm->down[panel.vectors - 1][rows - 1](&tile);
        }
    }
}

static void add_chunks(const struct job *job, int64_t first, int64_t end)
{
    /* By pieces that stay in L1 while the chunks go by. */
    for (int64_t i = first; i < end; i += 2048) {
        const int64_t stop = i + 2048 < end ? i + 2048 : end;
        float *dw = job->dw;
        if (!job->accumulate)
            memcpy(dw + i, job->partials + i, (size_t)(stop - i) * sizeof *dw);
        for (int32_t chunk = job->accumulate ? 0 : 1; chunk < job->chunks; chunk++) {
            const float *from = job->partials + chunk * job->partial_floats;
            for (int64_t j = i; j < stop; j++)
                dw[j] += from[j];
        }
    }
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    struct job *job = argument;
    const int32_t chunk = task / job->ranges, range = task % job->ranges;
    const int64_t tiles = (int64_t)job->runs * job->run_tiles;
    const int64_t first_tile = detk_cut(tiles, job->ranges, range);
    const int64_t end_tile = detk_cut(tiles, job->ranges, range + 1);
    float *slab = job->scratch + worker * (job->slab_floats + job->panel_floats);
    float *to = job->chunks > 1 ? job->partials + chunk * job->partial_floats : job->dw;
    bool accumulate = job->chunks == 1 && job->accumulate;
    const int64_t end = detk_cut(job->blocks, job->chunks, chunk + 1);
    for (int64_t i = detk_cut(job->blocks, job->chunks, chunk); i < end; i++) {
        struct block block = block_at(job, i, slab);
        add_block(job, &block, first_tile, end_tile, slab + job->slab_floats, to, accumulate);
        accumulate = true;
    }
    if (job->chunks > 1 && atomic_fetch_add_explicit(&job->finished[range], 1,
                                                     memory_order_acq_rel) == job->chunks - 1)
        add_chunks(job, tile_row(job, first_tile) * job->shape.out_c,
                   tile_row(job, end_tile) * job->shape.out_c);
}

int64_t detk_conv_weights_floats(const struct detk_gemm *gemm, const struct det_conv_shape *s,
                                 int threads)
{
    struct job job;
    plan(&job, gemm, s);
    return job.chunks * job.partial_floats + threads * (job.slab_floats + job.panel_floats);
}

void detk_conv_weights(const struct detk_gemm *gemm, const struct det_exec *x,
                       const struct det_conv_shape *s, const float *in, const float *dout,
                       float *dw, bool accumulate)
{
    struct job job;
    plan(&job, gemm, s);
    job.in = in;
    job.dout = dout;
    job.dw = dw;
    job.accumulate = accumulate;
    job.partials = x->workspace;
    job.scratch = job.partials + job.chunks * job.partial_floats;
    for (int32_t i = 0; i < job.ranges; i++)
        atomic_init(&job.finished[i], 0);
    det_pool_run(x->pool, job.chunks * job.ranges, run_task, &job);
}
