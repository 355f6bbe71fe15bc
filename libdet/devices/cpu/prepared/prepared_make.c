#include "devices/cpu/prepared/prepared_make.h"

#include <string.h>

#include "devices/cpu/prepared/prepared_strassen.h"
#include "devices/cpu/prepared/q8_stem.h"
#include "model/net_plan.h"
#include "support/mem.h"

static const float *param(const struct detk_source *s, int32_t index)
{
    return index < 0 ? NULL : s->params + s->graph->params[index].offset;
}

static bool in_8_bits(const struct detk_source *s, int32_t index)
{
    return s->quantised != NULL && s->quantised->eight_bits[index];
}

static struct detk_map map_of(const struct detk_source *s, int32_t tensor, bool q8)
{
    return s->maps[detk_place(tensor, q8)];
}

static struct det_q8_tensor q8_tensor(const struct detk_source *s, int32_t tensor)
{
    return s->quantised == NULL ? (struct det_q8_tensor){0} : s->quantised->tensors[tensor];
}

static det_status make_q8_pointwise(struct det_env *env, const struct detk_source *s, int32_t index,
                                    struct detk_pointwise *to)
{
    const struct det_op *op = &s->graph->ops[index];
    struct det_q8_layer layer;
    DET_TRY_RETURN(det_q8_layer_create(env, s->graph, s->quantised, s->params, index, &layer));
    const struct det_tensor out = s->graph->tensors[op->out];
    det_status status =
        detk_q8_pointwise_pack(env, s->ops->q8, s->graph->tensors[op->in].channels, out.channels,
                               &layer.conv, q8_tensor(s, op->out).scale, to);
    if (status == DET_OK && detk_strassen_gains(to, out.height, out.width))
        status = detk_strassen_pack(env, to);
    det_q8_layer_free(env, &layer);
    return status;
}

static det_status make_q8_depthwise(struct det_env *env, const struct detk_source *s, int32_t index,
                                    struct detk_depthwise *to)
{
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, &s->graph->ops[index], 1);
    struct det_q8_layer layer;
    DET_TRY_RETURN(det_q8_layer_create(env, s->graph, s->quantised, s->params, index, &layer));
    const det_status status = detk_q8_depthwise_pack(env, s->ops->q8, &shape, &layer.conv, to);
    det_q8_layer_free(env, &layer);
    return status;
}

/* The addition behind a product. */
static void make_join(const struct detk_source *s, int32_t join, struct detk_pointwise *to)
{
    if (join < 0 || !in_8_bits(s, join))
        return;
    const struct det_q8_add add = det_q8_add_op(s->quantised, &s->graph->ops[join]);
    to->sum = detk_q8_sum_of(&add);
}

static det_status make_pointwise(struct det_env *env, const struct detk_source *s, int32_t index,
                                 struct detk_pointwise *to)
{
    const struct det_op *op = &s->graph->ops[index];
    if (in_8_bits(s, index))
        return make_q8_pointwise(env, s, index, to);
    return detk_pointwise_pack(env, s->ops->blocked, s->graph->tensors[op->in].channels,
                               s->graph->tensors[op->out].channels, param(s, op->weight),
                               param(s, op->bias), op->act == DET_ACTIVATION_RELU6, to);
}

static det_status make_depthwise(struct det_env *env, const struct detk_source *s, int32_t index,
                                 struct detk_depthwise *to)
{
    const struct det_op *op = &s->graph->ops[index];
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, 1);
    if (in_8_bits(s, index))
        return make_q8_depthwise(env, s, index, to);
    return detk_depthwise_pack(env, s->ops->blocked, &shape, param(s, op->weight),
                               param(s, op->bias), op->act == DET_ACTIVATION_RELU6, to);
}

static size_t stem_floats(const struct detk_block_step *to)
{
    return (size_t)detk_blocks(to->stem_c) * DETK_BLOCK * (size_t)detk_view_terms(&to->view);
}

