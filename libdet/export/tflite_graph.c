/* tflite_graph.c: the network as TFLite's converter would give it: convolutions with their bias and
 * ReLU6 inside, NHWC, SAME padding as TensorFlow has it, names as those of the TF Object Detection
 * API's export_tflite_graph_tf2.py (export_tflite_graph_lib_tf2.py, class SSDModule).
 *
 * Two things are other than there. The outputs are in the order of the operator, boxes, classes,
 * scores, count, and have its names: what Frigate, the Task Library and scripts take, which expect
 * another order when they see TensorFlow 2's names for them. Suppression is the regular one, class
 * by class, as libdet and the API's own models do it. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "export/tflite.h"
#include "formats/flexbuffer.h"
#include "support/mem.h"

struct network {
    struct det_env *env;
    const struct det_export_job *job;
    const struct det_graph *graph;
    struct tflite_model *model;
    int32_t batch;
    int32_t *tensors; /* [graph->tensor_count] of the graph's tensors, -1: not yet */
    int32_t *params;  /* the same of its parameters */
};

static const struct tflite_op no_op = {.version = 1, .out_count = 1};

/* An operator with one result, which is a new tensor. */
static det_status add_op(struct network *n, struct tflite_op op, const char *name, int32_t dims,
                         const int32_t *shape, int32_t *out)
{
    DET_TRY_RETURN(
        tflite_add_tensor(n->env, n->model, name, TFLITE_FLOAT32, dims, shape, &op.out[0]));
    *out = op.out[0];
    return tflite_add_op(n->env, n->model, &op);
}

static det_status add_ints(struct network *n, const char *name, int32_t dims, const int32_t *shape,
                           const int32_t *values, int32_t *tensor)
{
    return tflite_add_constant(n->env, n->model, name, TFLITE_INT32, dims, shape, values, tensor);
}

/* --- parameters --- */

/* In the order of TFLite: [out, kh, kw, in], depthwise [1, kh, kw, c]. */
static void reorder(const struct det_param *param, const float *from, int32_t shape[4], float *to)
{
    const int32_t *s = param->shape;
    if (param->dims == 1) {
        shape[0] = s[0];
        memcpy(to, from, param->count * sizeof *to);
        return;
    }
    const int32_t depthwise = param->role == DET_PARAM_DEPTHWISE;
    const size_t outs = (size_t)s[3], rest = param->count / outs;
    shape[0] = s[3]; /* of a depthwise one 1 */
    for (int32_t i = 0; i < 3; i++)
        shape[1 + i] = s[i];
    if (depthwise) {
        memcpy(to, from, param->count * sizeof *to);
        return;
    }
    for (size_t o = 0; o < outs; o++)
        for (size_t r = 0; r < rest; r++)
            to[o * rest + r] = from[r * outs + o];
}

static det_status to_half(struct det_env *env, const char *name, const float *values, size_t count,
                          uint16_t *halves)
{
    for (size_t i = 0; i < count; i++) {
        halves[i] = det_float_to_half(values[i]);
        if (isfinite(values[i]) && isinf(det_half_to_float(halves[i])))
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "tflite: %s: the value %g is too large for half precision: export with "
                            "float32",
                            name, (double)values[i]);
    }
    return DET_OK;
}

/* A constant in half precision and the operator that brings it to float32. */
static det_status add_half(struct network *n, const char *name, int32_t dims, const int32_t *shape,
                           const float *values, size_t count, int32_t *tensor)
{
    det_status status = DET_OK;
    char *stored = NULL;
    uint16_t *halves = NULL;
    struct tflite_op op = no_op;
    op.kind = TFLITE_DEQUANTIZE;
    op.version = 3;
    op.in_count = 1;
    op.options_type = TFLITE_DEQUANTIZE_OPTIONS;
    DET_TRY(det_alloc_raw(n->env, &halves, count, sizeof *halves, "weights in half precision"));
    DET_TRY(to_half(n->env, name, values, count, halves));
    DET_TRY(det_format(n->env, &stored, "%s/half", name));
    DET_TRY(tflite_add_constant(n->env, n->model, stored, TFLITE_FLOAT16, dims, shape, halves,
                                &op.in[0]));
    DET_TRY(add_op(n, op, name, dims, shape, tensor));
fail:
    det_free(n->env, &halves);
    det_free(n->env, &stored);
    return status;
}

