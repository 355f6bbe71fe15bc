/* bn_matrix.c: convolutions of training that are matrix products: rows are pixels.
 *
 * A task takes a range of pixels, strip by strip. Forward: a strip's operand is normalised into
 * scratch memory, multiplied with every panel of the packed weights, and the result's sums are
 * taken while it is in the cache. Backward: the strip's gradient is made in scratch memory,
 * multiplied with the turned weights for din, whose sums are taken; then the operand is made, and
 * the product of the two is added to the weights' gradient, which each task has of its own; they
 * are added up in the order of the tasks. Where the weights are many and the pixels few (late
 * layers) such copies would cost more than they bring: there the operands of all pixels are kept,
 * and a second round of tasks cuts the weights' gradient into ranges.
 *
 * With products in bf16 (isa->pairs) what a strip's products read is turned into words of two bf16
 * first: neighbouring channels where the sum runs over channels, neighbouring pixels for the
 * weights' gradient. Batch norm, sums and results are float32.
 *
 * While a strip is multiplied, what the next one will read and write is fetched from memory
 * (ahead.h). Tasks are equal parts of the pixels and strips equal parts of a task, in units of a
 * tile's rows: threads that take turns end together. */
#include <string.h>

#include "ops/cpu/bn/bn_conv.h"
#include "ops/cpu/conv/ahead.h"

#define NEAR_FLOATS    32768 /* weights that stay in L2 with a strip */
#define STRIP_FLOATS   16384 /* a forward strip's operand and result */
#define FAR_STRIP      65536 /* the same where the weights pass by each time */
#define STRIP_MAX      192   /* pixels, forward */
#define BLOCK_PIXELS   128   /* pixels, backward */
#define BLOCK_FLOATS   98304 /* a backward strip's two operands */
#define TILES_A_CALL   6     /* few: each call fetches from one place (ahead.h) */
#define TASKS_MAX      64
#define RANGED_WEIGHTS 65536   /* from here on dw is cut into ranges, when ... */
#define RANGED_FLOATS  8388608 /* ... the operands of all pixels are no more than this */
#define PARTIAL_FLOATS 8388608 /* of all tasks, about: 32 MiB */
#define ADD_UP_FLOATS  4096    /* a task of adding up */

