#include "export/onnx_parts.h"

static const char *const image_names[4] = {"batch", "height", "width", NULL};
static const char *const float_names[4] = {"batch", NULL, NULL, NULL};

/* [N, H, W, 3] -> [N, 3, H, W] */
static int32_t channels_first(struct det_onnx *onnx, int32_t x)
{
    det_onnx_open(onnx, "Transpose", 1, &x);
    det_onnx_put_ints(onnx, "perm", 4, (const int64_t[]){0, 3, 1, 2});
    return det_onnx_close(onnx, NULL);
}

/* Number of images and of channels, in front of a size [2]. */
static int32_t with_batch(struct det_onnx_job *o, int32_t x, int32_t size)
{
    struct det_onnx *onnx = o->onnx;
    if (o->batch != DET_ONNX_FREE) {
        const int64_t front[2] = {o->batch, 3};
        const int32_t parts[2] = {det_onnx_wholes(onnx, "resize/front", 2, front), size};
        return det_onnx_concat(onnx, 2, parts, 0, NULL);
    }
    const int32_t front = det_onnx_slice(onnx, det_onnx_unary(onnx, "Shape", x), 0, 0, 2, NULL);
    return det_onnx_concat(onnx, 2, (const int32_t[]){front, size}, 0, NULL);
}

/* TF1's bilinear: pixel i reads at i * in / out. */
static int32_t resize(struct det_onnx *onnx, int32_t x, int32_t sizes)
{
    det_onnx_open(onnx, "Resize", 4,
                  (const int32_t[]){x, DET_ONNX_NO_VALUE, DET_ONNX_NO_VALUE, sizes});
    det_onnx_put_string(onnx, "mode", "linear");
    det_onnx_put_string(onnx, "coordinate_transformation_mode", "asymmetric");
    return det_onnx_close(onnx, NULL);
}

static int32_t normalise(struct det_onnx *onnx, int32_t x)
{
    x = det_onnx_binary(onnx, "Mul", x, det_onnx_float(onnx, "normalise/factor", 2.0F / 255.0F));
    return det_onnx_binary(onnx, "Sub", x, det_onnx_float(onnx, "normalise/offset", 1));
}

static int32_t pad(struct det_onnx *onnx, int32_t x, int32_t pads)
{
    det_onnx_open(onnx, "Pad", 2, (const int32_t[]){x, pads});
    det_onnx_put_string(onnx, "mode", "constant");
    return det_onnx_close(onnx, NULL);
}

/* fixed_shape_resizer: one size for all pictures. */
static int32_t put_fixed(struct det_onnx_job *o, int32_t x)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_model_spec *spec = &o->job->model->spec;
    const struct det_tensor in = o->job->inference.graph->tensors[0];
    const int64_t sizes[4] = {o->batch, 3, spec->input_height, spec->input_width};
    const int32_t wanted =
        o->batch != DET_ONNX_FREE
            ? det_onnx_wholes(onnx, "resize/sizes", 4, sizes)
            : with_batch(o, x, det_onnx_wholes(onnx, "resize/size", 2, sizes + 2));
    x = normalise(onnx, resize(onnx, x, wanted));
    const int64_t pads[8] = {
        [6] = in.height - spec->input_height, [7] = in.width - spec->input_width};
    if (pads[6] == 0 && pads[7] == 0)
        return x;
    return pad(onnx, x, det_onnx_wholes(onnx, "pad/pads", 8, pads));
}

/* The smaller or larger ("Min", "Max") of a size [2], as [1]. Not by ReduceMin: OpenVINO 2026.4 turns
 * a division by it around. */
static int32_t side_of(struct det_onnx *onnx, const char *operator_name, int32_t size)
{
    return det_onnx_binary(onnx, operator_name, det_onnx_slice(onnx, size, 0, 0, 1, NULL),
                           det_onnx_slice(onnx, size, 0, 1, 2, NULL));
}

/* A size [2] times limit / side, rounded. */
static int32_t scaled(struct det_onnx *onnx, int32_t size, int32_t limit, int32_t side)
{
    const int32_t scale = det_onnx_binary(onnx, "Div", limit, side);
    return det_onnx_unary(onnx, "Round", det_onnx_binary(onnx, "Mul", size, scale));
}

