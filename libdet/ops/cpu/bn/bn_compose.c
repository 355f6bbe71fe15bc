/* bn_compose.c: convolutions of training that have no kernel of their own (the network's first
 * layer; every 3x3 of a network without depthwise layers): batch norm's values and gradients are
 * made in the workspace, the plain operation runs on them, then the sums are taken in passes of
 * their own. */
#include "ops/cpu/bn/bn_conv.h"

#define CHUNK_FLOATS 65536 /* a task of a pass, about */
#define TASKS_MAX    64

/* A pass over rows of c values. */
struct pass {
    const struct detk_rows *table;
    int64_t rows;
    int32_t c, tasks;
    const struct det_operand *value;
    const struct det_gradient *gradient;
    float *made;
    const float *fed;
    const struct det_gradient_to *to;
    void *feeds;
};

struct shape {
    int64_t in_rows, out_rows;
};

static struct shape rows_of(const struct det_conv_shape *s)
{
    return (struct shape){(int64_t)s->n * s->in_h * s->in_w, (int64_t)s->n * s->out_h * s->out_w};
}

static int32_t tasks_of(int64_t rows, int32_t c)
{
    const int64_t chunks = detk_div_up(rows * c, CHUNK_FLOATS);
    return (int32_t)detk_max(1, detk_min(chunks, detk_min(rows, TASKS_MAX)));
}

static void make_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct pass *p = argument;
    const int64_t first = detk_cut(p->rows, p->tasks, task);
    const int64_t rows = detk_cut(p->rows, p->tasks, task + 1) - first;
    float *to = p->made + first * p->c;
    if (p->value != NULL)
        p->table->value(p->value->bn, p->c, p->value->x + first * p->c, rows, to, p->c);
    else
        p->table->gradient(p->gradient, p->c, first, rows, to, p->c);
}

static void feed_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct pass *p = argument;
    const int64_t first = detk_cut(p->rows, p->tasks, task);
    const int64_t rows = detk_cut(p->rows, p->tasks, task + 1) - first;
    const float *from = p->fed + first * p->c;
    struct detk_feed feed = detk_feed_start(p->feeds, p->c, task);
    if (p->to == NULL) {
        p->table->feed_statistics(&feed, from, rows);
        p->table->end_statistics(&feed);
    } else {
        p->table->feed_gradient(&feed, p->to->bn, from, p->to->x + first * p->c, rows);
        p->table->end_gradient(&feed);
    }
}

/* Where a call's arrays are in the workspace, behind that of the plain operation. */
struct arrays {
    void *plain, *feeds;
    float *in, *dout;
};

static size_t lay_out(struct arrays *a, const struct detk_isa *isa, const struct det_conv_shape *s,
                      bool depthwise, void *memory, int threads)
{
    const struct shape rows = rows_of(s);
    size_t bytes = 0;
    a->plain = detk_place(memory, &bytes,
                          (depthwise ? isa->dwconv_workspace : isa->conv_workspace)(s, threads));
    const int32_t widest = s->in_c > s->out_c ? s->in_c : s->out_c;
    a->feeds = detk_place(memory, &bytes, TASKS_MAX * detk_feed_bytes(widest));
    a->in = detk_place(memory, &bytes, (size_t)(rows.in_rows * s->in_c) * sizeof(float));
    a->dout = detk_place(memory, &bytes, (size_t)(rows.out_rows * s->out_c) * sizeof(float));
    return bytes;
}

size_t detk_bn_compose_bytes(const struct detk_isa *isa, const struct det_conv_shape *s,
                             bool depthwise, int threads)
{
    struct arrays arrays;
    return lay_out(&arrays, isa, s, depthwise, NULL, threads);
}

/* The operand as an array: its own where nothing is to be applied. */
static const float *value_of(const struct detk_isa *isa, const struct det_exec *x, int64_t rows,
                             int32_t c, const struct det_operand *in, float *memory)
{
    if (in->bn == NULL)
        return in->x;
    struct pass pass = {isa->rows, rows, c, tasks_of(rows, c), .value = in, .made = memory};
    det_pool_run(x->pool, pass.tasks, make_task, &pass);
    return memory;
}

void detk_bn_compose_forward(const struct detk_isa *isa, const struct det_exec *x,
                             const struct det_conv_shape *s, bool depthwise,
                             const struct detk_bn_forward *call)
{
    const struct shape rows = rows_of(s);
    struct arrays a;
    lay_out(&a, isa, s, depthwise, x->workspace, det_pool_threads(x->pool));
    const struct det_exec plain = {x->pool, a.plain, x->workspace_bytes};
    const float *in = value_of(isa, x, rows.in_rows, s->in_c, &call->in, a.in);
    if (depthwise)
        isa->dwconv_forward(&plain, s, in, call->w, call->bias, DET_ACTIVATION_NONE, call->out);
    else
        detk_conv_pixels_forward(isa->gemm, &plain, s, in, call->w, call->bias, DET_ACTIVATION_NONE,
                                 call->out);
    if (call->mean == NULL)
        return;
    struct pass pass = {isa->rows,        rows.out_rows,
                        s->out_c,         tasks_of(rows.out_rows, s->out_c),
                        .fed = call->out, .feeds = a.feeds};
    det_pool_run(x->pool, pass.tasks, feed_task, &pass);
    detk_feeds_statistics(x, a.feeds, s->out_c, pass.tasks, call->mean, call->variance);
}

void detk_bn_compose_backward(const struct detk_isa *isa, const struct det_exec *x,
                              const struct det_conv_shape *s, bool depthwise,
                              const struct detk_bn_backward *call)
{
    const struct shape rows = rows_of(s);
    const struct det_gradient_to *to = &call->to;
    struct arrays a;
    lay_out(&a, isa, s, depthwise, x->workspace, det_pool_threads(x->pool));
    const struct det_exec plain = {x->pool, a.plain, x->workspace_bytes};
    const float *in = value_of(isa, x, rows.in_rows, s->in_c, &call->in, a.in);
    const float *dout = call->dout.dy;
    if (call->dout.bn != NULL) {
        struct pass pass = {isa->rows,
                            rows.out_rows,
                            s->out_c,
                            tasks_of(rows.out_rows, s->out_c),
                            .gradient = &call->dout,
                            .made = a.dout};
        det_pool_run(x->pool, pass.tasks, make_task, &pass);
        dout = a.dout;
    }
    if (depthwise) {
        isa->dwconv_backward_weight(&plain, s, in, dout, call->dw, call->accumulate);
        if (to->din != NULL)
            isa->dwconv_backward_data(&plain, s, dout, call->w, to->din, to->accumulate);
    } else {
        detk_conv_weights(isa->gemm, &plain, s, in, dout, call->dw, call->accumulate);
        if (to->din != NULL)
            detk_conv_pixels_backward(isa->gemm, &plain, s, dout, call->w, to->din, to->accumulate);
    }
    if (to->sums != NULL)
        detk_bn_sums(isa->rows, x, a.feeds, rows.in_rows, s->in_c, to);
}

size_t detk_bn_sums_bytes(int64_t rows, int32_t c)
{
    return (size_t)tasks_of(rows, c) * detk_feed_bytes(c);
}

void detk_bn_sums(const struct detk_rows *table, const struct det_exec *x, void *feeds,
                  int64_t rows, int32_t c, const struct det_gradient_to *to)
{
    struct pass pass = {table,    rows,          c, tasks_of(rows, c), .fed = to->din,
                        .to = to, .feeds = feeds};
    det_pool_run(x->pool, pass.tasks, feed_task, &pass);
    detk_feeds_gradient(x, feeds, c, pass.tasks, to->sums);
}
