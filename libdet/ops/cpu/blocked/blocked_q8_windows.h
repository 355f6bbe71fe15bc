/* blocked_q8_windows.h: products of what 3x3 windows of 3 channels see (blocked.h), read where it
 * lies, so that windows need not be copied: included by blocked_q8_avx2.c behind its tiles. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_Q8_WINDOWS_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_Q8_WINDOWS_H

static void pair_lines(const char *first, const char *second, int64_t values, char *to)
{
    const ptrdiff_t bytes = sizeof(__m256i);
    for (; values > 0; values -= DETK_BLOCK, first += bytes, second += bytes, to += 2 * bytes) {
        const __m256i a = load(first), b = load(second);
        const __m256i low = _mm256_unpacklo_epi16(a, b), high = _mm256_unpackhi_epi16(a, b);
        store_sums((int32_t *)(void *)to, _mm256_permute2x128_si256(low, high, 0x20));
        store_sums((int32_t *)(void *)(to + bytes), _mm256_permute2x128_si256(low, high, 0x31));
    }
}

/* Words of a window's first two rows and of its third, and from pixel to pixel. */
#define PAIR_WORDS 9
#define LAST_WORDS 5
#define PAIR_PIXEL 6
#define LAST_PIXEL 3
#define AT_ONCE    3

struct window {
    const float *pair, *last;
};

/* `rows` pixels. */
INLINE void window_tile(const struct detk_pixel_tile *t, struct window *at, float *c,
                        const struct finish *finish, const struct scale *scale, const int rows,
                        const int vectors, const bool any)
{
    const int width = vectors * LANES;
    __m256i sum[DETK_TILE_MAX_ROWS][DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++)
    {
        const __m256i bias = load(t->bias + v * LANES);
        UNROLL_ALL for (int i = 0; i < rows; i++) sum[i][v] = bias;
    }
    const float *b = t->b;
    for (const float *a = at->pair; a < at->pair + PAIR_WORDS; a += AT_ONCE, b += AT_ONCE * width)
        plain_words(sum, a, PAIR_PIXEL, b, rows, vectors, AT_ONCE);
    plain_words(sum, at->last, LAST_PIXEL, b, rows, vectors, LAST_WORDS);
    write_tile(t->finish->sums, finish, scale, c, t->c_block, sum, rows, vectors, any);
    at->pair += rows * PAIR_PIXEL;
    at->last += rows * LAST_PIXEL;
}

INLINE void window_lines(const struct detk_pixel_tile *t, const int rows, const int vectors,
                         const bool any)
{
    const struct detk_pixel_tile job = *t;
    const struct finish finish = finish_with(t->finish);
    struct scale scale[DETK_TILE_MAX_VECTORS];
    UNROLL_ALL for (int v = 0; v < vectors; v++) scale[v] =
        scale_from(_mm256_loadu_ps(t->finish->scale + v * LANES));
    for (int32_t line = 0; line < job.lines; line++) {
        const float *a = job.a + line * job.a_line;
        struct window at = {a, a + job.a_block};
        float *c = job.c + line * job.c_line;
        int32_t left = job.tiles;
        for (; left >= rows; left -= rows, c += rows * job.c_pixel)
            window_tile(&job, &at, c, &finish, scale, rows, vectors, any);
        for (; left > 0; left--, c += job.c_pixel)
            window_tile(&job, &at, c, &finish, scale, 1, vectors, any);
    }
}

INLINE void windows(const struct detk_pixel_tile *t, const int vectors)
{
    if (t->finish->sums == DETK_Q8_ANY)
        window_lines(t, 1, vectors, true);
    else
        window_lines(t, 4, vectors, false);
}

static void windows_1(const struct detk_pixel_tile *t)
{
    windows(t, 1);
}

static void windows_2(const struct detk_pixel_tile *t)
{
    windows(t, 2);
}

static void windows_3(const struct detk_pixel_tile *t)
{
    wide_tiles(t, windows_2, windows_1);
}

static void windows_4(const struct detk_pixel_tile *t)
{
    wide_tiles(t, windows_2, windows_2);
}

#endif
