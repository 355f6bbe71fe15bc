/* cuda_device.h: an opened GPU: the stream on which everything that is done for a step or a runner
 * happens in order, a second one that brings their images, some that the first forks into for a
 * while (cuda_branches.h), and the libraries' handles.
 *
 * Images are most of what is copied, and may be given while the device computes (det_backend's
 * stages_ahead): steps and runners have two inputs, one being computed on, one being filled. The
 * order is kept from both sides:
 *
 *     copies   upload into input 1 .. event |                     upload into input 0 .. event |
 *     stream         step on input 0 | waits, step on input 1 | waits, step on input 0
 *     host                      waits for the end of step 0, and only then fills input 0
 *
 * The small rest (boxes, learning rate, sizes of pictures) is copied by the step itself, on its
 * stream. */
#ifndef DET_DEVICES_CUDA_DEVICE_H
#define DET_DEVICES_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "devices/backend.h"
#include "kernel.h"

struct det_cuda_choice;

/* Streams beside the first, for levels side by side (cuda_branches.h). */
#define DET_CUDA_SIDES 4

struct det_device {
    struct det_device_settings settings;
    int32_t index, major, minor; /* compute capability major.minor */
    bool used;                   /* something was made for it */
    unsigned forks; /* det_forks() of the process that opened it: CUDA does not survive a fork */
    char name[256];
    enum detk_type type; /* of activations and of their gradients */
    cudaStream_t stream, copies, sides[DET_CUDA_SIDES];
    cudaEvent_t forked, joined[DET_CUDA_SIDES]; /* of the sides */
    cublasLtHandle_t cublas;
    cudnnHandle_t cudnn;             /* NULL until a network needs it: it costs hundreds of MB */
    struct det_cuda_choice *choices; /* by time, so far: cuda_tune.h */
    size_t choice_count, choice_room;
};

/* Functions of struct det_backend. DEVICE when there is no GPU, or none of compute capability 7.5
 * (8.0 for TF32 and BF16). */
det_status det_cuda_device_open(struct det_env *env, const struct det_device_settings *settings,
                                struct det_device **device);
/* After the error of a kernel, which nothing on the GPU survives, this also resets it for the
 * process, so that it may be opened again. That is fragile: whatever else of the process has used
 * the GPU (another context of this library on it, a program's own kernels, cublasLt's and cuDNN's
 * own state) has lost its memory and handles and gets errors from then on. The sure way on is a new
 * process; other processes are not concerned. */
void det_cuda_device_close(struct det_env *env, struct det_device **device);
/* Another GPU, by its index, where nobody named one and nothing was made for this one; else, and
 * where there is none of that index, it stays. */
det_status det_cuda_device_prefer(struct det_env *env, struct det_device *device, int32_t index);
void det_cuda_device_describe(const struct det_device *device, char *text, size_t bytes);

/* CUDA's notion of a current device is each host thread's own: every entry of the backend begins
 * with this. DEVICE in the child of a fork. */
det_status det_cuda_device_use(struct det_env *env, const struct det_device *device);

/* What the first `sides` streams beside the first get from here on comes after what the stream has;
 * and the other way round. */
det_status det_cuda_device_fork(struct det_env *env, const struct det_device *device,
                                int32_t sides);
det_status det_cuda_device_join(struct det_env *env, const struct det_device *device,
                                int32_t sides);

/* The one place where the host waits for the device; errors of anything launched before show
 * here. */
det_status det_cuda_device_wait(struct det_env *env, const struct det_device *device,
                                const char *what);

/* Copies on the stream and waits: for what happens outside of a step, from and to memory of any
 * kind. */
det_status det_cuda_upload(struct det_env *env, const struct det_device *device, void *to,
                           const void *from, size_t bytes, const char *what);
det_status det_cuda_download(struct det_env *env, const struct det_device *device, void *to,
                             const void *from, size_t bytes, const char *what);
/* Only enqueues the copy: for pinned memory. */
det_status det_cuda_enqueue_upload(struct det_env *env, const struct det_device *device, void *to,
                                   const void *from, size_t bytes, const char *what);
det_status det_cuda_enqueue_download(struct det_env *env, const struct det_device *device, void *to,
                                     const void *from, size_t bytes, const char *what);

/* Only enqueues the copy of an input, on the stream of copies: from pinned memory. `uploaded` then
 * stands behind it, and what the device's stream gets after det_cuda_input_awaited() comes after
 * that. */
det_status det_cuda_input_upload(struct det_env *env, const struct det_device *device, void *to,
                                 const void *from, size_t bytes, const char *what);
det_status det_cuda_input_uploaded(struct det_env *env, const struct det_device *device,
                                   cudaEvent_t uploaded);
det_status det_cuda_input_awaited(struct det_env *env, const struct det_device *device,
                                  cudaEvent_t uploaded);
/* The host waits: for the memory of an input whose upload nobody waited for. */
det_status det_cuda_input_wait(struct det_env *env, const struct det_device *device);

/* Size of an element of an activation. */
static inline size_t det_cuda_element_bytes(const struct det_device *device)
{
    return device->type == DETK_BF16 ? 2 : 4;
}

#endif
