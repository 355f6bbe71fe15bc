/* prepared_block.c: an inverted residual (or the stem, the first depthwise convolution and its
 * projection) as one, so that the expanded tensor never exists: some rows of one panel of its
 * channels at a time are made in L1 or L2, spread by the depthwise convolution, and forgotten.
 *
 * Large images go by bands of output rows: a band's depthwise results, all channels, stay in L2 for
 * the projection. The expanded rows that the next band needs again are kept (`halo`). One task does
 * a chunk of bands; only at the top of a chunk are one or two rows expanded twice, and to the same
 * bits, so chunks may depend on the number of threads.
 *
 * An expansion in 8 bits before a depthwise convolution in float32, or the other way round, makes
 * one row at a time, which is converted at once.
 *
 * Small images, where the weights are most of the memory, go by channels if there are several
 * threads: each task expands and spreads the whole image for one panel; a second job projects.
 */
#include <string.h>

#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"
#include "devices/cpu/prepared/q8_stem.h"

#define WHOLE_WORDS  12288 /* a panel's block of the expanded image: so small ones go by channels */
#define NEAR_WORDS   6144  /* of a panel's expanded rows between expansion and depthwise: in L1 */
#define BAND_WORDS   131072 /* of what a band touches: half of a small L2 */
#define MATRIX_WORDS 65536  /* of a projection's input that stays in L2 while the panels pass */

struct job {
    const struct detk_block_step *step;
    const struct detk_run *run;
    int32_t image;             /* by channels */
    struct detk_beside beside; /* then: of the expansion's or the projection's input */
};

/* A worker's memory. */
struct scratch {
    const float **rows; /* of one block, as the depthwise kernel wants them */
    float *zeros;       /* a row of them */
    float *expanded;    /* [panel's blocks][rows][mid_w + 2] pixels of a block */
    float *spread;      /* [blocks][band's pixels] */
    float *halo;        /* [blocks][2][mid_w + 2] */
    float *slab;        /* of the stem */
    float *made;        /* a row of the expansion's results, where the depthwise form is another */
    float *beside;      /* of a band's expansion, then of its projection */
};

/* What a block needs of the expanded rows: begin..end-1 are new, the two before `begin` in the
 * halo. */
struct window {
    int32_t begin, end;
};

static int32_t expanded_channels(const struct detk_block_step *s)
{
    return s->depthwise.c;
}

/* Words of a block of one pixel. */
static ptrdiff_t words_of(const struct detk_block_step *s)
{
    return s->depthwise.kernels->words;
}

static ptrdiff_t pitch_of(const struct detk_block_step *s)
{
    return (s->mid_w + 2) * words_of(s);
}

static int32_t rows_for(const struct detk_block_step *s, int32_t out_rows)
{
    return (out_rows - 1) * s->depthwise.stride + 3;
}

static int32_t rows_at_once(const struct detk_block_step *s)
{
    return rows_for(s, s->band > 0 ? s->band : s->out.h);
}

/* By gemm.h's kernels. */
static bool is_stem(const struct detk_block_step *s)
{
    return s->view.c > 0 && !s->q8_stem;
}

/* The expansion makes another form than the depthwise convolution reads. */
static bool converts(const struct detk_block_step *s)
{
    const struct detk_blocked *k = s->depthwise.kernels;
    return is_stem(s) ? k->narrow != NULL : s->expand.kernels != k;
}

static int32_t panel_blocks(const struct detk_block_step *s)
{
    if (is_stem(s))
        return 1;
    const struct detk_blocked *k = s->expand.kernels;
    return detk_blocks(k->most_vectors * k->lanes);
}

static size_t slab_words(const struct detk_block_step *s, int32_t rows)
{
    if (s->q8_stem)
        return detk_q8_slab_words(s->expand.kernels, &s->view, rows);
    return is_stem(s) ? (size_t)detk_lines(detk_slab_floats(&s->view, rows)) : 0;
}

static void fill_slab(const struct detk_block_step *s, const struct scratch *m, int32_t image,
                      struct window w)
{
    if (w.begin >= w.end)
        return;
    if (s->q8_stem)
        detk_q8_slab_fill(s->expand.kernels, &s->view, s->in.first, image, w.begin, w.end - w.begin,
                          m->slab);
    else if (is_stem(s))
        detk_slab_fill(&s->view, s->in.first, image, w.begin, w.end - w.begin, m->slab);
}

static int32_t panel_count(const struct detk_block_step *s)
{
    return is_stem(s) ? detk_blocks(s->stem_c) : s->expand.panels;
}

