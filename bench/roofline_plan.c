#include "roofline_plan.h"

#include "../kernels/dwconv_plan.h"
#include "devices/cuda/cuda_q8_passes.h"

const struct roofline_gpu roofline_gpus[ROOFLINE_GPUS] = {
    {"H100", 3.35e12, 66.9e12, 989e12, 1979e12}, /* SXM5, HBM3 */
    {"H200", 4.8e12, 66.9e12, 989e12, 1979e12},  /* SXM */
    {"A100", 2.039e12, 19.5e12, 312e12, 624e12}, /* SXM4 80 GB */
    {"V100", 0.9e12, 15.7e12, 0, 0},             /* SXM2 */
};

double roofline_bound(const struct roofline_gpu *gpu, int32_t element, bool dense, double flops,
                      double bytes)
{
    const double peak = !dense || element == 4 ? gpu->f32 : element == 2 ? gpu->bf16 : gpu->int8;
    const double compute = peak > 0 ? flops / peak : 0, memory = bytes / gpu->bandwidth;
    return compute > memory ? compute : memory;
}

/* `l2` where it is not `bytes`. */
static void launch_by_l2(const struct roofline *s, const char *name, const char *what, bool dense,
                         double flops, double bytes, double fused, double l2)
{
    const struct roofline_launch one = {name, what, dense, flops, bytes, fused, l2};
    s->launch(s->user, &one);
}

static void launch(const struct roofline *s, const char *name, const char *what, bool dense,
                   double flops, double bytes, double fused)
{
    launch_by_l2(s, name, what, dense, flops, bytes, fused, bytes);
}

static double values_of(const struct roofline *s, int32_t tensor)
{
    return (double)det_net_rows(s->graph, tensor, s->batch) *
           (double)s->graph->tensors[tensor].channels;
}

/* Whether a tensor is the output of a batch norm: then its consumer can read the norm's input
 * instead. */
static bool before_norm(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++)
        if (g->ops[i].kind == DET_OP_BATCH_NORM && g->ops[i].in == tensor)
            return true;
    return false;
}

/* As find_late() of devices/cuda/cuda_net.c has it: depthwise convolutions activate, and in
 * training normalise, what they load. */
static bool only_depthwise_reads(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if ((op->in == tensor && op->kind != DET_OP_DWCONV) || op->in2 == tensor)
            return false;
    }
    return true;
}

static double conv_flops(const struct roofline *s, const struct det_op *op)
{
    const double taps = (double)op->kernel * (double)op->kernel;
    const double in = op->kind == DET_OP_CONV ? (double)s->graph->tensors[op->in].channels : 1;
    return 2 * taps * in * values_of(s, op->out);
}

/* --- depthwise: bytes from L2 --- */

/* Of `rows` rows of all images. */
static double bytes_of_rows(const struct roofline *s, const struct det_conv_shape *shape,
                            int32_t width, double rows)
{
    return rows * (double)shape->n * (double)width * (double)shape->in_c * (double)s->element;
}

static double depthwise_forward(const struct roofline *s, const struct det_op *op)
{
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, s->batch);
    const int32_t rows = dwconv_strip_rows(&shape, shape.out_h, dwconv_groups(shape.out_w));
    return bytes_of_rows(s, &shape, shape.in_w,
                         (double)dwconv_loaded_rows(&shape, shape.out_h, rows)) +
           bytes_of_rows(s, &shape, shape.out_w, shape.out_h);
}

/* Of stride 2 each row of inputs needs one row of outputs or two. */
static double depthwise_backward_data(const struct roofline *s, const struct det_op *op)
{
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, s->batch);
    const int32_t rows = dwconv_strip_rows(&shape, shape.in_h, dwconv_groups(shape.in_w));
    const double loaded =
        shape.stride == 1 ? (double)dwconv_loaded_rows(&shape, shape.in_h, rows) : 1.5 * shape.in_h;
    return bytes_of_rows(s, &shape, shape.out_w, loaded) +
           bytes_of_rows(s, &shape, shape.in_w, shape.in_h);
}

