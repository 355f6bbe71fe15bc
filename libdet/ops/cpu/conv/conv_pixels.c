/* conv_pixels.c: the passes whose result has pixels for rows: forward and backward data.
 *
 * Weights are packed once per call into panels [terms][lanes or 2 * lanes], padded with zeros; the
 * first tasks of the job do it, the others wait for them. Tasks are handed out in rising order, so
 * whoever waits knows that all packing has been begun by a running worker. A product of few rows
 * reads whole panels from the weights in place.
 *
 * Backward data with stride s: input pixels whose padded coordinates have the same residues modulo
 * s see the same taps, so each of the s * s residues is a convolution of dout with step 1 and the
 * taps in reverse.
 */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "ops/cpu/conv/conv_view.h"

#define SLAB_FLOATS 65536 /* a task's slab stays in L2 with a panel */
#define NEAR_FLOATS \
    98304 /* packed weights of this size stay in L2: then rows go outside, panels inside */
#define PACK_TASK_FLOATS 32768
/* 16 MiB: a result that no cache will keep until it is read is stored past them. */
#define STREAM_FLOATS 4194304
#define FEW_GROUPS    2 /* so few tiles above each other: packing would cost more than it brings */

struct job {
    const struct detk_gemm *gemm;
    struct det_conv_shape shape;
    bool backward;
    bool matrix;   /* one part, which is a plain matrix */
    bool in_place; /* whole panels are read from w */
    int32_t cols, panels;
    int32_t parts;      /* products: 1, or stride * stride backward */
    int64_t rows;       /* of the matrix */
    int32_t row_blocks; /* of the matrix, or of each image of each part */
    int32_t col_blocks;
    int32_t pack_tasks, tasks;
    int64_t packed_floats, slab_floats;
    const float *source, *w, *bias;
    float *target, *packed, *slabs;
    bool accumulate, relu6, stream;
    atomic_int packed_tasks;
};

/* One product of the job. */
struct part {
    struct detk_view view;
    int64_t terms;
    int64_t packed;                 /* offset of its panels */
    int64_t first, row, pixel;      /* of the target, in floats */
    int32_t tap_y, tap_x, tap_step; /* first tap and distance of taps, backward */
};

/* Backward: pixels and taps of residue r along one axis. */
static void residue(int32_t r, int32_t stride, int32_t pad, int32_t size, int32_t kernel,
                    int32_t *first, int32_t *count, int32_t *taps, int32_t *source0)
{
    *first = ((r - pad) % stride + stride) % stride;
    *count = *first < size ? (size - *first + stride - 1) / stride : 0;
    *taps = r < kernel ? (kernel - r + stride - 1) / stride : 0;
    *source0 = (*first + pad - r) / stride - (*taps - 1);
}

static struct part part_at(const struct job *job, int32_t index)
{
    const struct det_conv_shape *s = &job->shape;
    struct part p = {0};
    if (!job->backward) {
        p.view = detk_view_of(s);
        p.row = (int64_t)s->out_w * s->out_c;
        p.pixel = s->out_c;
    } else {
        const int32_t ry = index / s->stride, rx = index % s->stride;
        struct detk_view *v = &p.view;
        int32_t fy, fx;
        *v = (struct detk_view){.n = s->n, .h = s->out_h, .w = s->out_w, .c = s->out_c, .step = 1};
        residue(ry, s->stride, s->pad_top, s->in_h, s->kernel_h, &fy, &v->out_h, &v->taps_h,
                &v->y0);
        residue(rx, s->stride, s->pad_left, s->in_w, s->kernel_w, &fx, &v->out_w, &v->taps_w,
                &v->x0);
        p.first = ((int64_t)fy * s->in_w + fx) * s->in_c;
        p.row = (int64_t)s->stride * s->in_w * s->in_c;
        p.pixel = (int64_t)s->stride * s->in_c;
        p.tap_y = ry + s->stride * (v->taps_h - 1);
        p.tap_x = rx + s->stride * (v->taps_w - 1);
        p.tap_step = -s->stride;
        for (int32_t i = 0; i < index; i++) {
            const int32_t qy = i / s->stride, qx = i % s->stride;
            const int64_t th =
                qy < s->kernel_h ? (s->kernel_h - qy + s->stride - 1) / s->stride : 0;
            const int64_t tw =
                qx < s->kernel_w ? (s->kernel_w - qx + s->stride - 1) / s->stride : 0;
            p.packed += th * tw * s->out_c;
        }
        p.packed *= detk_div_up(job->cols, job->gemm->lanes) * job->gemm->lanes;
    }
    p.terms = detk_view_terms(&p.view);
    return p;
}

