/* ncnn.c: the network as ncnn's .param (layers as text) and .bin (weights), beside a list of
 * labels.
 *
 *   input      3 x H x W, resized and normalised to -1 .. 1
 *   encodings  A rows of 4, scores A rows of K without the background's, anchors A rows of 4
 *
 * .param: "7767517", counts of layers and blobs, then a layer a line: type, name, counts, blobs
 * read, blobs made, NUMBER=VALUE parameters (github.com/Tencent/ncnn,
 * docs/developer-guide/operators.md). .bin, in the order of the layers: of a convolution a u32, 0
 * for float32 and 0x01306B47 for half precision, weights [out][in][kh][kw], of halves up to a
 * multiple of 4 bytes, then float32 biases.
 *
 * ncnn lets a blob be read once: where the network reads one more often there is a Split. Layers
 * share no weights, so the head's are there once for each level.
 */
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "export/export.h"
#include "export/ncnn.h"
#include "model/net_plan.h"
#include "support/mem.h"

/* The network while it is written. */
struct network {
    struct det_env *env;
    const struct det_export_job *job;
    const struct det_graph *graph;
    struct det_text layers; /* their lines */
    struct det_text *weights;
    int32_t layer_count, blob_count;
    int32_t *readers, *reads; /* [tensor_count] of a tensor; of them so far */
};

static det_status check(struct det_env *env, const det_export_settings *s)
{
    if (s->outputs != DET_EXPORT_OUTPUTS_RAW)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format ncnn gives raw outputs, encodings and scores: ncnn has no "
                        "suppression that keeps to the API's");
    if (s->input != DET_EXPORT_INPUT_FLOAT_NCHW)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format ncnn takes float NCHW: pictures are resized and normalised by "
                        "ncnn::Mat");
    if (s->batch != 1)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format ncnn takes one image at once, not %d%s", s->batch,
                        s->batch == 0 ? " (any number)" : "");
    if (s->score_threshold >= 0 || s->iou_threshold >= 0 || s->max_detections > 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "format ncnn has no thresholds: suppression is the program's");
    return DET_OK;
}

/* --- weights --- */

static det_status put_u32(struct network *n, uint32_t value)
{
    char bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(value >> (8 * i));
    return det_text_append(n->env, n->weights, bytes, sizeof bytes);
}

static det_status put_float(struct network *n, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put_u32(n, bits);
}

/* Value `i` of [out][in][taps] of a kernel [taps][in][out], of a depthwise one [taps][out]. */
static float kernel_value(const struct det_param *param, const float *values, size_t i)
{
    const bool depthwise = param->role == DET_PARAM_DEPTHWISE;
    const size_t taps = (size_t)param->shape[0] * (size_t)param->shape[1];
    const size_t in = depthwise ? 1 : (size_t)param->shape[2];
    const size_t out = depthwise ? (size_t)param->shape[2] : (size_t)param->shape[3];
    const size_t tap = i % taps, channel = i / taps % in, result = i / taps / in;
    return values[(tap * in + channel) * out + result];
}

static det_status put_halves(struct network *n, const struct det_param *param, const float *values)
{
    DET_TRY_RETURN(put_u32(n, DET_NCNN_HALVES));
    for (size_t i = 0; i < param->count; i += 2) {
        uint32_t both = det_float_to_half(kernel_value(param, values, i));
        if (i + 1 < param->count)
            both |= (uint32_t)det_float_to_half(kernel_value(param, values, i + 1)) << 16;
        DET_TRY_RETURN(put_u32(n, both));
    }
    return DET_OK;
}

static det_status put_kernel(struct network *n, const struct det_param *param)
{
    const float *values = n->job->inference.params + param->offset;
    if (n->job->settings.precision == DET_EXPORT_FLOAT16)
        return put_halves(n, param, values);
    DET_TRY_RETURN(put_u32(n, 0));
    for (size_t i = 0; i < param->count; i++)
        DET_TRY_RETURN(put_float(n, kernel_value(param, values, i)));
    return DET_OK;
}

static det_status put_bias(struct network *n, const struct det_param *param)
{
    const float *values = n->job->inference.params + param->offset;
    for (size_t i = 0; i < param->count; i++)
        DET_TRY_RETURN(put_float(n, values[i]));
    return DET_OK;
}

