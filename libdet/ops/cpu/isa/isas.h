/* isas.h: the instruction sets that a build has kernels for. Beside the Makefile's list of file name endings, the one place that
 * knows the architecture.
 *
 * DETK_ISAS(X)  X(isa): sets with float32 kernels of their own, the slowest first
 * DETK_SETS(X)  X(name, set, isa, native_bf16): tables of operations in the same order: the kernels of `isa`, those for bf16 of
 *               `set`, and whether it multiplies bf16 itself
 *
 * `generic` is what the compiler makes of simd.h's vectors of four floats for the least machine of the architecture: users know it
 * by the name of the instruction set that this is, where it has one. */
#ifndef DET_OPS_CPU_ISA_ISAS_H
#define DET_OPS_CPU_ISA_ISAS_H

#ifdef __x86_64__

#define DETK_ISAS(X) X(generic) X(avx2) X(avx512)
#define DETK_SETS(X)                   \
    X("sse2", generic, generic, false) \
    X("avx2", avx2, avx2, false)       \
    X("avx512", avx512, avx512, false) \
    X("avx512bf16", avx512bf16, avx512, true)

#else

#define DETK_ISAS(X) X(generic)
#define DETK_SETS(X) X("generic", generic, generic, false)

#endif

#endif
