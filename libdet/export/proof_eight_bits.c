#include "export/proof_parts.h"
#include "model/quantised.h"

/* What is compared. */
struct compared {
    struct det_env *env;
    const struct det_export_job *job;
    const struct det_program *program;
    const struct det_op *op;
    const struct det_node *conv;
};

static det_status differs(const struct compared *c, const char *what)
{
    return det_fail(c->env, DET_STATUS_MISMATCH, "convolution `%s` (%s): %s is not the network's",
                    c->conv->name, c->op->name, what);
}

/* The node that makes real numbers for input `index`; NULL when it is none. */
static const struct det_node *dequantize_of(const struct compared *c, int32_t index)
{
    const struct det_node *maker =
        index < c->conv->in_count ? det_program_maker(c->program, c->conv->in[index]) : NULL;
    return maker != NULL && maker->kind == DET_NODE_DEQUANTIZE ? maker : NULL;
}

/* One scale and one zero, counted from the type's least number. */
static bool has_tensor(const struct compared *c, const struct det_node *node, int32_t low,
                       const struct det_q8_tensor *tensor)
{
    const struct det_array *scale = det_program_constant(c->program, node, 1);
    const struct det_array *zero = det_program_constant(c->program, node, 2);
    return scale != NULL && !scale->whole && scale->count == 1 &&
           scale->floats[0] == tensor->scale && zero != NULL && zero->whole && zero->count == 1 &&
           zero->wholes[0] - low == tensor->zero + 128;
}

static bool has_scales(const struct compared *c, const struct det_node *node, const float *scales,
                       int32_t channels, float factor)
{
    const struct det_array *got = det_program_constant(c->program, node, 1);
    const struct det_array *zeros = det_program_constant(c->program, node, 2);
    bool same = got != NULL && !got->whole && got->count == (size_t)channels;
    for (int32_t i = 0; same && i < channels; i++)
        same = got->floats[i] == factor * scales[i];
    for (size_t i = 0; same && zeros != NULL && i < zeros->count; i++)
        same = zeros->whole && zeros->wholes[i] == 0;
    return same;
}

/* The constant behind a node: `count` whole numbers, whose channel is the fastest. */
static const struct det_array *wholes_of(const struct compared *c, const struct det_node *node,
                                         size_t count)
{
    const struct det_array *got = node == NULL ? NULL : det_program_constant(c->program, node, 0);
    return got != NULL && got->whole && got->count == count ? got : NULL;
}

static det_status compare_weights(const struct compared *c)
{
    const struct det_param *param = &c->job->inference.graph->params[c->op->weight];
    const struct det_q8_weights *w = &c->job->inference.quantised->weights[c->op->weight];
    const struct det_node *node = dequantize_of(c, 1);
    const struct det_array *got = wholes_of(c, node, param->count);
    bool same = got != NULL && got->dims == param->dims;
    for (int32_t d = 0; same && d < got->dims; d++)
        same = got->shape[d] == param->shape[d];
    for (size_t i = 0; same && i < param->count; i++)
        same = got->wholes[i] == w->values[i];
    if (!same)
        return differs(c, "one of the 8-bit weights");
    return has_scales(c, node, w->scales, det_param_channels(param), 1)
               ? DET_OK
               : differs(c, "one of the weights' scales");
}

static det_status compare_bias(const struct compared *c, const struct det_q8_layer *layer)
{
    const struct det_inference *inference = &c->job->inference;
    const int32_t channels = inference->graph->tensors[c->op->out].channels;
    const struct det_node *node = dequantize_of(c, 2);
    const struct det_array *got = wholes_of(c, node, (size_t)channels);
    bool same = true;
    if (c->conv->in_count < 3 || c->conv->in[2] < 0) {
        for (int32_t i = 0; same && i < channels; i++)
            same = layer->bias[i] == 0;
        return same ? DET_OK : differs(c, "having no bias");
    }
    for (int32_t i = 0; got != NULL && same && i < channels; i++)
        same = got->wholes[i] == layer->bias[i];
    if (got == NULL || !same)
        return differs(c, "one of the biases");
    return has_scales(c, node, inference->quantised->weights[c->op->weight].scales, channels,
                      inference->quantised->tensors[c->op->in].scale)
               ? DET_OK
               : differs(c, "one of the biases' scales");
}

/* Whether a node rounds to the 8 bits of a tensor. */
static bool rounds_to(const struct compared *c, const struct det_node *node, int32_t tensor)
{
    return node != NULL && node->kind == DET_NODE_QUANTIZE &&
           has_tensor(c, node, node->rounding.low, &c->job->inference.quantised->tensors[tensor]);
}

/* Pixels are rounded half a level lower than they are (det_q8_input_tensor()); a bit is left so
 * that halves go upwards. */
static bool takes_half_level(const struct compared *c, const struct det_node *rounding)
{
    const struct det_node *add = det_program_maker(c->program, rounding->in[0]);
    const struct det_array *level = NULL;
    for (int32_t i = 0; add != NULL && add->kind == DET_NODE_ADD && level == NULL && i < 2; i++)
        level = det_program_constant(c->program, add, i);
    if (level == NULL || level->whole || level->count != 1)
        return false;
    const float levels = level->floats[0] / det_q8_input_tensor().scale;
    return levels >= -.5F && levels < -.499F;
}

static det_status compare_input(const struct compared *c)
{
    const struct det_node *node = dequantize_of(c, 0);
    const struct det_node *maker = node == NULL ? NULL : det_program_maker(c->program, node->in[0]);
    if (c->op->in == 0 && maker != NULL && !takes_half_level(c, maker))
        return differs(c, "the level at which pixels are rounded");
    return rounds_to(c, maker, c->op->in) &&
                   has_tensor(c, node, maker->rounding.low,
                              &c->job->inference.quantised->tensors[c->op->in])
               ? DET_OK
               : differs(c, "the scale or zero of what it reads");
}

static det_status compare_result(const struct compared *c)
{
    const struct det_node *node = det_proof_reader(c->program, c->conv->out[0]);
    if (node != NULL && node->kind == DET_NODE_CLIP)
        node = det_proof_reader(c->program, node->out[0]);
    return rounds_to(c, node, c->op->out) ? DET_OK
                                          : differs(c, "the scale or zero of what it makes");
}

det_status det_proof_eight_bits(struct det_env *env, const struct det_export_job *job,
                                const struct det_program *program, int32_t index,
                                const struct det_node *conv, int32_t *tensors)
{
    const struct det_inference *inference = &job->inference;
    const struct compared c = {env, job, program, &inference->graph->ops[index], conv};
    struct det_q8_layer layer;
    DET_TRY_RETURN(compare_weights(&c));
    DET_TRY_RETURN(compare_input(&c));
    DET_TRY_RETURN(compare_result(&c));
    DET_TRY_RETURN(det_q8_layer_create(env, inference->graph, inference->quantised,
                                       inference->params, index, &layer));
    const det_status status = compare_bias(&c, &layer);
    det_q8_layer_free(env, &layer);
    *tensors += c.op->bias >= 0 ? 2 : 1;
    return status;
}

enum det_activation det_proof_activation(const struct det_export_job *job, int32_t index)
{
    const struct det_quantised *q = job->inference.quantised;
    const struct det_op *op = &job->inference.graph->ops[index];
    if (q == NULL || !q->eight_bits[index])
        return op->act;
    const struct det_q8_target to = det_q8_target_of(q, op);
    return to.low > -128 || to.high < 127 ? op->act : DET_ACTIVATION_NONE;
}
