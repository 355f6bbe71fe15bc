/* cuda_backend.c: the table of the CUDA backend, and how it is had: by libdet from det-cuda.so,
 * which shows det_backend_library alone, and by tests and benchmarks, which look inside of it, as a
 * part of the program. */
#include "base/build.h"
#include "devices/backend_library.h"
#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_measurer.h"
#include "devices/cuda/cuda_runner.h"
#include "devices/cuda/cuda_step.h"

static const struct det_backend cuda = {
    .name = "cuda",
    .stages_ahead = true,
    .device_open = det_cuda_device_open,
    .device_close = det_cuda_device_close,
    .device_describe = det_cuda_device_describe,
    .step_create = det_cuda_step_create,
    .step_destroy = det_cuda_step_destroy,
    .step_bytes = det_cuda_step_bytes,
    .step_push = det_cuda_step_push,
    .step_pull = det_cuda_step_pull,
    .step_pull_gradients = det_cuda_step_pull_gradients,
    .step_gradients = det_cuda_step_gradients,
    .step_update = det_cuda_step_update,
    .step_stage = det_cuda_step_stage,
    .step_stage_pictures = det_cuda_step_stage_pictures,
    .step_begin = det_cuda_step_begin,
    .step_end = det_cuda_step_end,
    .runner_create = det_cuda_runner_create,
    .runner_destroy = det_cuda_runner_destroy,
    .runner_set_picture = det_cuda_runner_set_picture,
    .runner_set_images = det_cuda_runner_set_images,
    .runner_begin = det_cuda_runner_begin,
    .runner_end = det_cuda_runner_end,
    .runner_detections = det_cuda_runner_detections,
    .runner_top_score = det_cuda_runner_top_score,
    .runner_outputs = det_cuda_runner_outputs,
    .runner_times = det_cuda_runner_times,
    .runner_bytes = det_cuda_runner_bytes,
    .measurer_create = det_cuda_measurer_create,
    .measurer_destroy = det_cuda_measurer_destroy,
    .measurer_run = det_cuda_measurer_run,
    .measurer_statistics = det_cuda_measurer_statistics,
};

DET_API extern const struct det_backend_library det_backend_library;
const struct det_backend_library det_backend_library = {.build = det_build, .backend = &cuda};

const struct det_backend *det_backend_cuda(void)
{
    return &cuda;
}

det_status det_backend_find_cuda(struct det_env *env, const struct det_backend **backend)
{
    (void)env;
    *backend = &cuda;
    return DET_OK;
}
