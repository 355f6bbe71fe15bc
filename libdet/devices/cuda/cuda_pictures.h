/* cuda_pictures.h: a batch of pictures on their way to the network's input: rows packed into pinned
 * memory, their pixels as they are on the device, where kernels/preprocess.h resizes them. Each
 * place of the batch has its own memory, which grows when a picture is larger than any before at
 * that place. */
#ifndef DET_DEVICES_CUDA_PICTURES_H
#define DET_DEVICES_CUDA_PICTURES_H

#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_memory.h"
#include "model/input.h"
#include "preprocess.h"

struct det_cuda_picture {
    struct det_cuda_block pinned, device;
    bool under_way; /* its upload may not have ended */
};

struct det_cuda_pictures {
    int32_t batch;
    struct det_cuda_picture *pictures; /* [batch] */
    struct detk_image *images;         /* [batch], pinned: what the kernel is to know of them */
};

/* `images` is pinned memory of the owner, [batch]. All places hold a black pixel in the
 * beginning. */
det_status det_cuda_pictures_create(struct det_env *env, const struct det_device *device,
                                    int32_t batch, struct detk_image *images,
                                    struct det_cuda_pictures *pictures);
void det_cuda_pictures_destroy(struct det_env *env, struct det_cuda_pictures *pictures);

/* A checked view into place `index`; its upload is enqueued. */
det_status det_cuda_pictures_set(struct det_env *env, const struct det_device *device,
                                 struct det_cuda_pictures *pictures, int32_t index,
                                 const det_image_view *view, const struct det_frame *frame);
/* To be called after a wait. */
void det_cuda_pictures_arrived(struct det_cuda_pictures *pictures);

size_t det_cuda_pictures_bytes(const struct det_cuda_pictures *pictures);

#endif
