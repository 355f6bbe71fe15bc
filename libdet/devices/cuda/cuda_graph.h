/* cuda_graph.h: work that is the same each time, recorded once as a CUDA graph and replayed with
 * one launch.
 *
 * The first run is not recorded: it makes the driver load every kernel, which is not allowed
 * everywhere while recording. The second is. What changes from run to run (images, learning rate,
 * number of boxes) must lie in memory at fixed addresses. */
#ifndef DET_DEVICES_CUDA_GRAPH_H
#define DET_DEVICES_CUDA_GRAPH_H

#include "devices/cuda/cuda_device.h"

/* Enqueues the work on the device's stream: no waiting, no allocation, the same each time. */
typedef det_status (*det_cuda_work)(struct det_env *env, void *argument);

struct det_cuda_graph {
    bool warm; /* ran once */
    cudaGraphExec_t recorded;
};

det_status det_cuda_graph_run(struct det_env *env, const struct det_device *device,
                              struct det_cuda_graph *graph, det_cuda_work work, void *argument);
/* To be called when an address in it has changed, and at the end. */
void det_cuda_graph_forget(struct det_cuda_graph *graph);

#endif
