/* simd.h: one vector of floats, as wide as the instruction set that a source is compiled for
 * (isas.h): the functions below become that set's instructions. `generic` is for any machine: it
 * becomes SSE2 on x86-64, NEON on aarch64. `lanes` is how many of the V_WIDTH lanes exist in
 * memory: with the constant V_WIDTH the partial forms fold into plain loads and stores. Loads and
 * stores need no alignment. */
#ifndef DET_OPS_CPU_ISA_SIMD_H
#define DET_OPS_CPU_ISA_SIMD_H

#include <stdint.h>
#include <string.h>
#if DET_ISA_WIDTH > 4
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h> /* v_fma() */
#endif

#include "ops/cpu/isa/cpu_ops.h"

#define V_INLINE static inline __attribute__((always_inline, unused))
#define V_WIDTH  DET_ISA_WIDTH

/* The value stays in a register: GCC prefers to load it again at each use, and the loads, two a
 * cycle, are then what a loop waits for. Defined already where the set is emulated and no register
 * is as wide. */
#ifdef V_KEEP
#elif defined(__x86_64__)
#define V_KEEP(vector) __asm__("" : "+v"(vector))
#elif defined(__aarch64__)
#define V_KEEP(vector) __asm__("" : "+w"(vector))
#else
#define V_KEEP(vector) (void)(vector)
#endif
#define V_KEEP_POINTER(pointer) __asm__("" : "+r"(pointer))

#if DET_ISA_WIDTH == 16

typedef __m512 v_f32;

V_INLINE v_f32 v_zero(void)
{
    return _mm512_setzero_ps();
}
V_INLINE v_f32 v_set(float value)
{
    return _mm512_set1_ps(value);
}
V_INLINE v_f32 v_load_all(const float *from)
{
    return _mm512_loadu_ps(from);
}
V_INLINE void v_store_all(float *to, v_f32 a)
{
    _mm512_storeu_ps(to, a);
}
V_INLINE v_f32 v_load_some(const float *from, int lanes)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), from);
}
V_INLINE void v_store_some(float *to, v_f32 a, int lanes)
{
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << lanes) - 1), a);
}
V_INLINE v_f32 v_add(v_f32 a, v_f32 b)
{
    return _mm512_add_ps(a, b);
}
V_INLINE v_f32 v_sub(v_f32 a, v_f32 b)
{
    return _mm512_sub_ps(a, b);
}
V_INLINE v_f32 v_mul(v_f32 a, v_f32 b)
{
    return _mm512_mul_ps(a, b);
}
/* a * b + c */
V_INLINE v_f32 v_fma(v_f32 a, v_f32 b, v_f32 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
V_INLINE v_f32 v_relu6(v_f32 a)
{
    return _mm512_min_ps(_mm512_set1_ps(6), _mm512_max_ps(_mm512_setzero_ps(), a));
}
/* `gradient` where 0 < out < 6 or out is NaN, else 0. */
V_INLINE v_f32 v_passed(v_f32 gradient, v_f32 out)
{
    const __mmask16 above = _mm512_cmp_ps_mask(out, _mm512_setzero_ps(), _CMP_NLE_UQ);
    return _mm512_maskz_mov_ps(_mm512_mask_cmp_ps_mask(above, out, _mm512_set1_ps(6), _CMP_NGE_UQ),
                               gradient);
}
/* The smaller or larger of the two, `other` where either is NaN. */
V_INLINE v_f32 v_min(v_f32 a, v_f32 other)
{
    return _mm512_min_ps(a, other);
}
V_INLINE v_f32 v_max(v_f32 a, v_f32 other)
{
    return _mm512_max_ps(a, other);
}
/* A bit for each lane that lies in low .. high, the first lane's the lowest; none for NaN. */
V_INLINE uint32_t v_within(v_f32 a, v_f32 low, v_f32 high)
{
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(a, low, _CMP_GE_OQ), a, high, _CMP_LE_OQ);
}
/* Lanes with their bit set, 0 in the others. */
V_INLINE v_f32 v_keep(v_f32 a, uint32_t bits)
{
    return _mm512_maskz_mov_ps((__mmask16)bits, a);
}
/* to[0..V_WIDTH) += a */
V_INLINE void v_add_to_double(double *to, v_f32 a)
{
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), low));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), high));
}

