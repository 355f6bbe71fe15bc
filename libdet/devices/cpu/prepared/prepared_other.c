/* prepared_other.c: operations without a fused form, by the table of ops.h on plain copies of one
 * image after the other. What the shipped configurations consist of never comes here; dense heads
 * and pyramids do. */
#include "devices/cpu/prepared/prepared_steps.h"

static size_t floats_of(const struct detk_map *map)
{
    return map->first == NULL ? 0 : (size_t)map->h * (size_t)map->w * (size_t)map->c;
}

/* Values in place of the real ones: byte i lies before or in float i. */
static void narrow(float *values, size_t count, struct det_q8_tensor tensor, bool input)
{
    int8_t *to = (int8_t *)values;
    for (size_t i = 0; i < count; i++) {
        if (input)
            to[i] = (int8_t)(det_q8_grey_level(values[i]) - DETK_Q8_BIAS);
        else
            to[i] = det_q8_of(values[i], tensor.scale, tensor.zero);
    }
}

static void widen(float *values, size_t count, struct det_q8_tensor tensor)
{
    for (size_t i = count; i-- > 0;)
        values[i] = det_q8_real(((const int8_t *)values)[i], tensor.scale, tensor.zero);
}

static void run_q8(const struct detk_other_step *s, const struct det_exec *x, float *in, float *in2,
                   float *out)
{
    const int8_t *from = (const int8_t *)in, *from2 = (const int8_t *)in2;
    int8_t *to = (int8_t *)out;
    narrow(in, floats_of(&s->in), s->in_tensor, s->op->in == 0);
    narrow(in2, floats_of(&s->in2), s->in2_tensor, s->op->in2 == 0);
    switch (s->op->kind) {
    case DET_OP_CONV:
        detk_q8_conv__ref(x, &s->shape, &s->layer.conv, from, to);
        break;
    case DET_OP_DWCONV:
        detk_q8_dwconv__ref(x, &s->shape, &s->layer.conv, from, to);
        break;
    case DET_OP_ADD:
        detk_q8_add__ref(x, (int64_t)floats_of(&s->out), &s->add, from, from2, to);
        break;
    case DET_OP_UPSAMPLE_ADD:
        detk_q8_upsample_add__ref(x, 1, s->in.h, s->in.w, s->in.c, s->out.h, s->out.w, &s->add,
                                  from, from2, to);
        break;
    case DET_OP_BATCH_NORM:
        break;
    }
    widen(out, floats_of(&s->out), s->out_tensor);
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
        if (step->q8) {
            run_q8(step, x, in, in2, out);
            detk_map_write(&step->out, i, out);
            continue;
        }
        switch (step->op->kind) {
        case DET_OP_CONV:
            ops->conv_forward(x, &step->shape, in, step->weights, step->bias, step->op->act, out);
            break;
        case DET_OP_DWCONV:
            ops->dwconv_forward(x, &step->shape, in, step->weights, step->bias, step->op->act, out);
            break;
        case DET_OP_ADD: /* prepared_convert.c's */
        case DET_OP_UPSAMPLE_ADD:
        case DET_OP_BATCH_NORM: /* a folded graph has none: det_prepared_create() checks */
            break;
        }
        detk_map_write(&step->out, i, out);
    }
}
