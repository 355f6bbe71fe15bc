/* blocked_q8_dw_avx2.h: depthwise 3 x 3 convolutions of values of 16 bits, included by
 * blocked_q8_avx2.c behind its loads and stores. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_Q8_DW_AVX2_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_Q8_DW_AVX2_H

/* A vector is one pixel; unpacked within 128 bits it is of channels 0..3 and 8..11, or of 4..7 and
 * 12..15: the halves of a block, which a row is made of one after the other, so that a half's
 * weights stay in registers. Words of two: rows 0 and 1 of a column, and row 2 of two neighbouring
 * columns, so that only one of ten products of words is half empty. */

INLINE __m256i interleave(__m256i a, __m256i b, const int half)
{
    return half == 0 ? _mm256_unpacklo_epi16(a, b) : _mm256_unpackhi_epi16(a, b);
}

/* Three rows that a row of results is made of. */
struct three {
    const float *row[3];
};

/* Row 0 and 1 of a column. */
INLINE __m256i column_at(struct three in, int64_t x, const int half)
{
    return interleave(load(in.row[0] + x * WORDS), load(in.row[1] + x * WORDS), half);
}

/* Row 2 of column x and the next. */
INLINE __m256i two_at(struct three in, int64_t x, const int half)
{
    return interleave(load(in.row[2] + x * WORDS), load(in.row[2] + (x + 1) * WORDS), half);
}

/* The same where the next does not count, nor exist. */
INLINE __m256i one_at(struct three in, int64_t x, const int half)
{
    const __m256i last = load(in.row[2] + x * WORDS);
    return interleave(last, last, half);
}

/* 16 words' channels of one half. */
INLINE __m256i half_of(const void *words, const int half)
{
    const __m256i first = load(words), second = load((const float *)words + LANES);
    return half == 0 ? _mm256_permute2x128_si256(first, second, 0x20)
                     : _mm256_permute2x128_si256(first, second, 0x31);
}

/* For one output pixel's half of the channels: its columns by rows 0 and 1; row 2 by the columns
 * from one on that begins a pair, [0], and from one on that ends it, [1]. */
struct dw_weights {
    __m256i rows_01[3], row_2[2][2], bias;
    struct scale scale;
    struct finish finish;
};

/* Bytes as the upper halves of numbers, which are shifted down: byte `row` of each word of `low` in
 * the first number of a word, that of `high` in the second. -1: none. */
INLINE __m256i two_weights(__m256i low, int low_row, __m256i high, int high_row)
{
    const __m256i byte = _mm256_set1_epi32(0xFF);
    const __m256i none = _mm256_setzero_si256();
    const __m256i l =
        low_row < 0 ? none : _mm256_and_si256(_mm256_srli_epi32(low, 8 * low_row), byte);
    const __m256i h =
        high_row < 0 ? none : _mm256_and_si256(_mm256_srli_epi32(high, 8 * high_row), byte);
    return _mm256_srai_epi16(_mm256_or_si256(_mm256_slli_epi32(l, 8), _mm256_slli_epi32(h, 24)), 8);
}

/* From words of one column's three rows. */
INLINE struct dw_weights dw_weights_of(const struct detk_dw_rows *job, const int half)
{
    struct dw_weights k;
    __m256i w[3];
    UNROLL_ALL for (int x = 0; x < 3; x++)
    {
        w[x] = half_of(job->w + x * DETK_BLOCK, half);
        k.rows_01[x] = two_weights(w[x], 0, w[x], 1);
    }
    k.row_2[0][0] = two_weights(w[0], 2, w[1], 2);
    k.row_2[0][1] = two_weights(w[2], 2, w[2], -1);
    k.row_2[1][0] = two_weights(w[0], -1, w[0], 2);
    k.row_2[1][1] = two_weights(w[1], 2, w[2], 2);
    k.bias = half_of(job->bias, half);
    k.scale = scale_from(_mm256_castsi256_ps(half_of(job->finish->scale, half)));
    k.finish = finish_with(job->finish);
    return k;
}

