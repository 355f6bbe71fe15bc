/* tflite_input.c: the input: the network's frame as floats, as the API's export_tflite_graph_tf2.py
 * has it (class SSDModule of export_tflite_graph_lib_tf2.py) and under its name, or pixels of any
 * size with preprocess() of the API in front of the network. In 8 bits: the frame's grey levels,
 * or floats that are rounded to them. */
#include <stdio.h>
#include <string.h>

#include "export/tflite_network.h"

static det_status add_constant_op(struct det_tflite_network *n, enum det_tflite_operator kind,
                                  enum det_tflite_options options, const char *name, float value,
                                  const int32_t shape[4], int32_t *at)
{
    static const int32_t one = 1;
    char constant[64];
    struct det_tflite_op op = det_tflite_op_of(kind, options, 2);
    op.in[0] = *at;
    DET_TFLITE_OPTION_U8(&op, DET_TFLITE_ADD_ACTIVATION, DET_TFLITE_ACTIVATION_NONE);
    snprintf(constant, sizeof constant, "%s/constant", name);
    DET_TRY_RETURN(det_tflite_add_constant(n->env, n->model, constant, DET_TFLITE_FLOAT32, 1, &one,
                                           &value, &op.in[1]));
    return det_tflite_put(n, op, name, 4, shape, at);
}

/* From bytes of any size to what preprocess() of the API makes of them. */
static det_status add_preprocessing(struct det_tflite_network *n, const int32_t shape[4],
                                    int32_t *at)
{
    static const int32_t two = 2;
    struct det_tflite_op cast = det_tflite_op_of(DET_TFLITE_CAST, DET_TFLITE_CAST_OPTIONS, 1);
    struct det_tflite_op resize =
        det_tflite_op_of(DET_TFLITE_RESIZE_BILINEAR, DET_TFLITE_RESIZE_BILINEAR_OPTIONS, 2);
    cast.in[0] = *at;
    DET_TFLITE_OPTION_U8(&cast, DET_TFLITE_CAST_FROM, DET_TFLITE_UINT8);
    DET_TFLITE_OPTION_U8(&cast, DET_TFLITE_CAST_TO, DET_TFLITE_FLOAT32);
    DET_TRY_RETURN(det_tflite_put(n, cast, "preprocess/float", 4, shape, &resize.in[0]));
    DET_TRY_RETURN(
        det_tflite_put_ints(n, "preprocess/resized", "size", 1, &two, shape + 1, &resize.in[1]));
    DET_TRY_RETURN(det_tflite_put(n, resize, "preprocess/resized", 4, shape, at));
    DET_TRY_RETURN(add_constant_op(n, DET_TFLITE_MUL, DET_TFLITE_MUL_OPTIONS, "preprocess/scaled",
                                   2.0F / 255.0F, shape, at));
    return add_constant_op(n, DET_TFLITE_ADD, DET_TFLITE_ADD_OPTIONS, "preprocess/normalized",
                           -1.0F, shape, at);
}

/* Zeros below and to the right, after normalisation. */
static det_status add_padding(struct det_tflite_network *n, const int32_t from[4],
                              const int32_t to[4], int32_t *at)
{
    const int32_t amounts[8] = {0, 0, 0, to[1] - from[1], 0, to[2] - from[2], 0, 0};
    static const int32_t shape[] = {4, 2};
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_PAD, DET_TFLITE_PAD_OPTIONS, 2);
    op.in[0] = *at;
    DET_TRY_RETURN(det_tflite_put_ints(n, "pad/result", "amounts", 2, shape, amounts, &op.in[1]));
    return det_tflite_put_like(n, op, "pad/result", 4, to, at);
}

/* Grey levels of 0 .. 255, or less 128 (det_q8_input_tensor()). */
static det_status add_bytes(struct det_tflite_network *n, enum det_tflite_type type)
{
    const struct det_q8_tensor levels = det_q8_input_tensor();
    float scale = levels.scale;
    const struct det_tflite_scales scales = {
        .values = &scale, .count = 1, .zero = levels.zero + (type == DET_TFLITE_UINT8 ? 128 : 0)};
    return det_tflite_set_scales(n->env, n->model, n->model->input, &scales);
}

static det_status add_rounding(struct det_tflite_network *n, const int32_t shape[4], int32_t *at)
{
    const struct det_q8_tensor levels = det_q8_input_tensor();
    struct det_tflite_op op = det_tflite_op_of(DET_TFLITE_QUANTIZE, DET_TFLITE_QUANTIZE_OPTIONS, 1);
    op.in[0] = *at;
    return det_tflite_put_q8(n, op, "quantize/levels", &levels, 4, shape, at);
}

/* What is made of an input for a network in 8 bits. */
static det_status add_levels(struct det_tflite_network *n, const int32_t shape[4], int32_t *at)
{
    const enum det_tflite_type type = n->model->tensors[*at].type;
    if (type != DET_TFLITE_FLOAT32)
        DET_TRY_RETURN(add_bytes(n, type));
    else /* the half level that lies between normalised pixels and whole levels */
        DET_TRY_RETURN(add_constant_op(n, DET_TFLITE_ADD, DET_TFLITE_ADD_OPTIONS,
                                       "quantize/shifted", -1.0F / 255.0F, shape, at));
    return type == DET_TFLITE_INT8 ? DET_OK : add_rounding(n, shape, at);
}

static enum det_tflite_type input_type(det_export_input input)
{
    switch (input) {
    case DET_EXPORT_INPUT_IMAGE:
    case DET_EXPORT_INPUT_UINT8:
        return DET_TFLITE_UINT8;
    case DET_EXPORT_INPUT_INT8:
        return DET_TFLITE_INT8;
    default:
        return DET_TFLITE_FLOAT32;
    }
}

det_status det_tflite_put_input(struct det_tflite_network *n)
{
    const struct det_model_spec *spec = &n->job->model->spec;
    const bool image = n->job->settings.input == DET_EXPORT_INPUT_IMAGE;
    const int32_t shape[4] = {n->batch, spec->input_height, spec->input_width, 3};
    int32_t network_shape[4], at = 0;
    det_tflite_shape_of(n, 0, network_shape);
    DET_TRY_RETURN(det_tflite_add_tensor(n->env, n->model, "serving_default_input:0",
                                         input_type(n->job->settings.input), 4, shape, &at));
    n->model->input = at;
    n->model->signature_input = (struct det_tflite_signature){"input", at};
    n->model->tensors[at].any_size = image;
    if (image)
        DET_TRY_RETURN(add_preprocessing(n, shape, &at));
    if (n->quantised != NULL)
        DET_TRY_RETURN(add_levels(n, shape, &at));
    if (memcmp(shape, network_shape, sizeof shape) != 0)
        DET_TRY_RETURN(add_padding(n, shape, network_shape, &at));
    n->tensors[0] = at;
    return DET_OK;
}
