/* rng.h: counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", SC 2011). A stream is named by (seed, stream), so sample i of epoch e draws the
 * same numbers whichever thread decodes it, and a resumed run continues exactly. */
#ifndef DET_BASE_RNG_H
#define DET_BASE_RNG_H

#include <stdint.h>

struct det_rng {
    uint32_t key[2];     /* seed */
    uint32_t counter[4]; /* [0] blocks drawn, [1] sub-stream, [2..3] stream */
    uint32_t block[4];
    uint32_t used; /* words of `block` handed out; 4 = none left */
};

/* substream separates uses of one stream (e.g. image decode order and augmentation of the same
 * sample). */
void det_rng_init(struct det_rng *rng, uint64_t seed, uint64_t stream, uint32_t substream);

uint32_t det_rng_u32(struct det_rng *rng);
/* [0, 1), 24 bits. */
float det_rng_uniform(struct det_rng *rng);
/* [0, 1), 53 bits. */
double det_rng_uniform_double(struct det_rng *rng);
/* [low, high). */
float det_rng_range(struct det_rng *rng, float low, float high);
/* 0..bound-1, unbiased; bound >= 1. */
uint32_t det_rng_below(struct det_rng *rng, uint32_t bound);
/* Standard normal (Box-Muller, one value per call). */
float det_rng_normal(struct det_rng *rng);
/* Standard normal redrawn until within two standard deviations, as TensorFlow's truncated
 * normal. */
float det_rng_truncated_normal(struct det_rng *rng);

#endif
