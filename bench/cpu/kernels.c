/* kernels.c: each CPU operation on each shape of the real network, for every instruction set this
 * machine has, beside the roofline measured in the same run. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "det/det.h"
#include "ops/conv_shape.h"
#include "ops/cpu/blocked/blocked.h"

enum { TRAIN_BATCH_320 = 8, TRAIN_BATCH_640 = 2 };

/* An operation in one direction, with its operands. */
struct kernel {
    const struct det_ops *ops;
    struct det_exec x;
    struct det_conv_shape shape;
    bool depthwise;
    int64_t rows;
    int32_t channels;
    float *in, *out, *weights, *gradient, *channel; /* channel: [4][channels] */
    float *dout;                                    /* convolutions of training, as all below */
    float *bn_in, *norm_out;                        /* [3][in_c], [5][out_c] */
    double *sums;                                   /* [2][in_c] */
    uint8_t *passes;                                /* bits of training in 8 bits */
};

static void conv_forward(void *argument)
{
    struct kernel *k = argument;
    k->ops->conv_forward(&k->x, &k->shape, k->in, k->weights, k->channel, DET_ACTIVATION_RELU6,
                         k->out);
}
static void dwconv_forward(void *argument)
{
    struct kernel *k = argument;
    k->ops->dwconv_forward(&k->x, &k->shape, k->in, k->weights, k->channel, DET_ACTIVATION_RELU6,
                           k->out);
}

/* A convolution of a training step, between two batch norms. */
static struct det_bn bn_of(const float *coefficients, int32_t c)
{
    return (struct det_bn){coefficients, coefficients + c, coefficients + 2 * c,
                           DET_ACTIVATION_RELU6};
}
static void forward_by(const struct det_ops *ops, const struct kernel *k)
{
    const struct det_bn bn = bn_of(k->bn_in, k->shape.in_c);
    const struct det_operand in = {k->in, &bn};
    ops->bn_conv_forward(&k->x, &k->shape, k->depthwise, &in, k->weights, NULL, k->out, k->channel,
                         k->channel + k->channels);
}
static void backward_by(const struct det_ops *ops, const struct kernel *k)
{
    const struct det_bn bn_in = bn_of(k->bn_in, k->shape.in_c);
    const struct det_bn norm_out = bn_of(k->norm_out, k->channels);
    const struct det_operand in = {k->in, &bn_in};
    const float *constant = k->norm_out + 3 * k->channels;
    const struct det_gradient dout = {k->dout, k->out, &norm_out, constant, constant + k->channels};
    struct det_gradient_to to = {.bn = NULL};
    if (k->gradient != NULL)
        to =
            (struct det_gradient_to){.din = k->gradient, .x = k->in, .bn = &bn_in, .sums = k->sums};
    ops->bn_conv_backward(&k->x, &k->shape, k->depthwise, &in, &dout, k->weights, &to, k->weights,
                          false);
}
static void norm_forward(void *argument)
{
    const struct kernel *k = argument;
    forward_by(k->ops, k);
}
static void norm_backward(void *argument)
{
    const struct kernel *k = argument;
    backward_by(k->ops, k);
}
static void bf16_norm_forward(void *argument)
{
    const struct kernel *k = argument;
    forward_by(k->ops->bf16, k);
}
static void bf16_norm_backward(void *argument)
{
    const struct kernel *k = argument;
    backward_by(k->ops->bf16, k);
}
/* Of a tensor that another operation completed the gradient of. */
static void bn_sums(void *argument)
{
    struct kernel *k = argument;
    const struct det_bn bn = bn_of(k->norm_out, k->channels);
    const struct det_gradient_to to = {.din = k->out, .x = k->in, .bn = &bn, .sums = k->sums};
    k->ops->bn_sums(&k->x, k->rows, k->channels, &to);
}
static void bias_backward(void *argument)
{
    struct kernel *k = argument;
    k->ops->bias_backward(&k->x, k->rows, k->channels, k->in, k->channel, false);
}
static void bn_add(void *argument)
{
    struct kernel *k = argument;
    const struct det_bn bn = bn_of(k->norm_out, k->channels);
    const struct det_operand a = {k->in, &bn}, b = {k->gradient, NULL};
    k->ops->bn_add(&k->x, k->rows, k->channels, &a, &b, k->out);
}
static void accumulate(void *argument)
{
    struct kernel *k = argument;
    k->ops->accumulate(&k->x, k->rows * k->channels, k->in, k->out, true);
}
static void add_forward(void *argument)
{
    struct kernel *k = argument;
    k->ops->add_forward(&k->x, k->rows * k->channels, k->in, k->gradient, k->out);
}
/* Training in 8 bits: of each tensor its range, its values, then its gradient. */
static void value_range(void *argument)
{
    struct kernel *k = argument;
    float range[2];
    k->ops->value_range(&k->x, k->rows * k->channels, k->in, range);
}
static void fake_quant_forward(void *argument)
{
    struct kernel *k = argument;
    const struct det_fake_quant q = {.01f, 100, -128, 127, -1.28f, 1.27f};
    k->ops->fake_quant_forward(&k->x, k->rows * k->channels, &q, k->in, k->passes);
}
static void fake_quant_backward(void *argument)
{
    struct kernel *k = argument;
    k->ops->fake_quant_backward(&k->x, k->rows * k->channels, k->passes, k->gradient);
}
static void upsample_add(void *argument)
{
    struct kernel *k = argument;
    const struct det_conv_shape *s = &k->shape;
    k->ops->upsample_add_forward(&k->x, s->n, s->in_h, s->in_w, s->in_c, s->out_h, s->out_w, k->in,
                                 k->gradient, k->out);
}
static void upsample_backward(void *argument)
{
    struct kernel *k = argument;
    const struct det_conv_shape *s = &k->shape;
    k->ops->upsample_backward(&k->x, s->n, s->in_h, s->in_w, s->in_c, s->out_h, s->out_w, k->out,
                              k->in, false);
}

