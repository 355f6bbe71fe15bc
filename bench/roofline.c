/* roofline: what a training step and an inference must move and compute on a GPU, on paper: `roofline [FILE.csv]` prints a table, and
 * writes every launch to the file. Nothing here was measured.
 *
 * "plan" is what libdet/backend/cuda launches: an operation of the graph at a time. "fused" is a lower bound for a plan that
 * keeps the same tensors: a convolution's output is written once, its batch norm's sums come from the producing kernel, each consumer
 * normalises as it loads; backward reads, for each batch norm, its input once for the sums, and input and gradient in each of
 * the two passes of the convolution before it. Additions read both sides and write. */
#include <stdio.h>
#include <string.h>

#include "model/graph.h"
#include "model/net_plan.h"

/* Vendor's figures (data sheets): memory bytes/s, float32 flop/s outside of tensor cores, bf16 flop/s in them, dense. */
static const struct gpu {
    const char *name;
    double bandwidth, f32, bf16; /* bf16 0: it has none */
} gpus[] = {
    {"H100", 3.35e12, 66.9e12, 989e12},  /* SXM5, HBM3 */
    {"H200", 4.8e12, 66.9e12, 989e12},   /* SXM */
    {"A100", 2.039e12, 19.5e12, 312e12}, /* SXM4 80 GB */
    {"V100", 0.9e12, 15.7e12, 0},        /* SXM2 */
};
enum { GPUS = sizeof gpus / sizeof *gpus };

struct totals {
    int launches;
    double bytes, fused_bytes, flops;
    double seconds[GPUS], fused_seconds[GPUS];
};

struct setting {
    const struct det_graph *graph;
    int32_t size, batch, element; /* bytes of an activation */
    bool training;
    FILE *csv;
    struct totals *totals;
};

/* One launch. `dense`: its flops may run in tensor cores. fused < 0: the fused plan has no such launch. */
static void launch(const struct setting *s, const char *name, const char *what, bool dense,
                   double flops, double bytes, double fused)
{
    struct totals *t = s->totals;
    t->launches++;
    t->bytes += bytes;
    t->flops += flops;
    if (fused > 0)
        t->fused_bytes += fused;
    for (int g = 0; g < GPUS; g++) {
        const double peak = dense && s->element == 2 ? gpus[g].bf16 : gpus[g].f32;
        const double compute = peak > 0 ? flops / peak : 0;
        const double memory = bytes / gpus[g].bandwidth, least = fused / gpus[g].bandwidth;
        t->seconds[g] += compute > memory ? compute : memory;
        if (fused >= 0)
            t->fused_seconds[g] += compute > least ? compute : least;
    }
    if (s->csv != NULL)
        fprintf(s->csv, "%d,%d,%s,%s,%s,%s,%.0f,%.0f,%.0f\n", (int)s->size, (int)s->batch,
                s->element == 2 ? "bf16" : "f32", s->training ? "training" : "inference", name,
                what, flops, bytes, fused < 0 ? 0.0 : fused);
}

static double values_of(const struct setting *s, int32_t tensor)
{
    return (double)det_net_rows(s->graph, tensor, s->batch) *
           (double)s->graph->tensors[tensor].channels;
}

/* Whether a tensor is the output of a batch norm: then its consumer can read the norm's input instead. */
static bool before_norm(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++)
        if (g->ops[i].kind == DET_OP_BATCH_NORM && g->ops[i].in == tensor)
            return true;
    return false;
}

/* As find_late() of backend/cuda/cuda_net.c has it: depthwise convolutions activate, and in training normalise, what they load. */
static bool only_depthwise_reads(const struct det_graph *g, int32_t tensor)
{
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        if ((op->in == tensor && op->kind != DET_OP_DWCONV) || op->in2 == tensor)
            return false;
    }
    return true;
}

static double conv_flops(const struct setting *s, const struct det_op *op)
{
    const double taps = (double)op->kernel * (double)op->kernel;
    const double in = op->kind == DET_OP_CONV ? (double)s->graph->tensors[op->in].channels : 1;
    return 2 * taps * in * values_of(s, op->out);
}

static void forward_op(const struct setting *s, const struct det_op *op)
{
    const double e = (double)s->element;
    const double in = values_of(s, op->in) * e, out = values_of(s, op->out) * e;
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
        launch(s, op->name, "depthwise", false, conv_flops(s, op), in + weights + out,
               in + weights + out);
        break;
    case DET_OP_BATCH_NORM:
        launch(s, op->name, "statistics", false, 3 * values_of(s, op->in), in, -1);
        launch(s, op->name, "statistics, merging", false, 0, 0, -1);
        if (op->act == DET_ACTIVATION_NONE || !only_depthwise_reads(s->graph, op->out))
            launch(s, op->name, "normalisation", false, 2 * values_of(s, op->in), in + out, -1);
        break;
    case DET_OP_ADD:
    case DET_OP_UPSAMPLE_ADD:
        launch(s, op->name != NULL ? op->name : "-", "addition", false, values_of(s, op->out),
               in + in2 + out, in + in2 + out);
        break;
    }
}

