/* gemm_avx2.c: micro-kernels of 6 x 16 floats: 12 accumulators, 2 vectors of b, 1 broadcast of the
 * 16 registers. */
#include <immintrin.h>

#define LANES                 8
#define MAX_ROWS              6
#define TABLE                 detk_gemm_avx2
#define vec                   __m256
#define load(p)               _mm256_loadu_ps(p)
#define store(p, v)           _mm256_storeu_ps(p, v)
#define load_part(p, n)       _mm256_maskload_ps(p, first(n))
#define store_part(p, v, n)   _mm256_maskstore_ps(p, first(n), v)
#define stream(p, v)          _mm256_stream_ps(p, v)
#define FENCE                 fence
#define broadcast(p)          _mm256_broadcast_ss(p)
#define set1(x)               _mm256_set1_ps(x)
#define multiply_add(a, b, c) _mm256_fmadd_ps(a, b, c)
#define add(a, b)             _mm256_add_ps(a, b)
#define clamp(v)              _mm256_min_ps(set1(6), _mm256_max_ps(set1(0), v))

static inline __m256i first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static void fence(void)
{
    _mm_sfence();
}

#include "ops/cpu/gemm/gemm_kernel.h"
