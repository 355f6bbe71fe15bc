/* cuda_rows.h: measures the roofline's table on a GPU: every operation of a training step or an
 * inference alone, as it is launched there, in the buffers of a real step: CUDA events around it,
 * the L2 cache flushed before each run, the median; beside the time that memory and arithmetic take
 * at least, and what cuDNN alone takes for it. One JSON object a line. */
#ifndef DET_BENCH_CUDA_ROWS_H
#define DET_BENCH_CUDA_ROWS_H

#include <cuda_runtime_api.h>

#include "devices/backend.h"
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
    /* Of the job that is being measured. */
    const char *job;
    long size, batch;
    double sum, bound, with_peer, peer;
};

/* flush_bytes 0: twice the device's L2 cache. */
det_status cuda_rows_open(struct det_env *env, struct det_device *device, const char *precision,
                          long repeat, size_t flush_bytes, struct cuda_rows *rows);
void cuda_rows_close(struct cuda_rows *rows);

/* A learner or runner of the CUDA backend that has done its work once. */
det_status cuda_rows_training(struct cuda_rows *rows, struct det_learner *learner, long size,
                              long batch);
det_status cuda_rows_inference(struct cuda_rows *rows, struct det_runner *runner, long size,
                               long batch);

#endif
