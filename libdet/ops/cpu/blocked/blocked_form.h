/* blocked_form.h: what a block of a tensor is made of, for the bodies of blocked.h's kernels: 16
 * floats of a pixel, or, where the including file defines DET_FORM_BF16, 8 words of two bf16 each.
 * Arithmetic is in float32 either way. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_FORM_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_FORM_H

#include <string.h>

#include "ops/cpu/blocked/blocked.h"

#ifdef DET_FORM_BF16
#include "ops/cpu/isa/simd_bf16.h"
#define WORDS 8 /* of a pixel's block */

V_INLINE v_f32 load_channels(const float *words)
{
    return v_bf16_load(words);
}
V_INLINE void store_channels(float *words, v_f32 a)
{
    v_bf16_store(words, a);
}

/* The first channel of a word in all lanes, the second 0. */
V_INLINE v_f32 set_first(const float *word)
{
    uint16_t first;
    memcpy(&first, word, sizeof first);
    const uint32_t bits = first;
    float value;
    memcpy(&value, &bits, sizeof value);
    return v_set(value);
}

/* Products of words: in how many parts, and what a part takes of both operands. */
#ifdef DET_ISA_BF16
#define PARTS 1
V_INLINE v_f32 part_of(v_f32 words, const int part)
{
    (void)part;
    return words;
}
V_INLINE v_f32 add_product(v_f32 a, v_f32 b, v_f32 sum)
{
    return v_bf16_dot(a, b, sum);
}
#else
#define PARTS 2
V_INLINE v_f32 part_of(v_f32 words, const int part)
{
    return part == 0 ? v_bf16_low(words) : v_bf16_high(words);
}
V_INLINE v_f32 add_product(v_f32 a, v_f32 b, v_f32 sum)
{
    return v_fma(a, b, sum);
}
#endif

#else
#include "ops/cpu/isa/simd.h"
#define WORDS DETK_BLOCK
#define PARTS 1

V_INLINE v_f32 load_channels(const float *words)
{
    return v_load_all(words);
}
V_INLINE void store_channels(float *words, v_f32 a)
{
    v_store_all(words, a);
}
V_INLINE v_f32 set_first(const float *word)
{
    return v_set(*word);
}
V_INLINE v_f32 part_of(v_f32 words, const int part)
{
    (void)part;
    return words;
}
V_INLINE v_f32 add_product(v_f32 a, v_f32 b, v_f32 sum)
{
    return v_fma(a, b, sum);
}
#endif

/* Words that so many channels of a block take. */
#define WORDS_OF(channels) ((channels)*WORDS / DETK_BLOCK)

#endif
