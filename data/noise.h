/* noise.h: hashes and smooth value noise of a place, the same whatever order pixels are drawn in.
 */
#ifndef DEMO_NOISE_H
#define DEMO_NOISE_H

#include <stdint.h>

#include "scalar.h"

static inline uint32_t noise_hash(uint32_t x, uint32_t y, uint32_t seed)
{
    uint32_t h = x * 0x9E3779B1U ^ y * 0x85EBCA77U ^ seed * 0xC2B2AE3DU;
    h ^= h >> 15;
    h *= 0x2C1B3C6DU;
    h ^= h >> 12;
    h *= 0x297A2D39U;
    return h ^ h >> 15;
}

static inline float noise_cell(int32_t x, int32_t y, uint32_t seed)
{
    return (float)(noise_hash((uint32_t)x, (uint32_t)y, seed) >> 8) * (1.0F / 16777216.0F);
}

/* [0, 1], one lattice cell per unit */
static inline float noise_value(float x, float y, uint32_t seed)
{
    const int32_t ix = floori(x), iy = floori(y);
    const float fx = x - (float)ix, fy = y - (float)iy;
    const float u = fx * fx * (3 - 2 * fx), v = fy * fy * (3 - 2 * fy);
    const float a = noise_cell(ix, iy, seed), b = noise_cell(ix + 1, iy, seed);
    const float c = noise_cell(ix, iy + 1, seed), d = noise_cell(ix + 1, iy + 1, seed);
    const float low = a + u * (b - a), high = c + u * (d - c);
    return low + v * (high - low);
}

#endif
