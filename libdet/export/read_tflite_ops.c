#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "export/read_tflite.h"
#include "formats/flexbuffer.h"
#include "support/mem.h"

/* One operator while it is read. */
struct op {
    struct det_tflite_reader *r;
    size_t index;
    struct det_flat_table table, options;
    struct det_tflite_read_code code;
    struct det_flat_vector in, out;
    bool in_8_bits; /* its first input or result is int8 */
};

static det_status refuse(const struct op *op, const char *what)
{
    return det_fail(op->r->env, DET_STATUS_UNSUPPORTED, "operator %zu (TFLite's %d): %s", op->index,
                    (int)op->code.kind, what);
}

/* Tensor of input `i`; the counts were checked. */
static struct det_tflite_read_tensor *tensor_in(const struct op *op, size_t i)
{
    return &op->r->tensors[det_flat_word(op->in, i)];
}

static struct det_tflite_read_tensor *tensor_out(const struct op *op, size_t i)
{
    return &op->r->tensors[det_flat_word(op->out, i)];
}

static int32_t option(const struct op *op, int slot, int32_t absent)
{
    return det_flat_i32(&op->r->flat, op->options, slot, absent);
}

static uint8_t option_byte(const struct op *op, int slot)
{
    return det_flat_u8(&op->r->flat, op->options, slot, 0);
}

/* The whole numbers of input `i`, a constant; NULL when it is none. */
static const struct det_array *wholes_in(const struct op *op, size_t i)
{
    const struct det_tflite_read_tensor *t = tensor_in(op, i);
    if (!t->stored || t->type != DET_TFLITE_INT32)
        return NULL;
    return &op->r->program->values[t->value].array;
}

static bool is_half(const struct det_tflite_read_tensor *t)
{
    return t->type == DET_TFLITE_FLOAT16;
}

static det_status make_value(const struct op *op, struct det_tflite_read_tensor *t,
                             enum det_tflite_type type)
{
    if (t->value >= 0)
        return refuse(op, "its result is made already");
    if (t->type != type)
        return refuse(op, "its result is of another type than we write");
    if (type == DET_TFLITE_INT8 && t->scales.count != 1)
        return refuse(op, "its result has more than one scale");
    return det_program_add_value(op->r->env, op->r->program, t->name, &t->value);
}

/* A node of the operator's first result, which is of `type`, and of the values in node.in. */
static det_status add_node_of(const struct op *op, struct det_node node, enum det_tflite_type type)
{
    struct det_tflite_read_tensor *to = tensor_out(op, 0);
    DET_TRY_RETURN(make_value(op, to, type));
    node.name = op->r->program->values[to->value].name;
    node.out[0] = to->value;
    node.out_count = 1;
    return det_program_add_node(op->r->env, op->r->program, &node);
}

static det_status add_node(const struct op *op, struct det_node node)
{
    return add_node_of(op, node, DET_TFLITE_FLOAT32);
}

static void take_inputs(const struct op *op, struct det_node *node)
{
    node->in_count = (int32_t)op->in.count;
    for (size_t i = 0; i < op->in.count; i++)
        node->in[i] = tensor_in(op, i)->value;
}

/* With all of the operator's inputs. */
static det_status add_plain(const struct op *op, struct det_node node)
{
    take_inputs(op, &node);
    return add_node(op, node);
}

static bool same_scale(const struct det_tflite_read_tensor *a,
                       const struct det_tflite_read_tensor *b)
{
    return a->type == b->type && a->zero == b->zero && a->scales.count <= 1 &&
           a->scales.count == b->scales.count &&
           (a->scales.count == 0 || det_flat_word(a->scales, 0) == det_flat_word(b->scales, 0));
}

/* A node that moves values: the result has the type and scale of the first `count` inputs. */
static det_status add_moving(const struct op *op, struct det_node node, size_t count)
{
    const struct det_tflite_read_tensor *to = tensor_out(op, 0);
    for (size_t i = 0; i < count; i++)
        if (!same_scale(tensor_in(op, i), to))
            return refuse(op, "its result has another type or scale than its inputs");
    return add_node_of(op, node, op->in_8_bits ? DET_TFLITE_INT8 : DET_TFLITE_FLOAT32);
}