/* Which jobs do it. Training in bf16 has functions of its own for 1x1 convolutions of stride 1
 * alone. */
enum where { IN_BOTH, IN_INFERENCE, IN_TRAINING, IN_BF16_TRAINING };

/* What can be done with an operation: where its bytes go is the least that any implementation
 * moves. Batch norms are part of the convolutions around them, but for sums over their tensors. */
static const struct pass {
    enum det_op_kind op;
    const char *name;
    enum where where;
    void (*body)(void *argument);
    int ins, outs; /* how often the input and the output are passed over at least */
    int products;  /* convolutions: how often all products are taken */
} passes[] = {
    {DET_OP_CONV, "conv_forward", IN_INFERENCE, conv_forward, 1, 1, 1},
    {DET_OP_CONV, "bn_conv_forward", IN_TRAINING, norm_forward, 1, 1, 1},
    {DET_OP_CONV, "bn_conv_backward", IN_TRAINING, norm_backward, 2, 2, 2},
    {DET_OP_CONV, "bf16 bn_conv_forward", IN_BF16_TRAINING, bf16_norm_forward, 1, 1, 1},
    {DET_OP_CONV, "bf16 bn_conv_backward", IN_BF16_TRAINING, bf16_norm_backward, 2, 2, 2},
    {DET_OP_DWCONV, "bn_dwconv_forward", IN_TRAINING, norm_forward, 1, 1, 1},
    {DET_OP_DWCONV, "bn_dwconv_backward", IN_TRAINING, norm_backward, 2, 2, 2},
    {DET_OP_DWCONV, "dwconv_forward", IN_INFERENCE, dwconv_forward, 1, 1, 1},
    {DET_OP_BATCH_NORM, "bn_sums", IN_TRAINING, bn_sums, 2, 0, 0},
    {DET_OP_BATCH_NORM, "bias_backward", IN_TRAINING, bias_backward, 1, 0, 0},
    {DET_OP_ADD, "bn_add", IN_TRAINING, bn_add, 2, 1, 0},
    {DET_OP_ADD, "accumulate", IN_TRAINING, accumulate, 2, 1, 0},
    {DET_OP_ADD, "add_forward", IN_BOTH, add_forward, 2, 1, 0},
    {DET_OP_ADD, "value_range", IN_TRAINING, value_range, 1, 0, 0},
    {DET_OP_ADD, "fake_quant_forward", IN_TRAINING, fake_quant_forward, 1, 1, 0},
    {DET_OP_ADD, "fake_quant_backward", IN_TRAINING, fake_quant_backward, 1, 1, 0},
    {DET_OP_UPSAMPLE_ADD, "upsample_add", IN_BOTH, upsample_add, 1, 2, 0},
    {DET_OP_UPSAMPLE_ADD, "upsample_backward", IN_TRAINING, upsample_backward, 1, 1, 0},
};

