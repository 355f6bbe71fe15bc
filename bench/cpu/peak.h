/* peak.h: the probes of the roofline, one set per instruction set (peak_kernel.h). */
#ifndef DET_BENCH_CPU_PEAK_H
#define DET_BENCH_CPU_PEAK_H

#include <stddef.h>

#include "ops/cpu/isa/isas.h"

#define PEAK_PROBES(isa)                                                            \
    double peak_fma__##isa(long steps);                                             \
    void peak_triad__##isa(float *a, const float *b, const float *c, size_t count); \
    float peak_read__##isa(const float *a, size_t count);

/* A value that the compiler cannot foresee from here on, so that it keeps all multiply-adds. A
 * build that emulates an instruction set brings its own. */
#ifndef V_KEEP
#define V_KEEP(vector) __asm__ volatile("" : "+x"(vector))
#endif

DETK_ISAS(PEAK_PROBES)

/* `steps` rounds of independent multiply-adds of bf16 pairs in registers; returns the flop: four a
 * word. */
double peak_bf16__avx512bf16(long steps);
/* The same of bytes, in 32 bits: eight a word. */
double peak_q8__avx512vnni(long steps);

#endif
