/* cuda_device.h: an opened GPU: one stream, on which everything that is done for a step or a runner happens in order, and the
 * libraries' handles.
 *
 * One stream, no second one for copies: a step starts with its images and ends with its results, so that there is nothing of
 * the same step to overlap a copy with, and det_backend's calls wait for the result before the next batch is handed over. What
 * can overlap does so without a second stream: the host fills the staging memory image by image while the device fetches what
 * is there. */
#ifndef DET_BACKEND_CUDA_DEVICE_H
#define DET_BACKEND_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "backend/backend.h"
#include "kernel.h"

struct det_device {
    struct det_device_settings settings;
    int32_t index, major, minor; /* compute capability major.minor */
    char name[256];
    enum detk_type type; /* of activations and of their gradients */
    cudaStream_t stream;
    cublasLtHandle_t cublas;
    cudnnHandle_t cudnn; /* NULL until a network needs it: it costs hundreds of MB */
};

/* Functions of struct det_backend. DEVICE when there is no GPU, or none of compute capability 7.5 (8.0 for TF32 and BF16). */
det_status det_cuda_device_open(struct det_env *env, const struct det_device_settings *settings,
                                struct det_device **device);
void det_cuda_device_close(struct det_env *env, struct det_device **device);
void det_cuda_device_describe(const struct det_device *device, char *text, size_t bytes);

/* CUDA's notion of a current device is each host thread's own: every entry of the backend begins with this. */
det_status det_cuda_device_use(struct det_env *env, const struct det_device *device);

/* The one place where the host waits for the device; errors of anything launched before show here. */
det_status det_cuda_device_wait(struct det_env *env, const struct det_device *device,
                                const char *what);

/* Copies on the stream and waits: for what happens outside of a step, from and to memory of any kind. */
det_status det_cuda_upload(struct det_env *env, const struct det_device *device, void *to,
                           const void *from, size_t bytes, const char *what);
det_status det_cuda_download(struct det_env *env, const struct det_device *device, void *to,
                             const void *from, size_t bytes, const char *what);
/* Only enqueues the copy: for pinned memory. */
det_status det_cuda_enqueue_upload(struct det_env *env, const struct det_device *device, void *to,
                                   const void *from, size_t bytes, const char *what);
det_status det_cuda_enqueue_download(struct det_env *env, const struct det_device *device, void *to,
                                     const void *from, size_t bytes, const char *what);

/* Size of an element of an activation. */
static inline size_t det_cuda_element_bytes(const struct det_device *device)
{
    return device->type == DETK_BF16 ? 2 : 4;
}

#endif
