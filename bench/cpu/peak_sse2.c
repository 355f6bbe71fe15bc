#include <emmintrin.h>

#define V            __m128
#define LANES        4
#define CHAINS       12
#define LOAD(p)      _mm_loadu_ps(p)
#define STORE(p, v)  _mm_storeu_ps(p, v)
#define SET1(x)      _mm_set1_ps(x)
#define FMA(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define PROBE(name)  name##__sse2
#include "peak_kernel.h"