INLINE __m256i add_products(__m256i sum, __m256i in, __m256i w)
{
    return in_order(_mm256_add_epi32(sum, _mm256_madd_epi16(in, w)));
}

/* Two columns: rows 0 and 1 of each, and row 2 of both. */
struct columns {
    __m256i first, second, row_2;
};

INLINE struct columns columns_at(struct three in, int64_t x, const int half)
{
    return (struct columns){column_at(in, x, half), column_at(in, x + 1, half),
                            two_at(in, x, half)};
}

/* Of the pixels whose columns begin with these two: what these come to. */
struct begun {
    __m256i first, second;
};

INLINE struct begun begin_pixels(const struct dw_weights *k, const struct columns *c)
{
    const __m256i first =
        add_products(add_products(k->bias, c->first, k->rows_01[0]), c->row_2, k->row_2[0][0]);
    return (struct begun){
        add_products(first, c->second, k->rows_01[1]),
        add_products(add_products(k->bias, c->row_2, k->row_2[1][0]), c->second, k->rows_01[0]),
    };
}

/* Of each 128 bits, four bytes from `first` on and four of eight bytes behind, as numbers of 16. */
INLINE __m256i four_and_four(__m256i bytes, const int16_t first)
{
    const __m128i from_0 = _mm_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1);
    const __m128i order = _mm_add_epi8(from_0, _mm_set1_epi16(first));
    return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(order));
}

/* One half of the channels of two pixels. The first half waits in the first pixel's place: packing
 * to bytes sets the limits of both. */
INLINE void dw_store(const struct dw_weights *k, __m256i first, __m256i second, const int half,
                     const enum detk_q8_sums kind, int64_t pixels, float *out)
{
    const __m256i both =
        numbers_of(steps_of(first, &k->scale, &k->finish, kind),
                   steps_of(second, &k->scale, &k->finish, kind), &k->finish, kind);
    if (half == 0) {
        store_values(out, both);
        return;
    }
    const __m256i bytes = _mm256_packus_epi16(load(out), both);
    store_values(out, four_and_four(bytes, 0));
    if (pixels > 1)
        store_values(out + WORDS, four_and_four(bytes, 4));
}

/* Of the columns from x on; no column behind them exists. */
INLINE void dw_last(const struct dw_weights *k, struct three in, int64_t x, const int half,
                    const enum detk_q8_sums kind, float *out)
{
    const struct columns begin = columns_at(in, x, half);
    __m256i sum = begin_pixels(k, &begin).first;
    sum = add_products(sum, column_at(in, x + 2, half), k->rows_01[2]);
    sum = add_products(sum, one_at(in, x + 2, half), k->row_2[0][1]);
    dw_store(k, sum, sum, half, kind, 1, out);
}

/* The two pixels that have begun end with the columns c, and the next two begin. Each vector of the
 * next columns is loaded when this one is used up: operations that wait for one leave no room for
 * those that need not. */
INLINE void two_of_1(const struct dw_weights *k, struct three in, int64_t next, const bool more,
                     const int half, const enum detk_q8_sums kind, struct columns *c,
                     struct begun *sums, float *out)
{
    __m256i first = add_products(sums->first, c->first, k->rows_01[2]);
    __m256i second = add_products(sums->second, c->first, k->rows_01[1]);
    sums->first = add_products(k->bias, c->first, k->rows_01[0]);
    if (more)
        c->first = in_order(column_at(in, next, half));
    first = add_products(first, c->row_2, k->row_2[0][1]);
    second = add_products(second, c->row_2, k->row_2[1][1]);
    sums->first = add_products(sums->first, c->row_2, k->row_2[0][0]);
    sums->second = add_products(k->bias, c->row_2, k->row_2[1][0]);
    if (more)
        c->row_2 = in_order(two_at(in, next, half));
    second = add_products(second, c->second, k->rows_01[2]);
    sums->first = add_products(sums->first, c->second, k->rows_01[1]);
    sums->second = add_products(sums->second, c->second, k->rows_01[0]);
    if (more)
        c->second = in_order(column_at(in, next + 1, half));
    dw_store(k, first, second, half, kind, 2, out);
}

