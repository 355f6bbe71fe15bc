/* isas.h: the instruction sets that a build has kernels for. Beside the Makefile's list of file
 * name endings, the one place that knows the architecture.
 *
 * DETK_ISAS(X)       X(isa): sets with float32 kernels of their own, the slowest first
 * DETK_BF16_ISAS(X)  X(bf16, isa): those with kernels of their own for bf16, and the set of their
 *                    float32 kernels
 * DETK_SETS(X)       X(name, set, isa, bf16, q8, native_bf16): tables of operations in the same
 *                    order: the kernels of `isa` in float32, those for bf16 of `bf16`, and whether
 *                    that set multiplies bf16 itself; those of `q8` for the prepared network's
 *                    8-bit form
 *
 * NAME.isa.c is compiled once for each of DETK_ISAS, NAME.set.c once for each of DETK_BF16_ISAS, to
 * NAME_SET.o; NAME_SET.c for that set alone. The Makefile defines for them
 *   DET_ISA        the set's name: generic, avx2, avx512 or avx512bf16
 *   DET_ISA_WIDTH  floats of its vectors: 4, 8 or 16
 *   DET_ISA_F32    the set of its float32 kernels
 *   DET_ISA_BF16   where it multiplies bf16 itself
 *
 * `generic` is what the compiler makes of simd.h's vectors of four floats for the least machine of
 * the architecture: users know it by the name of the instruction set that this is, where it has
 * one. */
#ifndef DET_OPS_CPU_ISA_ISAS_H
#define DET_OPS_CPU_ISA_ISAS_H

/* In a source that is compiled for an instruction set: STEM_SET. */
#define DETK_NAME(stem)          DETK_NAME_OF(stem, DET_ISA)
#define DETK_NAME_OF(stem, set)  DETK_NAME_OF_(stem, set)
#define DETK_NAME_OF_(stem, set) stem##_##set

#ifdef __x86_64__

#define DETK_ISAS(X)      X(generic) X(avx2) X(avx512)
#define DETK_BF16_ISAS(X) X(generic, generic) X(avx2, avx2) X(avx512, avx512) X(avx512bf16, avx512)
/* All processors with AVX512-BF16 have AVX-512 VNNI, and those with AVX-512 do better by it than by
 * AVX-VNNI. */
#define DETK_SETS(X)                                               \
    X("sse2", generic, generic, generic, generic, false)           \
    X("avx2", avx2, avx2, avx2, avx2, false)                       \
    X("avxvnni", avxvnni, avx2, avx2, avxvnni, false)              \
    X("avx512", avx512, avx512, avx512, avx2, false)               \
    X("avx512vnni", avx512vnni, avx512, avx512, avx512vnni, false) \
    X("avx512bf16", avx512bf16, avx512, avx512bf16, avx512vnni, true)

#else

#define DETK_ISAS(X)      X(generic)
#define DETK_BF16_ISAS(X) X(generic, generic)
#define DETK_SETS(X)      X("generic", generic, generic, generic, generic, false)

#endif

#endif
