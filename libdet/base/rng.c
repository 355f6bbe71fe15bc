#include "base/rng.h"

#include <math.h>

static void philox_block(struct det_rng *rng)
{
    uint32_t c0 = rng->counter[0], c1 = rng->counter[1], c2 = rng->counter[2], c3 = rng->counter[3];
    uint32_t k0 = rng->key[0], k1 = rng->key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    rng->block[0] = c0;
    rng->block[1] = c1;
    rng->block[2] = c2;
    rng->block[3] = c3;
    rng->counter[0]++;
    rng->used = 0;
}

void det_rng_init(struct det_rng *rng, uint64_t seed, uint64_t stream, uint32_t substream)
{
    *rng = (struct det_rng){
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, substream, (uint32_t)stream, (uint32_t)(stream >> 32)},
        .used = 4,
    };
}

uint32_t det_rng_u32(struct det_rng *rng)
{
    if (rng->used >= 4)
        philox_block(rng);
    return rng->block[rng->used++];
}

float det_rng_uniform(struct det_rng *rng)
{
    return (float)(det_rng_u32(rng) >> 8) * 0x1p-24f;
}

double det_rng_uniform_double(struct det_rng *rng)
{
    const uint64_t high = det_rng_u32(rng);
    const uint64_t low = det_rng_u32(rng);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

float det_rng_range(struct det_rng *rng, float low, float high)
{
    const float value = low + (high - low) * det_rng_uniform(rng);
    /* Rounding may reach `high`, which is outside. */
    return value < high || high <= low ? value : nextafterf(high, low);
}

uint32_t det_rng_below(struct det_rng *rng, uint32_t bound)
{
    /* Rejection of the incomplete last run of 2^32 keeps every value equally likely. */
    const uint32_t reject_below = (uint32_t)(-bound) % bound;
    for (;;) {
        const uint32_t value = det_rng_u32(rng);
        if (value >= reject_below)
            return value % bound;
    }
}

float det_rng_normal(struct det_rng *rng)
{
    const double radius = sqrt(-2.0 * log(1.0 - det_rng_uniform_double(rng)));
    const double angle = 6.283185307179586476925 * det_rng_uniform_double(rng);
    return (float)(radius * cos(angle));
}

float det_rng_truncated_normal(struct det_rng *rng)
{
    for (;;) {
        const float value = det_rng_normal(rng);
        if (fabsf(value) <= 2.0f)
            return value;
    }
}