static double weight_count(const struct bench_shape *s)
{
    if (s->op == DET_OP_CONV)
        return (double)s->kernel * s->kernel * s->in_c * s->out_c;
    return s->op == DET_OP_DWCONV ? (double)s->kernel * s->kernel * s->in_c : 0;
}

/* The network's first layer: nothing asks for its input's gradient. */
static bool is_first(const struct bench_shape *s)
{
    return s->op == DET_OP_CONV && s->in_h == s->size;
}

static int batch_of(const struct bench_shape *s)
{
    return !s->train ? 1 : s->size <= 320 ? TRAIN_BATCH_320 : TRAIN_BATCH_640;
}

static void open_kernel(struct kernel *k, const struct bench_shape *s, const struct det_ops *ops,
                        struct det_pool *pool, int threads)
{
    const int batch = batch_of(s);
    const size_t in = (size_t)batch * (size_t)(s->in_h * s->in_w * s->in_c);
    const size_t out = (size_t)batch * (size_t)(s->out_h * s->out_w * s->out_c);
    *k = (struct kernel){.ops = ops, .x.pool = pool};
    k->rows = (int64_t)batch * s->out_h * s->out_w;
    k->channels = s->out_c;
    k->depthwise = s->op == DET_OP_DWCONV;
    const bool convolution = s->op == DET_OP_CONV || k->depthwise;
    if (convolution) {
        k->shape = det_conv_same(batch, s->in_h, s->in_w, s->in_c, s->out_c, s->kernel, s->stride);
        const size_t plain =
            (k->depthwise ? ops->dwconv_workspace : ops->conv_workspace)(&k->shape, threads);
        const size_t bn = ops->bn_conv_workspace(&k->shape, k->depthwise, threads);
        const size_t bf16 = ops->bf16->bn_conv_workspace(&k->shape, k->depthwise, threads);
        k->x.workspace_bytes = plain > bn ? plain : bn;
        if (k->x.workspace_bytes < bf16)
            k->x.workspace_bytes = bf16;
        k->dout = bench_floats(out);
        k->bn_in = bench_floats(3 * (size_t)s->in_c);
        k->norm_out = bench_floats(5 * (size_t)s->out_c);
        k->sums = bench_bytes(2 * (size_t)s->in_c * sizeof *k->sums);
    } else {
        k->shape = (struct det_conv_shape){.n = batch,
                                           .in_h = s->in_h,
                                           .in_w = s->in_w,
                                           .in_c = s->in_c,
                                           .out_h = s->out_h,
                                           .out_w = s->out_w,
                                           .out_c = s->out_c};
        const size_t sums = ops->bn_sums_workspace(k->rows, s->out_c);
        const size_t bias = ops->bias_workspace(k->rows, s->out_c);
        k->x.workspace_bytes = sums > bias ? sums : bias;
        const size_t range = ops->value_range_workspace(k->rows * s->out_c);
        if (k->x.workspace_bytes < range)
            k->x.workspace_bytes = range;
        k->passes = bench_bytes((size_t)det_fake_quant_bytes(k->rows * s->out_c));
        k->norm_out = bench_floats(5 * (size_t)s->out_c);
        k->sums = bench_bytes(2 * (size_t)s->out_c * sizeof *k->sums);
    }
    k->x.workspace = bench_bytes(k->x.workspace_bytes);
    k->in = bench_floats(in);
    k->out = bench_floats(out);
    if (!is_first(s))
        k->gradient = bench_floats(convolution ? in : out);
    k->weights = bench_floats((size_t)weight_count(s));
    k->channel = bench_floats(2 * (size_t)s->out_c);
}

