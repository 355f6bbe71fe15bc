/* handwritten.h: kernels that are PTX alone (spaces.ptx, instructions.py): what the translation
 * makes of each instruction, and mistakes that it must find. Only where translations are linked
 * in. */
#ifndef DET_TESTS_CUDA_PTX_HANDWRITTEN_H
#define DET_TESTS_CUDA_PTX_HANDWRITTEN_H

#include "kernel.h"

DETK_BEGIN

/* out[i] is instruction i of instructions.inc with the operands in[i]. */
cudaError_t handwritten_instructions(const uint64_t (*in)[4], uint64_t *out);

enum handwritten_bug {
    HANDWRITTEN_NONE,
    HANDWRITTEN_PLAIN_READ,        /* 4 bytes beyond device memory, by a plain pointer */
    HANDWRITTEN_SHARED_MISALIGNED, /* a pair at an odd word of shared memory */
    HANDWRITTEN_SHARED_INDEX,      /* one pair beyond an array there */
    HANDWRITTEN_NO_BARRIER,        /* others' pairs read with no barrier between */
    HANDWRITTEN_MISALIGNED,        /* a pair at an odd half of a word, by a plain pointer */
    HANDWRITTEN_DYNAMIC_INDEX,     /* beyond the dynamic shared memory of the launch */
};
enum { HANDWRITTEN_THREADS = 64 };

/* out[t] = in[63 - t] with its halves exchanged, plus 1000; `threads`: HANDWRITTEN_THREADS, its
 * launch bounds, or a mistake too. */
cudaError_t handwritten_spaces(const uint32_t *in, uint32_t *out, enum handwritten_bug bug,
                               int threads);

/* Of each lane of one warp, value + 1000 where the lane read from lies in its segment: lane 5 of
 * segments of 8, three up in 16, three down in 8, lane ^ 4 in 4 (which may be one of an earlier
 * segment); values are lane + 1. */
cudaError_t handwritten_shuffles(uint32_t (*out)[32]);

DETK_END

#endif