/* Words between blocks of the depthwise results. A distance of pages would put all blocks into the
 * same sets of L1. */
static ptrdiff_t spread_block(const struct detk_block_step *s)
{
    const ptrdiff_t words = (s->band > 0 ? s->band : s->out.h) * s->out.w * words_of(s);
    return words % 1024 == 0 ? words + DETK_BLOCK : words;
}

/* Words of a block of a row that the expansion makes to be converted. */
static ptrdiff_t made_block(const struct detk_block_step *s)
{
    return (ptrdiff_t)s->mid_w * (is_stem(s) ? DETK_BLOCK : s->expand.kernels->words);
}

/* Of so many expanded rows, or of a band's results. */
static size_t beside_words(const struct detk_block_step *s, int64_t rows)
{
    const size_t expand = is_stem(s) ? 0 : detk_beside_words(&s->expand, rows, s->mid_w);
    const int32_t band = s->band > 0 ? s->band : (int32_t)detk_div_up(s->out.h, s->bands);
    const size_t project = detk_beside_words(&s->project, band, s->out.w);
    return expand > project ? expand : project;
}

/* With memory NULL: only the size. */
static size_t lay_out(const struct detk_block_step *s, float *memory, struct scratch *to)
{
    const size_t pitch = (size_t)pitch_of(s), rows = (size_t)rows_at_once(s);
    const size_t blocks = (size_t)detk_blocks(expanded_channels(s));
    const size_t sizes[] = {
        (size_t)detk_lines((int64_t)(rows * sizeof(float *) / sizeof(float))),
        pitch,
        (size_t)panel_blocks(s) * rows * pitch,
        s->band > 0 ? blocks * (size_t)spread_block(s) : 0,
        s->band > 0 ? blocks * 2 * pitch : 0,
        slab_words(s, (int32_t)rows),
        converts(s) ? (size_t)(panel_blocks(s) * made_block(s)) : 0,
        beside_words(s, (int64_t)rows),
    };
    float *at[8] = {NULL};
    size_t total = 0;
    for (int i = 0; i < 8; i++) {
        if (memory != NULL)
            at[i] = memory + total;
        total += (size_t)detk_lines((int64_t)sizes[i]);
    }
    *to = (struct scratch){
        (const float **)(void *)at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]};
    return total;
}

/* By channels: the depthwise results, and what is made of them or of the step's input. */
static size_t shared_spread(const struct detk_block_step *s)
{
    return (size_t)spread_block(s) * (size_t)detk_blocks(expanded_channels(s));
}

static size_t shared_beside(const struct detk_block_step *s)
{
    const size_t in = is_stem(s) ? 0 : detk_beside_words(&s->expand, s->mid_h, s->mid_w);
    const size_t out =
        s->project.strassen != NULL ? 0 : detk_beside_words(&s->project, s->out.h, s->out.w);
    return in > out ? in : out;
}

/* Into at least so many, and into more, at most `most`, where threads would wait for the last ones
 * for more than a tenth of the time. `each`: tasks of a cut. */
static int32_t cut_evenly(int64_t least, int32_t most, int32_t each, int threads)
{
    int32_t cuts = (int32_t)detk_min(least, most);
    while (cuts < most &&
           10 * detk_div_up((int64_t)cuts * each, threads) * threads > 11 * (int64_t)cuts * each)
        cuts++;
    return cuts;
}

/* How the projection after panel_task() is cut: bands of rows and groups of panels. Sums of inputs
 * (strassen.h) are made for a band, so that they are still in L2 when panels read them, and all of
 * its panels are one group then. */
static void cut_projection(struct detk_block_step *s, int threads)
{
    const struct detk_pointwise *p = &s->project;
    const int64_t pixels = (int64_t)s->out.h * s->out.w;
    const int64_t bands = detk_min(s->out.h, detk_div_up(pixels * p->rows, MATRIX_WORDS));
    const int64_t wanted = detk_conv_tasks(pixels * expanded_channels(s) * p->out_c);
    s->groups = p->strassen != NULL
                    ? 1
                    : (int32_t)detk_max(1, detk_min(p->panels, detk_div_up(wanted, bands)));
    s->bands = cut_evenly(bands, s->out.h, s->groups, threads);
}