/* [columns / width][terms][width], as prepared_stem.c gives them to gemm.h's kernels. */
static det_status make_stem(struct det_env *env, const struct detk_source *s, int32_t index,
                            int32_t batch, struct detk_block_step *to)
{
    const struct det_op *op = &s->graph->ops[index];
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, batch);
    const float *w = param(s, op->weight), *bias = param(s, op->bias);
    to->gemm = s->ops->blocked->gemm;
    to->view = detk_view_of(&shape);
    to->stem_c = shape.out_c;
    to->stem_relu6 = op->act == DET_ACTIVATION_RELU6;
    const int64_t terms = detk_view_terms(&to->view);
    const int32_t width = detk_stem_width(to->gemm);
    DET_TRY_RETURN(det_alloc(env, &to->stem, stem_floats(to), sizeof(float), "packed weights"));
    DET_TRY_RETURN(det_alloc(env, &to->stem_bias, (size_t)detk_blocks(to->stem_c),
                             DETK_BLOCK * sizeof(float), "packed weights"));
    for (int32_t j = 0; j < shape.out_c; j++) {
        float *column = to->stem + j / width * width * terms + j % width;
        for (int64_t k = 0; k < terms; k++)
            column[k * width] = w[k * shape.out_c + j];
        to->stem_bias[j] = bias == NULL ? 0.0f : bias[j];
    }
    return DET_OK;
}

static det_status make_q8_stem(struct det_env *env, const struct detk_source *s, int32_t index,
                               int32_t batch, struct detk_block_step *to)
{
    const struct det_op *op = &s->graph->ops[index];
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, batch);
    const struct det_q8_tensor out = q8_tensor(s, op->out);
    struct det_q8_layer layer;
    to->q8_stem = true;
    to->view = detk_view_of(&shape);
    DET_TRY_RETURN(det_q8_layer_create(env, s->graph, s->quantised, s->params, index, &layer));
    const det_status status = detk_q8_stem_pack(env, s->ops->q8, &to->view, shape.out_c,
                                                &layer.conv, out.scale, &to->expand);
    det_q8_layer_free(env, &layer);
    return status;
}

static det_status make_block(struct det_env *env, const struct detk_source *s,
                             const struct detk_unit *unit, int32_t batch,
                             struct detk_block_step *to)
{
    const struct det_op *expand = &s->graph->ops[unit->expand];
    if (expand->in == 0 && in_8_bits(s, unit->expand))
        DET_TRY_RETURN(make_q8_stem(env, s, unit->expand, batch, to));
    else if (expand->in == 0)
        DET_TRY_RETURN(make_stem(env, s, unit->expand, batch, to));
    else
        DET_TRY_RETURN(make_pointwise(env, s, unit->expand, &to->expand));
    DET_TRY_RETURN(make_depthwise(env, s, unit->depthwise, &to->depthwise));
    DET_TRY_RETURN(make_pointwise(env, s, unit->pointwise, &to->project));
    to->in = map_of(s, unit->in, unit->in_q8);
    to->out = map_of(s, unit->out, unit->out_q8);
    if (unit->join >= 0)
        to->added = map_of(s, unit->in2, unit->in2_q8);
    make_join(s, unit->join, &to->project);
    to->mid = q8_tensor(s, expand->out);
    to->mid_h = s->graph->tensors[expand->out].height;
    to->mid_w = s->graph->tensors[expand->out].width;
    detk_block_plan(to, batch, s->threads);
    return DET_OK;
}

static det_status make_separable(struct det_env *env, const struct detk_source *s,
                                 const struct detk_unit *units, int32_t count, int32_t batch,
                                 struct detk_separable_step *to)
{
    DET_TRY_RETURN(
        det_alloc(env, &to->branches, (size_t)count, sizeof *to->branches, "inference plan"));
    to->count = count;
    for (int32_t i = 0; i < count; i++) {
        struct detk_branch *b = &to->branches[i];
        DET_TRY_RETURN(make_depthwise(env, s, units[i].depthwise, &b->depthwise));
        DET_TRY_RETURN(make_pointwise(env, s, units[i].pointwise, &b->pointwise));
        b->mid = q8_tensor(s, s->graph->ops[units[i].depthwise].out);
        b->in = map_of(s, units[i].in, units[i].in_q8);
        b->out = map_of(s, units[i].out, units[i].out_q8);
    }
    detk_separable_plan(to, batch, s->threads);
    return DET_OK;
}

