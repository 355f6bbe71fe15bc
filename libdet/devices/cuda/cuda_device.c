#include "devices/cuda/cuda_device.h"

#include <stdio.h>

#include "base/forks.h"
#include "base/launched.h"
#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_libraries.h"
#include "support/mem.h"

static const char *precision_name(enum det_precision precision)
{
    switch (precision) {
    case DET_PRECISION_F32:
        return "f32";
    case DET_PRECISION_TF32:
        return "tf32";
    case DET_PRECISION_BF16:
        return "bf16";
    case DET_PRECISION_INT8:
        return "int8";
    }
    return "?";
}

/* Compute capability times ten. */
static int needed_capability(enum det_precision precision)
{
    return precision == DET_PRECISION_F32 || precision == DET_PRECISION_INT8 ? 75 : 80;
}

/* Fills in what is known of device `index`; UNSUPPORTED when it cannot do the precision. */
static det_status look_at(struct det_env *env, struct det_device *d, int32_t index)
{
    struct cudaDeviceProp properties;
    DET_TRY_RETURN(
        det_cuda_check(env, cudaGetDeviceProperties(&properties, index), "device properties"));
    d->index = index;
    d->major = properties.major;
    d->minor = properties.minor;
    snprintf(d->name, sizeof d->name, "%s", properties.name);
    const int needed = needed_capability(d->settings.precision);
    if (d->major * 10 + d->minor < needed)
        return det_fail(env, DET_STATUS_DEVICE,
                        "cuda:%d: %s has compute capability %d.%d, precision %s needs %d.%d", index,
                        d->name, d->major, d->minor, precision_name(d->settings.precision),
                        needed / 10, needed % 10);
    return DET_OK;
}

static det_status choose(struct det_env *env, struct det_device *d)
{
    int count = 0;
    DET_TRY_RETURN(det_cuda_check(env, cudaGetDeviceCount(&count), "looking for a GPU"));
    const int32_t wanted = d->settings.index;
    if (count < 1 || wanted >= count)
        return det_fail(env, DET_STATUS_DEVICE, "cuda:%d: there are %d GPUs",
                        wanted < 0 ? 0 : wanted, count);
    if (wanted >= 0)
        return look_at(env, d, wanted);
    /* The first usable one, of several ranks on a machine the first from the rank's place on; when
     * none is, the message is about the last. */
    det_status status = DET_OK;
    for (int32_t i = 0; i < count; i++) {
        status = look_at(env, d, (det_launched_as().place + i) % count);
        if (status == DET_OK)
            break;
    }
    return status;
}

static det_status open_sides(struct det_env *env, struct det_device *d)
{
    DET_TRY_RETURN(det_cuda_check(env, cudaEventCreateWithFlags(&d->forked, cudaEventDisableTiming),
                                  "creating an event"));
    for (int i = 0; i < DET_CUDA_SIDES; i++) {
        DET_TRY_RETURN(
            det_cuda_check(env, cudaStreamCreateWithFlags(&d->sides[i], cudaStreamNonBlocking),
                           "creating a stream"));
        DET_TRY_RETURN(
            det_cuda_check(env, cudaEventCreateWithFlags(&d->joined[i], cudaEventDisableTiming),
                           "creating an event"));
    }
    return DET_OK;
}

static void close_sides(struct det_device *d)
{
    if (d->forked != NULL)
        (void)cudaEventDestroy(d->forked);
    for (int i = 0; i < DET_CUDA_SIDES; i++) {
        if (d->sides[i] != NULL)
            (void)cudaStreamDestroy(d->sides[i]);
        if (d->joined[i] != NULL)
            (void)cudaEventDestroy(d->joined[i]);
    }
}

static det_status open_libraries(struct det_env *env, struct det_device *d)
{
    DET_TRY_RETURN(det_cuda_device_use(env, d));
    DET_TRY_RETURN(det_cuda_check(env, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking),
                                  "creating a stream"));
    DET_TRY_RETURN(det_cuda_check(env, cudaStreamCreateWithFlags(&d->copies, cudaStreamNonBlocking),
                                  "creating a stream"));
    DET_TRY_RETURN(open_sides(env, d));
    return det_cublas_check(env, cublasLtCreate(&d->cublas), "starting cublasLt");
}

det_status det_cuda_device_open(struct det_env *env, const struct det_device_settings *settings,
                                struct det_device **out)
{
    *out = NULL;
    struct det_device *d = NULL;
    DET_TRY_RETURN(det_forks_watch(env));
    DET_TRY_RETURN(det_alloc(env, &d, 1, sizeof *d, "device"));
    d->forks = det_forks();
    d->settings = *settings;
    d->type = settings->precision == DET_PRECISION_BF16 ? DETK_BF16 : DETK_F32;
    det_status status = DET_OK;
    DET_TRY(choose(env, d));
    DET_TRY(det_cuda_cublas_load(env));
    DET_TRY(open_libraries(env, d));
    *out = d;
    return DET_OK;
fail:
    det_cuda_device_close(env, &d);
    return status;
}

/* A kernel that trapped leaves this process's context on the GPU unusable: every call answers its
 * error, and no memory can be released. Only a reset helps, or the end of the process. It takes
 * from others in this process what they have lost already, but they may not know it: their pointers
 * and handles now belong to nothing. */