/* A new constant of whole numbers for an input that the program wants in another form. */
static det_status add_wholes(const struct op *op, const char *part, int32_t count,
                             const int64_t *values, int32_t *value)
{
    char *name = NULL;
    const int64_t shape = count;
    struct det_tflite_reader *r = op->r;
    DET_TRY_RETURN(det_format(r->env, &name, "%s: %s", tensor_out(op, 0)->name, part));
    const det_status status =
        det_program_add_constant(r->env, r->program, name, true, 1, &shape, value);
    det_free(r->env, &name);
    if (status == DET_OK)
        memcpy(r->program->values[*value].array.wholes, values, (size_t)count * sizeof *values);
    return status;
}

/* --- convolutions --- */

/* [outs][rest] -> [rest][outs]. */
static void turn_kernel(const struct det_array *from, size_t outs, struct det_array *to)
{
    const size_t rest = to->count / outs;
    for (size_t o = 0; o < outs; o++)
        for (size_t i = 0; i < rest; i++) {
            if (to->whole)
                to->wholes[i * outs + o] = from->wholes[o * rest + i];
            else
                to->floats[i * outs + o] = from->floats[o * rest + i];
        }
}

/* [out, kh, kw, in] as [kh, kw, in, out]; depthwise [1, kh, kw, c] as [kh, kw, c, 1]. */
static det_status take_kernel(const struct op *op, bool depthwise, int32_t *value)
{
    struct det_tflite_reader *r = op->r;
    struct det_tflite_read_tensor *t = tensor_in(op, 1);
    const int32_t *s = t->shape;
    char *name = NULL;
    const int64_t shape[4] = {s[1], s[2], s[3], depthwise ? 1 : s[0]};
    const enum det_tflite_type type = op->in_8_bits ? DET_TFLITE_INT8 : DET_TFLITE_FLOAT32;
    if (!r->program->values[t->value].constant || t->type != type || t->dims != 4 ||
        (depthwise && s[0] != 1))
        return refuse(op, "its weights are no constants of 4 dimensions");
    if (t->kernel < 0) {
        DET_TRY_RETURN(det_format(r->env, &name, "%s: kernel", t->name));
        const det_status status =
            det_program_add_constant(r->env, r->program, name, op->in_8_bits, 4, shape, &t->kernel);
        det_free(r->env, &name);
        DET_TRY_RETURN(status);
        turn_kernel(&r->program->values[t->value].array, (size_t)shape[3],
                    &r->program->values[t->kernel].array);
    }
    *value = t->kernel;
    return DET_OK;
}

/* TensorFlow's SAME. */
static det_status set_padding(const struct op *op, struct det_node *node, int32_t kernel_h,
                              int32_t kernel_w)
{
    const struct det_tflite_read_tensor *x = tensor_in(op, 0), *y = tensor_out(op, 0);
    if (x->dims != 4 || y->dims != 4)
        return refuse(op, "it is not on 4 dimensions");
    const int32_t stride = node->conv.stride, in_h = x->shape[1], in_w = x->shape[2];
    const int32_t out_h = (in_h - 1) / stride + 1, out_w = (in_w - 1) / stride + 1;
    const int64_t all_h = (int64_t)(out_h - 1) * stride + kernel_h - in_h;
    const int64_t all_w = (int64_t)(out_w - 1) * stride + kernel_w - in_w;
    if (y->shape[1] != out_h || y->shape[2] != out_w)
        return refuse(op, "its result has another shape");
    node->conv.pad_top = all_h > 0 ? (int32_t)(all_h / 2) : 0;
    node->conv.pad_left = all_w > 0 ? (int32_t)(all_w / 2) : 0;
    node->conv.pad_bottom = all_h > 0 ? (int32_t)all_h - node->conv.pad_top : 0;
    node->conv.pad_right = all_w > 0 ? (int32_t)all_w - node->conv.pad_left : 0;
    return DET_OK;
}

