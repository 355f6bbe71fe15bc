/* prepared_other.c: operations without a fused form, by the table of ops.h on plain copies of one
 * image after the other. What the shipped configurations consist of never comes here; dense heads
 * and pyramids do. */
#include "devices/cpu/prepared/prepared_steps.h"

static size_t floats_of(const struct detk_map *map)
{
    return map->first == NULL ? 0 : (size_t)map->h * (size_t)map->w * (size_t)map->c;
}

void detk_other_run(const struct detk_other_step *step, const struct detk_run *run)
{
    float *in = run->shared, *in2 = in + detk_lines((int64_t)floats_of(&step->in));
    float *out = in2 + detk_lines((int64_t)floats_of(&step->in2));
    const struct det_ops *ops = step->ops;
    const struct det_exec *x = &run->exec;
    for (int32_t i = 0; i < run->batch; i++) {
        detk_map_read(&step->in, i, in);
        if (step->in2.first != NULL)
            detk_map_read(&step->in2, i, in2);
        switch (step->op->kind) {
        case DET_OP_CONV:
            ops->conv_forward(x, &step->shape, in, step->weights, step->bias, step->op->act, out);
            break;
        case DET_OP_DWCONV:
            ops->dwconv_forward(x, &step->shape, in, step->weights, step->bias, step->op->act, out);
            break;
        case DET_OP_ADD:
            ops->add_forward(x, (int64_t)floats_of(&step->out), in, in2, out);
            break;
        case DET_OP_UPSAMPLE_ADD:
            ops->upsample_add_forward(x, 1, step->in.h, step->in.w, step->in.c, step->out.h,
                                      step->out.w, in, in2, out);
            break;
        case DET_OP_BATCH_NORM: /* a folded graph has none: det_prepared_create() checks */
            break;
        }
        detk_map_write(&step->out, i, out);
    }
}
