/* cuda_bf16.h: stand-in: __nv_bfloat16 and its conversions. */
#ifndef DET_EMU_CUDA_BF16_H
#define DET_EMU_CUDA_BF16_H

#include <stdint.h>
#include <string.h>

struct __nv_bfloat16 {
    uint16_t bits;
};

static inline float __bfloat162float(__nv_bfloat16 value)
{
    const uint32_t bits = (uint32_t)value.bits << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U)
        return {0x7FFF}; /* the device's canonical NaN */
    bits += 0x7FFFU + ((bits >> 16) & 1U);
    return {(uint16_t)(bits >> 16)};
}

static inline __nv_bfloat16 __float2bfloat16(float value)
{
    return __float2bfloat16_rn(value);
}

#endif