/* Weights' scales, one for each channel, as a constant. */
static det_status take_weight_scales(const struct op *op, bool depthwise, int32_t *value)
{
    struct det_tflite_reader *r = op->r;
    const struct det_tflite_read_tensor *t = tensor_in(op, 1);
    const int64_t channels = tensor_out(op, 0)->shape[3];
    char *name = NULL;
    if (t->scales.count != (size_t)channels || t->zero != 0 || t->dimension != (depthwise ? 3 : 0))
        return refuse(op, "its weights have not one scale for each channel, with zero point 0");
    DET_TRY_RETURN(det_format(r->env, &name, "%s: scales", tensor_out(op, 0)->name));
    const det_status status =
        det_program_add_constant(r->env, r->program, name, false, 1, &channels, value);
    det_free(r->env, &name);
    DET_TRY_RETURN(status);
    memcpy(r->program->values[*value].array.floats, t->scales.data,
           (size_t)channels * sizeof(float));
    return DET_OK;
}

/* In steps of the sum: of the input times the weights. */
static bool has_bias_scales(const struct op *op)
{
    const struct det_tflite_read_tensor *bias = tensor_in(op, 2), *weights = tensor_in(op, 1);
    const float in = det_tflite_read_q8(tensor_in(op, 0)).scale;
    bool right = bias->stored && bias->type == DET_TFLITE_INT32 && bias->dims == 1 &&
                 bias->scales.count == weights->scales.count;
    for (size_t c = 0; right && c < bias->scales.count; c++) {
        const uint32_t bits = det_flat_word(weights->scales, c);
        float scale = 0;
        memcpy(&scale, &bits, sizeof scale);
        right = det_flat_word(bias->scales, c) == det_flat_float_bits(in * scale);
    }
    return right;
}

static det_status add_conv_in_8_bits(const struct op *op, struct det_node node)
{
    const struct det_tflite_read_tensor *in = tensor_in(op, 0), *out = tensor_out(op, 0);
    DET_TRY_RETURN(take_weight_scales(op, node.conv.depthwise, &node.in[3]));
    if (in->type != DET_TFLITE_INT8 || !has_bias_scales(op))
        return refuse(op, "its input is not int8, or its bias not int32 in steps of the sum");
    node.kind = DET_NODE_Q8_CONV;
    node.in_count = 4;
    node.q8.in = det_tflite_read_q8(in);
    node.q8.out = det_tflite_read_q8(out);
    return add_node_of(op, node, DET_TFLITE_INT8);
}

static det_status read_conv(const struct op *op)
{
    const bool depthwise = op->code.kind == DET_TFLITE_DEPTHWISE_CONV_2D;
    struct det_node node = {.kind = DET_NODE_CONV, .in_count = 3};
    const int32_t stride = option(op, DET_TFLITE_CONV_STRIDE_W, 0);
    const uint8_t act =
        option_byte(op, depthwise ? DET_TFLITE_DWCONV_ACTIVATION : DET_TFLITE_CONV_ACTIVATION);
    if (option_byte(op, DET_TFLITE_CONV_PADDING) != DET_TFLITE_PADDING_SAME || stride < 1 ||
        option(op, DET_TFLITE_CONV_STRIDE_H, 0) != stride ||
        option(op, depthwise ? DET_TFLITE_DWCONV_DILATION_W : DET_TFLITE_CONV_DILATION_W, 1) != 1 ||
        option(op, depthwise ? DET_TFLITE_DWCONV_DILATION_H : DET_TFLITE_CONV_DILATION_H, 1) != 1 ||
        (depthwise && option(op, DET_TFLITE_DWCONV_MULTIPLIER, 0) != 1) ||
        (act != DET_TFLITE_ACTIVATION_NONE && act != DET_TFLITE_ACTIVATION_RELU6))
        return refuse(op, "its padding, strides, dilations or activation are none that we write");
    node.conv.depthwise = depthwise;
    node.conv.stride = stride;
    node.conv.act = act == DET_TFLITE_ACTIVATION_RELU6 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE;
    DET_TRY_RETURN(take_kernel(op, depthwise, &node.in[1]));
    DET_TRY_RETURN(set_padding(op, &node, tensor_in(op, 1)->shape[1], tensor_in(op, 1)->shape[2]));
    node.in[0] = tensor_in(op, 0)->value;
    node.in[2] = tensor_in(op, 2)->value;
    return op->in_8_bits ? add_conv_in_8_bits(op, node) : add_node(op, node);
}