static void backward_op(const struct setting *s, const struct det_op *op)
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
        if (dense && !product)
            launch(s, op->name, "im2col", false, 0, in + columns, -1);
        launch(s, op->name, "weight gradient", dense, conv_flops(s, op),
               (dense && !product ? columns : in) + out + count * 4, in + gradient + count * 4);
        if (op->in != 0)
            launch(s, op->name, "input gradient", dense, conv_flops(s, op), in + out + count * e,
                   in + gradient + count * e);
        break;
    case DET_OP_BATCH_NORM:
        launch(s, op->name, "sums", false, 6 * values_of(s, op->in), in + out, in);
        launch(s, op->name, "sums, merging", false, 0, 0, -1);
        launch(s, op->name, "input gradient", false, 6 * values_of(s, op->in), in + out + in, -1);
        break;
    case DET_OP_ADD:
        launch(s, "-", "gradient", false, 0, out + in, -1);
        break;
    case DET_OP_UPSAMPLE_ADD:
        launch(s, "-", "gradient", false, values_of(s, op->out), out + in, out + in);
        break;
    }
}

static void around_network(const struct setting *s)
{
    const struct det_graph *g = s->graph;
    const double e = (double)s->element, params = (double)g->param_floats;
    const double anchors = (double)s->batch * (double)g->anchor_count;
    const double outputs = anchors * (double)(g->class_slots + 4);
    const double pixels = values_of(s, 0);
    launch(s, "-", s->training ? "images to input" : "picture to input", false, 0,
           pixels * (s->training ? 4 : 1) + pixels * e,
           pixels * (s->training ? 4 : 1) + pixels * e);
    launch(s, "-", "outputs to one array", false, 0, outputs * (e + 4), -1);
    if (!s->training) {
        launch(s, "-", "candidates", false, 0, anchors * (double)g->class_slots * 4,
               anchors * (double)g->class_slots * e);
        launch(s, "-", "suppression", false, 0, 0, 0);
        launch(s, "-", "merging", false, 0, 0, 0);
        return;
    }
    const double targets = anchors * 4 * (1 + 1 + 1 + 1 + 4);
    launch(s, "-", "matching", false, 0, anchors * (16 + 4), anchors * 16);
    launch(s, "-", "encoding", false, 0, anchors * (16 + 4) + targets, targets);
    launch(s, "-", "matches, total", false, 0, 0, 0);
    launch(s, "-", "losses", false, 0, targets + outputs * 8, targets + outputs * 2 * e);
    launch(s, "-", "losses, total", false, 0, 0, 0);
    launch(s, "-", "gradients to levels", false, 0, outputs * (e + 4), -1);
    launch(s, "-", "weight decay and norm", false, 0, params * 12, params * 8);
    launch(s, "-", "norm, total", false, 0, 0, 0);
    launch(s, "-", "update", false, 0, params * 20, params * 20);
    launch(s, "-", "moving statistics", false, 0, 0, 0);
    if (s->element == 2)
        launch(s, "-", "bf16 copy of the weights", false, 0, params * 6, params * 2);
}

static void print(const struct setting *s)
{
    const struct totals *t = s->totals;
    printf("%-9s %4d %5d  %-4s %6d %9.3f %9.3f %6.2f %9.2f ",
           s->training ? "training" : "inference", (int)s->size, (int)s->batch,
           s->element == 2 ? "bf16" : "f32", t->launches, t->bytes * 1e-9, t->fused_bytes * 1e-9,
           t->bytes / t->fused_bytes, t->flops * 1e-9);
    for (int g = 0; g < GPUS; g++)
        if (s->element == 2 && !(gpus[g].bf16 > 0))
            printf(" %17s", "no bf16");
        else
            printf(" %8.3f %8.3f", t->seconds[g] * 1e3, t->fused_seconds[g] * 1e3);
    printf("\n");
}

static det_status table_row(struct det_env *env, int32_t size, int32_t batch, int32_t element,
                            bool training, FILE *csv)
{
    struct det_model_spec spec;
    struct det_graph graph = {0};
    struct totals totals = {0};
    det_model_spec_default(&spec, size, 1);
    DET_TRY_RETURN(det_graph_build(env, &spec, !training, &graph));
    const struct setting s = {&graph, size, batch, element, training, csv, &totals};
    for (int32_t i = 0; i < graph.op_count; i++)
        forward_op(&s, &graph.ops[i]);
    for (int32_t i = graph.op_count - 1; training && i >= 0; i--)
        backward_op(&s, &graph.ops[i]);
    around_network(&s);
    print(&s);
    det_graph_free(env, &graph);
    return DET_OK;
}

int main(int argc, char **argv)
{
    static const int32_t sizes[] = {320, 640}, batches[] = {1, 8, 64};
    struct det_env env;
    det_env_default(&env);
    FILE *csv = argc > 1 ? fopen(argv[1], "w") : NULL;
    if (argc > 1 && csv == NULL) {
        fprintf(stderr, "roofline: %s: cannot write\n", argv[1]);
        return 1;
    }
    if (csv != NULL)
        fprintf(csv, "size,batch,precision,job,operation,launch,flops,bytes,fused_bytes\n");
    printf("One class. Bounds in ms: of the plan, of the fused plan. Not measured.\n");
    printf("%-9s %4s %5s  %-4s %6s %9s %9s %6s %9s ", "job", "size", "batch", "", "launch", "GB",
           "fused GB", "ratio", "GFLOP");
    for (int g = 0; g < GPUS; g++)
        printf(" %17s", gpus[g].name);
    printf("\n");
    det_status status = DET_OK;
    for (int training = 0; training < 2; training++)
        for (int s = 0; s < 2; s++)
            for (int b = 0; b < 3; b++)
                for (int32_t element = 4; status == DET_OK && element >= 2; element -= 2)
                    status = table_row(&env, sizes[s], batches[b], element, training != 0, csv);
    if (status != DET_OK)
        fprintf(stderr, "roofline: %s\n", env.error);
    return csv != NULL && fclose(csv) != 0 ? 1 : status != DET_OK;
}
