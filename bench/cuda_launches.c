#include "cuda_launches.h"

#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_graph.h"
#include "elementwise.h"

enum { LAUNCHES = 480, STREAMS = DET_CUDA_SIDES + 1 };

struct chain {
    const struct det_device *device;
    float *memory; /* [STREAMS][room] */
    int64_t values, room;
    int32_t streams;
};

/* Each adds an array to itself: none can begin before the one before it has ended. */
static det_status enqueue_part(struct det_env *env, const struct chain *c, cudaStream_t stream,
                               int32_t part)
{
    float *at = c->memory + part * c->room;
    for (int32_t i = 0; i < LAUNCHES / c->streams; i++)
        DET_TRY_RETURN(det_cuda_check(env, detk_add(stream, DETK_F32, c->values, at, at, at),
                                      "many launches"));
    return DET_OK;
}

static det_status enqueue(struct det_env *env, void *argument)
{
    const struct chain *c = argument;
    const struct det_device *d = c->device;
    DET_TRY_RETURN(det_cuda_device_fork(env, d, c->streams - 1));
    for (int32_t side = 0; side < c->streams - 1; side++)
        DET_TRY_RETURN(enqueue_part(env, c, d->sides[side], side + 1));
    DET_TRY_RETURN(enqueue_part(env, c, d->stream, 0));
    return det_cuda_device_join(env, d, c->streams - 1);
}

struct recording {
    struct chain *chain;
    struct det_cuda_graph graph;
};

static det_status launch(struct det_env *env, void *argument)
{
    struct recording *r = argument;
    return det_cuda_graph_run(env, r->chain->device, &r->graph, enqueue, r->chain);
}

static det_status time_chain(struct cuda_rows *r, struct chain *chain)
{
    struct recording recording = {.chain = chain};
    struct cuda_timed timed;
    struct json_line line;
    /* Step by step, then recorded: both before anything is timed. */
    det_status status = launch(r->env, &recording);
    if (status == DET_OK)
        status = launch(r->env, &recording);
    if (status == DET_OK)
        status = cuda_rows_time(r, launch, &recording, r->repeat, 1e6, &timed);
    det_cuda_graph_forget(&recording.graph);
    DET_TRY_RETURN(status);
    r->job = "launches";
    cuda_rows_open_line(&line, r, "launches");
    det_json_put_int(&line.json, "streams", chain->streams);
    det_json_put_int(&line.json, "launches", LAUNCHES);
    det_json_put_int(&line.json, "values", chain->values);
    det_json_put_int(&line.json, "runs", timed.runs);
    cuda_rows_put_number(&line, "p50_us", timed.median);
    cuda_rows_put_number(&line, "us_a_launch", timed.median / LAUNCHES);
    return json_line_close(&line);
}

det_status cuda_launches(struct cuda_rows *r, long size)
{
    struct chain chain = {.device = r->device, .values = (int64_t)size * size};
    chain.room = (chain.values + 63) / 64 * 64;
    const size_t bytes = STREAMS * (size_t)chain.room * sizeof(float);
    det_status status = DET_OK;
    r->size = size;
    r->batch = 0;
    DET_TRY_RETURN(
        det_cuda_check(r->env, cudaMalloc((void **)&chain.memory, bytes), "small arrays"));
    DET_TRY(det_cuda_check(r->env, cudaMemsetAsync(chain.memory, 0, bytes, r->device->stream),
                           "small arrays"));
    for (chain.streams = 1; chain.streams <= STREAMS; chain.streams += STREAMS - 1)
        DET_TRY(time_chain(r, &chain));
fail:
    (void)cudaFree(chain.memory);
    return status;
}
