#include <string.h>

#include "export/onnx_fields.h"
#include "export/onnx_parts.h"
#include "export/read_onnx.h"
#include "support/mem.h"

/* A node while it is read. */
struct reading {
    struct det_onnx_reader *r;
    struct det_onnx_node *from;
    struct det_node to; /* its inputs are looked up */
};

static int name_length(const struct reading *n)
{
    return n->from->name.bytes > 100 ? 100 : (int)n->from->name.bytes;
}

static det_status unsupported(const struct reading *n, const char *what)
{
    const det_onnx_span name = n->from->name, op = n->from->operator_name;
    return det_fail(n->r->env, DET_STATUS_UNSUPPORTED, "node `%.*s` (%.*s): %s", name_length(n),
                    name.bytes == 0 ? "" : (const char *)name.data,
                    op.bytes > 60 ? 60 : (int)op.bytes, op.bytes == 0 ? "" : (const char *)op.data,
                    what);
}

/* --- attributes: each that is there must have been asked for --- */

static struct det_onnx_attribute *attribute(struct reading *n, const char *name, int32_t type)
{
    for (int32_t i = 0; i < n->from->attribute_count; i++) {
        struct det_onnx_attribute *a = &n->from->attributes[i];
        if (a->type == type && !a->used && det_onnx_span_is(a->name, name)) {
            a->used = true;
            return a;
        }
    }
    return NULL;
}

static int64_t whole_or(struct reading *n, const char *name, int64_t otherwise)
{
    const struct det_onnx_attribute *a = attribute(n, name, ONNX_INT);
    return a == NULL ? otherwise : a->whole;
}

static bool string_is(struct reading *n, const char *name, const char *value)
{
    const struct det_onnx_attribute *a = attribute(n, name, ONNX_STRING);
    return a != NULL && det_onnx_span_is(a->string, value);
}

/* The constant behind an input; NULL unless it is one of that type and `count` values (-1: any). */
static const struct det_array *constant(const struct reading *n, int32_t index, bool whole,
                                        int64_t count)
{
    const struct det_array *array = det_program_constant(n->r->program, &n->to, index);
    return array == NULL || array->whole != whole || (count >= 0 && array->count != (size_t)count)
               ? NULL
               : array;
}

/* --- operators --- */

/* What an operator becomes where nothing is to be said of it. */
static det_status read_plain(struct reading *n)
{
    (void)n;
    return DET_OK;
}

/* OIHW -> HWIO, of depthwise kernels C1HW -> HWC1: a constant of its own for each reader. */
static det_status turn_constant(struct reading *n, int32_t from_value, bool depthwise,
                                int32_t *value)
{
    struct det_program *p = n->r->program;
    const struct det_array from = p->values[from_value].array;
    const int64_t shape[4] = {from.shape[2], from.shape[3],
                              depthwise ? from.shape[0] : from.shape[1],
                              depthwise ? 1 : from.shape[0]};
    char *name = NULL;
    DET_TRY_RETURN(det_format(n->r->env, &name, "%s of %.*s", p->values[from_value].name,
                              name_length(n), (const char *)n->from->name.data));
    const det_status status =
        det_program_add_constant(n->r->env, p, name, from.whole, 4, shape, value);
    det_free(n->r->env, &name);
    if (status != DET_OK)
        return status;
    const size_t outs = (size_t)from.shape[0], ins = (size_t)from.shape[1];
    const size_t taps = (size_t)(from.shape[2] * from.shape[3]);
    struct det_array *to = &p->values[*value].array;
    for (size_t o = 0; o < outs; o++)
        for (size_t i = 0; i < ins; i++)
            for (size_t t = 0; t < taps; t++) {
                const size_t place = (t * ins + i) * outs + o, at = (o * ins + i) * taps + t;
                if (from.whole)
                    to->wholes[place] = from.wholes[at];
                else
                    to->floats[place] = from.floats[at];
            }
    return DET_OK;
}

/* What makes real numbers of the weights of 8 bits; NULL where there is no such node. */
static const struct det_node *weights_maker(const struct reading *n)
{
    const struct det_node *maker = det_program_maker(n->r->program, n->to.in[1]);
    return maker != NULL && maker->kind == DET_NODE_DEQUANTIZE ? maker : NULL;
}