/* --- layers --- */

/* Begins a layer's line: the blobs that it makes are counted. */
static det_status open_layer(struct network *n, const char *type, const char *name, int32_t in,
                             int32_t out)
{
    n->layer_count++;
    n->blob_count += out;
    return det_text_printf(n->env, &n->layers, "%s %s %d %d", type, name, in, out);
}

static const char *tensor_name(int32_t tensor, char buffer[32])
{
    if (tensor == 0)
        return "input";
    snprintf(buffer, 32, "t%d", tensor);
    return buffer;
}

/* The blob by which a layer reads a tensor: its own, or the next of its Split. */
static det_status put_read(struct network *n, int32_t tensor)
{
    char name[32];
    tensor_name(tensor, name);
    return n->readers[tensor] > 1
               ? det_text_printf(n->env, &n->layers, " %s_%d", tensor_name(tensor, name),
                                 n->reads[tensor]++)
               : det_text_printf(n->env, &n->layers, " %s", tensor_name(tensor, name));
}

/* Behind the layer that makes a tensor. */
static det_status put_split(struct network *n, int32_t tensor)
{
    char blob[32], name[48];
    const int32_t readers = n->readers[tensor];
    if (readers < 2)
        return DET_OK;
    const char *from = tensor_name(tensor, blob);
    snprintf(name, sizeof name, "split_%s", from);
    DET_TRY_RETURN(open_layer(n, "Split", name, 1, readers));
    DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " %s", from));
    for (int32_t i = 0; i < readers; i++)
        DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " %s_%d", from, i));
    return det_text_printf(n->env, &n->layers, "\n");
}

static int32_t pad_end(int32_t in, int32_t out, int32_t kernel, int32_t stride, int32_t pad_begin)
{
    const int32_t end = (out - 1) * stride + kernel - in - pad_begin;
    return end > 0 ? end : 0;
}

static det_status put_convolution(struct network *n, const struct det_op *op, int32_t number)
{
    const struct det_conv_shape s = det_net_conv_shape(n->graph, op, 1);
    const struct det_param *weight = &n->graph->params[op->weight];
    const bool depthwise = op->kind == DET_OP_DWCONV;
    const int32_t bottom = pad_end(s.in_h, s.out_h, s.kernel_h, s.stride, s.pad_top);
    const int32_t right = pad_end(s.in_w, s.out_w, s.kernel_w, s.stride, s.pad_left);
    struct det_text *line = &n->layers;
    char name[32], out[32];
    snprintf(name, sizeof name, "conv%d", number);
    DET_TRY_RETURN(open_layer(n, depthwise ? "ConvolutionDepthWise" : "Convolution", name, 1, 1));
    DET_TRY_RETURN(put_read(n, op->in));
    DET_TRY_RETURN(det_text_printf(
        n->env, line, " %s 0=%d 1=%d 11=%d 3=%d 4=%d 14=%d 15=%d 16=%d 5=%d 6=%zu",
        tensor_name(op->out, out), n->graph->tensors[op->out].channels, s.kernel_w, s.kernel_h,
        s.stride, s.pad_left, s.pad_top, right, bottom, op->bias >= 0, weight->count));
    if (depthwise)
        DET_TRY_RETURN(det_text_printf(n->env, line, " 7=%d", s.in_c));
    if (op->act == DET_ACTIVATION_RELU6)
        DET_TRY_RETURN(det_text_printf(n->env, line, " 9=3 -23310=2,0.0,6.0"));
    DET_TRY_RETURN(det_text_printf(n->env, line, "\n"));
    DET_TRY_RETURN(put_kernel(n, weight));
    return op->bias >= 0 ? put_bias(n, &n->graph->params[op->bias]) : DET_OK;
}

static det_status put_add(struct network *n, const struct det_op *op, int32_t number,
                          const char *first)
{
    char name[32], out[32];
    snprintf(name, sizeof name, "add%d", number);
    DET_TRY_RETURN(open_layer(n, "BinaryOp", name, 2, 1));
    if (first != NULL)
        DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " %s", first));
    else
        DET_TRY_RETURN(put_read(n, op->in));
    DET_TRY_RETURN(put_read(n, op->in2));
    return det_text_printf(n->env, &n->layers, " %s 0=0\n", tensor_name(op->out, out));
}