void detk_block_plan(struct detk_block_step *s, int32_t batch, int threads)
{
    const int64_t channels = (int64_t)detk_blocks(expanded_channels(s)) * words_of(s);
    const int64_t pitch = pitch_of(s);
    s->band = 0;
    s->chunks = 1;
    if (threads == 1 || (s->mid_h + 2) * pitch > WHOLE_WORDS) {
        /* A row's share: depthwise results, halo, expansion, input. */
        const int64_t row =
            s->out.w * channels +
            s->depthwise.stride * (panel_blocks(s) * pitch + s->in.row * detk_blocks(s->in.c));
        const int64_t fixed = (3 - s->depthwise.stride) * pitch * detk_blocks(expanded_channels(s));
        s->band = (int32_t)detk_min(s->out.h, detk_max(1, (BAND_WORDS - fixed / 2) / row));
        const int64_t bands = detk_div_up(s->out.h, s->band);
        const int64_t most = threads == 1 ? 1 : detk_min(s->out.h, 2 * (int64_t)threads);
        s->chunks = cut_evenly(bands, (int32_t)most, batch, threads);
    } else {
        cut_projection(s, threads);
    }
    s->near = (int32_t)detk_max(1, (NEAR_WORDS / pitch - 2) / s->depthwise.stride);
    struct scratch unused;
    s->scratch_floats = lay_out(s, NULL, &unused);
    s->shared_floats = s->band > 0 ? 0 : shared_spread(s) + shared_beside(s);
}

/* Rows of one block of the stem, from a slab that begins with the first. */
static void run_stem(const struct detk_block_step *s, const struct scratch *m, const float *slab,
                     int32_t block, int32_t rows, float *to)
{
    for (int32_t r = 0; r < rows; r++) {
        detk_stem_row(s, slab, block, converts(s) ? m->made : to);
        if (converts(s))
            detk_blocks_convert(NULL, s->depthwise.kernels, &s->mid, m->made, s->mid_w, to);
        slab += s->view.step * detk_slab_pitch(&s->view);
        to += pitch_of(s);
    }
}

/* Zero columns beside the expanded rows, and a zero row: real zeros. */
static void clear_edges(const struct detk_block_step *s, const struct scratch *m)
{
    const ptrdiff_t pitch = pitch_of(s);
    const int32_t rows = panel_blocks(s) * rows_at_once(s);
    const struct detk_blocked *k = s->depthwise.kernels;
    const size_t pixel = (size_t)words_of(s);
    detk_fill_zeros(k, s->mid.zero, m->zeros, (size_t)pitch);
    for (int32_t r = 0; r < rows; r++) {
        detk_fill_zeros(k, s->mid.zero, m->expanded + r * pitch, pixel);
        detk_fill_zeros(k, s->mid.zero, m->expanded + (r + 1) * pitch - words_of(s), pixel);
    }
}

static const float *expanded_row(const struct detk_block_step *s, const struct scratch *m,
                                 struct window w, int32_t slot, int32_t block, int32_t r)
{
    const ptrdiff_t pitch = pitch_of(s);
    if (r < 0 || r >= s->mid_h)
        return m->zeros;
    if (r < w.begin)
        return m->halo + ((ptrdiff_t)block * 2 + r - (w.begin - 2)) * pitch;
    return m->expanded + ((ptrdiff_t)slot * rows_at_once(s) + r - w.begin) * pitch;
}

/* What the expansion of rows begin..end-1 of the window reads. */
static struct detk_pixels expand_input(const struct detk_block_step *s, const struct scratch *m,
                                       int32_t image, struct window w, int32_t begin, int32_t end)
{
    struct detk_pixels x = {.rows = end - begin, .count = s->mid_w};
    if (s->q8_stem) {
        x.a_row = detk_q8_slab_row(s->expand.kernels, &s->view);
        x.a_block = detk_q8_slab_plane(s->expand.kernels, &s->view);
        x.a = m->slab + (begin - w.begin) * x.a_row;
    } else {
        x.a_row = s->in.row;
        x.a_block = s->in.block;
        x.a = detk_map_at(&s->in, image, 0, begin, 0);
    }
    return x;
}

/* Of the expansion's input, window by window. */
static struct detk_beside expand_beside(const struct detk_block_step *s, const struct scratch *m,
                                        int32_t image, struct window w)
{
    if (is_stem(s) || w.begin >= w.end)
        return (struct detk_beside){0};
    const struct detk_pixels x = expand_input(s, m, image, w, w.begin, w.end);
    return detk_beside_make(&s->expand, x.a, x.a_row, x.a_block, x.rows, x.count, m->beside);
}

