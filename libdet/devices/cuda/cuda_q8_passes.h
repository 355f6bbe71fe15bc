/* cuda_q8_passes.h: a dense convolution in 8 bits makes sums of 32 bits, four times what it writes.
 * They are made and used in passes of rows that L2 holds, so that they need no memory of the
 * batch's size and seldom leave the chip. The roofline counts by this, too. */
#ifndef DET_DEVICES_CUDA_Q8_PASSES_H
#define DET_DEVICES_CUDA_Q8_PASSES_H

#include <stdint.h>

/* Sums of a pass, or its patches if those are more: an A100's L2, 40 MB, holds both. */
#define DET_CUDA_Q8_PASS_BYTES ((int64_t)16 << 20)

/* As few passes as there must be, for rows of that many bytes. */
static inline int64_t det_cuda_q8_passes(int64_t rows, int64_t row_bytes)
{
    if (row_bytes < 1 || row_bytes > DET_CUDA_Q8_PASS_BYTES)
        return rows;
    const int64_t most = DET_CUDA_Q8_PASS_BYTES / row_bytes;
    return (rows + most - 1) / most;
}

#endif
