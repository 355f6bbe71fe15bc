#include <math.h>

#include "export/program_nodes.h"
#include "model/quantised.h"
#include "support/mem.h"

/* The numbers of an array, which lie in low .. 127. */
static det_status take_bytes(const struct det_node_run *run, const struct det_array *array,
                             int64_t low, int8_t **bytes)
{
    DET_TRY_RETURN(det_alloc_raw(run->env, bytes, array->count, 1, run->node->name));
    for (size_t i = 0; i < array->count; i++) {
        if (array->wholes[i] < low || array->wholes[i] > 127) {
            det_free(run->env, bytes);
            return det_node_fail(run, "the number %lld, expected %lld to 127",
                                 (long long)array->wholes[i], (long long)low);
        }
        (*bytes)[i] = (int8_t)array->wholes[i];
    }
    return DET_OK;
}

static void put_bytes(const int8_t *bytes, struct det_array *array)
{
    for (size_t i = 0; i < array->count; i++)
        array->wholes[i] = +bytes[i];
}

static bool fits(const struct det_q8_tensor *tensor)
{
    return tensor->scale > 0 && isfinite(tensor->scale) && tensor->zero >= -128 &&
           tensor->zero <= 127;
}

/* --- convolutions --- */

/* What ops/q8.h asks of its caller. */
static det_status check_sums(const struct det_node_run *run, const struct det_conv_shape *s)
{
    const struct det_array *w = run->in[1], *bias = run->in[2], *scales = run->in[3];
    if (run->node->conv.channels_first || !fits(&run->node->q8.in) || !fits(&run->node->q8.out))
        return det_node_fail(run, "scales or zeros that no 8 bits have");
    if (w->count / (size_t)s->out_c > DET_Q8_MOST_TERMS)
        return det_node_fail(run, "sums of %zu products could leave 32 bits",
                             w->count / (size_t)s->out_c);
    if (scales->count != (size_t)s->out_c)
        return det_node_fail(run, "%zu scales for %d channels", scales->count, s->out_c);
    for (size_t i = 0; i < bias->count; i++)
        if (bias->wholes[i] < -DET_Q8_MOST_BIAS || bias->wholes[i] > DET_Q8_MOST_BIAS)
            return det_node_fail(run, "bias %zu is %lld, sums could leave 32 bits", i,
                                 (long long)bias->wholes[i]);
    return DET_OK;
}

/* Biases and, for each channel, what a step of its sum is in steps of the result. */
static det_status take_channels(const struct det_node_run *run, int32_t *bias, float *scales)
{
    const float in = run->node->q8.in.scale, out = run->node->q8.out.scale;
    for (size_t c = 0; c < run->in[3]->count; c++) {
        scales[c] = det_q8_scale_of(in, run->in[3]->floats[c], out);
        if (!(scales[c] >= 0 && scales[c] < 0.5F * DET_Q8_MOST_BIAS))
            return det_node_fail(run,
                                 "one step of the sum of channel %zu is %g steps of its result", c,
                                 (double)scales[c]);
        bias[c] = (int32_t)run->in[2]->wholes[c];
    }
    return DET_OK;
}

det_status det_node_q8_conv(struct det_node_run *run)
{
    const struct det_node *node = run->node;
    const struct det_exec exec = {.pool = run->pool};
    struct det_conv_shape s = {0};
    int8_t *in = NULL, *weights = NULL, *out = NULL;
    int32_t *bias = NULL;
    float *scales = NULL;
    det_status status = DET_OK;
    DET_TRY(det_node_conv_shape(run, &s));
    DET_TRY(check_sums(run, &s));
    DET_TRY(det_node_make(run, 0, true, 4, (const int64_t[]){s.n, s.out_h, s.out_w, s.out_c}));
    DET_TRY(take_bytes(run, run->in[0], -128, &in));
    DET_TRY(take_bytes(run, run->in[1], -127, &weights));
    DET_TRY(det_alloc_raw(run->env, &out, run->out[0].count, 1, node->name));
    DET_TRY(det_alloc_raw(run->env, &bias, (size_t)s.out_c, sizeof *bias, node->name));
    DET_TRY(det_alloc_raw(run->env, &scales, (size_t)s.out_c, sizeof *scales, node->name));
    DET_TRY(take_channels(run, bias, scales));
    const struct det_q8_conv conv = {.in_zero = node->q8.in.zero,
                                     .weights = weights,
                                     .bias = bias,
                                     .scale = scales,
                                     .to = det_q8_target_in(&node->q8.out, node->conv.act)};
    (node->conv.depthwise ? detk_q8_dwconv__ref : detk_q8_conv__ref)(&exec, &s, &conv, in, out);
    put_bytes(out, &run->out[0]);
fail:
    det_free(run->env, &in);
    det_free(run->env, &weights);
    det_free(run->env, &out);
    det_free(run->env, &bias);
    det_free(run->env, &scales);
    return status;
}

/* --- the others --- */

static bool same_shape(const struct det_array *a, const struct det_array *b)
{
    bool same = a->dims == b->dims;
    for (int32_t d = 0; same && d < a->dims; d++)
        same = a->shape[d] == b->shape[d];
    return same;
}

det_status det_node_q8_add(struct det_node_run *run)
{
    const struct det_q8_tensor *a = &run->node->q8.in, *b = &run->node->q8.in2;
    const struct det_q8_tensor *to = &run->node->q8.out;
    const struct det_array *x = run->in[0];
    const struct det_exec exec = {.pool = run->pool};
    int8_t *left = NULL, *right = NULL;
    det_status status = DET_OK;
    if (!same_shape(x, run->in[1]) || !fits(a) || !fits(b) || !fits(to))
        return det_node_fail(run, "shapes, scales or zeros that do not go together");
    DET_TRY(det_node_make(run, 0, true, x->dims, x->shape));
    DET_TRY(take_bytes(run, x, -128, &left));
    DET_TRY(take_bytes(run, run->in[1], -128, &right));
    const struct det_q8_add add = det_q8_add_of(a->scale, a->zero, b->scale, b->zero, to->scale,
                                                det_q8_target_in(to, DET_ACTIVATION_NONE));
    detk_q8_add__ref(&exec, (int64_t)x->count, &add, left, right, left);
    put_bytes(left, &run->out[0]);
fail:
    det_free(run->env, &left);
    det_free(run->env, &right);
    return status;
}

det_status det_node_q8_from_float(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const struct det_q8_tensor *to = &run->node->q8.out;
    if (!fits(to))
        return det_node_fail(run, "a scale or zero that no 8 bits have");
    DET_TRY_RETURN(det_node_make(run, 0, true, x->dims, x->shape));
    for (size_t i = 0; i < x->count; i++)
        run->out[0].wholes[i] = +det_q8_of(x->floats[i], to->scale, to->zero);
    return DET_OK;
}

det_status det_node_q8_to_float(struct det_node_run *run)
{
    const struct det_array *x = run->in[0];
    const struct det_q8_tensor *from = &run->node->q8.in;
    int8_t *bytes = NULL;
    if (!fits(from))
        return det_node_fail(run, "a scale or zero that no 8 bits have");
    DET_TRY_RETURN(det_node_make(run, 0, false, x->dims, x->shape));
    DET_TRY_RETURN(take_bytes(run, x, -128, &bytes));
    for (size_t i = 0; i < x->count; i++)
        run->out[0].floats[i] = det_q8_real(bytes[i], from->scale, from->zero);
    det_free(run->env, &bytes);
    return DET_OK;
}