struct job {
    const struct detk_isa *isa;
    const struct detk_pairs *pairs; /* NULL: products in float32 */
    const struct detk_gemm *gemm;
    int64_t pixels;
    int64_t units; /* of max_rows pixels, an even number: pairs of pixels stay together */
    int64_t strip; /* pixels, at most: whole units */
    int32_t in_c, out_c, terms, cols; /* of the product that has pixels for rows */
    int32_t steps;                    /* of its sums: terms, or pairs of them */
    int64_t word_row;                 /* pairs: of its operand */
    int32_t panels, tasks;
    const struct detk_bn_forward *forward;
    const struct detk_bn_backward *backward;
    float *packed, *scratch;
    void *feeds;
    /* backward */
    bool ranged;
    int64_t in_row, dout_row; /* of the operands in memory */
    int64_t weights, scratch_floats, partial_floats;
    int64_t kept_rows;     /* ranged: operands of all pixels, or of pairs of them */
    int32_t tiles, ranges; /* tiles of rows of dw */
    float *partials, *kept;
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void plan(struct job *job, const struct detk_isa *isa, const struct det_conv_shape *s,
                 bool backward)
{
    *job = (struct job){.isa = isa, .in_c = s->in_c, .out_c = s->out_c};
    job->pixels = (int64_t)s->n * s->out_h * s->out_w;
    job->terms = backward ? s->out_c : s->in_c;
    job->cols = backward ? s->in_c : s->out_c;
    job->pairs = isa->pairs;
    job->gemm = isa->pairs != NULL ? isa->pairs->gemm : isa->gemm;
    job->steps = isa->pairs != NULL ? (job->terms + 1) / 2 : job->terms;
    job->word_row = isa->pairs != NULL ? detk_scratch_row(job->steps) : 0;
    job->panels = detk_panels(job->gemm, job->cols);
    job->weights = (int64_t)s->in_c * s->out_c;
    job->in_row = detk_scratch_row(s->in_c);
    job->dout_row = detk_scratch_row(s->out_c);
    const int64_t row = job->in_row + job->dout_row, tall = job->gemm->max_rows;
    job->units = detk_div_up(job->pixels, tall);
    int64_t tasks = detk_min(TASKS_MAX, detk_conv_tasks(job->pixels * job->weights));
    if (!backward) {
        const int64_t floats = job->weights > NEAR_FLOATS ? FAR_STRIP : STRIP_FLOATS;
        job->strip = detk_div_up(clamp(floats / row, 24, STRIP_MAX), tall) * tall;
        job->scratch_floats = job->strip * (job->in_row + job->word_row);
    } else {
        job->ranged = job->weights > RANGED_WEIGHTS && job->pixels * row <= RANGED_FLOATS;
        job->strip = clamp(BLOCK_FLOATS / row, job->ranged ? 48 : 64, BLOCK_PIXELS) / tall * tall;
        job->tiles = (int32_t)detk_div_up(s->in_c, tall);
        if (job->pairs != NULL)
            job->scratch_floats =
                job->strip * (row + job->word_row) + (job->ranged ? 0 : job->strip / 2 * row);
        else
            job->scratch_floats = job->ranged ? 0 : job->strip * row;
        if (job->ranged) {
            job->kept_rows = job->pairs != NULL ? (job->pixels + 1) / 2 : job->pixels;
            job->ranges = (int32_t)detk_min(job->tiles, tasks);
        } else {
            /* Adding up the tasks' sums should cost little beside making them. */
            tasks = detk_min(tasks, detk_max(4, job->pixels * row / (4 * job->weights)));
            tasks = detk_min(tasks, detk_max(1, PARTIAL_FLOATS / job->weights));
            job->partial_floats = detk_lines(job->weights);
        }
    }
    /* Even shares for 2, 4 or 8 threads. */
    tasks = tasks > 4 ? detk_div_up(tasks, 8) * 8 : tasks;
    job->tasks = (int32_t)clamp(tasks, 1, detk_div_up(job->pixels, job->strip));
}

static int64_t packed_floats(const struct job *job)
{
    return (int64_t)job->steps * detk_div_up(job->cols, job->gemm->lanes) * job->gemm->lanes;
}

/* Bytes of workspace; and where everything is, when `memory` is given. */
static size_t lay_out(struct job *job, void *memory, int threads)
{
    size_t bytes = 0;
    const int64_t kept = job->kept_rows * (job->in_row + job->dout_row);
    const int64_t partials = job->partial_floats * job->tasks;
    job->packed = detk_place(memory, &bytes, (size_t)packed_floats(job) * sizeof(float));
    job->scratch =
        detk_place(memory, &bytes, (size_t)(job->scratch_floats * threads) * sizeof(float));
    job->kept = detk_place(memory, &bytes, (size_t)kept * sizeof(float));
    job->partials = detk_place(memory, &bytes, (size_t)partials * sizeof(float));
    job->feeds = detk_place(memory, &bytes, (size_t)job->tasks * detk_feed_bytes(job->cols));
    return bytes;
}

static float *panel_at(const struct job *job, const struct detk_panel *panel)
{
    return job->packed + (int64_t)job->steps * panel->first;
}

/* One panel of w in pairs of rows. */
static void pack_pairs(const struct job *job, const struct detk_panel *panel, int32_t width,
                       float *to)
{
    job->pairs->of_rows(job->forward->w + panel->first, job->cols, job->terms, panel->cols, to,
                        width);
    for (int32_t k = 0; k < job->steps; k++, to += width) {
        for (int32_t j = panel->cols; j < width; j++)
            to[j] = 0;
    }
}

/* One panel of w's transpose in pairs of rows. */
static void pack_turned_pairs(const struct job *job, const struct detk_panel *panel, int32_t width,
                              float *to)
{
    _Alignas(64) float words[DETK_GEMM_MAX_VECTORS * 16 * 16];
    const float *from = job->backward->w + (int64_t)panel->first * job->out_c;
    for (int32_t n = 0; n < job->steps; n += 16) {
        const int32_t channels = job->out_c - 2 * n < 32 ? job->out_c - 2 * n : 32;
        const int32_t count = (channels + 1) / 2;
        job->pairs->of_channels(from + 2 * n, job->out_c, panel->cols, channels, words, 16);
        detk_transpose(words, 16, panel->cols, count, to, width);
        to += count * width;
    }
}

/* One panel of w, or of its transpose. */
static void pack(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct detk_panel panel = detk_panel_at(job->gemm, job->cols, task);
    const int32_t width = panel.vectors * job->gemm->lanes;
    float *to = panel_at(job, &panel);
    if (job->pairs != NULL) {
        (job->backward == NULL ? pack_pairs : pack_turned_pairs)(job, &panel, width, to);
        return;
    }
    if (job->backward == NULL) {
        const float *from = job->forward->w + panel.first;
        for (int32_t k = 0; k < job->terms; k++, from += job->cols, to += width) {
            memcpy(to, from, (size_t)panel.cols * sizeof *to);
            for (int32_t j = panel.cols; j < width; j++)
                to[j] = 0;
        }
        return;
    }
    const float *from = job->backward->w + (int64_t)panel.first * job->out_c;
    for (int32_t n = 0; n < job->out_c; n += 16) {
        const int32_t count = n + 16 < job->out_c ? 16 : job->out_c - n;
        detk_transpose(from + n, job->out_c, panel.cols, count, to, width);
        to += count * width;
    }
}

/* Steps of multiply()'s tiles. */
static int64_t multiply_steps(const struct job *job, int64_t rows)
{
    return detk_div_up(rows, job->gemm->max_rows) * job->panels * job->steps;
}

/* target[rows][cols] (+)= a[rows][terms] * packed weights (+ bias) */
static void multiply(const struct job *job, const float *a, int64_t a_row, int64_t rows,
                     float *target, const float *bias, bool accumulate, struct detk_ahead *ahead)
{
    const struct detk_gemm *gemm = job->gemm;
    struct detk_tile tile = {.a_row = a_row,
                             .segments = 1,
                             .run = job->steps,
                             .c_row = job->cols,
                             .accumulate = accumulate};
    const int64_t tall = gemm->max_rows, whole = rows / tall;
    tile.a_tile = tall * a_row;
    tile.c_tile = tall * job->cols;
    for (int32_t p = 0; p < job->panels; p++) {
        const struct detk_panel panel = detk_panel_at(gemm, job->cols, p);
        const detk_tile_fn *kernels = gemm->across[panel.vectors - 1];
        tile.b = panel_at(job, &panel);
        tile.b_step = panel.vectors * gemm->lanes;
        tile.cols = panel.cols;
        tile.bias = bias != NULL ? bias + panel.first : NULL;
        for (int64_t row = 0; row < rows; row += tile.tiles * tall) {
            const int64_t left = whole - row / tall;
            tile.tiles = (int32_t)clamp(left, 1, TILES_A_CALL);
            tile.a = a + row * a_row;
            tile.c = target + row * job->cols + panel.first;
            detk_ahead_tile(ahead, &tile);
            kernels[left > 0 ? tall - 1 : rows - row - 1](&tile);
        }
    }
}

/* Where a task is, from strip to strip. */
struct walk {
    const struct job *job;
    int64_t unit, units; /* the task's */
    int64_t index, strips;
    int64_t first, count;     /* pixels of the present strip */
    int64_t next, next_count; /* of the one after it; 0: this is the last */
};

/* The next strip, or false. */
static bool walk_on(struct walk *walk)
{
    if (walk->index >= walk->strips)
        return false;
    const int64_t tall = walk->job->gemm->max_rows;
    int64_t edge[3];
    for (int i = 0; i < 3; i++)
        edge[i] = detk_min(walk->job->pixels,
                           (walk->unit + detk_cut(walk->units, walk->strips,
                                                  detk_min(walk->index + i, walk->strips))) *
                               tall);
    walk->first = edge[0];
    walk->count = edge[1] - edge[0];
    walk->next = edge[1];
    walk->next_count = edge[2] - edge[1];
    walk->index++;
    return true;
}

static struct walk walk_start(const struct job *job, int32_t task)
{
    struct walk walk = {.job = job, .unit = detk_cut(job->units, job->tasks, task)};
    walk.units = detk_cut(job->units, job->tasks, task + 1) - walk.unit;
    walk.strips = detk_div_up(walk.units * job->gemm->max_rows, job->strip);
    return walk;
}

static void forward_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_bn_forward *call = job->forward;
    const struct detk_rows *rows = job->isa->rows;
    float *scratch = job->scratch + worker * job->scratch_floats;
    struct detk_feed feed = detk_feed_start(job->feeds, job->cols, task);
    for (struct walk walk = walk_start(job, task); walk_on(&walk);) {
        const int64_t pixel = walk.first, count = walk.count;
        const float *a = call->in.x + pixel * job->in_c;
        int64_t a_row = job->in_c;
        if (call->in.bn != NULL) {
            rows->value(call->in.bn, job->in_c, a, count, scratch, job->in_row);
            a = scratch;
            a_row = job->in_row;
        }
        if (job->pairs != NULL) {
            float *words = scratch + job->strip * job->in_row;
            job->pairs->of_channels(a, a_row, count, job->in_c, words, job->word_row);
            a = words;
            a_row = job->word_row;
        }
        float *out = call->out + pixel * job->out_c;
        struct detk_ahead ahead = {0};
        detk_ahead_add(&ahead, call->in.x + walk.next * job->in_c, walk.next_count * job->in_c);
        detk_ahead_add(&ahead, call->out + walk.next * job->out_c, walk.next_count * job->out_c);
        detk_ahead_spread(&ahead, multiply_steps(job, count));
        multiply(job, a, a_row, count, out, call->bias, false, &ahead);
        if (call->mean != NULL)
            rows->feed_statistics(&feed, out, count);
    }
    rows->end_statistics(&feed);
}