static det_status take_param(struct network *n, int32_t index, int32_t *tensor)
{
    det_status status = DET_OK;
    const struct det_param *param = &n->graph->params[index];
    float *values = NULL;
    int32_t shape[TFLITE_MOST_DIMS] = {0};
    if (n->params[index] < 0) {
        DET_TRY(det_alloc_raw(n->env, &values, param->count, sizeof *values, param->key));
        reorder(param, n->job->inference.params + param->offset, shape, values);
        if (n->job->settings.precision == DET_EXPORT_FLOAT16)
            DET_TRY(add_half(n, param->key, param->dims, shape, values, param->count,
                             &n->params[index]));
        else
            DET_TRY(tflite_add_constant(n->env, n->model, param->key, TFLITE_FLOAT32, param->dims,
                                        shape, values, &n->params[index]));
    }
    *tensor = n->params[index];
fail:
    det_free(n->env, &values);
    return status;
}

/* TFLite's convolutions have a bias always. */
static det_status zero_bias(struct network *n, int32_t channels, int32_t *tensor)
{
    float *zeros = NULL;
    DET_TRY_RETURN(det_alloc(n->env, &zeros, (size_t)channels, sizeof *zeros, "a bias of zeros"));
    const det_status status = tflite_add_constant(n->env, n->model, "no_bias", TFLITE_FLOAT32, 1,
                                                  &channels, zeros, tensor);
    det_free(n->env, &zeros);
    return status;
}

/* --- operations --- */

static void tensor_shape(const struct network *n, int32_t tensor, int32_t shape[4])
{
    const struct det_tensor t = n->graph->tensors[tensor];
    shape[0] = n->batch;
    shape[1] = t.height;
    shape[2] = t.width;
    shape[3] = t.channels;
}

/* A result of the graph. Weights that several levels share have one key: the tensor's number tells
 * their results apart. */
static det_status add_result(struct network *n, const struct tflite_op *op, const char *name,
                             int32_t tensor)
{
    char *own = NULL;
    int32_t shape[4];
    tensor_shape(n, tensor, shape);
    DET_TRY_RETURN(det_format(n->env, &own, "%s/result_%d", name, tensor));
    const det_status status = add_op(n, *op, own, 4, shape, &n->tensors[tensor]);
    det_free(n->env, &own);
    return status;
}

static det_status add_conv(struct network *n, const struct det_op *from)
{
    const bool depthwise = from->kind == DET_OP_DWCONV;
    const uint8_t act =
        from->act == DET_ACTIVATION_RELU6 ? TFLITE_ACTIVATION_RELU6 : TFLITE_ACTIVATION_NONE;
    struct tflite_op op = no_op;
    op.kind = depthwise ? TFLITE_DEPTHWISE_CONV_2D : TFLITE_CONV_2D;
    op.in_count = 3;
    op.in[0] = n->tensors[from->in];
    op.options_type = depthwise ? TFLITE_DEPTHWISE_CONV_2D_OPTIONS : TFLITE_CONV_2D_OPTIONS;
    const struct det_flat_field conv[] = {
        DET_FLAT_U8(TFLITE_CONV_PADDING, TFLITE_PADDING_SAME),
        DET_FLAT_U32(TFLITE_CONV_STRIDE_W, from->stride),
        DET_FLAT_U32(TFLITE_CONV_STRIDE_H, from->stride),
        DET_FLAT_U8(TFLITE_CONV_ACTIVATION, act),
    };
    const struct det_flat_field dwconv[] = {
        DET_FLAT_U8(TFLITE_DWCONV_PADDING, TFLITE_PADDING_SAME),
        DET_FLAT_U32(TFLITE_DWCONV_STRIDE_W, from->stride),
        DET_FLAT_U32(TFLITE_DWCONV_STRIDE_H, from->stride),
        DET_FLAT_U32(TFLITE_DWCONV_MULTIPLIER, 1),
        DET_FLAT_U8(TFLITE_DWCONV_ACTIVATION, act),
    };
    op.option_count = depthwise ? 5 : 4;
    memcpy(op.options, depthwise ? dwconv : conv, (size_t)op.option_count * sizeof *conv);
    DET_TRY_RETURN(take_param(n, from->weight, &op.in[1]));
    if (from->bias >= 0)
        DET_TRY_RETURN(take_param(n, from->bias, &op.in[2]));
    else
        DET_TRY_RETURN(zero_bias(n, n->graph->tensors[from->out].channels, &op.in[2]));
    return add_result(n, &op, from->name, from->out);
}