static double depthwise_backward_weight(const struct roofline *s, const struct det_op *op)
{
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, s->batch);
    const struct det_tile_sides sides =
        det_tile_sides_of(shape.in_c / DWCONV_WEIGHT_VECTOR, DWCONV_WEIGHT_LANES, DWCONV_THREADS);
    const int32_t rows = dwconv_weight_rows(&shape, dwconv_weight_groups(&sides));
    return bytes_of_rows(s, &shape, shape.in_w,
                         (double)dwconv_loaded_rows(&shape, shape.out_h, rows)) +
           bytes_of_rows(s, &shape, shape.out_w, shape.out_h);
}

/* A dense convolution in 8 bits, pass by pass: patches where it needs some, sums, and these in 8
 * bits, with the addition behind it where they are one. */
static void q8_convolution(const struct roofline *s, const struct det_op *op, double in,
                           double weights)
{
    const struct det_graph *g = s->graph;
    const int32_t index = (int32_t)(op - g->ops), taps = op->kernel * op->kernel;
    const struct det_op *addition = det_quantised_joins_next(g, index) ? op + 1 : NULL;
    const bool product = op->kernel == 1 && op->stride == 1;
    const int64_t rows = det_net_rows(g, op->out, s->batch);
    const int64_t sum_bytes = 4 * (int64_t)g->tensors[op->out].channels;
    const int64_t patch_bytes = product ? 0 : (int64_t)taps * g->tensors[op->in].channels;
    const int64_t passes =
        det_cuda_q8_passes(rows, sum_bytes > patch_bytes ? sum_bytes : patch_bytes);
    const double share = 1 / (double)passes, out = values_of(s, op->out) * share;
    const double patches = (double)patch_bytes * (double)rows * share, sums = 4 * out;
    const double flops = conv_flops(s, op) * share;
    double added = 0;
    if (addition != NULL)
        added = values_of(s, addition->in == op->out ? addition->in2 : addition->in) * share;
    in *= share;
    for (int64_t pass = 0; pass < passes; pass++) {
        if (!product)
            launch_by_l2(s, op->name, "im2col", false, 0, in, -1, in + patches);
        launch_by_l2(s, op->name, "convolution", true, flops, (product ? in : 0) + weights,
                     in + (pass == 0 ? weights : 0) + out,
                     (product ? in : patches) + weights + sums);
        launch_by_l2(s, op->name, addition == NULL ? "sums to 8 bits" : "sums to 8 bits, addition",
                     false, 0, out + added, added > 0 ? added : -1, sums + out + added);
    }
}

/* In 8 bits, the network's outputs in float32 as well. */
static void q8_forward_op(const struct roofline *s, const struct det_op *op)
{
    const double in = values_of(s, op->in), out = values_of(s, op->out);
    const double in2 = op->in2 >= 0 ? values_of(s, op->in2) : 0;
    const double weights = op->weight >= 0 ? (double)s->graph->params[op->weight].count : 0;
    const int32_t index = (int32_t)(op - s->graph->ops);
    if (op->kind == DET_OP_CONV)
        q8_convolution(s, op, in, weights);
    else if (op->kind == DET_OP_DWCONV) /* each row of outputs loads its rows of inputs */
        launch_by_l2(s, op->name, "depthwise", false, conv_flops(s, op), in + weights + out,
                     in + weights + out, in * op->kernel / op->stride + weights + out);
    else if (index == 0 || !det_quantised_joins_next(s->graph, index - 1))
        launch(s, op->name, "addition", false, out, in + in2 + out, in + in2 + out);
    if (det_graph_is_output(s->graph, op->out))
        launch(s, op->name, "to float32", false, 0, 5 * out, -1);
}

