/* gemm_avx512.c: micro-kernels of 14 x 32 floats: 28 accumulators, 2 vectors of b, 1 broadcast of
 * the 32 registers. */
#include <immintrin.h>

#define LANES                 16
#define MAX_ROWS              14
#define TABLE                 detk_gemm_avx512
#define vec                   __m512
#define load(p)               _mm512_loadu_ps(p)
#define store(p, v)           _mm512_storeu_ps(p, v)
#define part(n)               ((__mmask16)((1u << (n)) - 1u))
#define load_part(p, n)       _mm512_maskz_loadu_ps(part(n), p)
#define store_part(p, v, n)   _mm512_mask_storeu_ps(p, part(n), v)
#define stream(p, v)          _mm512_stream_ps(p, v)
#define FENCE                 fence
#define broadcast(p)          _mm512_set1_ps(*(p))
#define set1(x)               _mm512_set1_ps(x)
#define multiply_add(a, b, c) _mm512_fmadd_ps(a, b, c)
#define add(a, b)             _mm512_add_ps(a, b)
#define clamp(v)              _mm512_min_ps(set1(6), _mm512_max_ps(set1(0), v))

static void fence(void)
{
    _mm_sfence();
}

#include "ops/cpu/gemm/gemm_kernel.h"
