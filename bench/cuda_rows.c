#include "cuda_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cudnn_peer.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net_ops.h"
#include "devices/cuda/cuda_runner.h"
#include "devices/cuda/cuda_step.h"
#include "json_line.h"
#include "support/mem.h"

/* --- timing --- */

det_status cuda_rows_open(struct det_env *env, struct det_device *device, const char *precision,
                          long repeat, size_t flush_bytes, struct cuda_rows *r)
{
    struct cudaDeviceProp properties;
    *r = (struct cuda_rows){.env = env, .device = device, .precision = precision, .repeat = repeat};
    DET_TRY_RETURN(
        det_cuda_check(env, cudaGetDeviceProperties(&properties, device->index), "device"));
    for (int g = 0; g < ROOFLINE_GPUS; g++)
        if (strstr(properties.name, roofline_gpus[g].name) != NULL)
            r->gpu = &roofline_gpus[g];
    r->flush_bytes = flush_bytes > 0 ? flush_bytes : 2 * (size_t)properties.l2CacheSize;
    DET_TRY_RETURN(det_alloc(env, &r->microseconds, (size_t)repeat, sizeof(double), "times"));
    DET_TRY_RETURN(det_cuda_check(env, cudaMalloc(&r->flush, r->flush_bytes), "flushing L2"));
    DET_TRY_RETURN(det_cuda_check(env, cudaEventCreate(&r->begin), "an event"));
    return det_cuda_check(env, cudaEventCreate(&r->end), "an event");
}