void roofline_forward_op(const struct roofline *s, const struct det_op *op)
{
    if (s->element == 1) {
        q8_forward_op(s, op);
        return;
    }
    const double e = (double)s->element;
    /* The network's outputs are float32. */
    const double in = values_of(s, op->in) * e;
    const double out = values_of(s, op->out) * (det_graph_is_output(s->graph, op->out) ? 4 : e);
    const double in2 = op->in2 >= 0 ? values_of(s, op->in2) * e : 0;
    const double weights = op->weight >= 0 ? (double)s->graph->params[op->weight].count * e : 0;
    const bool product = op->kernel == 1 && op->stride == 1;
    const double columns = (double)op->kernel * op->kernel * values_of(s, op->in) /
                           ((double)op->stride * op->stride) * e;
    switch (op->kind) {
    case DET_OP_CONV:
        if (!product)
            launch(s, op->name, "im2col", false, 0, in + columns, -1);
        launch(s, op->name, "convolution", true, conv_flops(s, op),
               (product ? in : columns) + weights + out, in + weights + out);
        if (op->act != DET_ACTIVATION_NONE && !only_depthwise_reads(s->graph, op->out))
            launch(s, op->name, "activation", false, 0, 2 * out, -1);
        break;
    case DET_OP_DWCONV:
        launch_by_l2(s, op->name, "depthwise", false, conv_flops(s, op), in + weights + out,
                     in + weights + out, depthwise_forward(s, op));
        break;
    case DET_OP_BATCH_NORM:
        launch(s, op->name, "statistics", false, 3 * values_of(s, op->in), in, -1);
        launch(s, op->name, "statistics, merging", false, 0, 0, -1);
        if (op->act == DET_ACTIVATION_NONE || !only_depthwise_reads(s->graph, op->out))
            launch(s, op->name, "normalisation", false, 2 * values_of(s, op->in), in + out, -1);
        break;
    case DET_OP_ADD:
    case DET_OP_UPSAMPLE_ADD:
        launch(s, op->name, "addition", false, values_of(s, op->out), in + in2 + out,
               in + in2 + out);
        break;
    }
}

/* A weights' gradient by our own kernel: outside of tensor cores, the patches read where they are,
 * partial sums written and added up. */
static void own_weight_gradient(const struct roofline *s, const struct det_op *op, double fused)
{
    const double in = values_of(s, op->in) * s->element, out = values_of(s, op->out) * s->element;
    const double count = (double)s->graph->params[op->weight].count;
    const double partial = DET_CUDA_WEIGHT_STRIPS * count * 4;
    launch(s, op->name, "weight gradient", false, conv_flops(s, op), in + out + partial, fused);
    launch(s, op->name, "weight gradient, total", false, 0, partial + count * 4, -1);
}

static bool is_own_weight_gradient(const struct roofline *s, const struct det_op *op)
{
    if (op->kind != DET_OP_CONV)
        return false;
    const struct det_conv_shape shape = det_net_conv_shape(s->graph, op, s->batch);
    const enum det_cuda_weight_way way =
        s->weight_way != NULL ? *s->weight_way : det_cuda_weight_way(&shape, s->element);
    return way != DET_CUDA_WEIGHT_LIBRARY;
}

void roofline_backward_op(const struct roofline *s, const struct det_op *op)
{
    const double e = (double)s->element;
    const double in = values_of(s, op->in) * e, out = values_of(s, op->out) * e;
    const double count = op->weight >= 0 ? (double)s->graph->params[op->weight].count : 0;
    const bool product = op->kernel == 1 && op->stride == 1, dense = op->kind == DET_OP_CONV;
    const double columns = (double)op->kernel * op->kernel * values_of(s, op->in) /
                           ((double)op->stride * op->stride) * e;
    /* Gradient of a normalised output: its own gradient and the norm's input. */
    const double gradient = before_norm(s->graph, op->out) ? 2 * out : out;
    switch (op->kind) {
    case DET_OP_CONV:
    case DET_OP_DWCONV:
        if (op->bias >= 0)
            launch(s, op->name, "bias gradient", false, 0, out, -1);
        if (is_own_weight_gradient(s, op)) {
            own_weight_gradient(s, op, in + gradient + count * 4);
        } else {
            if (dense && !product)
                launch(s, op->name, "im2col", false, 0, in + columns, -1);
            const double read = (dense && !product ? columns : in) + out + count * 4;
            launch_by_l2(s, op->name, "weight gradient", dense, conv_flops(s, op), read,
                         in + gradient + count * 4,
                         dense ? read : depthwise_backward_weight(s, op));
        }
        if (op->in != 0)
            launch_by_l2(s, op->name, "input gradient", dense, conv_flops(s, op),
                         in + out + count * e, in + gradient + count * e,
                         dense ? in + out + count * e : depthwise_backward_data(s, op));
        break;
    case DET_OP_BATCH_NORM:
        launch(s, op->name, "sums", false, 6 * values_of(s, op->in), in + out, in);
        launch(s, op->name, "sums, merging", false, 0, 0, -1);
        launch(s, op->name, "input gradient", false, 6 * values_of(s, op->in), in + out + in, -1);
        break;
    case DET_OP_ADD:
        launch(s, NULL, "gradient", false, 0, out + in, -1);
        break;
    case DET_OP_UPSAMPLE_ADD:
        launch(s, NULL, "gradient", false, values_of(s, op->out), out + in, out + in);
        break;
    }
}