static det_status put_upsample_add(struct network *n, const struct det_op *op, int32_t number)
{
    const struct det_tensor in = n->graph->tensors[op->in], out = n->graph->tensors[op->out];
    char up[32], cut[32];
    snprintf(up, sizeof up, "up%d", number);
    snprintf(cut, sizeof cut, "cut%d", number);
    DET_TRY_RETURN(open_layer(n, "Interp", up, 1, 1));
    DET_TRY_RETURN(put_read(n, op->in));
    DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " %s 0=1 1=2.0 2=2.0\n", up));
    if (out.height == 2 * in.height && out.width == 2 * in.width)
        return put_add(n, op, number, up);
    DET_TRY_RETURN(open_layer(n, "Crop", cut, 1, 1));
    DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " %s %s 0=0 1=0 2=0 3=%d 4=%d 5=%d\n", up,
                                   cut, out.width, out.height, out.channels));
    return put_add(n, op, number, cut);
}

static det_status put_op(struct network *n, const struct det_op *op, int32_t number)
{
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        return put_convolution(n, op, number);
    case DET_OP_ADD:
        return put_add(n, op, number, NULL);
    case DET_OP_UPSAMPLE_ADD:
        return put_upsample_add(n, op, number);
    default: /* a folded graph has no other */
        return det_fail(n->env, DET_STATUS_INTERNAL, "ncnn: `%s` is not folded", op->name);
    }
}

/* All levels' outputs, a * columns channels each, as one blob of rows of `columns`. */
static det_status put_levels(struct network *n, const int32_t *outputs, int32_t columns,
                             const char *name)
{
    struct det_text *line = &n->layers;
    char part[48];
    for (int32_t l = 0; l < n->graph->levels; l++) {
        snprintf(part, sizeof part, "%s%d_hwc", name, l);
        DET_TRY_RETURN(open_layer(n, "Permute", part, 1, 1));
        DET_TRY_RETURN(put_read(n, outputs[l]));
        DET_TRY_RETURN(det_text_printf(n->env, line, " %s 0=3\n", part));
        snprintf(part, sizeof part, "%s%d", name, l);
        DET_TRY_RETURN(open_layer(n, "Reshape", part, 1, 1));
        DET_TRY_RETURN(
            det_text_printf(n->env, line, " %s_hwc %s 0=%d 1=-1\n", part, part, columns));
    }
    DET_TRY_RETURN(open_layer(n, "Concat", name, n->graph->levels, 1));
    for (int32_t l = 0; l < n->graph->levels; l++)
        DET_TRY_RETURN(det_text_printf(n->env, line, " %s%d", name, l));
    return det_text_printf(n->env, line, " %s 0=0\n", name);
}

static det_status put_scores(struct network *n)
{
    struct det_text *line = &n->layers;
    DET_TRY_RETURN(put_levels(n, n->graph->class_outputs, n->graph->class_slots, "classes"));
    /* The first column is the background's, which no score is made of. */
    DET_TRY_RETURN(open_layer(n, "Crop", "logits", 1, 1));
    DET_TRY_RETURN(det_text_printf(n->env, line, " classes logits 0=1 1=0 2=0 3=%d 4=%d 5=1\n",
                                   n->graph->class_slots - 1, n->graph->anchor_count));
    DET_TRY_RETURN(open_layer(n, "Sigmoid", "scores", 1, 1));
    return det_text_printf(n->env, line, " logits scores\n");
}

static det_status put_anchors(struct network *n)
{
    DET_TRY_RETURN(open_layer(n, "MemoryData", "anchors", 0, 1));
    DET_TRY_RETURN(
        det_text_printf(n->env, &n->layers, " anchors 0=4 1=%d\n", n->job->inference.anchor_count));
    for (int32_t a = 0; a < n->job->inference.anchor_count; a++)
        for (int c = 0; c < 4; c++)
            DET_TRY_RETURN(put_float(n, n->job->inference.anchors[a][c]));
    return DET_OK;
}

static void count_readers(struct network *n)
{
    const struct det_graph *g = n->graph;
    for (int32_t i = 0; i < g->op_count; i++) {
        n->readers[g->ops[i].in]++;
        if (g->ops[i].in2 >= 0)
            n->readers[g->ops[i].in2]++;
    }
    for (int32_t l = 0; l < g->levels; l++) {
        n->readers[g->box_outputs[l]]++;
        n->readers[g->class_outputs[l]]++;
    }
}

