/* gemm_kernel.h: body of the micro-kernels, included once by each gemm_<isa>.c after it has defined
 *   LANES, MAX_ROWS, TABLE   the last is the name of the struct detk_gemm
 *   FENCE                    a function or NULL
 *   vec                      and on it load(p), store(p, v), stream(p, v) to whole cache lines,
 *                            load_part(p, n), store_part(p, v, n) with 1 <= n <= LANES,
 *                            broadcast(p), set1(x), multiply_add(a, b, c) = a * b + c, add(a, b),
 *                            clamp(v) to [0, 6], where a NaN stays one
 *
 * Everything is inlined with constant rows and vectors: the accumulators live in registers.
 */
#include "ops/cpu/gemm/gemm.h"

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

INLINE vec finish(const struct detk_tile *t, vec sum, vec other)
{
    sum = add(sum, other);
    return t->relu6 ? clamp(sum) : sum;
}

/* The tile's last columns do not fill its vectors: out of line, since it is rare or small. */
static __attribute__((noinline)) void write_part(const struct detk_tile *t, float *c, int rows,
                                                 int vectors, const float *sums)
{
    for (int i = 0; i < rows; i++, c += t->c_row) {
        for (int v = 0; v < vectors && v * LANES < t->cols; v++) {
            const int left = t->cols - v * LANES, n = left < LANES ? left : LANES;
            const float *from = t->accumulate ? c : t->bias;
            const vec other = from != NULL ? load_part(from + v * LANES, n) : set1(0);
            store_part(c + v * LANES, finish(t, load(sums + (i * vectors + v) * LANES), other), n);
        }
    }
}

/* One tile; returns where the next one looks ahead. */
INLINE const float *one_tile(const struct detk_tile *t, const float *a, float *c,
                             const float *ahead, const int rows, const int vectors, const bool down)
{
    vec sum[MAX_ROWS][2];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[i][v] = set1(0);
    }
    const float *b = t->b, *segment = a;
    const ptrdiff_t b_step = t->b_step, a_row = down ? 1 : t->a_row, a_step = down ? t->a_step : 1;
    const int32_t run = t->run;
    const ptrdiff_t ahead_step = t->ahead_step;
    for (int32_t g = t->segments; g > 0; g--, segment += t->a_segment) {
        /* Three bases reach 15 rows by x86's addressing: base + {0, 1, 2, 3, 4} * a_row. */
        const float *a0 = segment, *a5 = segment + 5 * a_row, *a10 = segment + 10 * a_row;
        for (int32_t s = run; s > 0; s--) {
            vec right[2];
            __builtin_prefetch(ahead, 0, 2);
            ahead += ahead_step;
            UNROLL
            for (int v = 0; v < vectors; v++)
                right[v] = load(b + v * LANES);
            UNROLL
            for (int i = 0; i < rows; i++) {
                const float *base = i < 5 ? a0 : i < 10 ? a5 : a10;
                const vec left = broadcast(base + (i % 5) * a_row);
                UNROLL
                for (int v = 0; v < vectors; v++)
                    sum[i][v] = multiply_add(left, right[v], sum[i][v]);
            }
            b += b_step;
            a0 += a_step;
            if (rows > 5)
                a5 += a_step;
            if (rows > 10)
                a10 += a_step;
        }
    }
    if (t->cols < vectors * LANES) {
        _Alignas(64) float sums[MAX_ROWS * 2 * LANES];
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                store(sums + (i * vectors + v) * LANES, sum[i][v]);
        }
        write_part(t, c, rows, vectors, sums);
        return ahead;
    }
    const ptrdiff_t c_row = t->c_row;
    if (t->accumulate) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++) {
                float *to = c + i * c_row + v * LANES;
                store(to, add(sum[i][v], load(to)));
            }
        }
        return ahead;
    }
    if (t->bias != NULL) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vec bias = load(t->bias + v * LANES);
            UNROLL
            for (int i = 0; i < rows; i++)
                sum[i][v] = add(sum[i][v], bias);
        }
    }
    if (t->relu6) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                sum[i][v] = clamp(sum[i][v]);
        }
    }
    if (t->stream) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++)
                stream(c + i * c_row + v * LANES, sum[i][v]);
        }
        return ahead;
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            store(c + i * c_row + v * LANES, sum[i][v]);
    }
    return ahead;
}

INLINE void multiply(const struct detk_tile *t, const int rows, const int vectors, const bool down)
{
    const float *a = t->a, *ahead = t->ahead;
    float *c = t->c;
    int32_t left = t->tiles;
    do {
        ahead = one_tile(t, a, c, ahead, rows, vectors, down);
        a += t->a_tile;
        c += t->c_tile;
    } while (--left > 0);
}

#define KERNELS(rows)                                     \
    static void across1_##rows(const struct detk_tile *t) \
    {                                                     \
        multiply(t, rows, 1, false);                      \
    }                                                     \
    static void across2_##rows(const struct detk_tile *t) \
    {                                                     \
        multiply(t, rows, 2, false);                      \
    }                                                     \
    static void down1_##rows(const struct detk_tile *t)   \
    {                                                     \
        multiply(t, rows, 1, true);                       \
    }                                                     \
    static void down2_##rows(const struct detk_tile *t)   \
    {                                                     \
        multiply(t, rows, 2, true);                       \
    }

KERNELS(1)
KERNELS(2)
KERNELS(3)
KERNELS(4)
KERNELS(5)
KERNELS(6)
#if MAX_ROWS > 6
KERNELS(7)
KERNELS(8)
KERNELS(9)
KERNELS(10)
KERNELS(11)
KERNELS(12)
KERNELS(13)
KERNELS(14)
#define NAMES(name)                                                                               \
    {                                                                                             \
        name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8, name##_9, \
            name##_10, name##_11, name##_12, name##_13, name##_14                                 \
    }
#else
#define NAMES(name)                                                \
    {                                                              \
        name##_1, name##_2, name##_3, name##_4, name##_5, name##_6 \
    }
#endif

const struct detk_gemm TABLE = {
    .lanes = LANES,
    .max_rows = MAX_ROWS,
    .fence = FENCE,
    .across = {NAMES(across1), NAMES(across2)},
    .down = {NAMES(down1), NAMES(down2)},
};
