#include "export/proof.h"

#include <string.h>

#include "base/half.h"
#include "export/proof_parts.h"
#include "model/net_plan.h"
#include "model/quantised.h"
#include "support/mem.h"

/* Where comparing the convolutions has come to. */
struct walk {
    struct det_env *env;
    const struct det_export_job *job;
    const struct det_program *program;
    float *params;
    int32_t node; /* of the last convolution */
    int32_t tensors;
};

static const struct det_node *next_convolution(struct walk *w)
{
    while (++w->node < w->program->node_count)
        if (w->program->nodes[w->node].kind == DET_NODE_CONV ||
            w->program->nodes[w->node].kind == DET_NODE_Q8_CONV)
            return &w->program->nodes[w->node];
    return NULL;
}

const struct det_node *det_proof_reader(const struct det_program *program, int32_t value)
{
    const struct det_node *reader = NULL;
    int32_t readers = 0;
    for (int32_t n = 0; n < program->node_count; n++)
        for (int32_t i = 0; i < program->nodes[n].in_count; i++)
            if (program->nodes[n].in[i] == value) {
                reader = &program->nodes[n];
                readers++;
            }
    return readers == 1 ? reader : NULL;
}

/* A convolution's own, or that of a clip which alone reads its result. */
static enum det_activation activation_of(const struct det_program *program,
                                         const struct det_node *conv)
{
    const struct det_node *reader = det_proof_reader(program, conv->out[0]);
    if (conv->conv.act == DET_ACTIVATION_NONE && reader != NULL && reader->kind == DET_NODE_CLIP &&
        reader->clip.low == 0 && reader->clip.high == 6)
        return DET_ACTIVATION_RELU6;
    return conv->conv.act;
}

/* Zeros behind the last row or column, as SAME has them. */
static int32_t pad_end(int32_t in, int32_t out, int32_t kernel, int32_t stride, int32_t pad_begin)
{
    const int32_t end = (out - 1) * stride + kernel - in - pad_begin;
    return end > 0 ? end : 0;
}

/* In the form QDQ the range of the 8 bits may do the same; a node in 8 bits has its own. */
static enum det_activation wanted_activation(const struct det_export_job *job, int32_t index,
                                             const struct det_node *node)
{
    return node->kind == DET_NODE_Q8_CONV ? job->inference.graph->ops[index].act
                                          : det_proof_activation(job, index);
}