/* --- the others --- */

static det_status add_sum_in_8_bits(const struct op *op)
{
    const struct det_tflite_read_tensor *a = tensor_in(op, 0), *b = tensor_in(op, 1);
    struct det_node node = {.kind = DET_NODE_Q8_ADD};
    if (a->type != DET_TFLITE_INT8 || b->type != DET_TFLITE_INT8)
        return refuse(op, "its inputs are not both int8");
    node.q8.in = det_tflite_read_q8(a);
    node.q8.in2 = det_tflite_read_q8(b);
    node.q8.out = det_tflite_read_q8(tensor_out(op, 0));
    take_inputs(op, &node);
    return add_node_of(op, node, DET_TFLITE_INT8);
}

static det_status read_sum_or_product(const struct op *op)
{
    if (option_byte(op, DET_TFLITE_ADD_ACTIVATION) != DET_TFLITE_ACTIVATION_NONE)
        return refuse(op, "it has an activation");
    if (op->in_8_bits)
        return add_sum_in_8_bits(op);
    return add_plain(op, (struct det_node){.kind = op->code.kind == DET_TFLITE_ADD ? DET_NODE_ADD
                                                                                   : DET_NODE_MUL});
}

static det_status read_concatenation(const struct op *op)
{
    if (option_byte(op, DET_TFLITE_CONCATENATION_ACTIVATION) != DET_TFLITE_ACTIVATION_NONE)
        return refuse(op, "it has an activation");
    struct det_node node = {.kind = DET_NODE_CONCAT,
                            .axis = option(op, DET_TFLITE_CONCATENATION_AXIS, 0)};
    take_inputs(op, &node);
    return add_moving(op, node, op->in.count);
}

static bool same_numbers(const struct det_array *array, const int32_t *values, int32_t count)
{
    bool same = array != NULL && array->count == (size_t)count;
    for (int32_t i = 0; same && i < count; i++)
        same = array->wholes[i] == values[i];
    return same;
}

static det_status read_reshape(const struct op *op)
{
    const struct det_tflite_read_tensor *to = tensor_out(op, 0);
    const struct det_flat_vector shape =
        det_flat_vector(&op->r->flat, op->options, DET_TFLITE_RESHAPE_SHAPE, sizeof(int32_t));
    bool same = shape.count == (size_t)to->dims;
    for (int32_t i = 0; same && i < to->dims; i++)
        same = (int32_t)det_flat_word(shape, (size_t)i) == to->shape[i];
    if (!same || !same_numbers(wholes_in(op, 1), to->shape, to->dims))
        return refuse(op, "its shape is not what its result has");
    struct det_node node = {.kind = DET_NODE_RESHAPE};
    take_inputs(op, &node);
    return add_moving(op, node, 1);
}

/* Rows and columns as TensorFlow 1 resizes them. */
static det_status read_resize(const struct op *op)
{
    const bool linear = op->code.kind == DET_TFLITE_RESIZE_BILINEAR;
    const struct det_tflite_read_tensor *to = tensor_out(op, 0);
    struct det_node node = {.kind = DET_NODE_RESIZE, .in_count = 2, .resize = {.linear = linear}};
    if (option_byte(op, linear ? DET_TFLITE_BILINEAR_ALIGN_CORNERS
                               : DET_TFLITE_NEAREST_ALIGN_CORNERS) ||
        option_byte(op, linear ? DET_TFLITE_BILINEAR_HALF_PIXELS : DET_TFLITE_NEAREST_HALF_PIXELS))
        return refuse(op, "it aligns corners or has half pixels");
    if (to->dims != 4 || !same_numbers(wholes_in(op, 1), to->shape + 1, 2))
        return refuse(op, "its sizes are not what its result has");
    const int64_t sizes[4] = {to->shape[0], to->shape[1], to->shape[2], to->shape[3]};
    DET_TRY_RETURN(add_wholes(op, "sizes", 4, sizes, &node.in[1]));
    node.in[0] = tensor_in(op, 0)->value;
    return add_moving(op, node, 1);
}