void detk_bn_matrix_forward(const struct detk_isa *isa, const struct det_exec *x,
                            const struct det_conv_shape *s, const struct detk_bn_forward *call)
{
    struct job job;
    plan(&job, isa, s, false);
    job.forward = call;
    lay_out(&job, x->workspace, det_pool_threads(x->pool));
    struct det_pool *pool = job.tasks > 1 ? x->pool : NULL;
    det_pool_run(pool, job.panels, pack, &job);
    det_pool_run(pool, job.tasks, forward_task, &job);
    if (call->mean != NULL)
        detk_feeds_statistics(x, job.feeds, s->out_c, job.tasks, call->mean, call->variance);
}

/* Steps of add_products()'s tiles for all of dw and a strip of so many pixels. */
static int64_t add_steps(const struct job *job, int64_t pixels)
{
    const int64_t terms = job->pairs != NULL ? (pixels + 1) / 2 : pixels;
    return terms * job->tiles * detk_panels(job->gemm, job->out_c);
}

/* Rows `first`.. of tiles first_tile..end_tile-1 of dw += in^T * dout for some pixels, or pairs of
 * them. */
static void add_products(const struct job *job, const float *in, const float *dout, int64_t pixels,
                         int32_t first_tile, int32_t end_tile, float *dw, bool accumulate,
                         struct detk_ahead *ahead)
{
    const struct detk_gemm *gemm = job->gemm;
    struct detk_tile tile = {.a_step = job->in_row,
                             .segments = 1,
                             .run = (int32_t)pixels,
                             .b_step = job->dout_row,
                             .c_row = job->out_c,
                             .accumulate = accumulate};
    const int32_t panels = detk_panels(gemm, job->out_c);
    for (int32_t p = 0; p < panels; p++) {
        const struct detk_panel panel = detk_panel_at(gemm, job->out_c, p);
        tile.b = dout + panel.first;
        tile.cols = panel.cols;
        for (int32_t t = first_tile; t < end_tile; t++) {
            const int64_t row = detk_cut(job->in_c, job->tiles, t);
            const int64_t next = detk_cut(job->in_c, job->tiles, t + 1);
            tile.a = in + row;
            tile.c = dw + row * job->out_c + panel.first;
            detk_ahead_tile(ahead, &tile);
            gemm->down[panel.vectors - 1][next - row - 1](&tile);
        }
    }
}