/* det_keep_aspect_size() of a size [2], as floats. */
static int32_t keep_aspect_size(struct det_onnx_job *o, int32_t size)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_model_spec *spec = &o->job->model->spec;
    const float frame[2] = {(float)spec->input_height, (float)spec->input_width};
    const int32_t least = det_onnx_float(onnx, "resize/min_dimension", (float)spec->min_dimension);
    int32_t result = scaled(onnx, size, least, side_of(onnx, "Min", size));
    if (spec->max_dimension > 0) {
        const int32_t most =
            det_onnx_float(onnx, "resize/max_dimension", (float)spec->max_dimension);
        const int32_t over = det_onnx_binary(onnx, "Greater", side_of(onnx, "Max", result), most);
        const int32_t smaller = scaled(onnx, size, most, side_of(onnx, "Max", size));
        det_onnx_open(onnx, "Where", 3, (const int32_t[]){over, smaller, result});
        result = det_onnx_close(onnx, NULL);
    }
    result = det_onnx_binary(onnx, "Max", result, det_onnx_float(onnx, "resize/least", 1));
    return det_onnx_binary(onnx, "Min", result, det_onnx_vector(onnx, "resize/most", 2, frame));
}

/* keep_aspect_ratio_resizer: the picture's own size, zeros behind it. */
static int32_t put_keep_aspect(struct det_onnx_job *o, int32_t x)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_model_spec *spec = &o->job->model->spec;
    const struct det_tensor in = o->job->inference.graph->tensors[0];
    const float frame[2] = {(float)spec->input_height, (float)spec->input_width};
    const int64_t input_size[2] = {in.height, in.width}, no_pads[6] = {0};
    const int64_t shape[4] = {o->batch == DET_ONNX_FREE ? 0 : o->batch, 3, in.height, in.width};
    const int32_t own = det_onnx_slice(onnx, det_onnx_unary(onnx, "Shape", x), 0, 2, 4, NULL);
    const int32_t size = keep_aspect_size(o, det_onnx_cast(onnx, own, DET_ONNX_FLOAT));
    const int32_t whole = det_onnx_cast(onnx, size, DET_ONNX_INT64);
    x = normalise(onnx, resize(onnx, x, with_batch(o, x, whole)));
    const int32_t behind =
        det_onnx_binary(onnx, "Sub", det_onnx_wholes(onnx, "pad/size", 2, input_size), whole);
    const int32_t none = det_onnx_wholes(onnx, "pad/none", 6, no_pads);
    x = pad(onnx, x, det_onnx_concat(onnx, 2, (const int32_t[]){none, behind}, 0, NULL));
    /* Nothing moves: from here on the size is known without running. */
    x = det_onnx_binary(onnx, "Reshape", x, det_onnx_wholes(onnx, "pad/shape", 4, shape));

    const int32_t corner =
        det_onnx_binary(onnx, "Div", size, det_onnx_vector(onnx, "window/frame", 2, frame));
    const int32_t origin = det_onnx_vector(onnx, "window/origin", 2, (const float[]){0, 0});
    o->window = det_onnx_concat(onnx, 2, (const int32_t[]){origin, corner}, 0, NULL);
    return x;
}

int32_t det_onnx_put_input(struct det_onnx_job *o)
{
    struct det_onnx *onnx = o->onnx;
    const struct det_tensor in = o->job->inference.graph->tensors[0];
    o->window = DET_ONNX_NO_VALUE;
    switch (o->job->settings.input) {
    case DET_EXPORT_INPUT_FLOAT_NCHW:
        return det_onnx_input(onnx, DET_ONNX_INPUT_NAME, DET_ONNX_FLOAT, 4,
                              (const int64_t[]){o->batch, 3, in.height, in.width}, float_names);
    case DET_EXPORT_INPUT_FLOAT_NHWC:
        return channels_first(
            onnx, det_onnx_input(onnx, DET_ONNX_INPUT_NAME, DET_ONNX_FLOAT, 4,
                                 (const int64_t[]){o->batch, in.height, in.width, 3}, float_names));
    default:
        break;
    }
    const int64_t shape[4] = {o->batch, DET_ONNX_FREE, DET_ONNX_FREE, 3};
    int32_t x = det_onnx_input(onnx, DET_ONNX_INPUT_NAME, DET_ONNX_UINT8, 4, shape, image_names);
    x = channels_first(onnx, det_onnx_cast(onnx, x, DET_ONNX_FLOAT));
    return o->job->model->spec.resize_mode == DET_RESIZE_FIXED ? put_fixed(o, x)
                                                               : put_keep_aspect(o, x);
}