static det_status read_slice(const struct op *op)
{
    static const int32_t ones[DET_TFLITE_READ_MOST_DIMS] = {1, 1, 1, 1};
    const int32_t dims = tensor_in(op, 0)->dims;
    struct det_node node = {.kind = DET_NODE_SLICE, .in_count = 1};
    const struct det_array *begin = wholes_in(op, 1), *end = wholes_in(op, 2);
    for (int i = 0; i < DET_TFLITE_SLICE_MASKS; i++)
        if (i < 5 ? option(op, i, 0) != 0 : option_byte(op, i) != 0)
            return refuse(op, "it has a mask");
    if (begin == NULL || end == NULL || begin->count != (size_t)dims ||
        end->count != (size_t)dims || !same_numbers(wholes_in(op, 3), ones, dims))
        return refuse(op, "its begins, ends or strides are none that we write");
    for (int32_t i = 0; i < dims; i++) {
        node.slice.begin[i] = begin->wholes[i];
        node.slice.end[i] = end->wholes[i];
    }
    node.in[0] = tensor_in(op, 0)->value;
    return add_moving(op, node, 1);
}

/* Amounts [dims][2] become all begins, then all ends. */
static det_status read_pad(const struct op *op)
{
    const struct det_array *amounts = wholes_in(op, 1);
    struct det_node node = {.kind = DET_NODE_PAD, .in_count = 2};
    int64_t values[8];
    if (amounts == NULL || amounts->count != 8)
        return refuse(op, "its amounts are not [4, 2]");
    if (tensor_in(op, 0)->zero != 0)
        return refuse(op, "what it adds are not zeros");
    for (int i = 0; i < 4; i++) {
        values[i] = amounts->wholes[2 * i];
        values[4 + i] = amounts->wholes[2 * i + 1];
    }
    DET_TRY_RETURN(add_wholes(op, "amounts", 8, values, &node.in[1]));
    node.in[0] = tensor_in(op, 0)->value;
    return add_moving(op, node, 1);
}

static det_status read_cast(const struct op *op)
{
    if (option_byte(op, DET_TFLITE_CAST_FROM) != DET_TFLITE_UINT8 ||
        option_byte(op, DET_TFLITE_CAST_TO) != DET_TFLITE_FLOAT32 ||
        tensor_in(op, 0)->type != DET_TFLITE_UINT8)
        return refuse(op, "it is not from uint8 to float32");
    return add_plain(op, (struct det_node){.kind = DET_NODE_TO_FLOAT});
}

/* From floats, or from levels of 0 .. 255 to those less 128. */
static det_status read_quantize(const struct op *op)
{
    const struct det_tflite_read_tensor *from = tensor_in(op, 0), *to = tensor_out(op, 0);
    struct det_node node = {.kind = DET_NODE_Q8_FROM_FLOAT, .in_count = 1};
    const int64_t lower = from->zero - to->zero;
    node.in[0] = from->value;
    node.q8.out = det_tflite_read_q8(to);
    if (from->type == DET_TFLITE_FLOAT32)
        return add_node_of(op, node, DET_TFLITE_INT8);
    if (from->type != DET_TFLITE_UINT8 || lower != 128 ||
        det_tflite_read_q8(from).scale != node.q8.out.scale)
        return refuse(op, "it is neither from float32 nor from uint8 of the same scale");
    node.kind = DET_NODE_SUB;
    node.in_count = 2;
    DET_TRY_RETURN(add_wholes(op, "zero", 1, &lower, &node.in[1]));
    return add_node_of(op, node, DET_TFLITE_INT8);
}

/* Of halves the constant is in float32 already. */
static det_status read_dequantize(const struct op *op)
{
    const struct det_tflite_read_tensor *from = tensor_in(op, 0);
    struct det_tflite_read_tensor *to = tensor_out(op, 0);
    struct det_node node = {.kind = DET_NODE_Q8_TO_FLOAT, .q8 = {.in = det_tflite_read_q8(from)}};
    if (op->in_8_bits && from->type == DET_TFLITE_INT8 && !from->stored)
        return add_plain(op, node);
    if (!from->stored || !is_half(from) || to->type != DET_TFLITE_FLOAT32 || to->value >= 0 ||
        from->dims != to->dims || memcmp(from->shape, to->shape, sizeof from->shape) != 0)
        return refuse(op, "it is not from constants in half precision to float32");
    to->value = from->value;
    return DET_OK;
}