static det_status compare_convolution(const struct walk *w, int32_t index,
                                      const struct det_node *node)
{
    const struct det_op *op = &w->job->inference.graph->ops[index];
    const struct det_conv_shape s = det_net_conv_shape(w->job->inference.graph, op, 1);
    const int32_t wanted[] = {op->kind == DET_OP_DWCONV,
                              op->stride,
                              s.pad_top,
                              s.pad_left,
                              pad_end(s.in_h, s.out_h, s.kernel_h, s.stride, s.pad_top),
                              pad_end(s.in_w, s.out_w, s.kernel_w, s.stride, s.pad_left),
                              (int32_t)wanted_activation(w->job, index, node)};
    const int32_t got[] = {node->conv.depthwise,
                           node->conv.stride,
                           node->conv.pad_top,
                           node->conv.pad_left,
                           node->conv.pad_bottom,
                           node->conv.pad_right,
                           activation_of(w->program, node)};
    static const char *const names[] = {"depthwise",
                                        "stride",
                                        "padding above",
                                        "padding on the left",
                                        "padding below",
                                        "padding on the right",
                                        "ReLU6 (0: no, 1: yes)"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (got[i] != wanted[i])
            return det_fail(w->env, DET_STATUS_MISMATCH,
                            "convolution `%s` (%s): %s is %d, the network has %d", node->name,
                            op->name, names[i], got[i], wanted[i]);
    return DET_OK;
}

/* Whether a file's value stands for the network's. */
static bool stands_for(const struct det_export_job *job, float got, float wanted)
{
    return got == wanted || (job->settings.precision == DET_EXPORT_FLOAT16 &&
                             got == det_half_to_float(det_float_to_half(wanted)));
}

/* The constant behind an input, of the type and shape of a parameter. */
static det_status find_tensor(const struct walk *w, const struct det_node *node, int32_t input,
                              bool whole, const struct det_param *param,
                              const struct det_array **array)
{
    const struct det_array *got = det_program_constant(w->program, node, input);
    if (got == NULL || got->whole != whole)
        return det_fail(w->env, DET_STATUS_MISMATCH,
                        "convolution `%s`: it has no %s of its own, the network has `%s`",
                        node->name, input == 1 ? "weights" : "bias", param->key);
    bool fits = got->dims == param->dims;
    for (int32_t d = 0; fits && d < got->dims; d++)
        fits = got->shape[d] == param->shape[d];
    if (!fits)
        return det_fail(w->env, DET_STATUS_MISMATCH,
                        "convolution `%s`: %s has another shape than the network's `%s`",
                        node->name, w->program->values[node->in[input]].name, param->key);
    *array = got;
    return DET_OK;
}

static det_status compare_tensor(struct walk *w, const struct det_node *node, int32_t input,
                                 const struct det_param *param)
{
    const struct det_array *got = NULL;
    DET_TRY_RETURN(find_tensor(w, node, input, false, param, &got));
    const float *wanted = w->job->inference.params + param->offset;
    for (size_t i = 0; i < got->count; i++)
        if (!stands_for(w->job, got->floats[i], wanted[i]))
            return det_fail(w->env, DET_STATUS_MISMATCH,
                            "%s: value %zu is %.9g, the network's `%s` has %.9g",
                            w->program->values[node->in[input]].name, i, (double)got->floats[i],
                            param->key, (double)wanted[i]);
    memcpy(w->params + param->offset, got->floats, got->count * sizeof *got->floats);
    w->tensors++;
    return DET_OK;
}

/* Where the network has no bias a file may have one of zeros. */
static det_status compare_no_bias(const struct walk *w, const struct det_node *node)
{
    if (node->in_count < 3 || node->in[2] < 0)
        return DET_OK;
    const struct det_array *got = det_program_constant(w->program, node, 2);
    bool zeros = got != NULL && !got->whole;
    for (size_t i = 0; zeros && i < got->count; i++)
        zeros = got->floats[i] == 0;
    if (zeros)
        return DET_OK;
    return det_fail(w->env, DET_STATUS_MISMATCH,
                    "convolution `%s`: it has a bias, the network has none", node->name);
}

/* --- in 8 bits --- */

static det_status compare_scale(const struct walk *w, const struct det_node *node, const char *what,
                                struct det_q8_tensor got, struct det_q8_tensor wanted)
{
    if (got.scale == wanted.scale && got.zero == wanted.zero)
        return DET_OK;
    return det_fail(w->env, DET_STATUS_MISMATCH,
                    "`%s`: its %s has scale %.9g and zero %d, the network %.9g and %d", node->name,
                    what, (double)got.scale, got.zero, (double)wanted.scale, wanted.zero);
}

static det_status compare_q8_weights(struct walk *w, const struct det_op *op,
                                     const struct det_node *node)
{
    const struct det_param *param = &w->job->inference.graph->params[op->weight];
    const struct det_q8_weights *wanted = &w->job->inference.quantised->weights[op->weight];
    const struct det_array *got = NULL, *scales = det_program_constant(w->program, node, 3);
    const size_t channels = (size_t)det_param_channels(param);
    DET_TRY_RETURN(find_tensor(w, node, 1, true, param, &got));
    for (size_t i = 0; i < got->count; i++)
        if (got->wholes[i] != wanted->values[i])
            return det_fail(w->env, DET_STATUS_MISMATCH,
                            "%s: value %zu is %lld, the network's `%s` has %d",
                            w->program->values[node->in[1]].name, i, (long long)got->wholes[i],
                            param->key, wanted->values[i]);
    if (scales == NULL || scales->whole || scales->count != channels ||
        memcmp(scales->floats, wanted->scales, channels * sizeof(float)) != 0)
        return det_fail(w->env, DET_STATUS_MISMATCH,
                        "convolution `%s`: the scales of its weights are not those of `%s`",
                        node->name, param->key);
    w->tensors++;
    return DET_OK;
}

static det_status compare_q8_bias(struct walk *w, const struct det_op *op,
                                  const struct det_node *node)
{
    const struct det_inference *inference = &w->job->inference;
    const struct det_array *got = det_program_constant(w->program, node, 2);
    const size_t channels = (size_t)inference->graph->tensors[op->out].channels;
    struct det_q8_layer layer = {0};
    if (got == NULL || !got->whole || got->count != channels)
        return det_fail(w->env, DET_STATUS_MISMATCH, "convolution `%s`: it has no %zu whole biases",
                        node->name, channels);
    DET_TRY_RETURN(det_q8_layer_create(w->env, inference->graph, inference->quantised,
                                       inference->params, (int32_t)(op - inference->graph->ops),
                                       &layer));
    det_status status = DET_OK;
    for (size_t c = 0; status == DET_OK && c < channels; c++)
        if (got->wholes[c] != layer.bias[c])
            status = det_fail(w->env, DET_STATUS_MISMATCH,
                              "convolution `%s`: bias %zu is %lld, the network has %d", node->name,
                              c, (long long)got->wholes[c], layer.bias[c]);
    det_q8_layer_free(w->env, &layer);
    w->tensors++;
    return status;
}

static det_status compare_q8_op(struct walk *w, const struct det_op *op,
                                const struct det_node *node)
{
    const struct det_quantised *q = w->job->inference.quantised;
    DET_TRY_RETURN(compare_scale(w, node, "input", node->q8.in, q->tensors[op->in]));
    DET_TRY_RETURN(compare_scale(w, node, "result", node->q8.out, q->tensors[op->out]));
    DET_TRY_RETURN(compare_q8_weights(w, op, node));
    return compare_q8_bias(w, op, node);
}

/* --- all --- */

static det_status compare_op(struct walk *w, int32_t index)
{
    const struct det_inference *inference = &w->job->inference;
    const struct det_graph *graph = inference->graph;
    const struct det_op *op = &graph->ops[index];
    const bool eight_bits = inference->quantised != NULL && inference->quantised->eight_bits[index];
    const struct det_node *node = next_convolution(w);
    if (node == NULL)
        return det_fail(w->env, DET_STATUS_MISMATCH, "there is no convolution for `%s`", op->name);
    DET_TRY_RETURN(compare_convolution(w, index, node));
    if (node->kind == DET_NODE_Q8_CONV && !eight_bits)
        return det_fail(w->env, DET_STATUS_MISMATCH,
                        "convolution `%s` is in 8 bits, `%s` is in float32", node->name, op->name);
    if (node->kind == DET_NODE_Q8_CONV)
        return compare_q8_op(w, op, node);
    if (eight_bits)
        return det_proof_eight_bits(w->env, w->job, w->program, index, node, &w->tensors);
    DET_TRY_RETURN(compare_tensor(w, node, 1, &graph->params[op->weight]));
    if (op->bias < 0)
        return compare_no_bias(w, node);
    return compare_tensor(w, node, 2, &graph->params[op->bias]);
}

/* The network's suppression and a node's. */
static det_status compare_thresholds(struct det_env *env, const struct det_export_job *job,
                                     const struct det_program *program, const struct det_node *node)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    float score = 0, iou = 0;
    if (node->kind == DET_NODE_DETECTIONS) {
        score = node->detections.score_threshold;
        iou = node->detections.iou_threshold;
    } else if (node->kind == DET_NODE_EFFICIENT_NMS) {
        score = node->efficient_nms.score_threshold;
        iou = node->efficient_nms.iou_threshold;
    } else {
        const struct det_array *iou_array = det_program_constant(program, node, 3);
        const struct det_array *score_array = det_program_constant(program, node, 4);
        if (iou_array == NULL || score_array == NULL || iou_array->whole || score_array->whole ||
            iou_array->count != 1 || score_array->count != 1)
            return det_fail(env, DET_STATUS_CORRUPT, "node `%s`: its thresholds are no constants",
                            node->name);
        iou = iou_array->floats[0];
        score = score_array->floats[0];
    }
    if (score == p->score_threshold && iou == p->iou_threshold)
        return DET_OK;
    return det_fail(env, DET_STATUS_MISMATCH,
                    "node `%s`: thresholds of %.9g for scores and %.9g for IoU, expected %.9g and "
                    "%.9g",
                    node->name, (double)score, (double)iou, (double)p->score_threshold,
                    (double)p->iou_threshold);
}