#elif DET_ISA_WIDTH == 8

typedef __m256 v_f32;

V_INLINE v_f32 v_zero(void)
{
    return _mm256_setzero_ps();
}
V_INLINE v_f32 v_set(float value)
{
    return _mm256_set1_ps(value);
}
V_INLINE v_f32 v_load_all(const float *from)
{
    return _mm256_loadu_ps(from);
}
V_INLINE void v_store_all(float *to, v_f32 a)
{
    _mm256_storeu_ps(to, a);
}
V_INLINE __m256i v_mask(int lanes)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
V_INLINE v_f32 v_load_some(const float *from, int lanes)
{
    return _mm256_maskload_ps(from, v_mask(lanes));
}
V_INLINE void v_store_some(float *to, v_f32 a, int lanes)
{
    _mm256_maskstore_ps(to, v_mask(lanes), a);
}
V_INLINE v_f32 v_add(v_f32 a, v_f32 b)
{
    return _mm256_add_ps(a, b);
}
V_INLINE v_f32 v_sub(v_f32 a, v_f32 b)
{
    return _mm256_sub_ps(a, b);
}
V_INLINE v_f32 v_mul(v_f32 a, v_f32 b)
{
    return _mm256_mul_ps(a, b);
}
V_INLINE v_f32 v_fma(v_f32 a, v_f32 b, v_f32 c)
{
    return _mm256_fmadd_ps(a, b, c);
}
V_INLINE v_f32 v_relu6(v_f32 a)
{
    return _mm256_min_ps(_mm256_set1_ps(6), _mm256_max_ps(_mm256_setzero_ps(), a));
}
V_INLINE v_f32 v_passed(v_f32 gradient, v_f32 out)
{
    const v_f32 above = _mm256_cmp_ps(out, _mm256_setzero_ps(), _CMP_NLE_UQ);
    const v_f32 below = _mm256_cmp_ps(out, _mm256_set1_ps(6), _CMP_NGE_UQ);
    return _mm256_and_ps(gradient, _mm256_and_ps(above, below));
}
V_INLINE v_f32 v_min(v_f32 a, v_f32 other)
{
    return _mm256_min_ps(a, other);
}
V_INLINE v_f32 v_max(v_f32 a, v_f32 other)
{
    return _mm256_max_ps(a, other);
}
V_INLINE uint32_t v_within(v_f32 a, v_f32 low, v_f32 high)
{
    return (uint32_t)_mm256_movemask_ps(
        _mm256_and_ps(_mm256_cmp_ps(a, low, _CMP_GE_OQ), _mm256_cmp_ps(a, high, _CMP_LE_OQ)));
}
V_INLINE v_f32 v_keep(v_f32 a, uint32_t bits)
{
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32((int32_t)bits), each);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each)));
}
V_INLINE void v_add_to_double(double *to, v_f32 a)
{
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
    const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
    _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), low));
    _mm256_storeu_pd(to + 4, _mm256_add_pd(_mm256_loadu_pd(to + 4), high));
}

#elif DET_ISA_WIDTH == \
    4 /* generic: the compiler's own vectors, of which it makes what the machine has */

typedef float v_f32 __attribute__((vector_size(16)));
typedef uint32_t v_bits __attribute__((vector_size(16)));