/* The same with a node like `maker` behind it, whose axis is the output channel's. */
static det_status turn_eight_bits(struct reading *n, const struct det_node *maker, bool depthwise)
{
    struct det_env *env = n->r->env;
    struct det_node turned = *maker; /* adding it may move the nodes */
    int32_t value = -1;
    det_status status = DET_OK;
    turned.axis = depthwise ? 2 : 3;
    turned.name = NULL;
    DET_TRY_RETURN(turn_constant(n, maker->in[0], depthwise, &turned.in[0]));
    DET_TRY(det_format(env, &turned.name, "weights of %.*s", name_length(n),
                       (const char *)n->from->name.data));
    DET_TRY(det_program_add_value(env, n->r->program, turned.name, &value));
    turned.out[0] = value;
    DET_TRY(det_program_add_node(env, n->r->program, &turned));
    n->to.in[1] = value;
fail:
    det_free(env, &turned.name);
    return status;
}

static bool fits(int64_t value, int64_t low)
{
    return value >= low && value <= 1 << 20;
}

static det_status read_conv(struct reading *n)
{
    const struct det_onnx_attribute *kernel = attribute(n, "kernel_shape", ONNX_INTS);
    const struct det_onnx_attribute *strides = attribute(n, "strides", ONNX_INTS);
    const struct det_onnx_attribute *pads = attribute(n, "pads", ONNX_INTS);
    const int64_t group = whole_or(n, "group", 1);
    const struct det_node *maker = n->to.in_count > 1 ? weights_maker(n) : NULL;
    const struct det_array *w =
        maker == NULL ? constant(n, 1, false, -1) : det_program_constant(n->r->program, maker, 0);
    if (w == NULL || w->dims != 4 || w->count == 0)
        return unsupported(n, "its weights are not constants of four dimensions");
    if (maker != NULL && maker->axis != 0)
        return unsupported(n, "the axis of its weights' scales");
    if (kernel == NULL || kernel->count != 2 || kernel->wholes[0] != w->shape[2] ||
        kernel->wholes[1] != w->shape[3] || strides == NULL || strides->count != 2 ||
        strides->wholes[0] != strides->wholes[1] || !fits(strides->wholes[0], 1) || pads == NULL ||
        pads->count != 4)
        return unsupported(n, "kernel_shape, strides or pads");
    for (int i = 0; i < 4; i++)
        if (!fits(pads->wholes[i], 0))
            return unsupported(n, "pads");
    /* A depthwise convolution of one channel is a dense one as well: what it was is in the
     * network. */
    const bool depthwise = w->shape[1] == 1 && group == w->shape[0];
    if (!depthwise && group != 1)
        return unsupported(n, "group");
    n->to.conv.channels_first = true;
    n->to.conv.depthwise = depthwise;
    n->to.conv.stride = (int32_t)strides->wholes[0];
    n->to.conv.pad_top = (int32_t)pads->wholes[0];
    n->to.conv.pad_left = (int32_t)pads->wholes[1];
    n->to.conv.pad_bottom = (int32_t)pads->wholes[2];
    n->to.conv.pad_right = (int32_t)pads->wholes[3];
    return maker == NULL ? turn_constant(n, n->to.in[1], depthwise, &n->to.in[1])
                         : turn_eight_bits(n, maker, depthwise);
}

/* With the old opset bounds are attributes. */
static det_status read_old_clip(struct reading *n)
{
    const struct det_onnx_attribute *low = attribute(n, "min", ONNX_FLOAT);
    const struct det_onnx_attribute *high = attribute(n, "max", ONNX_FLOAT);
    if (low == NULL || high == NULL || n->to.in_count != 1)
        return unsupported(n, "its bounds are not attributes");
    n->to.clip.low = low->number;
    n->to.clip.high = high->number;
    return DET_OK;
}

static det_status read_clip(struct reading *n)
{
    if (n->r->opset == DET_ONNX_OPSET_OLD)
        return read_old_clip(n);
    const struct det_array *low = constant(n, 1, false, 1), *high = constant(n, 2, false, 1);
    if (low == NULL || high == NULL)
        return unsupported(n, "its bounds are not constants");
    n->to.clip.low = low->floats[0];
    n->to.clip.high = high->floats[0];
    n->to.in_count = 1;
    return DET_OK;
}

