/* cuda_memory.h: memory in few large blocks. A step or runner first places all that it needs in a
 * layout, so that its size is known before any is taken, then takes one block of device memory and
 * one of pinned host memory: nothing is allocated while it runs, and there is one thing to
 * release. */
#ifndef DET_DEVICES_CUDA_MEMORY_H
#define DET_DEVICES_CUDA_MEMORY_H

#include "support/env.h"

enum det_cuda_place {
    DET_CUDA_DEVICE,
    DET_CUDA_PINNED, /* host memory that the device copies from and to on its own */
};

struct det_cuda_block {
    uint8_t *at; /* NULL: none; aligned to DETK_ALIGN */
    size_t bytes;
    enum det_cuda_place place;
};

/* bytes 0 gives no memory. OUT_OF_MEMORY says what was wanted and what is free. */
det_status det_cuda_block_create(struct det_env *env, enum det_cuda_place place, size_t bytes,
                                 const char *what, struct det_cuda_block *block);
/* A block without memory is allowed, and is what is left. */
void det_cuda_block_destroy(struct det_cuda_block *block);

struct det_cuda_layout {
    size_t bytes;
    bool too_large; /* a sum did not fit size_t */
};

/* Room for `count` objects of `size` bytes; gives their offset, a multiple of DETK_ALIGN. */
size_t det_cuda_layout_add(struct det_cuda_layout *layout, size_t count, size_t size);

#endif