/* Of a suppression that has them in itself: comparing detections would not see that there is room
 * for fewer. One class needs no limit of its own. */
static det_status compare_limits(struct det_env *env, const struct det_export_job *job,
                                 const struct det_node *node)
{
    const struct det_postprocess_settings *p = &job->inference.postprocess;
    const int32_t classes = job->inference.graph->class_slots - 1;
    const bool one = classes == 1;
    const int32_t limit = one && p->max_detections_per_class < p->max_total_detections
                              ? p->max_detections_per_class
                              : p->max_total_detections;
    if (node->detections.classes == classes && node->detections.limit == limit &&
        node->detections.class_limit == p->max_detections_per_class &&
        node->detections.across_classes == (one || job->settings.fast_nms != 0))
        return DET_OK;
    return det_fail(env, DET_STATUS_MISMATCH,
                    "node `%s`: %d detections, %d of each of %d classes%s; expected %d, %d of each "
                    "of %d",
                    node->name, node->detections.limit, node->detections.class_limit,
                    node->detections.classes,
                    node->detections.across_classes ? ", suppressed across them" : "", limit,
                    p->max_detections_per_class, classes);
}

static det_status compare_suppression(struct det_env *env, const struct det_export_job *job,
                                      const struct det_program *program,
                                      const struct det_node *node)
{
    if (node->kind != DET_NODE_NMS && node->kind != DET_NODE_EFFICIENT_NMS &&
        node->kind != DET_NODE_DETECTIONS)
        return DET_OK;
    DET_TRY_RETURN(compare_thresholds(env, job, program, node));
    return node->kind == DET_NODE_DETECTIONS ? compare_limits(env, job, node) : DET_OK;
}