static det_status read_logistic(const struct op *op)
{
    return add_plain(op, (struct det_node){.kind = DET_NODE_SIGMOID});
}

/* --- TFLite_Detection_PostProcess --- */

/* Its options, and the fields they go to. */
struct postprocess {
    double class_limit, h_scale, classes_of_a_box, limit, iou, score, classes, regular;
    double w_scale, x_scale, y_scale;
};

static det_status read_postprocess_options(const struct op *op, struct postprocess *p)
{
    struct {
        const char *key;
        enum det_flex_type type;
        double *number;
    } const wanted[] = {
        {"detections_per_class", DET_FLEX_INT, &p->class_limit},
        {"h_scale", DET_FLEX_FLOAT, &p->h_scale},
        {"max_classes_per_detection", DET_FLEX_INT, &p->classes_of_a_box},
        {"max_detections", DET_FLEX_INT, &p->limit},
        {"nms_iou_threshold", DET_FLEX_FLOAT, &p->iou},
        {"nms_score_threshold", DET_FLEX_FLOAT, &p->score},
        {"num_classes", DET_FLEX_INT, &p->classes},
        {"use_regular_nms", DET_FLEX_BOOL, &p->regular},
        {"w_scale", DET_FLEX_FLOAT, &p->w_scale},
        {"x_scale", DET_FLEX_FLOAT, &p->x_scale},
        {"y_scale", DET_FLEX_FLOAT, &p->y_scale},
    };
    enum { COUNT = sizeof wanted / sizeof *wanted };
    const struct det_flat_vector bytes =
        det_flat_vector(&op->r->flat, op->table, DET_TFLITE_OP_CUSTOM_OPTIONS, 1);
    struct det_flex_map map;
    DET_TRY_RETURN(op->r->flat.status);
    DET_TRY_RETURN(det_flex_open_map(op->r->env, bytes.data, bytes.count, &map));
    if (map.count != COUNT)
        return refuse(op, "it has not the options that we write");
    for (size_t i = 0; i < COUNT; i++) {
        struct det_flex_value value;
        DET_TRY_RETURN(det_flex_at(op->r->env, &map, i, &value));
        if (strcmp(value.key, wanted[i].key) != 0 || value.type != wanted[i].type)
            return refuse(op, "it has not the options that we write");
        *wanted[i].number = value.number;
    }
    return DET_OK;
}

#define MOST 1e7 /* of a scale or threshold: more than a model may have */

static bool is_count(double number)
{
    return number >= 1 && number <= INT32_MAX;
}

static bool is_scale(double scale)
{
    return scale > 0 && scale <= MOST;
}

static det_status add_decode(const struct op *op, const struct postprocess *p, int32_t *boxes)
{
    struct det_tflite_reader *r = op->r;
    struct det_node node = {.kind = DET_NODE_DECODE, .in_count = 2, .out_count = 1};
    const struct det_tflite_read_tensor *anchors = tensor_in(op, 2);
    if (!anchors->stored || anchors->type != DET_TFLITE_FLOAT32)
        return refuse(op, "its anchors are no constants in float32");
    if (!is_scale(p->y_scale) || !is_scale(p->x_scale) || !is_scale(p->h_scale) ||
        !is_scale(p->w_scale))
        return refuse(op, "its scales are none that we write");
    DET_TRY_RETURN(det_program_add_value(r->env, r->program, "decoded boxes", boxes));
    node.name = r->program->values[*boxes].name;
    node.in[0] = tensor_in(op, 0)->value;
    node.in[1] = anchors->value;
    node.out[0] = *boxes;
    node.decode.y_scale = (float)p->y_scale;
    node.decode.x_scale = (float)p->x_scale;
    node.decode.height_scale = (float)p->h_scale;
    node.decode.width_scale = (float)p->w_scale;
    return det_program_add_node(r->env, r->program, &node);
}

