/* gemm_sse2.c: micro-kernels of 6 x 8 floats for what every x86-64 processor has; elsewhere the
 * same on the compiler's own vectors of four floats. There is no fused multiply-add: each product
 * is rounded before it is added. */
#include <stdint.h>
#include <string.h>

#define LANES    4
#define MAX_ROWS 6
#define TABLE    detk_gemm_sse2

#ifdef __SSE2__

#include <emmintrin.h>

#define vec                   __m128
#define load(p)               _mm_loadu_ps(p)
#define store(p, v)           _mm_storeu_ps(p, v)
#define set1(x)               _mm_set1_ps(x)
#define add(a, b)             _mm_add_ps(a, b)
#define multiply_add(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define minimum(a, b)         _mm_min_ps(a, b)
#define maximum(a, b)         _mm_max_ps(a, b)

#else

typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_mask __attribute__((vector_size(16)));

static inline vec load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

static inline vec select_vec(vec_mask mask, vec yes, vec no) {
    return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}

#define set1(x)               ((vec){(x), (x), (x), (x)})
#define add(a, b)             ((a) + (b))
#define multiply_add(a, b, c) ((a) * (b) + (c))
#define minimum(a, b)         select_vec((a) < (b), a, b)
#define maximum(a, b)         select_vec((a) > (b), a, b)

#endif

static inline vec load_part(const float *p, int n) {
    float values[LANES] = {0};
    for (int i = 0; i < n; i++)
        values[i] = p[i];
    return load(values);
}

static inline void store_part(float *p, vec v, int n) {
    float values[LANES];
    store(values, v);
    for (int i = 0; i < n; i++)
        p[i] = values[i];
}

#define broadcast(p) set1(*(p))

#include "backend/cpu/gemm_kernel.h"