static det_status make_dense(struct det_env *env, const struct detk_source *s, int32_t index,
                             struct detk_dense_step *to)
{
    const struct det_op *op = &s->graph->ops[index];
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, 1);
    const struct det_q8_tensor out = q8_tensor(s, op->out);
    struct det_q8_layer layer;
    to->view = detk_view_of(&shape);
    to->in = map_of(s, op->in, true);
    to->out = map_of(s, op->out, true);
    DET_TRY_RETURN(det_q8_layer_create(env, s->graph, s->quantised, s->params, index, &layer));
    det_status status =
        detk_q8_dense_pack(env, s->ops->q8, &shape, &layer.conv, out.scale, &to->product);
    if (status == DET_OK && detk_strassen_gains(&to->product, shape.out_h, shape.out_w))
        status = detk_strassen_pack(env, &to->product);
    det_q8_layer_free(env, &layer);
    if (status == DET_OK)
        detk_dense_plan(to);
    return status;
}

static void make_convert(const struct detk_source *s, const struct detk_unit *unit,
                         struct detk_convert_step *to)
{
    to->in = map_of(s, unit->in, unit->in_q8);
    to->out = map_of(s, unit->out, unit->out_q8);
    if (unit->in2 >= 0) {
        to->in2 = map_of(s, unit->in2, unit->in2_q8);
        to->upsampled = s->graph->ops[unit->other].kind == DET_OP_UPSAMPLE_ADD;
    }
    detk_convert_plan(to);
}

static size_t map_floats(const struct detk_map *map)
{
    return map->first == NULL ? 0 : (size_t)detk_lines((int64_t)map->h * map->w * (int64_t)map->c);
}

static det_status make_q8_other(struct det_env *env, const struct detk_source *s, int32_t index,
                                struct detk_other_step *to)
{
    const struct det_op *op = &s->graph->ops[index];
    to->in_tensor = q8_tensor(s, op->in);
    to->out_tensor = q8_tensor(s, op->out);
    if (op->weight < 0) {
        to->in2_tensor = q8_tensor(s, op->in2);
        to->add = det_q8_add_op(s->quantised, op);
        return DET_OK;
    }
    to->shape = det_net_conv_shape(s->graph, op, 1);
    return det_q8_layer_create(env, s->graph, s->quantised, s->params, index, &to->layer);
}

static det_status make_other(struct det_env *env, const struct detk_source *s,
                             const struct detk_unit *unit, struct detk_other_step *to)
{
    const struct det_op *op = &s->graph->ops[unit->other];
    to->ops = s->ops;
    to->op = op;
    to->in = map_of(s, op->in, unit->in_q8);
    if (op->in2 >= 0)
        to->in2 = map_of(s, op->in2, unit->in2_q8);
    to->out = map_of(s, op->out, unit->out_q8);
    to->shared_floats = map_floats(&to->in) + map_floats(&to->in2) + map_floats(&to->out);
    to->q8 = in_8_bits(s, unit->other);
    if (to->q8)
        return make_q8_other(env, s, unit->other, to);
    const size_t count = s->graph->params[op->weight].count, padded = (count + 15) / 16 * 16;
    const size_t bias = op->bias < 0 ? 0 : s->graph->params[op->bias].count;
    to->shape = det_net_conv_shape(s->graph, op, 1);
    to->weight_floats = padded + bias;
    DET_TRY_RETURN(det_alloc(env, &to->weights, to->weight_floats, sizeof(float), "weights"));
    memcpy(to->weights, param(s, op->weight), count * sizeof(float));
    if (bias > 0) {
        memcpy(to->weights + padded, param(s, op->bias), bias * sizeof(float));
        to->bias = to->weights + padded;
    }
    return DET_OK;
}