static det_status read_postprocess(const struct op *op)
{
    struct det_tflite_reader *r = op->r;
    struct postprocess p = {0};
    int32_t boxes = 0;
    struct det_node node = {.kind = DET_NODE_DETECTIONS, .in_count = 2, .out_count = 4};
    DET_TRY_RETURN(read_postprocess_options(op, &p));
    if (!is_count(p.limit) || !is_count(p.class_limit) || !is_count(p.classes) ||
        p.classes_of_a_box != 1 || !(p.iou > 0 && p.iou <= 1 && fabs(p.score) <= MOST))
        return refuse(op, "its limits or thresholds are none that we write");
    DET_TRY_RETURN(add_decode(op, &p, &boxes));
    for (size_t i = 0; i < 4; i++) {
        DET_TRY_RETURN(make_value(op, tensor_out(op, i), DET_TFLITE_FLOAT32));
        node.out[i] = tensor_out(op, i)->value;
        r->postprocess[i] = (int32_t)det_flat_word(op->out, i);
    }
    node.name = r->program->values[node.out[0]].name;
    node.in[0] = boxes;
    node.in[1] = tensor_in(op, 1)->value;
    node.detections.classes = r->classes = (int32_t)p.classes;
    node.detections.limit = (int32_t)p.limit;
    node.detections.class_limit = (int32_t)p.class_limit;
    node.detections.across_classes = p.regular == 0;
    /* The file's are what is kept, and FLT_MIN stands for 0 (tflite_outputs.c). */
    node.detections.score_threshold = nextafterf((float)p.score, -INFINITY);
    node.detections.iou_threshold = (float)p.iou <= FLT_MIN ? 0 : (float)p.iou;
    DET_TRY_RETURN(det_program_add_node(r->env, r->program, &node));
    r->program->probes[DET_PROBE_ENCODINGS] = tensor_in(op, 0)->value;
    r->program->probes[DET_PROBE_SCORES] = node.in[1];
    r->program->probes[DET_PROBE_BOXES] = boxes;
    if (node.detections.across_classes && p.classes > 1)
        return DET_OK; /* libdet has no such suppression to compare with */
    r->program->probes[DET_PROBE_DETECTION_BOXES] = node.out[0];
    r->program->probes[DET_PROBE_DETECTION_CLASSES] = node.out[1];
    r->program->probes[DET_PROBE_DETECTION_SCORES] = node.out[2];
    r->program->probes[DET_PROBE_DETECTION_COUNTS] = node.out[3];
    return DET_OK;
}

/* --- all --- */

static const struct {
    enum det_tflite_operator kind;
    int32_t version, in_8_bits; /* of floats and of int8; 0: there is none */
    enum det_tflite_options options;
    size_t in, most_in, out;
    det_status (*read)(const struct op *op);
} readers[] = {
    {DET_TFLITE_CONV_2D, 1, 3, DET_TFLITE_CONV_2D_OPTIONS, 3, 3, 1, read_conv},
    {DET_TFLITE_DEPTHWISE_CONV_2D, 1, 3, DET_TFLITE_DEPTHWISE_CONV_2D_OPTIONS, 3, 3, 1, read_conv},
    {DET_TFLITE_ADD, 1, 2, DET_TFLITE_ADD_OPTIONS, 2, 2, 1, read_sum_or_product},
    {DET_TFLITE_MUL, 1, 0, DET_TFLITE_MUL_OPTIONS, 2, 2, 1, read_sum_or_product},
    {DET_TFLITE_CONCATENATION, 1, 2, DET_TFLITE_CONCATENATION_OPTIONS, 2, 8, 1, read_concatenation},
    {DET_TFLITE_RESHAPE, 1, 1, DET_TFLITE_RESHAPE_OPTIONS, 2, 2, 1, read_reshape},
    {DET_TFLITE_RESIZE_NEAREST_NEIGHBOR, 1, 2, DET_TFLITE_RESIZE_NEAREST_NEIGHBOR_OPTIONS, 2, 2, 1,
     read_resize},
    {DET_TFLITE_RESIZE_BILINEAR, 1, 0, DET_TFLITE_RESIZE_BILINEAR_OPTIONS, 2, 2, 1, read_resize},
    {DET_TFLITE_STRIDED_SLICE, 1, 2, DET_TFLITE_STRIDED_SLICE_OPTIONS, 4, 4, 1, read_slice},
    {DET_TFLITE_PAD, 1, 2, DET_TFLITE_PAD_OPTIONS, 2, 2, 1, read_pad},
    {DET_TFLITE_CAST, 1, 0, DET_TFLITE_CAST_OPTIONS, 1, 1, 1, read_cast},
    {DET_TFLITE_QUANTIZE, 0, 1, DET_TFLITE_QUANTIZE_OPTIONS, 1, 1, 1, read_quantize},
    {DET_TFLITE_DEQUANTIZE, 3, 2, DET_TFLITE_DEQUANTIZE_OPTIONS, 1, 1, 1, read_dequantize},
    {DET_TFLITE_LOGISTIC, 1, 0, DET_TFLITE_NO_OPTIONS, 1, 1, 1, read_logistic},
    {DET_TFLITE_CUSTOM, 1, 0, DET_TFLITE_NO_OPTIONS, 3, 3, 4, read_postprocess},
};

