/* cuda_rows.h: measures the roofline's table on a GPU: every operation of a training step or an
 * inference alone, as it is launched there, in the buffers of a real step: CUDA events around it,
 * the L2 cache flushed before each run, the median; beside the time that memory and arithmetic take
 * at least; or what cuDNN alone takes for it (cudnn_rows.h). One JSON object a line. */
#ifndef DET_BENCH_CUDA_ROWS_H
#define DET_BENCH_CUDA_ROWS_H

#include <cuda_runtime_api.h>

#include "cudnn_peer.h"
#include "devices/backend.h"
#include "json_line.h"
#include "roofline_plan.h"

struct cuda_rows {
    struct det_env *env;
    struct det_device *device;
    const char *precision;
    const struct roofline_gpu *gpu; /* NULL: no figures of this device are known, no bounds */
    long repeat;
    void *flush; /* device memory larger than its L2 cache */
    size_t flush_bytes;
    cudaEvent_t begin, end;
    double *microseconds; /* [repeat] */
    bool against_cudnn;   /* cuDNN's rows, not the others */
    struct cudnn_peer peer;
    double *seen; /* [2][operations]: what cuDNN took forward and backward, 0 where not known */
    /* Of the job that is being measured. */
    const char *job;
    long size, batch;
    double sum, bound, cudnn; /* against cuDNN: the sum of what it can do, too */
};

/* Something enqueued on the device's stream. */
typedef det_status (*cuda_work)(struct det_env *env, void *argument);
struct cuda_timed {
    long runs;
    double median; /* microseconds */
};
/* `runs` runs at most, fewer when they have taken `most` microseconds by then; one that is not
 * counted goes before. */
det_status cuda_rows_time(struct cuda_rows *rows, cuda_work enqueue, void *argument, long runs,
                          double most, struct cuda_timed *timed);
/* A row of the job, begun; pass and operation of a launch. */
void cuda_rows_open_line(struct json_line *line, const struct cuda_rows *rows, const char *kind);
void cuda_rows_put_work(struct json_line *line, const char *pass, const char *name,
                        const char *operation);
/* A number, or null where it is negative: there is none. */
void cuda_rows_put_number(struct json_line *line, const char *key, double value);

/* flush_bytes 0: twice the device's L2 cache. */
det_status cuda_rows_open(struct det_env *env, struct det_device *device, const char *precision,
                          long repeat, size_t flush_bytes, bool against_cudnn,
                          struct cuda_rows *rows);
void cuda_rows_close(struct cuda_rows *rows);

/* A learner or runner of the CUDA backend that has done its work once. */
det_status cuda_rows_training(struct cuda_rows *rows, struct det_learner *learner, long size,
                              long batch);
det_status cuda_rows_inference(struct cuda_rows *rows, struct det_runner *runner, long size,
                               long batch);

#endif