/* Whether the panel's columns are whole vectors of w. */
static bool panel_in_place(const struct job *job, const struct detk_panel *panel)
{
    return job->in_place && panel->cols == panel->vectors * job->gemm->lanes;
}

/* Everything that follows from the shape alone. */
static void plan(struct job *job, const struct detk_gemm *gemm, const struct det_conv_shape *s,
                 bool backward)
{
    memset(job, 0, sizeof *job);
    job->gemm = gemm;
    job->shape = *s;
    job->backward = backward;
    job->cols = backward ? s->in_c : s->out_c;
    job->panels = detk_panels(gemm, job->cols);
    job->parts = backward ? s->stride * s->stride : 1;
    const int64_t width = detk_div_up(job->cols, gemm->lanes) * gemm->lanes;
    const int64_t terms = (int64_t)s->kernel_h * s->kernel_w * (backward ? s->out_c : s->in_c);
    const int64_t wanted = detk_conv_tasks((int64_t)s->n * s->out_h * s->out_w * s->kernel_h *
                                           s->kernel_w * s->in_c * s->out_c);
    const struct part first = part_at(job, 0);
    job->matrix = job->parts == 1 && detk_view_is_matrix(&first.view);
    int64_t blocks;
    int64_t units; /* tasks that one row block stands for */
    if (job->matrix) {
        job->rows = (int64_t)s->n * s->out_h * s->out_w;
        job->in_place = !backward && job->rows <= FEW_GROUPS * gemm->max_rows;
        const int64_t groups = detk_div_up(job->rows, gemm->max_rows);
        blocks = detk_max(wanted, detk_div_up(job->rows * terms, 2 * SLAB_FLOATS));
        /* A large panel should serve several tiles. */
        blocks = detk_min(blocks, terms * width > NEAR_FLOATS ? detk_div_up(groups, 4) : groups);
        units = 1;
    } else {
        int32_t most = 0; /* rows of output */
        int64_t pitch = 0;
        for (int32_t i = 0; i < job->parts; i++) {
            const struct part p = part_at(job, i);
            if (p.view.out_h > most)
                most = p.view.out_h;
            if (p.terms > 0 && p.view.out_w > 0 && !detk_view_inside(&p.view))
                pitch = detk_max(pitch, detk_slab_pitch(&p.view));
        }
        const int64_t fit = detk_max(1, SLAB_FLOATS / detk_max(1, pitch * s->stride));
        units = (int64_t)s->n * job->parts;
        blocks = detk_max(detk_div_up(most, fit), detk_div_up(wanted, units));
        blocks = detk_max(1, detk_min(blocks, detk_max(most, 1)));
        for (int32_t i = 0; i < job->parts && pitch > 0; i++) {
            const struct part p = part_at(job, i);
            if (p.terms > 0 && p.view.out_w > 0 && p.view.out_h > 0)
                job->slab_floats =
                    detk_max(job->slab_floats,
                             detk_slab_floats(&p.view, (int32_t)detk_div_up(p.view.out_h, blocks)));
        }
        job->slab_floats = detk_lines(job->slab_floats);
    }
    job->row_blocks = (int32_t)blocks;
    job->col_blocks =
        (int32_t)detk_max(1, detk_min(job->panels, detk_div_up(wanted, blocks * units)));
    job->tasks = (int32_t)(blocks * units) * job->col_blocks;
    const struct detk_panel last = detk_panel_at(gemm, job->cols, job->panels - 1);
    job->packed_floats = terms * width;
    if (job->in_place) /* all but the last are whole */
        job->packed_floats = panel_in_place(job, &last) ? 0 : terms * last.vectors * gemm->lanes;
    if (job->packed_floats > 0)
        job->pack_tasks = (int32_t)detk_min((int64_t)job->parts * job->panels,
                                            detk_div_up(job->packed_floats, PACK_TASK_FLOATS));
    job->packed_floats = detk_lines(job->packed_floats);
}

static float *panel_packed(const struct job *job, const struct part *part,
                           const struct detk_panel *panel)
{
    return job->packed + part->packed + (job->in_place ? 0 : part->terms * panel->first);
}

static void pack_forward(const struct job *job, const struct part *part,
                         const struct detk_panel *panel, float *to)
{
    const int32_t width = panel->vectors * job->gemm->lanes;
    const float *from = job->w + panel->first;
    for (int64_t k = 0; k < part->terms; k++, from += job->cols, to += width) {
        memcpy(to, from, (size_t)panel->cols * sizeof *to);
        for (int32_t j = panel->cols; j < width; j++)
            to[j] = 0;
    }
}