static void close_kernel(struct kernel *k)
{
    free(k->x.workspace);
    free(k->in);
    free(k->out);
    free(k->gradient);
    free(k->dout);
    free(k->weights);
    free(k->channel);
    free(k->bn_in);
    free(k->norm_out);
    free(k->sums);
    free(k->passes);
}

enum { PASSES = sizeof passes / sizeof *passes };

/* The least work of a pass over a shape. */
static struct bench_work work_of(const struct bench_shape *s, const struct pass *pass)
{
    const double in = (double)batch_of(s) * s->in_h * s->in_w * s->in_c;
    const double out = (double)batch_of(s) * s->out_h * s->out_w * s->out_c;
    /* Only backward passes have two of each. */
    const int products = is_first(s) ? 1 : pass->products, ins = is_first(s) ? 1 : pass->ins;
    const double flop = 2 * products * weight_count(s) * out / s->out_c;
    const bool bf16 = pass->where == IN_BF16_TRAINING;
    return (struct bench_work){.flop = bf16 ? 0 : flop,
                               .bf16_flop = bf16 ? flop : 0,
                               .bytes = 4 * (ins * in + pass->outs * out + weight_count(s))};
}

static bool has_pass(const struct bench_options *options, const struct det_ops *ops,
                     const struct bench_shape *s, const struct pass *pass, char name[160])
{
    if (pass->op != s->op || (pass->where != IN_BOTH && s->train == (pass->where == IN_INFERENCE)))
        return false;
    /* AVX512-BF16 has the float32 functions of AVX-512. */
    if (pass->where == IN_BF16_TRAINING ? s->kernel != 1 || s->stride != 1 : ops->multiplies_bf16)
        return false;
    snprintf(name, 160, "kernel/%s/%s %d batch %d/%s/%dx%dx%d->%dx%dx%d k%d s%d", ops->name,
             s->train ? "train" : "infer", s->size, batch_of(s), pass->name, s->in_h, s->in_w,
             s->in_c, s->out_h, s->out_w, s->out_c, s->kernel, s->stride);
    return bench_wanted(options, name);
}

static bool has_any_pass(const struct bench_options *options, const struct det_ops *ops,
                         const struct bench_shape *s)
{
    char name[160];
    bool any = false;
    for (size_t p = 0; p < PASSES; p++)
        any = any || has_pass(options, ops, s, &passes[p], name);
    return any;
}

/* Adds up one pass over all operations of a network and input size: shapes `from` to `to`. */
static void report_total(struct bench_report *report, const struct bench_roof *roof,
                         const struct bench_shape *shapes, size_t from, size_t to, size_t p,
                         struct bench_time (*times)[PASSES])
{
    char name[128];
    struct bench_time total = {0};
    double least = 0;
    for (size_t i = from; i < to; i++) {
        const struct bench_time *time = &times[i][p];
        if (time->runs == 0)
            continue;
        const struct bench_work work = work_of(&shapes[i], &passes[p]);
        least += shapes[i].times * bench_roof_seconds(roof, &work);
        total.median += shapes[i].times * time->median;
        total.low += shapes[i].times * time->low;
        total.high += shapes[i].times * time->high;
        total.runs = time->runs;
    }
    if (total.runs == 0)
        return;
    snprintf(name, sizeof name, "kernels of the network/%s/%s %d/%s", roof->isa,
             shapes[from].train ? "train" : "infer", shapes[from].size, passes[p].name);
    bench_report_total(report, name, least, &total);
}