static det_status add_sum(struct network *n, int32_t a, int32_t b, const char *name, int32_t out)
{
    struct tflite_op op = no_op;
    op.kind = TFLITE_ADD;
    op.in_count = 2;
    op.in[0] = a;
    op.in[1] = b;
    op.options_type = TFLITE_ADD_OPTIONS;
    op.option_count = 1;
    op.options[0] =
        (struct det_flat_field)DET_FLAT_U8(TFLITE_ADD_ACTIVATION, TFLITE_ACTIVATION_NONE);
    return add_result(n, &op, name, out);
}

/* The values [begin, end) of each dimension. */
static det_status add_slice(struct network *n, int32_t in, const char *name, int32_t dims,
                            const int32_t *begin, const int32_t *end, int32_t *out)
{
    static const int32_t ones[TFLITE_MOST_DIMS] = {1, 1, 1, 1};
    int32_t shape[TFLITE_MOST_DIMS];
    struct tflite_op op = no_op;
    op.kind = TFLITE_STRIDED_SLICE;
    op.in_count = 4;
    op.in[0] = in;
    op.options_type = TFLITE_STRIDED_SLICE_OPTIONS;
    for (int32_t i = 0; i < dims; i++)
        shape[i] = end[i] - begin[i];
    DET_TRY_RETURN(add_ints(n, "slice/begin", 1, &dims, begin, &op.in[1]));
    DET_TRY_RETURN(add_ints(n, "slice/end", 1, &dims, end, &op.in[2]));
    DET_TRY_RETURN(add_ints(n, "slice/strides", 1, &dims, ones, &op.in[3]));
    return add_op(n, op, name, dims, shape, out);
}

/* Twice the size by repeating pixels, the surplus row and column cut off, and the sum. */
static det_status add_upsample(struct network *n, const struct det_op *from)
{
    static const int32_t two = 2, none[4] = {0};
    int32_t shape[4], sum_shape[4], upsampled = 0;
    char name[64];
    tensor_shape(n, from->in, shape);
    tensor_shape(n, from->out, sum_shape);
    shape[1] *= 2;
    shape[2] *= 2;
    struct tflite_op op = no_op;
    op.kind = TFLITE_RESIZE_NEAREST_NEIGHBOR;
    op.in_count = 2;
    op.in[0] = n->tensors[from->in];
    op.options_type = TFLITE_RESIZE_NEAREST_NEIGHBOR_OPTIONS;
    DET_TRY_RETURN(add_ints(n, "upsample/size", 1, &two, shape + 1, &op.in[1]));
    snprintf(name, sizeof name, "upsample/result_%d", from->out);
    DET_TRY_RETURN(add_op(n, op, name, 4, shape, &upsampled));
    if (memcmp(shape, sum_shape, sizeof shape) != 0) {
        snprintf(name, sizeof name, "upsample/cut_%d", from->out);
        DET_TRY_RETURN(add_slice(n, upsampled, name, 4, none, sum_shape, &upsampled));
    }
    return add_sum(n, upsampled, n->tensors[from->in2], "upsample/sum", from->out);
}

static det_status add_operations(struct network *n)
{
    for (int32_t i = 0; i < n->graph->op_count; i++) {
        const struct det_op *op = &n->graph->ops[i];
        switch (op->kind) {
        case DET_OP_CONV:
        case DET_OP_DWCONV:
            DET_TRY_RETURN(add_conv(n, op));
            break;
        case DET_OP_ADD:
            DET_TRY_RETURN(
                add_sum(n, n->tensors[op->in], n->tensors[op->in2], "residual", op->out));
            break;
        case DET_OP_UPSAMPLE_ADD:
            DET_TRY_RETURN(add_upsample(n, op));
            break;
        case DET_OP_BATCH_NORM:
            return det_fail(n->env, DET_STATUS_INTERNAL, "tflite: %s is not folded", op->name);
        }
    }
    return DET_OK;
}

/* --- input --- */