/* Of constants, which is what half precision weights are: another name for the same. */
static det_status read_cast(struct reading *n)
{
    const int64_t to = whole_or(n, "to", 0);
    if (to == DET_ONNX_FLOAT)
        n->to.kind = constant(n, 0, false, -1) != NULL ? DET_NODE_KINDS : DET_NODE_TO_FLOAT;
    else if (to == DET_ONNX_INT64)
        n->to.kind = DET_NODE_TO_WHOLE;
    else
        return unsupported(n, "a type that it casts to");
    return DET_OK;
}

static det_status read_identity(struct reading *n)
{
    n->to.kind = DET_NODE_KINDS;
    return DET_OK;
}

static det_status read_axis(struct reading *n)
{
    const int64_t axis = whole_or(n, "axis", 0);
    if (axis < -DET_ARRAY_MOST_DIMS || axis >= DET_ARRAY_MOST_DIMS)
        return unsupported(n, "axis");
    n->to.axis = (int32_t)axis;
    return DET_OK;
}

static det_status read_transpose(struct reading *n)
{
    const struct det_onnx_attribute *perm = attribute(n, "perm", ONNX_INTS);
    if (perm == NULL)
        return unsupported(n, "it has no perm");
    for (int32_t i = 0; i < DET_ARRAY_MOST_DIMS; i++) {
        const int64_t at = i < perm->count ? perm->wholes[i] : -1;
        n->to.order[i] = at >= 0 && at < DET_ARRAY_MOST_DIMS ? (int32_t)at : -1;
    }
    return DET_OK;
}

static det_status read_slice(struct reading *n)
{
    const struct det_array *begin = constant(n, 1, true, 1), *end = constant(n, 2, true, 1);
    const struct det_array *axis = constant(n, 3, true, 1);
    if (begin == NULL || end == NULL || axis == NULL || axis->wholes[0] < 0 ||
        axis->wholes[0] >= DET_ARRAY_MOST_DIMS)
        return unsupported(n, "its begin, end and axis are not one constant each");
    for (int32_t d = 0; d < DET_ARRAY_MOST_DIMS; d++)
        n->to.slice.end[d] = INT64_MAX;
    n->to.slice.begin[axis->wholes[0]] = begin->wholes[0];
    n->to.slice.end[axis->wholes[0]] = end->wholes[0];
    n->to.in_count = 1;
    return DET_OK;
}

static det_status read_quantize(struct reading *n)
{
    const int32_t type = n->to.in_count == 3 ? det_onnx_type_of(n->r, n->from->inputs[2]) : 0;
    if (constant(n, 1, false, 1) == NULL || constant(n, 2, true, 1) == NULL ||
        (type != DET_ONNX_UINT8 && type != DET_ONNX_INT8))
        return unsupported(n, "its scale and its zero of 8 bits are not one constant each");
    n->to.rounding.low = type == DET_ONNX_UINT8 ? 0 : INT8_MIN;
    n->to.rounding.high = type == DET_ONNX_UINT8 ? UINT8_MAX : INT8_MAX;
    return DET_OK;
}

/* Of what QuantizeLinear made, with the same zero; or of weights of 8 bits or a bias of 32, with a
 * scale for each channel. */
static det_status read_dequantize(struct reading *n)
{
    const struct det_node *maker = det_program_maker(n->r->program, n->to.in[0]);
    const int32_t type = det_onnx_type_of(n->r, n->from->inputs[0]);
    const bool constants =
        (type == DET_ONNX_INT8 || type == DET_ONNX_INT32) &&
        (n->to.in_count < 3 || det_onnx_type_of(n->r, n->from->inputs[2]) == type);
    const bool activation = maker != NULL && maker->kind == DET_NODE_QUANTIZE &&
                            n->to.in_count == 3 && n->to.in[2] == maker->in[2];
    if (!(constants || activation) || constant(n, 1, false, activation ? 1 : -1) == NULL)
        return unsupported(n, "its numbers, scale or zero");
    n->to.axis = (int32_t)whole_or(n, "axis", 1);
    return DET_OK;
}

