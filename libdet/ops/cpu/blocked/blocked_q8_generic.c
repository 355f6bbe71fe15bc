/* blocked_q8_generic.c: the kernels of blocked.h's 8-bit form in plain C, for any machine. */
#include <math.h>
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/gemm/gemm.h"

#define WORDS 4 /* of a pixel's block */
#define LANES 4

/* Biases; sums are counted modulo 2^32. */
static uint32_t int_at(const float *words, int32_t index)
{
    uint32_t value;
    memcpy(&value, words + index, sizeof value);
    return value;
}

/* Four products. */
static uint32_t dot(const float *a, const float *b)
{
    uint8_t left[4];
    int8_t right[4];
    memcpy(left, a, sizeof left);
    memcpy(right, b, sizeof right);
    int32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += left[i] * right[i];
    return (uint32_t)sum;
}

static void one_pixel(const struct detk_pixel_tile *t, const float *a, const float *add, float *c,
                      int32_t columns)
{
    const int32_t words = (t->terms + 3) / 4;
    for (int32_t j = 0; j < t->cols; j++) {
        uint32_t sum = int_at(t->bias, j);
        for (int32_t k = 0; k < words; k++)
            sum += dot(a + k / WORDS * t->a_block + k % WORDS, t->b + (ptrdiff_t)k * columns + j);
        const uint8_t value = detk_q8_finish_one(t->finish, j, (int32_t)sum);
        if (t->plain) {
            c[j] = detk_q8_real(t->finish, value);
            continue;
        }
        const int32_t block = j / DETK_BLOCK, lane = j % DETK_BLOCK;
        uint8_t *to = (uint8_t *)(c + block * t->c_block) + lane;
        *to = value;
        if (add != NULL) {
            const uint8_t *from = (const uint8_t *)(add + block * t->add_block) + lane;
            *to = detk_q8_sum_one(t->sum, *from, value);
        }
    }
}

static void pixels(const struct detk_pixel_tile *t, int32_t columns)
{
    for (int32_t line = 0; line < t->lines; line++) {
        const float *a = t->a + line * t->a_line;
        const float *add = t->add == NULL ? NULL : t->add + line * t->add_line;
        float *c = t->c + line * t->c_line;
        for (ptrdiff_t i = 0; i < t->tiles; i++)
            one_pixel(t, a + i * WORDS, add == NULL ? NULL : add + i * WORDS, c + i * t->c_pixel,
                      columns);
    }
}

static void tile_1_1(const struct detk_pixel_tile *t)
{
    pixels(t, LANES);
}
static void tile_2_1(const struct detk_pixel_tile *t)
{
    pixels(t, 2 * LANES);
}
static void tile_3_1(const struct detk_pixel_tile *t)
{
    pixels(t, 3 * LANES);
}
static void tile_4_1(const struct detk_pixel_tile *t)
{
    pixels(t, 4 * LANES);
}

static void dw_rows(const struct detk_dw_rows *job)
{
    for (int32_t y = 0; y < job->out_rows; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * job->stride;
        uint8_t *to = (uint8_t *)(job->out + y * job->out_row);
        for (int32_t x = 0; x < job->out_w; x++, to += DETK_BLOCK) {
            for (int32_t j = 0; j < DETK_BLOCK; j++) {
                uint32_t sum = int_at(job->bias, j);
                for (int32_t column = 0; column < 3; column++) {
                    const int8_t *w = (const int8_t *)(job->w + (ptrdiff_t)column * DETK_BLOCK + j);
                    for (int32_t r = 0; r < 3; r++) {
                        const uint8_t *in = (const uint8_t *)rows[r];
                        sum +=
                            (uint32_t)(in[((ptrdiff_t)x * job->stride + column) * DETK_BLOCK + j] *
                                       w[r]);
                    }
                }
                to[j] = detk_q8_finish_one(job->finish, j, (int32_t)sum);
            }
        }
    }
}

static void add_upsampled(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to)
{
    for (int32_t x = 0; x < w; x++) {
        const uint8_t *from = (const uint8_t *)(low + (ptrdiff_t)(x / 2) * WORDS);
        uint8_t *value = (uint8_t *)(to + (ptrdiff_t)x * WORDS);
        for (int32_t j = 0; j < DETK_BLOCK; j++)
            value[j] = detk_q8_sum_one(sum, from[j], value[j]);
    }
}

static void narrow(const float *from, int32_t count, const struct det_q8_tensor *tensor, float *to)
{
    uint8_t *value = (uint8_t *)to;
    for (int64_t i = 0; i < (int64_t)count * DETK_BLOCK; i++)
        value[i] = (uint8_t)(det_q8_of(from[i], tensor->scale, tensor->zero) + DETK_Q8_BIAS);
}

static void widen(const float *from, int32_t count, const struct det_q8_tensor *tensor, float *to)
{
    const uint8_t *value = (const uint8_t *)from;
    for (int64_t i = 0; i < (int64_t)count * DETK_BLOCK; i++)
        to[i] = det_q8_real((int8_t)(value[i] - DETK_Q8_BIAS), tensor->scale, tensor->zero);
}

static void narrow_input(const float *from, int32_t count, void *to)
{
    uint8_t *level = to;
    for (int32_t i = 0; i < count; i++)
        level[i] = (uint8_t)det_q8_grey_level(from[i]);
}

const struct detk_blocked detk_blocked_q8_generic = {
    .q8 = true,
    .words = WORDS,
    .lanes = LANES,
    .panel_vectors = 4,
    .most_vectors = 4,
    .packed_vectors = 4,
    .most_terms = INT32_MAX,
    .max_rows = {1, 1, 1, 1},
    .row_group = 1,
    .tile = {{tile_1_1}, {tile_2_1}, {tile_3_1}, {tile_4_1}},
    .dw = dw_rows,
    .add_upsampled = add_upsampled,
    .narrow = narrow,
    .widen = widen,
    .narrow_input = narrow_input,
    .gemm = &detk_gemm_generic,
};