static void run_shapes(const struct bench_options *options, struct bench_report *report,
                       const struct bench_roof *roof, const struct det_ops *ops,
                       struct det_pool *pool, const struct bench_shape *shapes, size_t count)
{
    char name[160];
    struct bench_time(*times)[PASSES][BENCH_SWEEPS] = bench_bytes(count * sizeof *times);
    struct bench_time(*merged)[PASSES] = bench_bytes(count * sizeof *merged);
    for (int sweep = 0; sweep < BENCH_SWEEPS; sweep++)
        for (size_t i = 0; i < count; i++) {
            struct kernel kernel;
            if (!has_any_pass(options, ops, &shapes[i]))
                continue;
            open_kernel(&kernel, &shapes[i], ops, pool, det_pool_threads(pool));
            for (size_t p = 0; p < PASSES; p++)
                if (has_pass(options, ops, &shapes[i], &passes[p], name))
                    times[i][p][sweep] =
                        bench_measure(passes[p].body, &kernel, options->budget_s / BENCH_SWEEPS);
            close_kernel(&kernel);
        }
    for (size_t i = 0, begin = 0; i < count; i++) {
        for (size_t p = 0; p < PASSES; p++)
            if (has_pass(options, ops, &shapes[i], &passes[p], name)) {
                const struct bench_work work = work_of(&shapes[i], &passes[p]);
                merged[i][p] = bench_merge_sweeps(times[i][p]);
                bench_report_kernel(report, name, shapes[i].times, &work, roof, &merged[i][p]);
            }
        if (i + 1 < count && shapes[i + 1].train == shapes[i].train &&
            shapes[i + 1].size == shapes[i].size)
            continue;
        for (size_t p = 0; p < PASSES; p++)
            report_total(report, roof, shapes, begin, i + 1, p, merged);
        begin = i + 1;
    }
    free(times);
    free(merged);
}

static int run_isa(const struct bench_options *options, struct bench_report *report,
                   const struct det_ops *ops, struct det_pool *pool,
                   const struct bench_shape *shapes, size_t count)
{
    struct bench_roof roof;
    if (!bench_roof_measure(ops->name, det_pool_threads(pool), &roof))
        return 0;
    bench_report_roof(report, &roof);
    run_shapes(options, report, &roof, ops, pool, shapes, count);
    int result =
        ops->multiplies_bf16 ? 0 : bench_prepared(options, report, &roof, ops, false, pool);
    if (result == 0)
        result = bench_prepared(options, report, &roof, ops->bf16, false, pool);
    /* Plain C takes seconds, and nobody waits for its figures. */
    const bool has_q8 = ops->q8 != NULL && ops->q8 != &detk_blocked_q8_generic;
    return result == 0 && has_q8 ? bench_prepared(options, report, &roof, ops, true, pool) : result;
}

/* Whether a set has the float32 and bf16 kernels of the one before it. */
static bool repeats(const struct det_ops *ops, const struct det_ops *before)
{
    return before != NULL && before->bf16 != NULL && ops->blocked == before->blocked &&
           ops->bf16->blocked == before->bf16->blocked;
}

int bench_kernels(const struct bench_options *options, struct bench_report *report)
{
    struct bench_shape *shapes = NULL;
    struct det_pool *pool = NULL;
    struct det_env env;
    size_t count = 0;
    const char *isa = NULL, *missing = NULL;
    det_env_default(&env);
    if (!bench_shapes_read(options->shapes, &shapes, &count))
        return 1;
    /* One thread unless asked: what a kernel does, not what two of them do to the memory. */
    if (det_pool_create(&env, options->threads == 0 ? 1 : options->threads, &pool) != DET_OK) {
        fprintf(stderr, "bench: %s\n", env.error);
        free(shapes);
        return 1;
    }
    int result = 0;
    const struct det_ops *before = NULL;
    for (int i = 0; result == 0 && (isa = det_cpu_instruction_set(i, &missing)) != NULL; i++) {
        const struct det_ops *ops = det_ops_cpu(isa, &missing);
        if (ops == NULL)
            printf("%s: not here: %s\n", isa, missing);
        else if (!repeats(ops, before))
            result = run_isa(options, report, ops, pool, shapes, count);
        before = ops == NULL ? before : ops;
    }
    det_pool_destroy(&env, &pool);
    free(shapes);
    return result;
}