/* The two operands of a strip; of all pixels when they are kept, row `row` of them then. */
struct operands {
    float *in, *dout;
};

static struct operands kept_from(const struct job *job, int64_t row)
{
    return (struct operands){job->kept + row * job->in_row,
                             job->kept + job->kept_rows * job->in_row + row * job->dout_row};
}

static struct operands operands_at(const struct job *job, float *memory, int64_t rows)
{
    return (struct operands){memory, memory + rows * job->in_row};
}

/* What the next strip of a backward pass reads and writes. */
static struct detk_ahead ahead_of(const struct job *job, const struct walk *walk)
{
    const struct detk_bn_backward *call = job->backward;
    const int64_t in = walk->next * job->in_c, in_floats = walk->next_count * job->in_c;
    const int64_t out = walk->next * job->out_c, out_floats = walk->next_count * job->out_c;
    struct detk_ahead ahead = {0};
    int64_t steps = 0;
    detk_ahead_add(&ahead, call->dout.dy + out, out_floats);
    if (call->dout.bn != NULL)
        detk_ahead_add(&ahead, call->dout.x + out, out_floats);
    detk_ahead_add(&ahead, call->in.x + in, in_floats);
    if (call->to.din != NULL) {
        detk_ahead_add(&ahead, call->to.din + in, in_floats);
        steps += multiply_steps(job, walk->count);
    }
    if (!job->ranged)
        steps += add_steps(job, walk->count);
    detk_ahead_spread(&ahead, steps);
    return ahead;
}

