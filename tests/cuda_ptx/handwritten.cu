#include "handwritten.h"

#include "launch.cuh"

/* What launches name; only the PTX does something. */
__global__ void instructions(const uint64_t (*)[4], uint64_t *)
{
}

__global__ void spaces(const uint32_t *, uint32_t *, handwritten_bug)
{
}

__global__ void shuffles(uint32_t (*)[32])
{
}

cudaError_t handwritten_instructions(const uint64_t (*in)[4], uint64_t *out)
{
    DET_LAUNCH(instructions, 1, 1, 0, nullptr, in, out);
    return cudaGetLastError();
}

cudaError_t handwritten_spaces(const uint32_t *in, uint32_t *out, handwritten_bug bug, int threads)
{
    DET_LAUNCH(spaces, 1, (unsigned)threads, sizeof(uint32_t), nullptr, in, out, bug);
    return cudaGetLastError();
}

cudaError_t handwritten_shuffles(uint32_t (*out)[32])
{
    DET_LAUNCH(shuffles, 1, 32, 0, nullptr, out);
    return cudaGetLastError();
}