static det_status check_tensors(const struct op *op)
{
    for (size_t i = 0; i < op->in.count; i++) {
        const uint32_t tensor = det_flat_word(op->in, i);
        if (tensor >= op->r->tensor_count || op->r->tensors[tensor].value < 0)
            return refuse(op, "an input that nothing has made");
        if (is_half(&op->r->tensors[tensor]) && op->code.kind != DET_TFLITE_DEQUANTIZE)
            return refuse(op, "constants in half precision are for DEQUANTIZE alone");
    }
    for (size_t i = 0; i < op->out.count; i++)
        if (det_flat_word(op->out, i) >= op->r->tensor_count)
            return refuse(op, "a result that is no tensor");
    return DET_OK;
}

static det_status read_op(struct op *op)
{
    struct det_flat_reader *flat = &op->r->flat;
    const uint32_t code = det_flat_u32(flat, op->table, DET_TFLITE_OP_CODE, 0);
    op->in = det_flat_vector(flat, op->table, DET_TFLITE_OP_INPUTS, sizeof(int32_t));
    op->out = det_flat_vector(flat, op->table, DET_TFLITE_OP_OUTPUTS, sizeof(int32_t));
    op->options = det_flat_child(flat, op->table, DET_TFLITE_OP_OPTIONS);
    const uint8_t options = det_flat_u8(flat, op->table, DET_TFLITE_OP_OPTIONS_TYPE, 0);
    DET_TRY_RETURN(flat->status);
    if (code >= op->r->code_count)
        return refuse(op, "it has no operator code");
    op->code = op->r->codes[code];
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (readers[i].kind != op->code.kind)
            continue;
        if (readers[i].options != options || op->in.count < readers[i].in ||
            op->in.count > readers[i].most_in || op->out.count != readers[i].out)
            return refuse(op, "other options or tensors than we write");
        DET_TRY_RETURN(check_tensors(op));
        op->in_8_bits =
            tensor_in(op, 0)->type == DET_TFLITE_INT8 || tensor_out(op, 0)->type == DET_TFLITE_INT8;
        if (op->code.version != (op->in_8_bits ? readers[i].in_8_bits : readers[i].version))
            return refuse(op, "another version than we write");
        DET_TRY_RETURN(readers[i].read(op));
        return flat->status;
    }
    return refuse(op, "we do not write that");
}

det_status det_tflite_read_ops(struct det_tflite_reader *r)
{
    const struct det_flat_vector list = det_flat_vector(
        &r->flat, r->subgraph, DET_TFLITE_SUBGRAPH_OPERATORS, DET_FLAT_REFERENCE_BYTES);
    DET_TRY_RETURN(r->flat.status);
    for (size_t i = 0; i < list.count; i++) {
        struct op op = {.r = r, .index = i, .table = det_flat_element(&r->flat, list, i)};
        DET_TRY_RETURN(read_op(&op));
    }
    return DET_OK;
}