V_INLINE v_f32 v_zero(void)
{
    return (v_f32){0};
}
V_INLINE v_f32 v_set(float value)
{
    return (v_f32){value, value, value, value};
}
V_INLINE v_f32 v_load_all(const float *from)
{
    v_f32 a;
    memcpy(&a, from, sizeof a);
    return a;
}
V_INLINE void v_store_all(float *to, v_f32 a)
{
    memcpy(to, &a, sizeof a);
}
V_INLINE v_f32 v_load_some(const float *from, int lanes)
{
    v_f32 a = {from[0]};
    if (lanes > 1)
        a[1] = from[1];
    if (lanes > 2)
        a[2] = from[2];
    return a;
}
V_INLINE void v_store_some(float *to, v_f32 a, int lanes)
{
    to[0] = a[0];
    if (lanes > 1)
        to[1] = a[1];
    if (lanes > 2)
        to[2] = a[2];
}
V_INLINE v_f32 v_add(v_f32 a, v_f32 b)
{
    return a + b;
}
V_INLINE v_f32 v_sub(v_f32 a, v_f32 b)
{
    return a - b;
}
V_INLINE v_f32 v_mul(v_f32 a, v_f32 b)
{
    return a * b;
}
/* Rounded twice, but where all machines have a fused form for vectors. */
V_INLINE v_f32 v_fma(v_f32 a, v_f32 b, v_f32 c)
{
#ifdef __aarch64__
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}
V_INLINE v_f32 v_select(v_bits where, v_f32 yes, v_f32 no)
{
    return (v_f32)((where & (v_bits)yes) | (~where & (v_bits)no));
}
V_INLINE v_f32 v_relu6(v_f32 a)
{
#ifdef __SSE__ /* GCC finds no minimum in a selection */
    return __builtin_ia32_minps(v_set(6), __builtin_ia32_maxps(v_zero(), a));
#else
    const v_f32 positive = v_select((v_bits)(v_zero() > a), v_zero(), a);
    return v_select((v_bits)(v_set(6) < positive), v_set(6), positive);
#endif
}
V_INLINE v_f32 v_passed(v_f32 gradient, v_f32 out)
{
    const v_bits stopped = (v_bits)(out <= v_zero()) | (v_bits)(out >= v_set(6));
    return (v_f32)((v_bits)gradient & ~stopped);
}
V_INLINE v_f32 v_min(v_f32 a, v_f32 other)
{
    return v_select((v_bits)(a < other), a, other);
}
V_INLINE v_f32 v_max(v_f32 a, v_f32 other)
{
    return v_select((v_bits)(a > other), a, other);
}
V_INLINE uint32_t v_within(v_f32 a, v_f32 low, v_f32 high)
{
    const v_bits inside = (v_bits)(a >= low) & (v_bits)(a <= high) & (v_bits){1, 2, 4, 8};
    return inside[0] | inside[1] | inside[2] | inside[3];
}
V_INLINE v_f32 v_keep(v_f32 a, uint32_t bits)
{
    const v_bits each = {1, 2, 4, 8}, all = {bits, bits, bits, bits};
    return (v_f32)((v_bits)a & (v_bits)((all & each) == each));
}
V_INLINE void v_add_to_double(double *to, v_f32 a)
{
    for (int i = 0; i < V_WIDTH; i++)
        to[i] += (double)a[i];
}

#endif

/* 1 <= lanes <= V_WIDTH; lanes that do not exist read as zero. */
V_INLINE v_f32 v_load(const float *from, int lanes)
{
    return lanes == V_WIDTH ? v_load_all(from) : v_load_some(from, lanes);
}
V_INLINE void v_store(float *to, v_f32 a, int lanes)
{
    if (lanes == V_WIDTH)
        v_store_all(to, a);
    else
        v_store_some(to, a, lanes);
}

/* Batch norm's value before the activation, of x - mean. Whether a gradient passes the activation
 * is decided by these very operations too. */
V_INLINE v_f32 v_normalised(v_f32 distance, v_f32 scale, v_f32 beta)
{
    return v_fma(distance, scale, beta);
}

/* Runs the call for c channels, as an expression of `j` (the first channel) and `lanes` (how many):
 * whole vectors first, with the constant V_WIDTH, then what is left. */
#define V_FOR_CHANNELS(c, call)                    \
    do {                                           \
        int32_t j = 0;                             \
        for (; j + V_WIDTH <= (c); j += V_WIDTH) { \
            const int lanes = V_WIDTH;             \
            call;                                  \
        }                                          \
        if (j < (c)) {                             \
            const int lanes = (int)((c)-j);        \
            call;                                  \
        }                                          \
    } while (0)

/* The channel count rounded up to whole vectors of the widest set: the size of per-channel scratch
 * arrays, which may then be accessed by whole vectors. */
V_INLINE int64_t v_padded(int32_t c)
{
    return ((int64_t)c + 15) / 16 * 16;
}

#endif
