/* prepared_dense.c: a dense convolution of any window in 8 bits as a product: a task copies what
 * some rows of output see, tap after tap, so that the taps are channel blocks of the output pixel,
 * and multiplies at once. Tasks are rows x panels: few rows at the deep end. */
#include <string.h>

#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"

#define BAND_PIXELS 96    /* at least, for a panel of weights to serve */
#define BAND_WORDS  65536 /* of windows: stays in L2 while the panels pass */

struct job {
    const struct detk_dense_step *step;
    const struct detk_run *run;
};

/* Words of a pixel's window. */
static int64_t window_words(const struct detk_dense_step *s)
{
    const int64_t taps = (int64_t)s->view.taps_h * s->view.taps_w;
    return taps * detk_blocks(s->in.c) * s->in.pixel;
}

void detk_dense_plan(struct detk_dense_step *s)
{
    const struct detk_pointwise *p = &s->product;
    const int64_t pixels = (int64_t)s->out.h * s->out.w;
    const int64_t wanted = detk_conv_tasks(pixels * p->in_c * p->out_c);
    const int64_t at_once = detk_max(BAND_PIXELS, BAND_WORDS / window_words(s));
    struct detk_tasks *t = &s->tasks;
    t->band = (int32_t)detk_min(s->out.h, detk_max(1, at_once / s->out.w));
    t->bands = (int32_t)detk_div_up(s->out.h, t->band);
    t->groups = (int32_t)detk_max(1, detk_min(p->panels, detk_div_up(wanted, t->bands)));
    const int64_t band = (int64_t)t->band * s->out.w;
    s->scratch_floats = (size_t)(window_words(s) * band) + detk_beside_words(p, t->band, s->out.w);
}

/* What one tap of an output row sees of a block. */
static void copy_row(const struct detk_dense_step *s, int32_t image, int32_t block, int32_t y,
                     int32_t tap, float *to)
{
    const struct detk_map *in = &s->in;
    const int64_t shift = (int64_t)s->view.x0 + tap, step = s->view.step, pixel = in->pixel;
    const int64_t inside = shift >= in->w ? 0 : detk_div_up(in->w - shift, step);
    const int64_t first = detk_min(s->out.w, shift < 0 ? detk_div_up(-shift, step) : 0);
    const int64_t end = y < 0 || y >= in->h ? first : detk_max(first, detk_min(s->out.w, inside));
    detk_fill_zeros(in->q8, in->tensor.zero, to, (size_t)(first * pixel));
    detk_fill_zeros(in->q8, in->tensor.zero, to + end * pixel, (size_t)((s->out.w - end) * pixel));
    if (first == end)
        return;
    const float *from = detk_map_at(in, image, block, y, (int32_t)(first * step + shift));
    const size_t bytes = (size_t)pixel * sizeof *to;
    if (step == 1) {
        memcpy(to + first * pixel, from, (size_t)(end - first) * bytes);
        return;
    }
    for (int64_t x = first; x < end; x++, from += step * pixel)
        memcpy(to + x * pixel, from, bytes);
}

/* The windows of output rows y..end-1: [taps][blocks][rows][out_w]. */
static void copy_windows(const struct detk_dense_step *s, int32_t image, int32_t y, int32_t end,
                         float *to)
{
    const int32_t taps = s->view.taps_h * s->view.taps_w;
    const ptrdiff_t row = s->out.w * s->in.pixel;
    for (int32_t tap = 0; tap < taps; tap++) {
        const int32_t top = s->view.y0 + tap / s->view.taps_w;
        for (int32_t block = 0; block < detk_blocks(s->in.c); block++) {
            for (int32_t i = y; i < end; i++, to += row)
                copy_row(s, image, block, i * s->view.step + top, tap % s->view.taps_w, to);
        }
    }
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_dense_step *s = job->step;
    const struct detk_pointwise *p = &s->product;
    const struct detk_part part = detk_part_of(&s->tasks, task, s->out.h, p->panels);
    float *windows = job->run->scratch + (size_t)worker * job->run->scratch_floats;
    copy_windows(s, part.image, part.y, part.end, windows);
    const ptrdiff_t row = s->out.w * s->in.pixel, plane = (part.end - part.y) * row;
    float *behind = windows + window_words(s) * (part.end - part.y) * s->out.w;
    const struct detk_map middle = {
        /* image stride 0 */
        .first = windows,
        .beside = detk_beside_make(p, windows, row, plane, part.end - part.y, s->out.w, behind),
        .h = part.end - part.y,
        .w = s->out.w,
        .c = p->in_c,
        .pixel = s->in.pixel,
        .row = row,
        .block = plane,
    };
    for (int32_t i = part.first; i < part.last; i++) {
        const struct detk_panel_span span = detk_panel_span_at(p, i);
        detk_pointwise_run(p, i, &middle, 0, NULL, &s->out, part.image, part.y, part.end);
        detk_map_zero_frame(&s->out, part.image, span.block, span.end_block, part.y, part.end);
    }
}

void detk_dense_run(const struct detk_dense_step *step, const struct detk_run *run)
{
    struct job job = {step, run};
    det_pool_run(run->exec.pool, detk_task_count(&step->tasks, run->batch), run_task, &job);
}
