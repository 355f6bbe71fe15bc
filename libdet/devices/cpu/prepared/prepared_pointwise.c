/* prepared_pointwise.c: a 1x1 convolution by itself, and the sum of a lateral one with the
 * upsampled map above. Tasks are rows x panels: few rows at the deep end, where the weights are
 * most of the memory. */
#include "devices/cpu/prepared/prepared_beside.h"
#include "devices/cpu/prepared/prepared_steps.h"

#define BAND_PIXELS 100   /* at least, for a panel of weights to serve */
#define BAND_WORDS  49152 /* of input: stays in L2 while the panels pass */

struct job {
    const struct detk_pointwise_step *step;
    const struct detk_run *run;
    struct detk_beside beside; /* of all images */
};

void detk_pointwise_plan(struct detk_pointwise_step *step, int32_t batch)
{
    const struct detk_pointwise *p = &step->pointwise;
    const int64_t terms = (int64_t)step->out.w * p->in_c, row = (int64_t)step->out.w * p->rows;
    const int64_t wanted = detk_conv_tasks(terms * step->out.h * p->out_c);
    struct detk_tasks *t = &step->tasks;
    const int64_t least = detk_div_up(BAND_PIXELS, step->out.w);
    t->band = (int32_t)detk_min(step->out.h, detk_max(least, BAND_WORDS / row));
    t->bands = (int32_t)detk_div_up(step->out.h, t->band);
    t->groups = (int32_t)detk_max(1, detk_min(p->panels, detk_div_up(wanted, t->bands)));
    step->shared_floats = detk_beside_words(p, (int64_t)batch * step->in.h, step->in.w);
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct detk_pointwise_step *s = job->step;
    const struct detk_pointwise *p = &s->pointwise;
    const struct detk_part part = detk_part_of(&s->tasks, task, s->out.h, p->panels);
    struct detk_map in = s->in;
    in.beside = detk_beside_from(job->beside, (ptrdiff_t)part.image * in.h + part.y, in.w);
    for (int32_t i = part.first; i < part.last; i++) {
        const struct detk_panel_span span = detk_panel_span_at(p, i);
        detk_pointwise_run(p, i, &in, part.y, NULL, &s->out, part.image, part.y, part.end);
        if (s->low.first != NULL)
            detk_map_add_upsampled(p->kernels, &s->low, &p->sum, &s->out, part.image, span.block,
                                   span.end_block, part.y, part.end);
        detk_map_zero_frame(&s->out, part.image, span.block, span.end_block, part.y, part.end);
    }
}

void detk_pointwise_step_run(const struct detk_pointwise_step *step, const struct detk_run *run)
{
    struct job job = {step, run,
                      detk_beside_of_map(run->exec.pool, &step->pointwise, &step->in, 0, run->batch,
                                         run->shared)};
    det_pool_run(run->exec.pool, detk_task_count(&step->tasks, run->batch), run_task, &job);
}