INLINE void dw_row_1(const struct dw_weights *k, struct three in, int64_t out_w, const int half,
                     const enum detk_q8_sums kind, float *out)
{
    int64_t x = 0;
    if (out_w >= 2) {
        struct columns c = columns_at(in, 0, half);
        struct begun sums = begin_pixels(k, &c);
        c = columns_at(in, 2, half);
        for (; x + 4 <= out_w; x += 2, out += 2 * WORDS)
            two_of_1(k, in, x + 4, true, half, kind, &c, &sums, out);
        two_of_1(k, in, 0, false, half, kind, &c, &sums, out);
        x += 2;
        out += 2 * WORDS;
    }
    if (x < out_w)
        dw_last(k, in, x, half, kind, out);
}

/* The same at stride 2, where one pixel has begun. */
INLINE void two_of_2(const struct dw_weights *k, struct three in, int64_t next, const bool more,
                     const int half, const enum detk_q8_sums kind, struct columns *c, __m256i *sum,
                     float *out)
{
    __m256i first = add_products(*sum, c->first, k->rows_01[2]);
    __m256i second = add_products(k->bias, c->first, k->rows_01[0]);
    c->first = in_order(column_at(in, next, half));
    first = add_products(first, c->row_2, k->row_2[0][1]);
    second = add_products(second, c->row_2, k->row_2[0][0]);
    c->row_2 = in_order(two_at(in, next, half));
    second = add_products(second, c->second, k->rows_01[1]);
    c->second = in_order(column_at(in, next + 1, half));
    second = add_products(second, c->first, k->rows_01[2]);
    *sum = add_products(k->bias, c->first, k->rows_01[0]);
    if (more)
        c->first = in_order(column_at(in, next + 2, half));
    second = add_products(second, c->row_2, k->row_2[0][1]);
    *sum = add_products(*sum, c->row_2, k->row_2[0][0]);
    if (more)
        c->row_2 = in_order(two_at(in, next + 2, half));
    *sum = add_products(*sum, c->second, k->rows_01[1]);
    if (more)
        c->second = in_order(column_at(in, next + 3, half));
    dw_store(k, first, second, half, kind, 2, out);
}

INLINE void dw_row_2(const struct dw_weights *k, struct three in, int64_t out_w, const int half,
                     const enum detk_q8_sums kind, float *out)
{
    int64_t x = 0;
    if (out_w > 2) {
        struct columns c = columns_at(in, 0, half);
        __m256i sum = begin_pixels(k, &c).first;
        c = columns_at(in, 2, half);
        for (; x + 4 < out_w; x += 2, out += 2 * WORDS)
            two_of_2(k, in, 2 * x + 4, true, half, kind, &c, &sum, out);
        two_of_2(k, in, 2 * x + 4, false, half, kind, &c, &sum, out);
        x += 2;
        out += 2 * WORDS;
    }
    for (; x < out_w; x++, out += WORDS)
        dw_last(k, in, 2 * x, half, kind, out);
}

INLINE void dw_half(const struct detk_dw_rows *job, const int half, const enum detk_q8_sums kind)
{
    const struct dw_weights k = dw_weights_of(job, half);
    const int64_t out_w = job->out_w;
    for (int32_t y = 0; y < job->out_rows; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * job->stride;
        const struct three in = {{rows[0], rows[1], rows[2]}};
        float *out = job->out + y * job->out_row;
        if (job->stride == 1)
            dw_row_1(&k, in, out_w, half, kind, out);
        else
            dw_row_2(&k, in, out_w, half, kind, out);
    }
}

static void dw_rows(const struct detk_dw_rows *job)
{
    if (job->finish->sums == DETK_Q8_RAISED) {
        dw_half(job, 0, DETK_Q8_RAISED);
        dw_half(job, 1, DETK_Q8_RAISED);
    } else if (job->finish->sums == DETK_Q8_SMALL) {
        dw_half(job, 0, DETK_Q8_SMALL);
        dw_half(job, 1, DETK_Q8_SMALL);
    } else {
        dw_half(job, 0, DETK_Q8_ANY);
        dw_half(job, 1, DETK_Q8_ANY);
    }
}

#endif