/* Rows of a panel one by one through m->made; `x` is their input. */
static void expand_converted(const struct detk_block_step *s, const struct scratch *m,
                             int32_t panel, struct detk_pixels x, float *to)
{
    const struct detk_panel_span span = detk_panel_span_at(&s->expand, panel);
    const int32_t rows = x.rows;
    x.rows = 1;
    x.c = m->made;
    x.c_pixel = s->expand.kernels->words;
    x.c_block = made_block(s);
    for (int32_t r = 0; r < rows; r++, x.a += x.a_row, to += pitch_of(s)) {
        detk_pointwise_pixels(&s->expand, panel, &x);
        for (int32_t b = 0; b < span.end_block - span.block; b++)
            detk_blocks_convert(s->expand.kernels, s->depthwise.kernels, &s->mid,
                                m->made + b * made_block(s), s->mid_w,
                                to + b * rows_at_once(s) * pitch_of(s));
        x.beside = detk_beside_from(x.beside, 1, s->mid_w);
    }
}

/* Makes the expanded rows begin..end-1 of the window for one panel; `beside`: of the window's. */
static void expand(const struct detk_block_step *s, const struct scratch *m, int32_t image,
                   struct detk_beside beside, int32_t panel, struct window w, int32_t begin,
                   int32_t end)
{
    const ptrdiff_t pitch = pitch_of(s);
    float *to = m->expanded + (begin - w.begin) * pitch + words_of(s);
    if (begin >= end)
        return;
    if (is_stem(s)) {
        const ptrdiff_t skipped = (begin - w.begin) * s->view.step * detk_slab_pitch(&s->view);
        run_stem(s, m, m->slab + skipped, panel, end - begin, to);
        return;
    }
    struct detk_pixels x = expand_input(s, m, image, w, begin, end);
    x.beside = detk_beside_from(beside, begin - w.begin, s->mid_w);
    if (converts(s)) {
        expand_converted(s, m, panel, x, to);
        return;
    }
    x.c = to;
    x.c_pixel = words_of(s);
    x.c_row = pitch;
    x.c_block = rows_at_once(s) * pitch;
    detk_pointwise_pixels(&s->expand, panel, &x);
}

/* Depthwise results of output rows y..end-1 for the blocks of one panel. A few rows at a time: what
 * was just expanded is still in L1 then. */
static void expand_and_spread(const struct detk_block_step *s, const struct scratch *m,
                              int32_t image, struct detk_beside beside, int32_t panel, int32_t y,
                              int32_t end, struct window w, float *spread)
{
    const ptrdiff_t pitch = pitch_of(s), row = s->out.w * words_of(s);
    const struct detk_depthwise *d = &s->depthwise;
    int32_t block = panel, end_block = panel + 1;
    if (!is_stem(s)) {
        const struct detk_panel_span span = detk_panel_span_at(&s->expand, panel);
        block = span.block;
        end_block = span.end_block;
    }
    int32_t made = w.begin;
    for (int32_t from = y; from < end; from += s->near) {
        const int32_t to = from + s->near < end ? from + s->near : end;
        const int32_t top = from * d->stride - d->pad_top, need = top + rows_for(s, to - from);
        const int32_t until = need < w.end ? need : w.end;
        expand(s, m, image, beside, panel, w, made, until);
        made = until > made ? until : made;
        for (int32_t b = block; b < end_block; b++) {
            for (int32_t i = 0; i < rows_for(s, to - from); i++)
                m->rows[i] =
                    expanded_row(s, m, w, b - block, b, top + i) + (1 - d->pad_left) * words_of(s);
            detk_depthwise_run(d, b, m->rows, to - from, s->out.w,
                               spread + b * spread_block(s) + (from - y) * row, row);
        }
    }
    for (int32_t b = block; b < end_block && end < s->out.h; b++) {
        for (int32_t i = 0; i < 2; i++) {
            const int32_t r = w.end - 2 + i;
            if (r >= 0)
                memmove(m->halo + ((ptrdiff_t)b * 2 + i) * pitch,
                        expanded_row(s, m, w, b - block, b, r), (size_t)pitch * sizeof(float));
        }
    }
}

/* The expanded rows that output rows y..end-1 see, from `have` on. */
static struct window window_of(const struct detk_block_step *s, int32_t y, int32_t end,
                               int32_t have)
{
    const struct detk_depthwise *d = &s->depthwise;
    const int32_t top = y * d->stride - d->pad_top, bottom = top + rows_for(s, end - y);
    const struct window w = {
        .begin = have > top ? have
                 : top < 0  ? 0
                            : top,
        .end = bottom < s->mid_h ? bottom : s->mid_h,
    };
    return w;
}

/* Images are not apart here: their stride is 0. */
static struct detk_map spread_map(const struct detk_block_step *s, float *spread)
{
    return (struct detk_map){.first = spread,
                             .h = s->out.h,
                             .w = s->out.w,
                             .c = expanded_channels(s),
                             .pixel = words_of(s),
                             .row = s->out.w * words_of(s),
                             .block = spread_block(s)};
}