static void pack_backward(const struct job *job, const struct part *part,
                          const struct detk_panel *panel, float *to)
{
    const struct det_conv_shape *s = &job->shape;
    const int32_t width = panel->vectors * job->gemm->lanes, out_c = s->out_c;
    for (int32_t ty = 0; ty < part->view.taps_h; ty++) {
        for (int32_t tx = 0; tx < part->view.taps_w; tx++) {
            const int64_t tap = (int64_t)(part->tap_y + ty * part->tap_step) * s->kernel_w +
                                part->tap_x + tx * part->tap_step;
            const float *from = job->w + (tap * s->in_c + panel->first) * out_c;
            for (int32_t n0 = 0; n0 < out_c; n0 += 16) {
                const int32_t n1 = n0 + 16 < out_c ? n0 + 16 : out_c;
                detk_transpose(from + n0, out_c, panel->cols, n1 - n0, to, width);
                to += (int64_t)(n1 - n0) * width;
            }
        }
    }
}

static void pack_task(struct job *job, int32_t task)
{
    const int64_t units = (int64_t)job->parts * job->panels;
    const int64_t end = detk_cut(units, job->pack_tasks, task + 1);
    for (int64_t unit = detk_cut(units, job->pack_tasks, task); unit < end; unit++) {
        const struct part part = part_at(job, (int32_t)(unit / job->panels));
        const struct detk_panel panel =
            detk_panel_at(job->gemm, job->cols, (int32_t)(unit % job->panels));
        if (panel_in_place(job, &panel))
            continue;
        float *to = panel_packed(job, &part, &panel);
        if (job->backward)
            pack_backward(job, &part, &panel, to);
        else
            pack_forward(job, &part, &panel, to);
    }
    atomic_fetch_add_explicit(&job->packed_tasks, 1, memory_order_release);
}

static void wait_for_packing(struct job *job)
{
    for (int spin = 0;
         atomic_load_explicit(&job->packed_tasks, memory_order_acquire) < job->pack_tasks; spin++) {
        if (spin > 1000)
            sched_yield();
    }
}

static void set_panel(const struct job *job, const struct part *part, const struct detk_panel *p,
                      struct detk_tile *tile)
{
    if (panel_in_place(job, p)) {
        tile->b = job->w + p->first;
        tile->b_step = job->cols;
    } else {
        tile->b = panel_packed(job, part, p);
        tile->b_step = p->vectors * job->gemm->lanes;
    }
    tile->cols = p->cols;
    tile->bias = job->bias != NULL ? job->bias + p->first : NULL;
}

/* `count` rows from a and c on, in tiles of nearly equal height, times one panel. */
static void strip(const struct job *job, struct detk_tile *tile, int32_t vectors, int64_t count,
                  const float *a, float *c)
{
    const int64_t groups = detk_div_up(count, job->gemm->max_rows);
    int64_t row = 0;
    for (int64_t g = 0; g < groups; g++) {
        const int64_t next = detk_cut(count, groups, g + 1);
        tile->a = a + row * tile->a_row;
        tile->c = c + row * tile->c_row;
        job->gemm->across[vectors - 1][next - row - 1](tile);
        row = next;
    }
}

static void matrix_task(struct job *job, int32_t block, int32_t first_panel, int32_t end_panel,
                        struct detk_tile *tile)
{
    const struct part part = part_at(job, 0);
    int64_t row = detk_cut(job->rows, job->row_blocks, block);
    const int64_t end = detk_cut(job->rows, job->row_blocks, block + 1);
    const bool near = part.terms * job->cols <= NEAR_FLOATS;
    const int64_t at_once = near ? job->gemm->max_rows : end - row;
    tile->a_row = part.terms;
    tile->segments = 1;
    tile->run = (int32_t)part.terms;
    tile->c_row = job->cols;
    const int64_t strips = detk_div_up(end - row, at_once), start = row;
    for (int64_t i = 0; i < strips; i++) {
        const int64_t next = start + detk_cut(end - start, strips, i + 1);
        for (int32_t p = first_panel; p < end_panel; p++) {
            const struct detk_panel panel = detk_panel_at(job->gemm, job->cols, p);
            set_panel(job, &part, &panel, tile);
            /* While the first panel is at work the rows of the next tile arrive. */
            const bool more = near && p == first_panel && next < job->rows;
            tile->ahead = more ? job->source + next * part.terms : job->w;
            tile->ahead_step = more ? 16 : 0;
            strip(job, tile, panel.vectors, next - row, job->source + row * part.terms,
                  job->target + row * job->cols + panel.first);
        }
        row = next;
    }
}

