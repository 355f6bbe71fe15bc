#include "ops/cpu/bn/bn_conv.h"

#include "ops/cpu/bn/bn_dwconv.h"

/* The three ways, see bn_conv.h. */
static bool is_matrix(const struct det_conv_shape *s)
{
    const struct detk_view view = detk_view_of(s);
    return detk_view_is_matrix(&view);
}

static size_t workspace(const struct detk_isa *isa, const struct det_conv_shape *s, bool depthwise,
                        int threads)
{
    if (depthwise && detk_bn_dwconv_serves(s))
        return isa->bn_dwconv_workspace(s, threads);
    return !depthwise && is_matrix(s) ? detk_bn_matrix_bytes(isa, s, threads)
                                      : detk_bn_compose_bytes(isa, s, depthwise, threads);
}

static void forward(const struct detk_isa *isa, const struct det_exec *x,
                    const struct det_conv_shape *s, bool depthwise,
                    const struct detk_bn_forward *call)
{
    if (depthwise && detk_bn_dwconv_serves(s))
        isa->bn_dwconv_forward(x, s, call);
    else if (!depthwise && is_matrix(s))
        detk_bn_matrix_forward(isa, x, s, call);
    else
        detk_bn_compose_forward(isa, x, s, depthwise, call);
}

static void backward(const struct detk_isa *isa, const struct det_exec *x,
                     const struct det_conv_shape *s, bool depthwise,
                     const struct detk_bn_backward *call)
{
    if (depthwise && detk_bn_dwconv_serves(s))
        isa->bn_dwconv_backward(x, s, call);
    else if (!depthwise && is_matrix(s))
        detk_bn_matrix_backward(isa, x, s, call);
    else
        detk_bn_compose_backward(isa, x, s, depthwise, call);
}

#define SUM_FLOATS 65536

struct add {
    const struct detk_rows *table;
    int64_t rows, rows_a_task;
    int32_t c;
    const struct det_operand *a, *b;
    float *out;
};

static void add_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct add *add = argument;
    const int64_t first = task * add->rows_a_task;
    const int64_t rows = detk_min(add->rows - first, add->rows_a_task);
    float *out = add->out + first * add->c;
    if (add->b == NULL)
        add->table->value(add->a->bn, add->c, add->a->x + first * add->c, rows, out, add->c);
    else
        add->table->sum(add->a, add->b, add->c, first, rows, out);
}

static void run_add(const struct detk_rows *table, const struct det_exec *x, int64_t rows,
                    int32_t c, const struct det_operand *a, const struct det_operand *b, float *out)
{
    struct add add = {table, rows, detk_div_up(SUM_FLOATS, c), c, a, b, out};
    det_pool_run(x->pool, (int32_t)detk_div_up(rows, add.rows_a_task), add_task, &add);
}

/* The parts of isa `name`, with products in float32 or with `pairs`. */
#define ISA_PARTS(name)                                             \
    .gemm = &detk_gemm_##name, .rows = &detk_rows_##name,           \
    .conv_workspace = DET_OP(conv_workspace, name),                 \
    .dwconv_workspace = DET_OP(dwconv_workspace, name),             \
    .dwconv_forward = DET_OP(dwconv_forward, name),                 \
    .dwconv_backward_data = DET_OP(dwconv_backward_data, name),     \
    .dwconv_backward_weight = DET_OP(dwconv_backward_weight, name), \
    .bn_dwconv_workspace = DET_OP(bn_dwconv_workspace, name),       \
    .bn_dwconv_forward = DET_OP(bn_dwconv_forward, name),           \
    .bn_dwconv_backward = DET_OP(bn_dwconv_backward, name)

/* The convolutions, under the name `table`. */
#define BN_CONV(table, ...)                                                                       \
    static const struct detk_isa isa_##table = {__VA_ARGS__};                                     \
    size_t DET_OP(bn_conv_workspace, table)(const struct det_conv_shape *s, bool depthwise,       \
                                            int threads)                                          \
    {                                                                                             \
        return workspace(&isa_##table, s, depthwise, threads);                                    \
    }                                                                                             \
    void DET_OP(bn_conv_forward, table)(const struct det_exec *x, const struct det_conv_shape *s, \
                                        bool depthwise, const struct det_operand *in,             \
                                        const float *w, const float *bias, float *out,            \
                                        float *mean, float *variance)                             \
    {                                                                                             \
        const struct detk_bn_forward call = {*in, w, bias, out, mean, variance};                  \
        forward(&isa_##table, x, s, depthwise, &call);                                            \
    }                                                                                             \
    void DET_OP(bn_conv_backward, table)(                                                         \
        const struct det_exec *x, const struct det_conv_shape *s, bool depthwise,                 \
        const struct det_operand *in, const struct det_gradient *dout, const float *w,            \
        const struct det_gradient_to *to, float *dw, bool accumulate)                             \
    {                                                                                             \
        const struct detk_bn_backward call = {*in, *dout, w, *to, dw, accumulate};                \
        backward(&isa_##table, x, s, depthwise, &call);                                           \
    }

#define BN_OPS(name)                                                                    \
    BN_CONV(name, ISA_PARTS(name))                                                      \
    size_t DET_OP(bn_sums_workspace, name)(int64_t rows, int32_t c)                     \
    {                                                                                   \
        return detk_bn_sums_bytes(rows, c);                                             \
    }                                                                                   \
    void DET_OP(bn_sums, name)(const struct det_exec *x, int64_t rows, int32_t c,       \
                               const struct det_gradient_to *to)                        \
    {                                                                                   \
        detk_bn_sums(&detk_rows_##name, x, x->workspace, rows, c, to);                  \
    }                                                                                   \
    void DET_OP(bn_add, name)(const struct det_exec *x, int64_t rows, int32_t c,        \
                              const struct det_operand *a, const struct det_operand *b, \
                              float *out)                                               \
    {                                                                                   \
        run_add(&detk_rows_##name, x, rows, c, a, b, out);                              \
    }

#define BN_BF16(bf16, isa) BN_CONV(bf16_##bf16, ISA_PARTS(isa), .pairs = &detk_pairs_##bf16)

DETK_ISAS(BN_OPS)
DETK_BF16_ISAS(BN_BF16)