static void reset_if_broken(void)
{
    (void)cudaGetLastError();
    if (cudaDeviceSynchronize() != cudaSuccess)
        (void)cudaDeviceReset();
    (void)cudaGetLastError();
}

static void close_libraries(struct det_device *d)
{
    const bool used = d->stream != NULL;
    (void)cudaSetDevice(d->index);
    if (d->cudnn != NULL)
        (void)cudnnDestroy(d->cudnn);
    if (d->cublas != NULL)
        (void)cublasLtDestroy(d->cublas);
    close_sides(d);
    if (d->copies != NULL)
        (void)cudaStreamDestroy(d->copies);
    if (d->stream != NULL)
        (void)cudaStreamDestroy(d->stream);
    if (used)
        reset_if_broken();
}

void det_cuda_device_close(struct det_env *env, struct det_device **device)
{
    struct det_device *d = *device;
    if (d == NULL)
        return;
    if (d->forks == det_forks())
        close_libraries(d);
    det_free(env, &d->choices);
    det_free(env, device);
}

det_status det_cuda_device_prefer(struct det_env *env, struct det_device *d, int32_t index)
{
    struct det_device other = {.settings = d->settings, .forks = d->forks, .type = d->type};
    det_status status = DET_OK;
    int count = 0;
    if (d->settings.index >= 0 || d->used || index == d->index)
        return DET_OK;
    DET_TRY_RETURN(det_cuda_check(env, cudaGetDeviceCount(&count), "looking for a GPU"));
    if (index >= count)
        return DET_OK;
    DET_TRY(look_at(env, &other, index));
    DET_TRY(open_libraries(env, &other));
    close_libraries(d);
    *d = other;
    return DET_OK;
fail:
    close_libraries(&other);
    return status;
}

void det_cuda_device_describe(const struct det_device *d, char *text, size_t bytes)
{
    snprintf(text, bytes, "cuda:%d: %s, %s", d->index, d->name,
             precision_name(d->settings.precision));
}

det_status det_cuda_device_use(struct det_env *env, const struct det_device *d)
{
    if (d->forks != det_forks())
        return det_fail(
            env, DET_STATUS_DEVICE,
            "cuda:%d: this process is the child of a fork, in which CUDA cannot be used: "
            "make the context after the fork, in a process that has not used CUDA",
            d->index);
    return det_cuda_check(env, cudaSetDevice(d->index), "choosing the GPU");
}

det_status det_cuda_device_fork(struct det_env *env, const struct det_device *d, int32_t sides)
{
    static const char what[] = "streams side by side";
    DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(d->forked, d->stream), what));
    for (int32_t i = 0; i < sides; i++)
        DET_TRY_RETURN(det_cuda_check(env, cudaStreamWaitEvent(d->sides[i], d->forked, 0), what));
    return DET_OK;
}

det_status det_cuda_device_join(struct det_env *env, const struct det_device *d, int32_t sides)
{
    static const char what[] = "streams side by side";
    for (int32_t i = 0; i < sides; i++) {
        DET_TRY_RETURN(det_cuda_check(env, cudaEventRecord(d->joined[i], d->sides[i]), what));
        DET_TRY_RETURN(det_cuda_check(env, cudaStreamWaitEvent(d->stream, d->joined[i], 0), what));
    }
    return DET_OK;
}

det_status det_cuda_device_wait(struct det_env *env, const struct det_device *d, const char *what)
{
    return det_cuda_check(env, cudaStreamSynchronize(d->stream), what);
}

det_status det_cuda_enqueue_upload(struct det_env *env, const struct det_device *d, void *to,
                                   const void *from, size_t bytes, const char *what)
{
    return det_cuda_check(env, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->stream),
                          what);
}

det_status det_cuda_enqueue_download(struct det_env *env, const struct det_device *d, void *to,
                                     const void *from, size_t bytes, const char *what)
{
    return det_cuda_check(env, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->stream),
                          what);
}

det_status det_cuda_upload(struct det_env *env, const struct det_device *d, void *to,
                           const void *from, size_t bytes, const char *what)
{
    DET_TRY_RETURN(det_cuda_enqueue_upload(env, d, to, from, bytes, what));
    return det_cuda_device_wait(env, d, what);
}

det_status det_cuda_download(struct det_env *env, const struct det_device *d, void *to,
                             const void *from, size_t bytes, const char *what)
{
    DET_TRY_RETURN(det_cuda_enqueue_download(env, d, to, from, bytes, what));
    return det_cuda_device_wait(env, d, what);
}

det_status det_cuda_input_upload(struct det_env *env, const struct det_device *d, void *to,
                                 const void *from, size_t bytes, const char *what)
{
    return det_cuda_check(env, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->copies),
                          what);
}

det_status det_cuda_input_uploaded(struct det_env *env, const struct det_device *d,
                                   cudaEvent_t uploaded)
{
    return det_cuda_check(env, cudaEventRecord(uploaded, d->copies), "marking an upload");
}

det_status det_cuda_input_awaited(struct det_env *env, const struct det_device *d,
                                  cudaEvent_t uploaded)
{
    return det_cuda_check(env, cudaStreamWaitEvent(d->stream, uploaded, 0),
                          "waiting for an upload");
}

det_status det_cuda_input_wait(struct det_env *env, const struct det_device *d)
{
    return det_cuda_check(env, cudaStreamSynchronize(d->copies), "uploading an input");
}
