/* blocked_tile.h: body of the pixel tiles of blocked.h, included by blocked_table.h. Rows and
 * vectors are constants after inlining, so the accumulators live in registers; a tile of every
 * height up to the largest, so that a tail costs no wasted work. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_TILE_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_TILE_H

#include "ops/cpu/blocked/blocked_form.h"

#define UNROLL_ALL   _Pragma("GCC unroll 16")
#define UNROLL_STEPS _Pragma("GCC unroll 4")

/* Words from the tile's first column to vector v's: panels begin with a block. */
#define VECTOR_AT(block, v) \
    ((v)*V_WIDTH / DETK_BLOCK * (block) + WORDS_OF((v)*V_WIDTH % DETK_BLOCK))

/* The last columns do not fill the vectors, or the result has another form. Out of line: only a
 * network's outputs are so. */
static __attribute__((noinline)) void write_part(const struct detk_pixel_tile *t, float *c,
                                                 int rows, int width, const float *sums)
{
    for (int i = 0; i < rows; i++) {
        for (int32_t j = 0; j < t->cols; j += V_WIDTH) {
            const int lanes = t->cols - j < V_WIDTH ? (int)(t->cols - j) : V_WIDTH;
            const v_f32 sum = v_load_all(sums + i * width + j);
            v_store(c + i * t->c_pixel + j, t->relu6 ? v_relu6(sum) : sum, lanes);
        }
    }
}

/* One word of each pixel times a row of b, or a part of both; `single`: of a pair of channels only
 * the first exists. */
V_INLINE void step_part(v_f32 (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                        const int rows, const int vectors, const bool single, const int part)
{
    v_f32 right[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) right[v] =
        part_of(v_load_all(b + v * V_WIDTH), part);
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        const float *word = a + i * WORDS;
        const v_f32 left = part_of(single ? set_first(word) : v_set(*word), part);
        UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
            add_product(left, right[v], sum[i][v]);
    }
}

V_INLINE void step(v_f32 (*sum)[DETK_TILE_MAX_VECTORS], const float *a, const float *b,
                   const int rows, const int vectors, const bool single)
{
    step_part(sum, a, b, rows, vectors, single, 0);
    if (PARTS > 1 && !single) {
        /* Words are loaded again: there are no registers to keep them in. */
        __asm__ volatile("" ::: "memory");
        step_part(sum, a, b, rows, vectors, single, 1);
    }
}

/* Returns where the next tile looks ahead. */
V_INLINE const float *one_tile(const struct detk_pixel_tile *t, const float *a, const float *add,
                               float *c, const float *ahead, const int rows, const int vectors)
{
    v_f32 sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
    const ptrdiff_t c_pixel = t->c_pixel, c_block = t->c_block;
    if (t->bias != NULL) {
        UNROLL_ALL for (int v = 0; v < vectors; v++)
        {
            const v_f32 bias = v_load_all(t->bias + v * V_WIDTH);
            UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = bias;
        }
    } else {
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
                v_load_all(c + i * c_pixel + VECTOR_AT(c_block, v));
        }
    }
    const float *b = t->b;
    const ptrdiff_t a_block = t->a_block;
    int32_t left = t->terms;
    for (; left >= DETK_BLOCK; left -= DETK_BLOCK) {
        /* The same block of the pixels that come next. */
        UNROLL_ALL for (int i = 0; i < rows; i += DETK_BLOCK / WORDS)
            __builtin_prefetch(a + (rows + i) * WORDS, 0, 3);
        __builtin_prefetch(ahead, 0, 2);
        ahead += DETK_BLOCK;
        UNROLL_STEPS for (int s = 0; s < WORDS; s++)
        {
            step(sum, a + s, b, rows, vectors, false);
            b += vectors * V_WIDTH;
        }
        a += a_block;
    }
    for (; left >= DETK_BLOCK / WORDS; left -= DETK_BLOCK / WORDS, a++, b += vectors * V_WIDTH)
        step(sum, a, b, rows, vectors, false);
    if (WORDS < DETK_BLOCK && left > 0)
        step(sum, a, b, rows, vectors, true);
    if (t->cols < vectors * V_WIDTH || (WORDS < DETK_BLOCK && t->plain)) {
        _Alignas(64) float sums[DETK_TILE_MAX_ROWS * DETK_TILE_MAX_VECTORS * V_WIDTH];
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            UNROLL_ALL for (int v = 0; v < vectors; v++)
                v_store_all(sums + (i * vectors + v) * V_WIDTH, sum[i][v]);
        }
        write_part(t, c, rows, vectors * V_WIDTH, sums);
        return ahead;
    }
    if (add != NULL) {
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] =
                v_add(sum[i][v], load_channels(add + i * WORDS + VECTOR_AT(t->add_block, v)));
        }
    }
    if (t->relu6) {
        UNROLL_ALL for (int i = 0; i < rows; i++)
        {
            UNROLL_ALL for (int v = 0; v < vectors; v++) sum[i][v] = v_relu6(sum[i][v]);
        }
    }
    UNROLL_ALL for (int i = 0; i < rows; i++)
    {
        UNROLL_ALL for (int v = 0; v < vectors; v++)
            store_channels(c + i * c_pixel + VECTOR_AT(c_block, v), sum[i][v]);
    }
    return ahead;
}

V_INLINE void tiles(const struct detk_pixel_tile *t, const int rows, const int vectors)
{
    for (int32_t line = 0; line < t->lines; line++) {
        const float *a = t->a + line * t->a_line, *ahead = t->ahead + line * t->ahead_line;
        const float *add = t->add == NULL ? NULL : t->add + line * t->add_line;
        float *c = t->c + line * t->c_line;
        for (int32_t left = t->tiles; left > 0; left--) {
            ahead = one_tile(t, a, add, c, ahead, rows, vectors);
            a += rows * WORDS;
            c += rows * t->c_pixel;
            if (add != NULL)
                add += rows * WORDS;
        }
    }
}

#define TILE(vectors, rows)                                              \
    static void tile_##vectors##_##rows(const struct detk_pixel_tile *t) \
    {                                                                    \
        tiles(t, rows, vectors);                                         \
    }

#endif
