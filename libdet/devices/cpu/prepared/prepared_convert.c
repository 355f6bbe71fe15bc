/* prepared_convert.c: a tensor in its other form, for who reads that; and sums in float32 that no
 * product makes, of tensors in any form. Tasks are bands of rows of one block. */
#include "devices/cpu/prepared/prepared_steps.h"

#define BAND_PIXELS 512 /* of a task, about */

struct job {
    const struct detk_convert_step *step;
    const struct detk_run *run;
};

void detk_convert_plan(struct detk_convert_step *s)
{
    s->band = (int32_t)detk_min(s->out.h, detk_div_up(BAND_PIXELS, s->out.w));
    s->bands = (int32_t)detk_div_up(s->out.h, s->band);
    s->scratch_floats = 2 * (size_t)s->out.w * DETK_BLOCK;
}

/* to[x] += from[x], or from[x / 2], for w pixels of one block. */
static void add_row(const float *restrict from, bool upsampled, int32_t w, float *restrict to)
{
    for (int32_t x = 0; x < w; x++, to += DETK_BLOCK) {
        const float *pixel = from + (ptrdiff_t)(upsampled ? x / 2 : x) * DETK_BLOCK;
        for (int32_t j = 0; j < DETK_BLOCK; j++)
            to[j] += pixel[j];
    }
}

/* Row y of one block; `scratch`: two rows in float32. */
static void make_row(const struct detk_convert_step *s, int32_t image, int32_t block, int32_t y,
                     float *scratch)
{
    const bool sum = s->in2.first != NULL;
    const struct detk_map *first = sum ? &s->in2 : &s->in;
    float *to = detk_map_at(&s->out, image, block, y, 0);
    float *wide = detk_map_is_float(&s->out) ? to : scratch;
    detk_map_widen(first, detk_map_at(first, image, block, y, 0), s->out.w, wide);
    if (sum) {
        float *added = scratch + (ptrdiff_t)s->out.w * DETK_BLOCK;
        const float *at = detk_map_at(&s->in, image, block, s->upsampled ? y / 2 : y, 0);
        detk_map_widen(&s->in, at, s->upsampled ? (s->out.w + 1) / 2 : s->out.w, added);
        add_row(added, s->upsampled, s->out.w, wide);
    }
    if (wide != to)
        detk_map_narrow(&s->out, wide, s->out.w, to);
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    const struct job *job = argument;
    const struct detk_convert_step *s = job->step;
    const int32_t blocks = detk_blocks(s->out.c), block = task / s->bands % blocks;
    const int32_t image = task / s->bands / blocks, first = task % s->bands * s->band;
    const int32_t end = (int32_t)detk_min(first + s->band, s->out.h);
    float *scratch = job->run->scratch + (size_t)worker * job->run->scratch_floats;
    for (int32_t y = first; y < end; y++)
        make_row(s, image, block, y, scratch);
    detk_map_zero_frame(&s->out, image, block, block + 1, first, end);
}

void detk_convert_run(const struct detk_convert_step *step, const struct detk_run *run)
{
    struct job job = {step, run};
    const int32_t tasks = run->batch * detk_blocks(step->out.c) * step->bands;
    det_pool_run(run->exec.pool, tasks, run_task, &job);
}