static void backward_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_bn_backward *call = job->backward;
    const struct det_gradient_to *to = &call->to;
    const struct detk_rows *rows = job->isa->rows;
    struct detk_feed feed = detk_feed_start(job->feeds, job->in_c, task);
    float *dw = job->tasks > 1 ? job->partials + task * job->partial_floats : call->dw;
    bool accumulate = job->tasks == 1 && call->accumulate;
    float *own = job->scratch + worker * job->scratch_floats;
    float *words = own + job->strip * (job->in_row + job->dout_row);
    for (struct walk walk = walk_start(job, task); walk_on(&walk);) {
        const int64_t pixel = walk.first, count = walk.count;
        struct detk_ahead ahead = ahead_of(job, &walk);
        const struct operands made = job->ranged && job->pairs == NULL
                                         ? kept_from(job, pixel)
                                         : operands_at(job, own, job->strip);
        rows->gradient(&call->dout, job->out_c, pixel, count, made.dout, job->dout_row);
        rows->value(call->in.bn, job->in_c, call->in.x + pixel * job->in_c, count, made.in,
                    job->in_row);
        if (to->din != NULL) {
            float *din = to->din + pixel * job->in_c;
            if (job->pairs != NULL)
                job->pairs->of_channels(made.dout, job->dout_row, count, job->out_c, words,
                                        job->word_row);
            multiply(job, job->pairs != NULL ? words : made.dout,
                     job->pairs != NULL ? job->word_row : job->dout_row, count, din, NULL,
                     to->accumulate, &ahead);
            if (to->sums != NULL)
                rows->feed_gradient(&feed, to->bn, din, to->x + pixel * job->in_c, count);
        }
        struct operands used = made;
        if (job->pairs != NULL) {
            used = job->ranged
                       ? kept_from(job, pixel / 2)
                       : operands_at(job, words + job->strip * job->word_row, job->strip / 2);
            job->pairs->of_rows(made.in, job->in_row, count, job->in_c, used.in, job->in_row);
            job->pairs->of_rows(made.dout, job->dout_row, count, job->out_c, used.dout,
                                job->dout_row);
        }
        if (!job->ranged) {
            add_products(job, used.in, used.dout, job->pairs != NULL ? (count + 1) / 2 : count, 0,
                         job->tiles, dw, accumulate, &ahead);
            accumulate = true;
        }
    }
    rows->end_gradient(&feed);
}

/* A range of rows of dw, all pixels. */
static void range_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int32_t first = (int32_t)detk_cut(job->tiles, job->ranges, task);
    const int32_t end = (int32_t)detk_cut(job->tiles, job->ranges, task + 1);
    const int64_t blocks = detk_div_up(job->kept_rows, BLOCK_PIXELS);
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t row = detk_cut(job->kept_rows, blocks, b);
        const struct operands kept = kept_from(job, row);
        struct detk_ahead ahead = {0};
        add_products(job, kept.in, kept.dout, detk_cut(job->kept_rows, blocks, b + 1) - row, first,
                     end, job->backward->dw, b > 0 || job->backward->accumulate, &ahead);
    }
}

static void add_up(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const int64_t first = (int64_t)task * ADD_UP_FLOATS;
    const int64_t end = detk_min(first + ADD_UP_FLOATS, job->weights);
    float *dw = job->backward->dw;
    if (!job->backward->accumulate)
        memcpy(dw + first, job->partials + first, (size_t)(end - first) * sizeof *dw);
    for (int32_t t = job->backward->accumulate ? 0 : 1; t < job->tasks; t++) {
        const float *from = job->partials + t * job->partial_floats;
        for (int64_t i = first; i < end; i++)
            dw[i] += from[i];
    }
}

void detk_bn_matrix_backward(const struct detk_isa *isa, const struct det_exec *x,
                             const struct det_conv_shape *s, const struct detk_bn_backward *call)
{
    struct job job;
    plan(&job, isa, s, true);
    job.backward = call;
    lay_out(&job, x->workspace, det_pool_threads(x->pool));
    struct det_pool *pool = job.tasks > 1 ? x->pool : NULL;
    if (call->to.din != NULL)
        det_pool_run(pool, job.panels, pack, &job);
    det_pool_run(pool, job.tasks, backward_task, &job);
    if (job.ranged)
        det_pool_run(pool, job.ranges, range_task, &job);
    else if (job.tasks > 1)
        det_pool_run(pool, (int32_t)detk_div_up(job.weights, ADD_UP_FLOATS), add_up, &job);
    if (call->to.sums != NULL)
        detk_feeds_gradient(x, job.feeds, s->in_c, job.tasks, call->to.sums);
}

size_t detk_bn_matrix_bytes(const struct detk_isa *isa, const struct det_conv_shape *s, int threads)
{
    struct job job;
    plan(&job, isa, s, false);
    const size_t forward = lay_out(&job, NULL, threads);
    plan(&job, isa, s, true);
    const size_t backward = lay_out(&job, NULL, threads);
    return forward > backward ? forward : backward;
}