static det_status read_pad(struct reading *n)
{
    return string_is(n, "mode", "constant") ? DET_OK : unsupported(n, "mode");
}

static det_status read_reduce_sum(struct reading *n)
{
    const struct det_array *axes = constant(n, 1, true, 1);
    if (axes == NULL || axes->wholes[0] < 0 || axes->wholes[0] >= DET_ARRAY_MOST_DIMS)
        return unsupported(n, "axes");
    n->to.reduce.axis = (int32_t)axes->wholes[0];
    n->to.reduce.keep = whole_or(n, "keepdims", 1) != 0;
    n->to.in_count = 1;
    return DET_OK;
}

static det_status read_scales(struct reading *n, int32_t index)
{
    const struct det_array *scales = constant(n, index, false, -1);
    if (n->to.in_count != index + 1 || scales == NULL || scales->count > DET_ARRAY_MOST_DIMS)
        return unsupported(n, "its scales are not constants");
    for (size_t d = 0; d < scales->count; d++)
        n->to.resize.scales[d] = scales->floats[d];
    n->to.in_count = 1;
    return DET_OK;
}

/* x, roi, scales, or x, roi, "", sizes; with the old opset x, scales. */
static det_status read_resize(struct reading *n)
{
    if (n->r->opset == DET_ONNX_OPSET_OLD)
        return string_is(n, "mode", "nearest") ? read_scales(n, 1) : unsupported(n, "mode");
    const struct det_onnx_attribute *mode = attribute(n, "mode", ONNX_STRING);
    const bool linear = mode != NULL && det_onnx_span_is(mode->string, "linear");
    const bool nearest = mode != NULL && det_onnx_span_is(mode->string, "nearest");
    if (!linear && !(nearest && string_is(n, "nearest_mode", "floor")))
        return unsupported(n, "mode or nearest_mode");
    if (!string_is(n, "coordinate_transformation_mode", "asymmetric"))
        return unsupported(n, "coordinate_transformation_mode");
    if (n->to.in_count < 3 || n->to.in[1] >= 0)
        return unsupported(n, "its inputs");
    n->to.resize.linear = linear;
    if (n->to.in[2] < 0) {
        n->to.in[1] = n->to.in_count > 3 ? n->to.in[3] : -1;
        n->to.in_count = 2;
        return n->to.in[1] < 0 ? unsupported(n, "it has neither scales nor sizes") : DET_OK;
    }
    return read_scales(n, 2);
}

/* libdet's API says where boxes are placed and what the first class is called; so do the nodes. */
static det_status read_nms(struct reading *n)
{
    n->r->program->first_class = 1;
    n->r->program->places_boxes = true;
    return DET_OK;
}

static det_status read_efficient_nms(struct reading *n)
{
    const struct det_onnx_attribute *score = attribute(n, "score_threshold", ONNX_FLOAT);
    const struct det_onnx_attribute *iou = attribute(n, "iou_threshold", ONNX_FLOAT);
    const int64_t limit = whole_or(n, "max_output_boxes", 0);
    if (score == NULL || iou == NULL || limit < 1 || limit > INT32_MAX / 16 ||
        !string_is(n, "plugin_version", "1") || whole_or(n, "background_class", 0) != -1 ||
        whole_or(n, "score_activation", 1) != 0 || whole_or(n, "box_coding", 1) != 0)
        return unsupported(n, "its attributes");
    n->to.efficient_nms.score_threshold = score->number;
    n->to.efficient_nms.iou_threshold = iou->number;
    n->to.efficient_nms.limit = (int32_t)limit;
    return DET_OK;
}