det_status det_proof_structure(struct det_env *env, const struct det_export_job *job,
                               const struct det_program *program, float **params, int32_t *tensors)
{
    const struct det_graph *graph = job->inference.graph;
    det_status status = DET_OK;
    struct walk w = {.env = env, .job = job, .program = program, .node = -1};
    DET_TRY(det_alloc(env, &w.params, graph->param_floats, sizeof *w.params, "proof"));
    /* What is in 8 bits is equal, or it is a mismatch. */
    if (job->inference.quantised != NULL)
        memcpy(w.params, job->inference.params, graph->param_floats * sizeof *w.params);
    for (int32_t i = 0; i < graph->op_count; i++)
        if (det_op_is_convolution(&graph->ops[i]))
            DET_TRY(compare_op(&w, i));
    const struct det_node *more = next_convolution(&w);
    if (more != NULL) {
        status = det_fail(env, DET_STATUS_MISMATCH, "convolution `%s`: the network has none for it",
                          more->name);
        goto fail;
    }
    for (int32_t n = 0; n < program->node_count; n++)
        DET_TRY(compare_suppression(env, job, program, &program->nodes[n]));
    *params = w.params;
    *tensors = w.tensors;
    return DET_OK;
fail:
    det_free(env, &w.params);
    return status;
}

det_status det_export_prove(struct det_env *env, struct det_pool *pool,
                            const struct det_export_writer *writer,
                            const struct det_export_job *job, struct det_export *exported)
{
    const char *name = exported->file_count > 0 ? exported->files[0].name : "export";
    const struct det_budget before = det_budget_open(env, name);
    det_status status = DET_OK;
    struct det_program program;
    float *params = NULL;
    det_export_proof proof = {.struct_size = sizeof proof};
    det_program_init(&program);
    DET_TRY(writer->read(env, exported, &program));
    DET_TRY(det_proof_structure(env, job, &program, &params, &proof.tensors));
    DET_TRY(det_proof_run(env, pool, job, &program, params, &proof));
    proof.proved = 1;
    exported->proof = proof;
fail:
    if (status != DET_OK)
        det_fail_prefix(env, status, "proof of %s", name);
    det_free(env, &params);
    det_program_free(env, &program);
    det_budget_close(env, before);
    return status;
}