static det_status add_constant_op(struct network *n, enum tflite_operator kind,
                                  enum tflite_options options, const char *name, float value,
                                  const int32_t shape[4], int32_t *at)
{
    static const int32_t one = 1;
    char constant[64];
    struct tflite_op op = no_op;
    op.kind = kind;
    op.in_count = 2;
    op.in[0] = *at;
    op.options_type = options;
    op.option_count = 1;
    op.options[0] =
        (struct det_flat_field)DET_FLAT_U8(TFLITE_ADD_ACTIVATION, TFLITE_ACTIVATION_NONE);
    snprintf(constant, sizeof constant, "%s/constant", name);
    DET_TRY_RETURN(tflite_add_constant(n->env, n->model, constant, TFLITE_FLOAT32, 1, &one, &value,
                                       &op.in[1]));
    return add_op(n, op, name, 4, shape, at);
}

/* From bytes of any size to what preprocess() of the API makes of them. */
static det_status add_preprocessing(struct network *n, const int32_t shape[4], int32_t *at)
{
    static const int32_t two = 2;
    struct tflite_op cast = no_op, resize = no_op;
    cast.kind = TFLITE_CAST;
    cast.in_count = 1;
    cast.in[0] = *at;
    cast.options_type = TFLITE_CAST_OPTIONS;
    cast.option_count = 2;
    cast.options[0] = (struct det_flat_field)DET_FLAT_U8(TFLITE_CAST_FROM, TFLITE_UINT8);
    cast.options[1] = (struct det_flat_field)DET_FLAT_U8(TFLITE_CAST_TO, TFLITE_FLOAT32);
    DET_TRY_RETURN(add_op(n, cast, "preprocess/float", 4, shape, &resize.in[0]));
    resize.kind = TFLITE_RESIZE_BILINEAR;
    resize.in_count = 2;
    resize.options_type = TFLITE_RESIZE_BILINEAR_OPTIONS;
    DET_TRY_RETURN(add_ints(n, "preprocess/size", 1, &two, shape + 1, &resize.in[1]));
    DET_TRY_RETURN(add_op(n, resize, "preprocess/resized", 4, shape, at));
    DET_TRY_RETURN(add_constant_op(n, TFLITE_MUL, TFLITE_MUL_OPTIONS, "preprocess/scaled",
                                   2.0F / 255.0F, shape, at));
    return add_constant_op(n, TFLITE_ADD, TFLITE_ADD_OPTIONS, "preprocess/normalized", -1.0F, shape,
                           at);
}

/* Zeros below and to the right, after normalisation. */
static det_status add_padding(struct network *n, const int32_t from[4], const int32_t to[4],
                              int32_t *at)
{
    const int32_t amounts[8] = {0, 0, 0, to[1] - from[1], 0, to[2] - from[2], 0, 0};
    static const int32_t shape[] = {4, 2};
    struct tflite_op op = no_op;
    op.kind = TFLITE_PAD;
    op.in_count = 2;
    op.in[0] = *at;
    op.options_type = TFLITE_PAD_OPTIONS;
    DET_TRY_RETURN(add_ints(n, "pad/amounts", 2, shape, amounts, &op.in[1]));
    return add_op(n, op, "pad/result", 4, to, at);
}

static det_status add_input(struct network *n)
{
    const struct det_model_spec *spec = &n->job->model->spec;
    const bool image = n->job->settings.input == DET_EXPORT_INPUT_IMAGE;
    const int32_t shape[4] = {n->batch, spec->input_height, spec->input_width, 3};
    int32_t network_shape[4], at = 0;
    tensor_shape(n, 0, network_shape);
    DET_TRY_RETURN(tflite_add_tensor(n->env, n->model, "serving_default_input:0",
                                     image ? TFLITE_UINT8 : TFLITE_FLOAT32, 4, shape, &at));
    n->model->input = at;
    n->model->signature_input = (struct tflite_signature){"input", at};
    n->model->tensors[at].any_size = image;
    if (image)
        DET_TRY_RETURN(add_preprocessing(n, shape, &at));
    if (memcmp(shape, network_shape, sizeof shape) != 0)
        DET_TRY_RETURN(add_padding(n, shape, network_shape, &at));
    n->tensors[0] = at;
    return DET_OK;
}

/* --- outputs --- */

