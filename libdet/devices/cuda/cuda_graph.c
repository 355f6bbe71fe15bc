#include "devices/cuda/cuda_graph.h"

#include "devices/cuda/cuda_error.h"

#if CUDART_VERSION < 12000
#error "CUDA 12.0 or newer is needed: before, cudaGraphInstantiate had five arguments"
#endif

/* The stream leaves recording in any case. */
static det_status record(struct det_env *env, const struct det_device *device, det_cuda_work work,
                         void *argument, cudaGraphExec_t *recorded)
{
    DET_TRY_RETURN(det_cuda_check(
        env, cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal),
        "recording a CUDA graph"));
    cudaGraph_t graph = NULL;
    det_status status = work(env, argument);
    const cudaError_t ended = cudaStreamEndCapture(device->stream, &graph);
    if (status == DET_OK)
        status = det_cuda_check(env, ended, "recording a CUDA graph");
    if (status == DET_OK)
        status =
            det_cuda_check(env, cudaGraphInstantiate(recorded, graph, 0), "preparing a CUDA graph");
    if (graph != NULL)
        (void)cudaGraphDestroy(graph);
    return status;
}

det_status det_cuda_graph_run(struct det_env *env, const struct det_device *device,
                              struct det_cuda_graph *graph, det_cuda_work work, void *argument)
{
    if (device->settings.no_graph || !graph->warm) {
        graph->warm = true;
        return work(env, argument);
    }
    if (graph->recorded == NULL)
        DET_TRY_RETURN(record(env, device, work, argument, &graph->recorded));
    return det_cuda_check(env, cudaGraphLaunch(graph->recorded, device->stream),
                          "launching a CUDA graph");
}

void det_cuda_graph_forget(struct det_cuda_graph *graph)
{
    if (graph->recorded != NULL)
        (void)cudaGraphExecDestroy(graph->recorded);
    *graph = (struct det_cuda_graph){0};
}