void cuda_rows_close(struct cuda_rows *r)
{
    if (r->flush != NULL)
        (void)cudaFree(r->flush);
    if (r->begin != NULL)
        (void)cudaEventDestroy(r->begin);
    if (r->end != NULL)
        (void)cudaEventDestroy(r->end);
    det_free(r->env, &r->microseconds);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Something enqueued on the device's stream. */
typedef det_status (*work)(struct det_env *env, void *argument);

/* The first run is not counted. */
static det_status time_work(struct cuda_rows *r, work enqueue, void *argument, double *median)
{
    const cudaStream_t stream = r->device->stream;
    for (long i = -1; i < r->repeat; i++) {
        float milliseconds = 0;
        DET_TRY_RETURN(det_cuda_check(r->env, cudaMemsetAsync(r->flush, 0, r->flush_bytes, stream),
                                      "flushing L2"));
        DET_TRY_RETURN(det_cuda_check(r->env, cudaEventRecord(r->begin, stream), "an event"));
        DET_TRY_RETURN(enqueue(r->env, argument));
        DET_TRY_RETURN(det_cuda_check(r->env, cudaEventRecord(r->end, stream), "an event"));
        DET_TRY_RETURN(det_cuda_check(r->env, cudaEventSynchronize(r->end), "timing"));
        DET_TRY_RETURN(det_cuda_check(r->env, cudaEventElapsedTime(&milliseconds, r->begin, r->end),
                                      "timing"));
        if (i >= 0)
            r->microseconds[i] = (double)milliseconds * 1e3;
    }
    qsort(r->microseconds, (size_t)r->repeat, sizeof(double), by_value);
    *median = r->microseconds[r->repeat / 2];
    return DET_OK;
}

/* --- rows --- */

struct counted {
    const struct cuda_rows *rows;
    int32_t element;
    const char *wanted; /* NULL: each launch counts; else those of this `what` */
    int launches;
    double bytes, flops, seconds;
};

static void count(void *user, const struct roofline_launch *l)
{
    struct counted *c = user;
    if (c->wanted != NULL && strcmp(c->wanted, l->what) != 0)
        return;
    c->launches++;
    c->bytes += l->bytes;
    c->flops += l->flops;
    if (c->rows->gpu != NULL)
        c->seconds += roofline_bound(c->rows->gpu, c->element, l->dense, l->flops, l->bytes);
}

static void open_row(struct json_line *line, const struct cuda_rows *r, const char *kind)
{
    json_line_open(line, r->env);
    det_json_put_string(&line->json, "kind", kind);
    det_json_put_string(&line->json, "job", r->job);
    det_json_put_int(&line->json, "size", r->size);
    det_json_put_int(&line->json, "batch", r->batch);
    det_json_put_string(&line->json, "precision", r->precision);
}

/* A number, or null where there is none. */
static void put_number(struct json_line *line, const char *key, double value)
{
    det_json_put_fixed(&line->json, key, value < 0 ? (double)NAN : value, 3);
}

/* peer < 0: cuDNN has none. */
static det_status print_row(struct cuda_rows *r, const char *pass, const char *name,
                            const char *operation, const struct counted *c, double median,
                            double peer)
{
    struct json_line line;
    open_row(&line, r, "launch");
    det_json_put_string(&line.json, "pass", pass);
    det_json_put_string(&line.json, "name", name != NULL ? name : "-");
    det_json_put_string(&line.json, "operation", operation);
    det_json_put_int(&line.json, "launches", c->launches);
    det_json_put_int(&line.json, "runs", r->repeat);
    det_json_put_fixed(&line.json, "bytes", c->bytes, 0);
    det_json_put_fixed(&line.json, "flops", c->flops, 0);
    put_number(&line, "p50_us", median);
    put_number(&line, "bound_us", r->gpu != NULL ? c->seconds * 1e6 : -1);
    put_number(&line, "cudnn_us", peer);
    r->sum += median;
    r->bound += c->seconds * 1e6;
    r->with_peer += peer < 0 ? 0 : median;
    r->peer += peer < 0 ? 0 : peer;
    return json_line_close(&line);
}

static det_status print_sum(struct cuda_rows *r)
{
    struct json_line line;
    open_row(&line, r, "sum");
    put_number(&line, "p50_us", r->sum);
    put_number(&line, "bound_us", r->gpu != NULL ? r->bound : -1);
    put_number(&line, "p50_us_with_cudnn", r->with_peer);
    put_number(&line, "cudnn_us", r->peer);
    return json_line_close(&line);
}

static void begin_job(struct cuda_rows *r, const char *job, long size, long batch)
{
    r->job = job;
    r->size = size;
    r->batch = batch;
    r->sum = r->bound = r->with_peer = r->peer = 0;
}

/* --- operations of the graph --- */

struct one_op {
    const struct det_cuda_net *net;
    const struct cudnn_peer *peer;
    int32_t index;
};

static det_status forward(struct det_env *env, void *argument)
{
    const struct one_op *o = argument;
    return det_cuda_net_forward_op(env, o->net, o->index);
}

static det_status backward(struct det_env *env, void *argument)
{
    const struct one_op *o = argument;
    return det_cuda_net_backward_op(env, o->net, o->index);
}

static det_status peer_forward(struct det_env *env, void *argument)
{
    const struct one_op *o = argument;
    return cudnn_peer_forward(env, o->peer);
}

static det_status peer_backward(struct det_env *env, void *argument)
{
    const struct one_op *o = argument;
    return cudnn_peer_backward(env, o->peer, o->net->graph->ops[o->index].in != 0);
}

static const char *operation_name(const struct det_op *op)
{
    static const char *const names[] = {
        [DET_OP_CONV] = "convolution",        [DET_OP_DWCONV] = "depthwise",
        [DET_OP_BATCH_NORM] = "batch_norm",   [DET_OP_ADD] = "addition",
        [DET_OP_UPSAMPLE_ADD] = "upsampling",
    };
    return names[op->kind];
}

static det_status open_peer(struct cuda_rows *r, const struct det_cuda_net *net,
                            const struct det_op *op, bool training, struct cudnn_peer *peer)
{
    const struct det_tensor t = net->graph->tensors[op->out];
    if (op->kind == DET_OP_BATCH_NORM)
        return cudnn_peer_norm(r->env, r->device, net->batch, t.height, t.width, t.channels, peer);
    const struct det_conv_shape shape = det_net_conv_shape(net->graph, op, net->batch);
    return cudnn_peer_conv(r->env, r->device, &shape, op->kind == DET_OP_DWCONV, training, peer);
}

/* < 0 when cuDNN has no such thing, or is not asked: in 8 bits it gives no sums of 32. */
static double time_peer(struct cuda_rows *r, struct one_op *o, bool is_backward, bool training)
{
    const struct det_op *op = &o->net->graph->ops[o->index];
    struct cudnn_peer peer = {0};
    double median = -1;
    if (op->kind == DET_OP_ADD || op->kind == DET_OP_UPSAMPLE_ADD ||
        det_cuda_q8_has(&o->net->q8, o->index))
        return -1;
    o->peer = &peer;
    if (open_peer(r, o->net, op, training, &peer) != DET_OK ||
        time_work(r, is_backward ? peer_backward : peer_forward, o, &median) != DET_OK)
        median = -1;
    cudnn_peer_close(&peer);
    return median;
}

/* Bytes of an activation. */
static int32_t element_of(const struct det_cuda_net *net)
{
    return net->q8.quantised != NULL ? 1 : (int32_t)det_cuda_element_bytes(net->device);
}

static det_status time_op(struct cuda_rows *r, const struct det_cuda_net *net, int32_t index,
                          bool is_backward, bool training)
{
    const struct det_op *op = &net->graph->ops[index];
    struct one_op o = {.net = net, .index = index};
    struct counted c = {.rows = r, .element = element_of(net)};
    const struct roofline plan = {
        net->graph, net->batch, c.element, training, count, &c, &net->convs[index].weight_way};
    double median = 0;
    if (is_backward)
        roofline_backward_op(&plan, op);
    else
        roofline_forward_op(&plan, op);
    if (c.launches == 0)
        return DET_OK; /* an addition that the convolution before it does */
    DET_TRY_RETURN(time_work(r, is_backward ? backward : forward, &o, &median));
    return print_row(r, is_backward ? "backward" : "forward", op->name, operation_name(op), &c,
                     median, time_peer(r, &o, is_backward, training));
}

/* --- around the network --- */

/* One launch or few; `what` is the roofline's name of the one that moves the bytes. */
static det_status time_around(struct cuda_rows *r, const struct det_cuda_net *net, bool training,
                              const char *what, work enqueue, void *argument)
{
    struct counted c = {.rows = r, .element = element_of(net), .wanted = what};
    const struct roofline plan = {net->graph, net->batch, c.element, training, count, &c, NULL};
    double median = 0;
    roofline_around(&plan);
    DET_TRY_RETURN(time_work(r, enqueue, argument, &median));
    return print_row(r, "around", NULL, what, &c, median, -1);
}

static det_status normalize(struct det_env *env, void *argument)
{
    const struct det_step *s = argument;
    return det_cuda_step_enqueue_input(env, s);
}

static det_status losses(struct det_env *env, void *argument)
{
    return det_cuda_step_enqueue_losses(env, argument);
}

static det_status norm(struct det_env *env, void *argument)
{
    return det_cuda_step_enqueue_norm(env, argument);
}

static det_status update(struct det_env *env, void *argument)
{
    return det_cuda_step_enqueue_update(env, argument);
}

static det_status gather(struct det_env *env, void *argument)
{
    return det_cuda_net_gather(env, argument);
}

static det_status scatter(struct det_env *env, void *argument)
{
    return det_cuda_net_scatter(env, argument);
}

det_status cuda_rows_training(struct cuda_rows *r, struct det_learner *learner, long size,
                              long batch)
{
    struct det_step *s = learner->step;
    struct det_cuda_net *net = &s->net;
    begin_job(r, "training", size, batch);
    DET_TRY_RETURN(time_around(r, net, true, "pictures to input", normalize, s));
    for (int32_t i = 0; i < net->graph->op_count; i++)
        DET_TRY_RETURN(time_op(r, net, i, false, true));
    DET_TRY_RETURN(time_around(r, net, true, "outputs to one array", gather, net));
    DET_TRY_RETURN(time_around(r, net, true, "losses", losses, s));
    DET_TRY_RETURN(time_around(r, net, true, "gradients to levels", scatter, net));
    for (int32_t i = net->graph->op_count - 1; i >= 0; i--)
        DET_TRY_RETURN(time_op(r, net, i, true, true));
    DET_TRY_RETURN(time_around(r, net, true, "weight decay and norm", norm, s));
    DET_TRY_RETURN(time_around(r, net, true, "update", update, s));
    return print_sum(r);
}

static det_status preprocess(struct det_env *env, void *argument)
{
    return det_cuda_runner_enqueue_input(env, argument);
}

static det_status postprocess(struct det_env *env, void *argument)
{
    return det_cuda_runner_enqueue_postprocess(env, argument);
}

det_status cuda_rows_inference(struct cuda_rows *r, struct det_runner *runner, long size,
                               long batch)
{
    struct det_cuda_net *net = &runner->net;
    begin_job(r, "inference", size, batch);
    DET_TRY_RETURN(time_around(r, net, false, "picture to input", preprocess, runner));
    for (int32_t i = 0; i < net->graph->op_count; i++)
        DET_TRY_RETURN(time_op(r, net, i, false, false));
    DET_TRY_RETURN(time_around(r, net, false, "outputs to one array", gather, net));
    DET_TRY_RETURN(time_around(r, net, false, "candidates", postprocess, runner));
    return print_sum(r);
}
