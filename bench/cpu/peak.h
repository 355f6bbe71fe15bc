/* peak.h: the probes of the roofline, one set per instruction set (peak_kernel.h). */
#ifndef DET_BENCH_CPU_PEAK_H
#define DET_BENCH_CPU_PEAK_H

#include <stddef.h>

#define PEAK_PROBES(isa)                                                            \
    double peak_fma__##isa(long steps);                                             \
    void peak_triad__##isa(float *a, const float *b, const float *c, size_t count); \
    float peak_read__##isa(const float *a, size_t count)

PEAK_PROBES(sse2);
PEAK_PROBES(avx2);
PEAK_PROBES(avx512);

#endif
