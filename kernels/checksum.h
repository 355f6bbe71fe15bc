/* checksum.h: a number that two arrays of floats share when all their bits are the same: for ranks
 * that ask each other whether their weights still are. Arrays that differ in one value always have
 * different numbers, others but for one in 2^64. */
#ifndef DET_KERNELS_CHECKSUM_H
#define DET_KERNELS_CHECKSUM_H

#include "kernel.h"

DETK_BEGIN

size_t detk_checksum_workspace(void);
/* *sum = the sum, modulo 2^64, of a term for each value, and no two terms of different places or
 * bits are equal: x = (2^32 place + bits + 1) * 0x9E3779B97F4A7C15, x ^= x >> 32, x *=
 * 0xD6E8FEB86659FD93, x ^= x >> 29. count < 2^32. */
cudaError_t detk_checksum(cudaStream_t stream, int64_t count, const float *values, uint64_t *sum,
                          void *workspace);

DETK_END
#endif
