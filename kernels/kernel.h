/* kernel.h: what the contracts of all kernels share. C and C++.
 *
 * A kernel NAME is NAME.h (the contract: C functions that launch it) and NAME.cu. Conventions:
 *  - "detk_" functions only launch on `stream` and return cudaGetLastError(); they never wait,
 *    allocate or copy to the host, so they may be recorded in a CUDA graph. Sizes are trusted (the
 *    plan checked them), 0 elements is a no-op.
 *  - Pointers are device memory. Activations are NHWC, contiguous, aligned to DETK_ALIGN bytes, of
 *    `type` F32 or BF16; "rows" is N*H*W, "c" the channels, any number >= 1. Parameters,
 *    statistics, losses and their gradients are always float32. Arithmetic is float32; BF16 is
 *    rounded to nearest even at the store.
 *  - `accumulate`: false writes the output, true adds to it.
 *  - `workspace` is device memory of at least detk_NAME_workspace(...) bytes, aligned to
 *    DETK_ALIGN, contents free.
 *  - No float atomics: same input, same device, same bits. Sums are split by size only.
 *  - NaN in an operand reaches every result it takes part in.
 */
#ifndef DET_KERNELS_KERNEL_H
#define DET_KERNELS_KERNEL_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ops/shape.h"

#define DETK_ALIGN 256

enum detk_type { DETK_F32 = 0, DETK_BF16 = 1 };

#ifdef __cplusplus
#define DETK_BEGIN extern "C" {
#define DETK_END   }
#else
#define DETK_BEGIN
#define DETK_END
#endif

#endif
