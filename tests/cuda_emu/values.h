/* values.h: tensors of float or bf16 as floats, for the libraries' stand-ins. */
#ifndef DET_EMU_VALUES_H
#define DET_EMU_VALUES_H

#include "emu.h"

namespace det_emu
{

inline float value_at(const void *values, bool bf16, size_t i)
{
    return bf16 ? __bfloat162float(((const __nv_bfloat16 *)values)[i]) : ((const float *)values)[i];
}

inline void set_value(void *values, bool bf16, size_t i, float value)
{
    if (bf16)
        ((__nv_bfloat16 *)values)[i] = __float2bfloat16_rn(value);
    else
        ((float *)values)[i] = value;
}

/* What tensor cores take of a float when TF32 is allowed: 10 bits of mantissa, to nearest. */
inline float tf32_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7F800000U) != 0x7F800000U)
        bits = (bits + 0xFFFU + ((bits >> 13) & 1U)) & ~0x1FFFU;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

inline void round_to_tf32(std::vector<float> &values)
{
    for (float &value : values)
        value = tf32_of(value);
}

/* What a library makes of the runtime's error, which it has looked at: the caller's own next
 * question must not find it. */
template <typename S> S library_status(cudaError_t error, S success, S failed)
{
    if (error != cudaSuccess)
        (void)cudaGetLastError();
    return error == cudaSuccess ? success : failed;
}

/* For algorithms whose sums come together in the order in which blocks happen to end: whether this
 * run takes the other order. */
bool other_order();

/* out[i] += factor * in[i], the inner loop of all products here. */
void add_multiple(float *out, const float *in, float factor, size_t count);

/* Library handles alive: counted with cuda_emu_counts. */
extern long live_handles;

} // namespace det_emu

#endif