/* `beside`: of row spread_y of the depthwise results. */
static void project(const struct detk_block_step *s, float *spread, struct detk_beside beside,
                    int32_t image, int32_t spread_y, int32_t y, int32_t end, int32_t panel,
                    int32_t end_panel)
{
    struct detk_map middle = spread_map(s, spread);
    middle.beside = beside;
    for (; panel < end_panel; panel++) {
        const struct detk_panel_span span = detk_panel_span_at(&s->project, panel);
        detk_pointwise_run(&s->project, panel, &middle, spread_y,
                           s->added.first == NULL ? NULL : &s->added, &s->out, image, y, end);
        detk_map_zero_frame(&s->out, image, span.block, span.end_block, y, end);
    }
}

static struct scratch scratch_of(const struct job *job, int32_t worker)
{
    struct scratch m;
    (void)lay_out(job->step, job->run->scratch + (size_t)worker * job->run->scratch_floats, &m);
    return m;
}

/* Rows of one chunk, band by band. */
static void chunk_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_block_step *s = job->step;
    const struct scratch m = scratch_of(job, worker);
    const int32_t image = task / s->chunks, chunk = task % s->chunks;
    const int32_t last = (int32_t)detk_cut(s->out.h, s->chunks, chunk + 1);
    int32_t y = (int32_t)detk_cut(s->out.h, s->chunks, chunk);
    struct window w = {0, 0};
    clear_edges(s, &m);
    while (y < last) {
        const int32_t end = (int32_t)detk_min(y + s->band, last);
        w = window_of(s, y, end, w.end);
        fill_slab(s, &m, image, w);
        struct detk_beside beside = expand_beside(s, &m, image, w);
        for (int32_t p = 0; p < panel_count(s); p++)
            expand_and_spread(s, &m, image, beside, p, y, end, w, m.spread);
        const struct detk_map spread = spread_map(s, m.spread);
        beside = detk_beside_make(&s->project, m.spread, spread.row, spread.block, end - y,
                                  s->out.w, m.beside);
        project(s, m.spread, beside, image, 0, y, end, 0, s->project.panels);
        y = end;
    }
}

static void panel_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_block_step *s = job->step;
    const struct scratch m = scratch_of(job, worker);
    const struct window w = window_of(s, 0, s->out.h, 0);
    clear_edges(s, &m);
    fill_slab(s, &m, job->image, w);
    const struct detk_beside beside =
        s->q8_stem ? expand_beside(s, &m, job->image, w) : job->beside;
    expand_and_spread(s, &m, job->image, beside, task, 0, s->out.h, w, job->run->shared);
}

static void project_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_block_step *s = job->step;
    const struct scratch m = scratch_of(job, worker);
    const int32_t group = task % s->groups, band = task / s->groups;
    const int32_t y = (int32_t)detk_cut(s->out.h, s->bands, band);
    const int32_t end = (int32_t)detk_cut(s->out.h, s->bands, band + 1);
    const struct detk_map spread = spread_map(s, job->run->shared);
    const struct detk_beside beside =
        s->project.strassen == NULL
            ? detk_beside_from(job->beside, y, s->out.w)
            : detk_beside_make(&s->project, spread.first + y * spread.row, spread.row, spread.block,
                               end - y, s->out.w, m.beside);
    project(s, job->run->shared, beside, job->image, y, y, end,
            (int32_t)detk_cut(s->project.panels, s->groups, group),
            (int32_t)detk_cut(s->project.panels, s->groups, group + 1));
}

void detk_block_run(const struct detk_block_step *s, const struct detk_run *run)
{
    struct job job = {.step = s, .run = run};
    struct det_pool *pool = run->exec.pool;
    if (s->band > 0) {
        det_pool_run(pool, run->batch * s->chunks, chunk_task, &job);
        return;
    }
    const struct detk_map spread = spread_map(s, run->shared);
    float *beside = run->shared + shared_spread(s);
    for (; job.image < run->batch; job.image++) {
        job.beside = (struct detk_beside){0};
        if (s->view.c == 0)
            job.beside = detk_beside_of_map(pool, &s->expand, &s->in, job.image, 1, beside);
        det_pool_run(pool, panel_count(s), panel_task, &job);
        if (s->project.strassen == NULL)
            job.beside = detk_beside_of_map(pool, &s->project, &spread, 0, 1, beside);
        det_pool_run(pool, s->bands * s->groups, project_task, &job);
    }
}
