/* prepared_separable.c: depthwise 3x3 and 1x1 as one: a task makes the depthwise results of some
 * rows in its scratch (L2) and multiplies them at once. The levels of the head do the same layer,
 * so they share a job: small levels fill the gaps that the large one leaves. */
#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"

/* Of a task: enough that a panel of weights in L1 serves many tiles, while a thread has a few
 * tasks. */
#define LEAST_PIXELS 120
#define MOST_PIXELS  280
#define FEW          4

struct job {
    const struct detk_separable_step *step;
    const struct detk_run *run;
};

/* Words of a row of a block of the depthwise results. */
static ptrdiff_t row_of(const struct detk_branch *b)
{
    return (ptrdiff_t)b->out.w * b->depthwise.kernels->words;
}

/* The product reads depthwise results in another form. */
static bool converts(const struct detk_branch *b)
{
    return b->depthwise.kernels != b->pointwise.kernels;
}

/* Pixels of a band's depthwise results, each a block. */
static size_t band_pixels(const struct detk_branch *b)
{
    return (size_t)detk_blocks(b->depthwise.c) * (size_t)b->band * (size_t)b->out.w;
}

static size_t scratch_of(const struct detk_branch *b)
{
    const int32_t words = b->depthwise.kernels->words;
    const int32_t again = converts(b) ? b->pointwise.kernels->words : 0;
    return band_pixels(b) * (size_t)(words + again) +
           detk_beside_words(&b->pointwise, b->band, b->out.w);
}

/* Of an image, in all branches. */
static int64_t pixels_of(const struct detk_separable_step *step)
{
    int64_t pixels = 0;
    for (int32_t i = 0; i < step->count; i++)
        pixels += (int64_t)step->branches[i].out.h * step->branches[i].out.w;
    return pixels;
}

void detk_separable_plan(struct detk_separable_step *step, int32_t batch, int threads)
{
    const int64_t share = pixels_of(step) * batch / (FEW * (int64_t)threads);
    const int64_t pixels = detk_max(LEAST_PIXELS, detk_min(MOST_PIXELS, share));
    step->scratch_floats = 0;
    for (int32_t i = 0; i < step->count; i++) {
        struct detk_branch *b = &step->branches[i];
        b->band = (int32_t)detk_max(1, detk_min(b->out.h, pixels / b->out.w));
        b->tasks = (int32_t)detk_div_up(b->out.h, b->band);
        b->band = (int32_t)detk_div_up(b->out.h, b->tasks);
        if (scratch_of(b) > step->scratch_floats)
            step->scratch_floats = scratch_of(b);
    }
}

/* The depthwise results of rows y..end-1, block after block. */
static void spread(const struct detk_branch *b, int32_t image, int32_t y, int32_t end, float *to)
{
    const struct detk_depthwise *d = &b->depthwise;
    const ptrdiff_t row = row_of(b);
    const float *rows[2 * MOST_PIXELS + 3];
    const int32_t in_rows = (end - y - 1) * d->stride + 3;
    for (int32_t block = 0; block < detk_blocks(d->c); block++) {
        for (int32_t i = 0; i < in_rows; i++)
            rows[i] =
                detk_map_at(&b->in, image, block, y * d->stride - d->pad_top + i, -d->pad_left);
        detk_depthwise_run(d, block, rows, end - y, b->out.w, to, row);
        to += (end - y) * row;
    }
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_branch *b = job->step->branches;
    while (task >= b->tasks * job->run->batch) {
        task -= b->tasks * job->run->batch;
        b++;
    }
    const int32_t image = task / b->tasks, y = task % b->tasks * b->band;
    const int32_t end = (int32_t)detk_min(y + b->band, b->out.h);
    if (y >= end)
        return;
    float *made = job->run->scratch + (size_t)worker * job->run->scratch_floats;
    spread(b, image, y, end, made);
    if (converts(b)) {
        float *other = made + band_pixels(b) * (size_t)b->depthwise.kernels->words;
        detk_blocks_convert(b->depthwise.kernels, b->pointwise.kernels, &b->mid, made,
                            (end - y) * b->out.w * detk_blocks(b->depthwise.c), other);
        made = other;
    }
    const ptrdiff_t pixel = b->pointwise.kernels->words, row = b->out.w * pixel;
    const ptrdiff_t plane = (end - y) * row;
    float *behind = made + detk_blocks(b->depthwise.c) * plane;
    const struct detk_map middle = {
        /* image stride 0 */
        .first = made,
        .beside = detk_beside_make(&b->pointwise, made, row, plane, end - y, b->out.w, behind),
        .h = end - y,
        .w = b->out.w,
        .c = b->depthwise.c,
        .pixel = pixel,
        .row = row,
        .block = plane,
    };
    for (int32_t p = 0; p < b->pointwise.panels; p++)
        detk_pointwise_run(&b->pointwise, p, &middle, 0, NULL, &b->out, image, y, end);
    detk_map_zero_frame(&b->out, image, 0, detk_blocks(b->out.c), y, end);
}

void detk_separable_run(const struct detk_separable_step *step, const struct detk_run *run)
{
    struct job job = {step, run};
    int32_t tasks = 0;
    for (int32_t i = 0; i < step->count; i++)
        tasks += step->branches[i].tasks * run->batch;
    det_pool_run(run->exec.pool, tasks, run_task, &job);
}
