#include <immintrin.h>

#define V            __m256
#define LANES        8
#define CHAINS       12
#define LOAD(p)      _mm256_loadu_ps(p)
#define STORE(p, v)  _mm256_storeu_ps(p, v)
#define SET1(x)      _mm256_set1_ps(x)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define PROBE(name)  name##__avx2
#include "peak_kernel.h"