static det_status put_network(struct network *n)
{
    const struct det_tensor input = n->graph->tensors[0];
    DET_TRY_RETURN(open_layer(n, "Input", "input", 0, 1));
    DET_TRY_RETURN(det_text_printf(n->env, &n->layers, " input 0=%d 1=%d 2=%d\n", input.width,
                                   input.height, input.channels));
    DET_TRY_RETURN(put_split(n, 0));
    for (int32_t i = 0; i < n->graph->op_count; i++) {
        DET_TRY_RETURN(put_op(n, &n->graph->ops[i], i));
        DET_TRY_RETURN(put_split(n, n->graph->ops[i].out));
    }
    DET_TRY_RETURN(put_levels(n, n->graph->box_outputs, 4, "encodings"));
    DET_TRY_RETURN(put_scores(n));
    return put_anchors(n);
}

/* A class a line, in the order of the scores' columns; an id without a class has an empty one. */
static det_status put_labels(struct det_env *env, const det_model *model, struct det_text *text)
{
    for (int32_t id = 1; id <= det_model_class_count(model); id++) {
        const size_t start = text->length;
        if (det_model_class_is_used(model, id))
            DET_TRY_RETURN(det_text_utf8(env, text, det_model_class_name(model, id)));
        for (size_t i = start; i < text->length; i++)
            if ((unsigned char)text->data[i] < ' ')
                text->data[i] = ' ';
        DET_TRY_RETURN(det_text_append(env, text, "\n", 1));
    }
    return DET_OK;
}

static det_status describe(const struct network *n, struct det_text *signature)
{
    const struct det_tensor input = n->graph->tensors[0];
    return det_text_printf(
        n->env, signature,
        "input: float32 [3, %d, %d], normalised to -1 .. 1\nencodings: float32 [%d, 4]\nscores: "
        "float32 [%d, %d]\nanchors: float32 [%d, 4]\n",
        input.height, input.width, n->graph->anchor_count, n->graph->anchor_count,
        n->graph->class_slots - 1, n->graph->anchor_count);
}

static det_status write_ncnn(struct det_env *env, const struct det_export_job *job,
                             struct det_export *exported)
{
    struct network n = {.env = env, .job = job, .graph = job->inference.graph};
    struct det_text *labels = NULL, *param = NULL;
    const char *name = job->settings.name;
    const size_t tensors = (size_t)n.graph->tensor_count;
    det_status status = DET_OK;
    DET_TRY(check(env, &job->settings));
    DET_TRY(det_export_add_file(env, exported, name, ".bin", &n.weights));
    DET_TRY(det_export_add_file(env, exported, name, ".labels.txt", &labels));
    DET_TRY(det_export_add_file(env, exported, name, ".param", &param));
    DET_TRY(det_alloc(env, &n.readers, tensors, sizeof *n.readers, "ncnn blobs"));
    DET_TRY(det_alloc(env, &n.reads, tensors, sizeof *n.reads, "ncnn blobs"));
    count_readers(&n);
    DET_TRY(put_network(&n));
    DET_TRY(det_text_printf(env, param, DET_NCNN_MAGIC "\n%d %d\n", n.layer_count, n.blob_count));
    DET_TRY(det_text_append(env, param, n.layers.data, n.layers.length));
    DET_TRY(put_labels(env, job->model, labels));
    DET_TRY(describe(&n, &exported->signature));
fail:
    det_text_free(env, &n.layers);
    det_free(env, &n.readers);
    det_free(env, &n.reads);
    return status;
}

const struct det_export_writer det_export_ncnn = {
    .format = {.struct_size = sizeof(det_export_format),
               .name = "ncnn",
               .description = "ncnn: phones and small boards, CPU and Vulkan",
               .files = "NAME.bin, NAME.labels.txt, NAME.param"},
    .outputs = DET_EXPORT_OUTPUTS_RAW,
    .input = DET_EXPORT_INPUT_FLOAT_NCHW,
    .write = write_ncnn,
    .read = det_read_ncnn,
    .prove = det_prove_ncnn_anchors,
};
