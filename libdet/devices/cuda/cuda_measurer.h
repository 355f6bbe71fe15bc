/* cuda_measurer.h: statistics of batches for batch norms on the device: struct det_measurer of the
 * backend's interface. Its network and memory are its own, also beside a training step, whose
 * inputs are being filled while it works. */
#ifndef DET_DEVICES_CUDA_MEASURER_H
#define DET_DEVICES_CUDA_MEASURER_H

#include "devices/cuda/cuda_net.h"

struct det_measurer {
    struct det_device *device;
    const struct det_graph *graph;
    int32_t batch;
    struct det_cuda_net net;
    struct det_cuda_layout layout;
    struct det_cuda_block memory, pinned;
    size_t params_at, images_at, workspace_at;
    float *images; /* device memory */

    /* Pinned memory. */
    float *staged_images;
    float *statistics; /* a copy of the network's */
};

/* Functions of struct det_backend. */
det_status det_cuda_measurer_create(struct det_env *env, struct det_device *device,
                                    const struct det_graph *graph, const float *params,
                                    int32_t batch, struct det_step *idle,
                                    struct det_measurer **measurer);
void det_cuda_measurer_destroy(struct det_env *env, struct det_measurer **measurer);
det_status det_cuda_measurer_run(struct det_env *env, struct det_measurer *measurer,
                                 const float *images, int32_t height, int32_t width);
void det_cuda_measurer_statistics(const struct det_measurer *measurer, int32_t op,
                                  const float **mean, const float **variance);

#endif