/* [N, h, w, a * values] of every level as [N, A, values]. */
static det_status add_joined(struct network *n, const int32_t *levels, int32_t values,
                             const char *name, int32_t *out)
{
    const struct det_graph *g = n->graph;
    const int32_t all[3] = {n->batch, g->anchor_count, values}, three = 3;
    struct tflite_op joined = no_op;
    joined.kind = TFLITE_CONCATENATION;
    joined.options_type = TFLITE_CONCATENATION_OPTIONS;
    joined.option_count = 2;
    joined.options[0] = (struct det_flat_field)DET_FLAT_U32(TFLITE_CONCATENATION_AXIS, 1);
    joined.options[1] =
        (struct det_flat_field)DET_FLAT_U8(TFLITE_CONCATENATION_ACTIVATION, TFLITE_ACTIVATION_NONE);
    for (int32_t l = 0; l < g->levels; l++) {
        const struct det_tensor t = g->tensors[levels[l]];
        const int32_t shape[3] = {n->batch, t.height * t.width * g->anchors_per_cell, values};
        char level_name[64];
        struct tflite_op op = no_op;
        op.kind = TFLITE_RESHAPE;
        op.in_count = 2;
        op.in[0] = n->tensors[levels[l]];
        op.options_type = TFLITE_RESHAPE_OPTIONS;
        snprintf(level_name, sizeof level_name, "%s/level_%d", name,
                 n->job->model->spec.min_level + l);
        DET_TRY_RETURN(add_ints(n, "reshape/shape", 1, &three, shape, &op.in[1]));
        DET_TRY_RETURN(add_op(n, op, g->levels == 1 ? name : level_name, 3, shape, out));
        joined.in[joined.in_count++] = *out;
    }
    return g->levels == 1 ? DET_OK : add_op(n, joined, name, 3, all, out);
}

static det_status add_scores(struct network *n, int32_t logits, int32_t classes, int32_t *scores)
{
    const int32_t shape[3] = {n->batch, n->graph->anchor_count, classes};
    struct tflite_op op = no_op;
    op.kind = TFLITE_LOGISTIC;
    op.in_count = 1;
    op.in[0] = logits;
    return add_op(n, op, "raw_outputs/class_predictions", 3, shape, scores);
}

/* Centre and size, as the API has them in its model. */
static det_status add_anchors(struct network *n, int32_t *tensor)
{
    const struct det_inference *inference = &n->job->inference;
    const int32_t shape[2] = {inference->anchor_count, 4};
    float(*centers)[4] = NULL;
    DET_TRY_RETURN(det_alloc_raw(n->env, &centers, (size_t)shape[0], sizeof *centers, "anchors"));
    for (int32_t i = 0; i < shape[0]; i++) {
        const float *box = inference->anchors[i];
        centers[i][2] = box[2] - box[0];
        centers[i][3] = box[3] - box[1];
        centers[i][0] = box[0] + centers[i][2] / 2;
        centers[i][1] = box[1] + centers[i][3] / 2;
    }
    const det_status status =
        tflite_add_constant(n->env, n->model, "anchors", TFLITE_FLOAT32, 2, shape, centers, tensor);
    det_free(n->env, &centers);
    return status;
}

static det_status postprocess_options(struct network *n, struct det_text *text)
{
    const struct det_postprocess_settings *p = &n->job->inference.postprocess;
    /* The operator keeps scores from the threshold on, we those above it; it refuses an IoU
     * threshold of 0, and no two boxes have one between 0 and this. */
    const float score = nextafterf(p->score_threshold, INFINITY);
    const float iou = p->iou_threshold > 0 ? p->iou_threshold : FLT_MIN;
    const struct det_flex_value values[] = {
        {"detections_per_class", DET_FLEX_INT, p->max_detections_per_class},
        {"h_scale", DET_FLEX_FLOAT, (double)p->coder.height_scale},
        {"max_classes_per_detection", DET_FLEX_INT, 1},
        {"max_detections", DET_FLEX_INT, p->max_total_detections},
        {"nms_iou_threshold", DET_FLEX_FLOAT, (double)iou},
        {"nms_score_threshold", DET_FLEX_FLOAT, (double)score},
        {"num_classes", DET_FLEX_INT, n->job->model->spec.num_classes},
        {"use_regular_nms", DET_FLEX_BOOL, 1},
        {"w_scale", DET_FLEX_FLOAT, (double)p->coder.width_scale},
        {"x_scale", DET_FLEX_FLOAT, (double)p->coder.x_scale},
        {"y_scale", DET_FLEX_FLOAT, (double)p->coder.y_scale},
    };
    return det_flex_write_map(n->env, text, values, sizeof values / sizeof *values);
}

