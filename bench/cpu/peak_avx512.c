#include <immintrin.h>

#define V            __m512
#define LANES        16
#define CHAINS       24
#define LOAD(p)      _mm512_loadu_ps(p)
#define STORE(p, v)  _mm512_storeu_ps(p, v)
#define SET1(x)      _mm512_set1_ps(x)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define PROBE(name)  name##__avx512
#include "peak_kernel.h"