static void window_task(struct job *job, int32_t unit, int32_t block, int32_t first_panel,
                        int32_t end_panel, float *slab, struct detk_tile *tile)
{
    const int32_t image = unit % job->shape.n;
    const struct part part = part_at(job, unit / job->shape.n);
    const struct detk_view *v = &part.view;
    const int32_t y = (int32_t)detk_cut(v->out_h, job->row_blocks, block);
    const int32_t rows = (int32_t)detk_cut(v->out_h, job->row_blocks, block + 1) - y;
    if (rows == 0 || v->out_w == 0 || (part.terms == 0 && job->accumulate))
        return;
    const float *source = NULL;
    int64_t pitch = 0;
    if (part.terms > 0) {
        if (detk_view_inside(v)) {
            pitch = (int64_t)v->w * v->c;
            source = job->source + (int64_t)image * v->h * pitch +
                     (v->y0 + (int64_t)y * v->step) * pitch + (int64_t)v->x0 * v->c;
        } else {
            pitch = detk_slab_pitch(v);
            detk_slab_fill(v, job->source, image, y, rows, slab);
            source = slab;
        }
    }
    const struct det_conv_shape *s = &job->shape;
    float *target = job->target + part.first + y * part.row +
                    (int64_t)image * (job->backward ? (int64_t)s->in_h * s->in_w * s->in_c
                                                    : (int64_t)s->out_h * s->out_w * s->out_c);
    tile->a_row = (int64_t)v->step * v->c;
    tile->a_segment = pitch;
    tile->segments = part.terms > 0 ? v->taps_h : 0;
    tile->run = v->taps_w * v->c;
    tile->c_row = part.pixel;
    for (int32_t p = first_panel; p < end_panel; p++) {
        const struct detk_panel panel = detk_panel_at(job->gemm, job->cols, p);
        set_panel(job, &part, &panel, tile);
        for (int32_t r = 0; r < rows; r++)
            strip(job, tile, panel.vectors, v->out_w, source + r * v->step * pitch,
                  target + r * part.row + panel.first);
    }
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    struct job *job = argument;
    if (task < job->pack_tasks) {
        pack_task(job, task);
        return;
    }
    wait_for_packing(job);
    task -= job->pack_tasks;
    const int32_t first = (int32_t)detk_cut(job->panels, job->col_blocks, task % job->col_blocks);
    const int32_t end = (int32_t)detk_cut(job->panels, job->col_blocks, task % job->col_blocks + 1);
    task /= job->col_blocks;
    struct detk_tile tile = {
        .accumulate = job->accumulate, .relu6 = job->relu6, .stream = job->stream, .ahead = job->w};
    if (job->matrix)
        matrix_task(job, task, first, end, &tile);
    else
        window_task(job, task / job->row_blocks, task % job->row_blocks, first, end,
                    job->slabs + worker * job->slab_floats, &tile);
    if (job->stream)
        job->gemm->fence();
}

static bool worth_streaming(const struct job *job)
{
    const struct det_conv_shape *s = &job->shape;
    const int64_t pixels =
        (int64_t)s->n * (job->backward ? (int64_t)s->in_h * s->in_w : (int64_t)s->out_h * s->out_w);
    return !job->accumulate && pixels * job->cols >= STREAM_FLOATS && job->gemm->fence != NULL &&
           job->cols % 16 == 0 && (uintptr_t)job->target % 64 == 0;
}

static void run(struct job *job, const struct det_exec *x)
{
    job->stream = worth_streaming(job);
    job->packed = x->workspace;
    job->slabs = job->packed + job->packed_floats;
    atomic_init(&job->packed_tasks, 0);
    /* One task of each kind: not worth waking anyone. */
    struct det_pool *pool = job->tasks == 1 && job->pack_tasks <= 1 ? NULL : x->pool;
    det_pool_run(pool, job->pack_tasks + job->tasks, run_task, job);
}

int64_t detk_conv_pixels_floats(const struct detk_gemm *gemm, const struct det_conv_shape *s,
                                bool backward, int threads)
{
    struct job job;
    plan(&job, gemm, s, backward);
    return job.packed_floats + threads * job.slab_floats;
}

void detk_conv_pixels_forward(const struct detk_gemm *gemm, const struct det_exec *x,
                              const struct det_conv_shape *s, const float *in, const float *w,
                              const float *bias, enum det_activation act, float *out)
{
    struct job job;
    plan(&job, gemm, s, false);
    job.source = in;
    job.w = w;
    job.bias = bias;
    job.target = out;
    job.relu6 = act == DET_ACTIVATION_RELU6;
    run(&job, x);
}

void detk_conv_pixels_backward(const struct detk_gemm *gemm, const struct det_exec *x,
                               const struct det_conv_shape *s, const float *dout, const float *w,
                               float *din, bool accumulate)
{
    struct job job;
    plan(&job, gemm, s, true);
    job.source = dout;
    job.w = w;
    job.target = din;
    job.accumulate = accumulate;
    run(&job, x);
}