static const struct {
    const char *name;
    enum det_node_kind kind;
    det_status (*read)(struct reading *n);
    const char *domain; /* NULL: ONNX's own */
} operators[] = {
    {"Conv", DET_NODE_CONV, read_conv, NULL},
    {"Clip", DET_NODE_CLIP, read_clip, NULL},
    {"Sigmoid", DET_NODE_SIGMOID, read_plain, NULL},
    {"Exp", DET_NODE_EXP, read_plain, NULL},
    {"Round", DET_NODE_ROUND, read_plain, NULL},
    {"QuantizeLinear", DET_NODE_QUANTIZE, read_quantize, NULL},
    {"DequantizeLinear", DET_NODE_DEQUANTIZE, read_dequantize, NULL},
    {"Cast", DET_NODE_KINDS, read_cast, NULL},
    {"Identity", DET_NODE_KINDS, read_identity, NULL},
    {"Add", DET_NODE_ADD, read_plain, NULL},
    {"Sub", DET_NODE_SUB, read_plain, NULL},
    {"Mul", DET_NODE_MUL, read_plain, NULL},
    {"Div", DET_NODE_DIV, read_plain, NULL},
    {"Min", DET_NODE_MIN, read_plain, NULL},
    {"Max", DET_NODE_MAX, read_plain, NULL},
    {"Greater", DET_NODE_GREATER, read_plain, NULL},
    {"Equal", DET_NODE_EQUAL, read_plain, NULL},
    {"Where", DET_NODE_WHERE, read_plain, NULL},
    {"Shape", DET_NODE_SHAPE, read_plain, NULL},
    {"Reshape", DET_NODE_RESHAPE, read_plain, NULL},
    {"Transpose", DET_NODE_TRANSPOSE, read_transpose, NULL},
    {"Concat", DET_NODE_CONCAT, read_axis, NULL},
    {"Slice", DET_NODE_SLICE, read_slice, NULL},
    {"Pad", DET_NODE_PAD, read_pad, NULL},
    {"Gather", DET_NODE_GATHER, read_axis, NULL},
    {"GatherND", DET_NODE_GATHER_ND, read_plain, NULL},
    {"Range", DET_NODE_RANGE, read_plain, NULL},
    {"ReduceSum", DET_NODE_REDUCE_SUM, read_reduce_sum, NULL},
    {"Resize", DET_NODE_RESIZE, read_resize, NULL},
    {"TopK", DET_NODE_TOP_K, read_plain, NULL},
    {"NonMaxSuppression", DET_NODE_NMS, read_nms, NULL},
    {"EfficientNMS_TRT", DET_NODE_EFFICIENT_NMS, read_efficient_nms, DET_ONNX_TENSORRT},
};

static det_status convert(struct reading *n)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!det_onnx_span_is(n->from->operator_name, operators[i].name) ||
            !det_onnx_span_is(n->from->domain,
                              operators[i].domain == NULL ? "" : operators[i].domain))
            continue;
        n->to.kind = operators[i].kind;
        DET_TRY_RETURN(operators[i].read(n));
        for (int32_t a = 0; a < n->from->attribute_count; a++)
            if (!n->from->attributes[a].used)
                return unsupported(n, "an attribute that libdet does not write");
        return DET_OK;
    }
    return unsupported(n, "an operator that libdet does not write");
}

/* A node that is no node of the program: its result is its input. */
static det_status add_alias(struct reading *n)
{
    if (n->to.in_count != 1 || n->to.in[0] < 0 || n->from->output_count != 1)
        return unsupported(n, "its inputs and outputs");
    return det_onnx_add_name(n->r, n->from->outputs[0], n->to.in[0]);
}

static det_status add_node(struct reading *n)
{
    for (int32_t i = 0; i < n->from->output_count; i++)
        DET_TRY_RETURN(det_onnx_add_value(n->r, n->from->outputs[i], &n->to.out[i]));
    n->to.out_count = n->from->output_count;
    DET_TRY_RETURN(
        det_strndup(n->r->env, &n->to.name, (const char *)n->from->name.data, n->from->name.bytes));
    const det_status status = det_program_add_node(n->r->env, n->r->program, &n->to);
    det_free(n->r->env, &n->to.name);
    return status;
}

det_status det_onnx_read_node(struct det_onnx_reader *r, struct det_onnx_node *node)
{
    struct reading n = {.r = r, .from = node, .to = {.in_count = node->input_count}};
    for (int32_t i = 0; i < node->input_count; i++)
        DET_TRY_RETURN(det_onnx_value(r, node->inputs[i], &n.to.in[i]));
    if (node->name.bytes == 0 || node->output_count == 0)
        return unsupported(&n, "it has no name, or no output");
    DET_TRY_RETURN(convert(&n));
    return n.to.kind == DET_NODE_KINDS ? add_alias(&n) : add_node(&n);
}