det_status detk_step_make(struct det_env *env, const struct detk_source *source,
                          const struct detk_unit *units, int32_t count, int32_t batch,
                          struct detk_step *step)
{
    *step = (struct detk_step){.kind = units[0].kind};
    switch (step->kind) {
    case DETK_BLOCK_UNIT:
        return make_block(env, source, units, batch, &step->as.block);
    case DETK_SEPARABLE_UNIT:
        return make_separable(env, source, units, count, batch, &step->as.separable);
    case DETK_POINTWISE_UNIT: {
        struct detk_pointwise_step *to = &step->as.pointwise;
        DET_TRY_RETURN(make_pointwise(env, source, units->pointwise, &to->pointwise));
        to->in = map_of(source, units->in, units->in_q8);
        to->out = map_of(source, units->out, units->out_q8);
        if (units->join >= 0)
            to->low = map_of(source, units->in2, units->in2_q8);
        make_join(source, units->join, &to->pointwise);
        detk_pointwise_plan(to, batch);
        return DET_OK;
    }
    case DETK_DENSE_UNIT:
        return make_dense(env, source, units->other, &step->as.dense);
    case DETK_CONVERT_UNIT:
        make_convert(source, units, &step->as.convert);
        return DET_OK;
    case DETK_OTHER_UNIT:
        return make_other(env, source, units, &step->as.other);
    }
    return DET_OK;
}

void detk_step_free(struct det_env *env, struct detk_step *step)
{
    switch (step->kind) {
    case DETK_BLOCK_UNIT:
        detk_pointwise_free(env, &step->as.block.expand);
        detk_depthwise_free(env, &step->as.block.depthwise);
        detk_pointwise_free(env, &step->as.block.project);
        det_free(env, &step->as.block.stem);
        det_free(env, &step->as.block.stem_bias);
        break;
    case DETK_SEPARABLE_UNIT:
        for (int32_t i = 0; i < step->as.separable.count; i++) {
            detk_depthwise_free(env, &step->as.separable.branches[i].depthwise);
            detk_pointwise_free(env, &step->as.separable.branches[i].pointwise);
        }
        det_free(env, &step->as.separable.branches);
        break;
    case DETK_POINTWISE_UNIT:
        detk_pointwise_free(env, &step->as.pointwise.pointwise);
        break;
    case DETK_DENSE_UNIT:
        detk_pointwise_free(env, &step->as.dense.product);
        break;
    case DETK_CONVERT_UNIT:
        break;
    case DETK_OTHER_UNIT:
        det_free(env, &step->as.other.weights);
        det_q8_layer_free(env, &step->as.other.layer);
        break;
    }
}

size_t detk_step_bytes(const struct detk_step *step)
{
    size_t floats = 0, bytes = 0;
    switch (step->kind) {
    case DETK_BLOCK_UNIT: {
        const struct detk_block_step *b = &step->as.block;
        floats = detk_pointwise_floats(&b->expand) + detk_depthwise_floats(&b->depthwise) +
                 detk_pointwise_floats(&b->project);
        if (b->stem != NULL)
            floats += stem_floats(b) + (size_t)detk_blocks(b->stem_c) * DETK_BLOCK;
        break;
    }
    case DETK_SEPARABLE_UNIT:
        for (int32_t i = 0; i < step->as.separable.count; i++)
            floats += detk_depthwise_floats(&step->as.separable.branches[i].depthwise) +
                      detk_pointwise_floats(&step->as.separable.branches[i].pointwise);
        bytes = (size_t)step->as.separable.count * sizeof(struct detk_branch);
        break;
    case DETK_POINTWISE_UNIT:
        floats = detk_pointwise_floats(&step->as.pointwise.pointwise);
        break;
    case DETK_DENSE_UNIT:
        floats = detk_pointwise_floats(&step->as.dense.product);
        break;
    case DETK_CONVERT_UNIT:
        break;
    case DETK_OTHER_UNIT:
        floats = step->as.other.weight_floats;
        break;
    }
    return bytes + floats * sizeof(float);
}
