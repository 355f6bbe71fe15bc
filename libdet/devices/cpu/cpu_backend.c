/* cpu_backend.c: the CPU's table. Nothing is copied: what a step pushes and pulls is the learner's
 * own memory. */
#include <stdio.h>

#include "base/pool.h"
#include "devices/cpu/cpu_device.h"
#include "ops/ops.h"
#include "support/mem.h"

static det_status device_open(struct det_env *env, const struct det_device_settings *settings,
                              struct det_device **out)
{
    *out = NULL;
    const struct det_ops *ops = settings->ops;
    if (settings->precision == DET_PRECISION_TF32)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "precision tf32: the CPU computes in f32 or bf16, tf32 needs CUDA");
    if (settings->precision == DET_PRECISION_BF16 && ops->bf16 == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "precision bf16: instruction set \"%s\" computes in f32 only", ops->name);
    DET_TRY_RETURN(det_alloc(env, out, 1, sizeof **out, "device"));
    **out = (struct det_device){
        .ops = settings->precision == DET_PRECISION_BF16 ? ops->bf16 : ops,
        .pool = settings->pool,
        .precision = settings->precision,
    };
    return DET_OK;
}

static void device_close(struct det_env *env, struct det_device **device)
{
    det_free(env, device);
}

static void device_describe(const struct det_device *device, char *text, size_t bytes)
{
    const int threads = det_pool_threads(device->pool);
    const char *precision = device->precision == DET_PRECISION_F32    ? ""
                            : device->precision == DET_PRECISION_INT8 ? ", int8"
                            : device->ops->multiplies_bf16
                                ? ", bf16"
                                : ", bf16 without its instructions, slower than f32";
    snprintf(text, bytes, "cpu: %s, %d thread%s%s", device->ops->name, threads,
             threads == 1 ? "" : "s", precision);
}

static det_status nothing_to_copy(struct det_env *env, struct det_step *step)
{
    (void)env;
    (void)step;
    return DET_OK;
}

const struct det_backend *det_backend_cpu(void)
{
    static const struct det_backend backend = {
        .name = "cpu",
        .device_open = device_open,
        .device_close = device_close,
        .device_describe = device_describe,
        .step_create = det_cpu_step_create,
        .step_destroy = det_cpu_step_destroy,
        .step_bytes = det_cpu_step_bytes,
        .step_push = nothing_to_copy,
        .step_pull = nothing_to_copy,
        .step_pull_gradients = nothing_to_copy,
        .step_gradients = det_cpu_step_gradients,
        .step_update = det_cpu_step_update,
        .step_stage = det_cpu_step_stage,
        .step_begin = det_cpu_step_begin,
        .step_end = det_cpu_step_end,
        .runner_create = det_cpu_runner_create,
        .runner_destroy = det_cpu_runner_destroy,
        .runner_set_picture = det_cpu_runner_set_picture,
        .runner_set_images = det_cpu_runner_set_images,
        .runner_begin = det_cpu_runner_begin,
        .runner_end = det_cpu_runner_end,
        .runner_detections = det_cpu_runner_detections,
        .runner_top_score = det_cpu_runner_top_score,
        .runner_outputs = det_cpu_runner_outputs,
        .runner_times = det_cpu_runner_times,
        .runner_bytes = det_cpu_runner_bytes,
        .measurer_create = det_cpu_measurer_create,
        .measurer_destroy = det_cpu_measurer_destroy,
        .measurer_run = det_cpu_measurer_run,
        .measurer_statistics = det_cpu_measurer_statistics,
    };
    return &backend;
}
