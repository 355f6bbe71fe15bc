#include "cuda_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cudnn_rows.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_net_ops.h"
#include "devices/cuda/cuda_runner.h"
#include "devices/cuda/cuda_step.h"
#include "support/mem.h"

/* --- timing --- */

det_status cuda_rows_open(struct det_env *env, struct det_device *device, const char *precision,
                          long repeat, size_t flush_bytes, bool against_cudnn, struct cuda_rows *r)
{
    struct cudaDeviceProp properties;
    *r = (struct cuda_rows){.env = env,
                            .device = device,
                            .precision = precision,
                            .repeat = repeat,
                            .against_cudnn = against_cudnn};
    if (against_cudnn)
        DET_TRY_RETURN(cudnn_peer_open(env, device, &r->peer));
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
    cudnn_peer_close(&r->peer);
    if (r->flush != NULL)
        (void)cudaFree(r->flush);
    if (r->begin != NULL)
        (void)cudaEventDestroy(r->begin);
    if (r->end != NULL)
        (void)cudaEventDestroy(r->end);
    det_free(r->env, &r->seen);
    det_free(r->env, &r->microseconds);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

det_status cuda_rows_time(struct cuda_rows *r, cuda_work enqueue, void *argument, long runs,
                          double most, struct cuda_timed *timed)
{
    const cudaStream_t stream = r->device->stream;
    double used = 0;
    *timed = (struct cuda_timed){0};
    for (long i = -1; i < runs && (i < 1 || used < most); i++) {
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
            used += r->microseconds[timed->runs++] = (double)milliseconds * 1e3;
    }
    qsort(r->microseconds, (size_t)timed->runs, sizeof(double), by_value);
    timed->median = r->microseconds[timed->runs / 2];
    return DET_OK;
}

/* As often as is asked for. */
static det_status time_work(struct cuda_rows *r, cuda_work enqueue, void *argument, double *median)
{
    struct cuda_timed timed;
    DET_TRY_RETURN(cuda_rows_time(r, enqueue, argument, r->repeat, (double)INFINITY, &timed));
    *median = timed.median;
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

void cuda_rows_open_line(struct json_line *line, const struct cuda_rows *r, const char *kind)
{
    json_line_open(line, r->env);
    det_json_put_string(&line->json, "kind", kind);
    det_json_put_string(&line->json, "job", r->job);
    det_json_put_int(&line->json, "size", r->size);
    det_json_put_int(&line->json, "batch", r->batch);
    det_json_put_string(&line->json, "precision", r->precision);
}

void cuda_rows_put_work(struct json_line *line, const char *pass, const char *name,
                        const char *operation)
{
    det_json_put_string(&line->json, "pass", pass);
    det_json_put_string(&line->json, "name", name != NULL ? name : "-");
    det_json_put_string(&line->json, "operation", operation);
}

void cuda_rows_put_number(struct json_line *line, const char *key, double value)
{
    det_json_put_fixed(&line->json, key, value < 0 ? (double)NAN : value, 3);
}

static det_status print_row(struct cuda_rows *r, const char *pass, const char *name,
                            const char *operation, const struct counted *c, double median)
{
    struct json_line line;
    cuda_rows_open_line(&line, r, "launch");
    cuda_rows_put_work(&line, pass, name, operation);
    det_json_put_int(&line.json, "launches", c->launches);
    det_json_put_int(&line.json, "runs", r->repeat);
    det_json_put_fixed(&line.json, "bytes", c->bytes, 0);
    det_json_put_fixed(&line.json, "flops", c->flops, 0);
    cuda_rows_put_number(&line, "p50_us", median);
    cuda_rows_put_number(&line, "bound_us", r->gpu != NULL ? c->seconds * 1e6 : -1);
    r->sum += median;
    r->bound += c->seconds * 1e6;
    return json_line_close(&line);
}

static det_status print_sum(struct cuda_rows *r)
{
    struct json_line line;
    cuda_rows_open_line(&line, r, r->against_cudnn ? "cudnn_sum" : "sum");
    cuda_rows_put_number(&line, "p50_us", r->sum);
    if (r->against_cudnn)
        cuda_rows_put_number(&line, "cudnn_us", r->cudnn);
    else
        cuda_rows_put_number(&line, "bound_us", r->gpu != NULL ? r->bound : -1);
    return json_line_close(&line);
}

static det_status begin_job(struct cuda_rows *r, const struct det_cuda_net *net, const char *job,
                            long size, long batch)
{
    r->job = job;
    r->size = size;
    r->batch = batch;
    r->sum = r->bound = r->cudnn = 0;
    det_free(r->env, &r->seen);
    return det_alloc(r->env, &r->seen, 2 * (size_t)net->graph->op_count, sizeof *r->seen, "times");
}

/* --- operations of the graph --- */

struct one_op {
    const struct det_cuda_net *net;
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

static const char *operation_name(const struct det_op *op)
{
    static const char *const names[] = {
        [DET_OP_CONV] = "convolution",        [DET_OP_DWCONV] = "depthwise",
        [DET_OP_BATCH_NORM] = "batch_norm",   [DET_OP_ADD] = "addition",
        [DET_OP_UPSAMPLE_ADD] = "upsampling",
    };
    return names[op->kind];
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
    if (r->against_cudnn && !cudnn_rows_has(net, index))
        return DET_OK;
    DET_TRY_RETURN(time_work(r, is_backward ? backward : forward, &o, &median));
    if (r->against_cudnn)
        return cudnn_rows_print(r, net, index, is_backward, training, operation_name(op), median);
    return print_row(r, is_backward ? "backward" : "forward", op->name, operation_name(op), &c,
                     median);
}

/* --- around the network --- */

/* One launch or few; `what` is the roofline's name of the one that moves the bytes. */
static det_status time_around(struct cuda_rows *r, const struct det_cuda_net *net, bool training,
                              const char *what, cuda_work enqueue, void *argument)
{
    struct counted c = {.rows = r, .element = element_of(net), .wanted = what};
    const struct roofline plan = {net->graph, net->batch, c.element, training, count, &c, NULL};
    double median = 0;
    if (r->against_cudnn)
        return DET_OK;
    roofline_around(&plan);
    DET_TRY_RETURN(time_work(r, enqueue, argument, &median));
    return print_row(r, "around", NULL, what, &c, median);
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
    DET_TRY_RETURN(begin_job(r, net, "training", size, batch));
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
    DET_TRY_RETURN(begin_job(r, net, "inference", size, batch));
    DET_TRY_RETURN(time_around(r, net, false, "picture to input", preprocess, runner));
    for (int32_t i = 0; i < net->graph->op_count; i++)
        DET_TRY_RETURN(time_op(r, net, i, false, false));
    DET_TRY_RETURN(time_around(r, net, false, "outputs to one array", gather, net));
    DET_TRY_RETURN(time_around(r, net, false, "candidates", postprocess, runner));
    return print_sum(r);
}
