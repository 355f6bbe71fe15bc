#include "devices/cuda/cuda_memory.h"

#include "devices/cuda/cuda_error.h"
#include "kernel.h"
#include "support/mem.h"

det_status det_cuda_block_create(struct det_env *env, enum det_cuda_place place, size_t bytes,
                                 const char *what, struct det_cuda_block *block)
{
    *block = (struct det_cuda_block){.place = place};
    if (bytes == 0)
        return DET_OK;
    void *at = NULL;
    const cudaError_t error =
        place == DET_CUDA_PINNED ? cudaMallocHost(&at, bytes) : cudaMalloc(&at, bytes);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        size_t free_bytes = 0, total = 0;
        DET_TRY_RETURN(det_cuda_check(env, cudaMemGetInfo(&free_bytes, &total), what));
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                        "%s: no %zu bytes of %s memory (on the device %zu of %zu bytes are free)",
                        what, bytes, place == DET_CUDA_PINNED ? "pinned host" : "device",
                        free_bytes, total);
    }
    DET_TRY_RETURN(det_cuda_check(env, error, what));
    block->at = at;
    block->bytes = bytes;
    return DET_OK;
}

void det_cuda_block_destroy(struct det_cuda_block *block)
{
    if (block->at != NULL && block->place == DET_CUDA_PINNED)
        (void)cudaFreeHost(block->at);
    else if (block->at != NULL)
        (void)cudaFree(block->at);
    *block = (struct det_cuda_block){.place = block->place};
}

size_t det_cuda_layout_add(struct det_cuda_layout *layout, size_t count, size_t size)
{
    const size_t offset = layout->bytes;
    size_t bytes = 0;
    if (!det_size_mul(count, size, &bytes) || !det_size_add(bytes, DETK_ALIGN - 1, &bytes) ||
        !det_size_add(offset, bytes / DETK_ALIGN * DETK_ALIGN, &layout->bytes))
        layout->too_large = true;
    return offset;
}
