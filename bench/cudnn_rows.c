#include "cudnn_rows.h"

#include <math.h>

#include "support/clock.h"

/* Ways are compared by few runs. One that takes FAR times as long as ours is as good as none. */
enum { TRIES = 3, FAR = 20 };
/* Host seconds for an operation's ways: the first is always tried. */
#define LOOKING 1.0
/* Microseconds for the runs that count. */
#define MOST 50e3

bool cudnn_rows_has(const struct det_cuda_net *net, int32_t index)
{
    const enum det_op_kind kind = net->graph->ops[index].kind;
    return kind != DET_OP_ADD && kind != DET_OP_UPSAMPLE_ADD && !det_cuda_q8_has(&net->q8, index);
}

/* The passes that one operation is made of. */
struct work {
    const struct cudnn_peer *peer;
    bool passes[CUDNN_PEER_PASSES];
};

static det_status run_passes(struct det_env *env, void *argument)
{
    const struct work *w = argument;
    for (int pass = 0; pass < CUDNN_PEER_PASSES; pass++)
        if (w->passes[pass])
            DET_TRY_RETURN(cudnn_peer_run(env, w->peer, (enum cudnn_pass)pass));
    return DET_OK;
}

/* Of one pass the fastest way; false when none works. What a way that fails says is of no use. */
static bool choose(struct cuda_rows *r, enum cudnn_pass pass, double ours)
{
    struct cudnn_ways *ways = &r->peer.ways[pass];
    struct work one = {.peer = &r->peer};
    const double start = det_clock_seconds();
    double best = (double)INFINITY;
    int fastest = -1;
    one.passes[pass] = true;
    for (int way = 0; way < ways->count; way++) {
        struct cuda_timed timed;
        if (fastest >= 0 && det_clock_seconds() - start > LOOKING)
            break;
        ways->chosen = way;
        if (cuda_rows_time(r, run_passes, &one, TRIES < r->repeat ? TRIES : r->repeat, FAR * ours,
                           &timed) == DET_OK &&
            timed.median < best) {
            best = timed.median;
            fastest = way;
        }
    }
    if (fastest >= 0)
        ways->chosen = fastest;
    return fastest >= 0;
}

static det_status open_peer(struct cuda_rows *r, const struct det_cuda_net *net,
                            const struct det_op *op, bool training)
{
    const struct det_tensor t = net->graph->tensors[op->out];
    if (op->kind == DET_OP_BATCH_NORM)
        return cudnn_peer_norm(r->env, &r->peer, net->batch, t.height, t.width, t.channels);
    const struct det_conv_shape shape = det_net_conv_shape(net->graph, op, net->batch);
    return cudnn_peer_conv(r->env, &r->peer, &shape, op->kind == DET_OP_DWCONV, training);
}

/* Microseconds, < 0 when cuDNN has no such thing. */
static double time_peer(struct cuda_rows *r, const struct det_cuda_net *net,
                        const struct det_op *op, bool is_backward, bool training, double ours)
{
    struct work all = {.peer = &r->peer,
                       .passes = {[CUDNN_PEER_FORWARD] = !is_backward,
                                  [CUDNN_PEER_BACKWARD_DATA] =
                                      is_backward && op->kind != DET_OP_BATCH_NORM && op->in != 0,
                                  [CUDNN_PEER_BACKWARD_WEIGHT] = is_backward}};
    struct cuda_timed timed = {0};
    bool can = open_peer(r, net, op, training) == DET_OK;
    for (int pass = 0; can && pass < CUDNN_PEER_PASSES; pass++)
        can = !all.passes[pass] || choose(r, (enum cudnn_pass)pass, ours);
    can = can && cuda_rows_time(r, run_passes, &all, r->repeat, MOST, &timed) == DET_OK;
    cudnn_peer_clear(&r->peer);
    return can ? timed.median : -1;
}

static bool same_tensor(const struct det_graph *graph, int32_t a, int32_t b)
{
    const struct det_tensor *x = &graph->tensors[a], *y = &graph->tensors[b];
    return x->height == y->height && x->width == y->width && x->channels == y->channels;
}

/* Whether cuDNN does the same for both; the network's first operation has no gradient of its input.
 */
static bool same_work(const struct det_graph *graph, const struct det_op *a, const struct det_op *b)
{
    return a->kind == b->kind && (a->in == 0) == (b->in == 0) && same_tensor(graph, a->in, b->in) &&
           same_tensor(graph, a->out, b->out) &&
           (a->kind == DET_OP_BATCH_NORM || (a->kernel == b->kernel && a->stride == b->stride));
}

static double look(struct cuda_rows *r, const struct det_cuda_net *net, int32_t index,
                   bool is_backward, bool training, double ours)
{
    const struct det_graph *graph = net->graph;
    double *seen = r->seen + (is_backward ? graph->op_count : 0);
    for (int32_t i = 0; i < graph->op_count; i++)
        if (seen[i] < 0 || seen[i] > 0)
            if (same_work(graph, &graph->ops[i], &graph->ops[index]))
                return seen[i];
    seen[index] = time_peer(r, net, &graph->ops[index], is_backward, training, ours);
    return seen[index];
}

det_status cudnn_rows_print(struct cuda_rows *r, const struct det_cuda_net *net, int32_t index,
                            bool is_backward, bool training, const char *operation, double ours)
{
    struct json_line line;
    const double took = look(r, net, index, is_backward, training, ours);
    cuda_rows_open_line(&line, r, "cudnn");
    cuda_rows_put_work(&line, is_backward ? "backward" : "forward", net->graph->ops[index].name,
                       operation);
    cuda_rows_put_number(&line, "p50_us", ours);
    cuda_rows_put_number(&line, "cudnn_us", took);
    r->sum += took < 0 ? 0 : ours;
    r->cudnn += took < 0 ? 0 : took;
    return json_line_close(&line);
}