/* Pictures of the network's size, a byte a value. Larger ones bring up to four bytes, whoever
 * resizes them. */
double roofline_host_bytes(const struct roofline *s)
{
    return values_of(s, 0);
}

/* kernels/postprocess.cu: LISTED candidates of a class at most are walked down, in about two rounds
 * of four passes. */
static void candidates(const struct roofline *s)
{
    const double anchors = (double)s->batch * (double)s->graph->anchor_count;
    const double classes = (double)s->graph->class_slots - 1, lists = (double)s->batch * classes;
    const double bins = lists * 2048 * 4, scores = anchors * classes * 4;
    const double logits = anchors * (classes + 1) * 4, encodings = anchors * 16;
    const int32_t listed = s->graph->anchor_count < 4096 ? s->graph->anchor_count : 4096;
    const double keys = lists * listed * 8, spans = (s->graph->anchor_count + 2047) / 2048;
    launch(s, NULL, "counters to zero", false, 0, bins, -1);
    launch(s, NULL, "candidates", false, 0, logits + encodings + scores, logits + encodings);
    launch(s, NULL, "candidates, counting", false, 0, scores + bins, -1);
    launch_by_l2(s, NULL, "candidates, the best", false, 0, scores + bins + keys, -1,
                 scores + spans * bins + keys);
    launch_by_l2(s, NULL, "suppression", false, 0, keys, 0, 8 * keys);
}

void roofline_around(const struct roofline *s)
{
    const struct det_graph *g = s->graph;
    const double e = (double)s->element, params = (double)g->param_floats;
    const double anchors = (double)s->batch * (double)g->anchor_count;
    const double outputs = anchors * (double)(g->class_slots + 4);
    const double pixels = values_of(s, 0);
    launch(s, NULL, s->training ? "pictures to input" : "picture to input", false, 0,
           roofline_host_bytes(s) + pixels * e, roofline_host_bytes(s) + pixels * e);
    launch(s, NULL, "outputs to one array", false, 0, outputs * 8, -1);
    if (!s->training) {
        candidates(s);
        launch(s, NULL, "merging", false, 0, 0, 0);
        return;
    }
    const double targets = anchors * 4 * (1 + 1 + 1 + 1 + 4);
    launch(s, NULL, "matching", false, 0, anchors * (16 + 4), anchors * 16);
    launch(s, NULL, "encoding", false, 0, anchors * (16 + 4) + targets, targets);
    launch(s, NULL, "matches, total", false, 0, 0, 0);
    launch(s, NULL, "losses", false, 0, targets + outputs * 8, targets + outputs * (4 + e));
    launch(s, NULL, "losses, total", false, 0, 0, 0);
    launch(s, NULL, "gradients to levels", false, 0, outputs * (e + 4), -1);
    launch(s, NULL, "weight decay and norm", false, 0, params * 12, params * 8);
    launch(s, NULL, "norm, total", false, 0, 0, 0);
    launch(s, NULL, "update", false, 0, params * 20, params * 20);
    launch(s, NULL, "moving statistics", false, 0, 0, 0);
    if (s->element == 2)
        launch(s, NULL, "bf16 copy of the weights", false, 0, params * 6, params * 2);
}