static det_status add_postprocess(struct network *n, int32_t encodings, int32_t scores)
{
    const int32_t most = n->job->inference.postprocess.max_total_detections;
    /* In the operator's order, each with its name in the signature. */
    const struct {
        const char *name, *signature;
        int32_t dims, shape[3];
    } outputs[4] = {
        {TFLITE_DETECTION_POSTPROCESS, "output_3", 3, {1, most, 4}},
        {TFLITE_DETECTION_POSTPROCESS ":1", "output_2", 2, {1, most}},
        {TFLITE_DETECTION_POSTPROCESS ":2", "output_1", 2, {1, most}},
        {TFLITE_DETECTION_POSTPROCESS ":3", "output_0", 1, {1}},
    };
    struct tflite_op op = no_op;
    op.kind = TFLITE_CUSTOM;
    op.in_count = 3;
    op.in[0] = encodings;
    op.in[1] = scores;
    op.out_count = 4;
    DET_TRY_RETURN(add_anchors(n, &op.in[2]));
    for (int32_t i = 0; i < 4; i++) {
        DET_TRY_RETURN(tflite_add_tensor(n->env, n->model, outputs[i].name, TFLITE_FLOAT32,
                                         outputs[i].dims, outputs[i].shape, &op.out[i]));
        n->model->outputs[i] = op.out[i];
        n->model->signature_outputs[i] = (struct tflite_signature){outputs[i].signature, op.out[i]};
    }
    n->model->output_count = 4;
    const det_status status = postprocess_options(n, &op.custom_options);
    if (status != DET_OK) {
        det_text_free(n->env, &op.custom_options);
        return status;
    }
    return tflite_add_op(n->env, n->model, &op);
}

/* Scores without the background. */
static det_status add_raw_outputs(struct network *n, int32_t encodings, int32_t logits)
{
    const int32_t begin[3] = {0, 0, 1};
    const int32_t end[3] = {n->batch, n->graph->anchor_count, n->graph->class_slots};
    int32_t scores = 0;
    DET_TRY_RETURN(add_slice(n, logits, "raw_outputs/class_logits", 3, begin, end, &logits));
    DET_TRY_RETURN(add_scores(n, logits, n->graph->class_slots - 1, &scores));
    n->model->output_count = 2;
    n->model->outputs[0] = encodings;
    n->model->outputs[1] = scores;
    n->model->signature_outputs[0] = (struct tflite_signature){"box_encodings", encodings};
    n->model->signature_outputs[1] = (struct tflite_signature){"class_predictions", scores};
    return DET_OK;
}

static det_status add_outputs(struct network *n)
{
    const struct det_graph *g = n->graph;
    int32_t encodings = 0, logits = 0, scores = 0;
    DET_TRY_RETURN(add_joined(n, g->box_outputs, 4, "raw_outputs/box_encodings", &encodings));
    DET_TRY_RETURN(add_joined(n, g->class_outputs, g->class_slots,
                              "raw_outputs/class_logits_with_background", &logits));
    if (n->job->settings.outputs == DET_EXPORT_OUTPUTS_RAW)
        return add_raw_outputs(n, encodings, logits);
    DET_TRY_RETURN(add_scores(n, logits, g->class_slots, &scores));
    return add_postprocess(n, encodings, scores);
}

static det_status alloc_indices(struct det_env *env, int32_t **indices, int32_t count)
{
    DET_TRY_RETURN(
        det_alloc_raw(env, indices, (size_t)count, sizeof **indices, "places of tensors"));
    for (int32_t i = 0; i < count; i++)
        (*indices)[i] = -1;
    return DET_OK;
}

det_status tflite_add_network(struct det_env *env, const struct det_export_job *job,
                              struct tflite_model *model)
{
    const struct det_graph *graph = job->inference.graph;
    struct network n = {
        .env = env, .job = job, .graph = graph, .model = model, .batch = job->settings.batch};
    det_status status = DET_OK;
    DET_TRY(alloc_indices(env, &n.tensors, graph->tensor_count));
    DET_TRY(alloc_indices(env, &n.params, graph->param_count));
    DET_TRY(add_input(&n));
    DET_TRY(add_operations(&n));
    DET_TRY(add_outputs(&n));
fail:
    det_free(env, &n.tensors);
    det_free(env, &n.params);
    return status;
}
