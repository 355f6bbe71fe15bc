/* launch.cuh: the few places where nvcc and the emulation on the CPU (tests/cuda_emu) differ. Every
 * .cu includes this first and uses these macros; nothing else in kernels/ knows of the
 * emulation. */
#ifndef DET_KERNELS_LAUNCH_CUH
#define DET_KERNELS_LAUNCH_CUH

#ifdef DET_CUDA_EMU
#include "cuda_emu.h"
#else

#include <cuda_bf16.h>
#include <cuda_runtime.h>

/* DET_LAUNCH(kernel, grid, block, dynamic_shared_bytes, stream, arguments...); a template kernel in
 * parentheses: DET_LAUNCH((add<float, 4>), ...). */
#define DET_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
    (kernel)<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

/* Shared memory of fixed size: DET_SHARED(float, tile, [32][33]); then tile[i][j]. The emulation
 * checks each index and that what is read was written. */
#define DET_SHARED(type, name, dimensions) __shared__ type name dimensions
/* The block's dynamic shared memory as an array of `type`: name[i]. One per kernel. */
#define DET_DYNAMIC_SHARED(type, name)                                   \
    extern __shared__ __align__(16) unsigned char det_dynamic_shared_[]; \
    type *const name = reinterpret_cast<type *>(det_dynamic_shared_)

/* Tells the emulation that `pointer` is about to be read or written as one access of `bytes`, to be
 * checked for alignment and bounds. */
#define DET_CHECK_ACCESS(pointer, bytes) ((void)0)

#endif
#endif
