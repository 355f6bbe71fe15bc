/* Sums of two tensors in 8 bits. */
#include "ops/q8.h"

static int8_t add_one(const struct det_q8_add *q, int8_t a, int8_t b)
{
    const int32_t half = 1 << (q->shift - 1);
    const int32_t sum = (a - q->a_zero) * q->a + (b - q->b_zero) * q->b + half;
    return det_q8_clamp(q->to.zero + (sum >> q->shift), q->to.low, q->to.high);
}

void detk_q8_add__ref(const struct det_exec *x, int64_t count, const struct det_q8_add *q,
                      const int8_t *a, const int8_t *b, int8_t *out)
{
    (void)x;
    for (int64_t i = 0; i < count; i++)
        out[i] = add_one(q, a[i], b[i]);
}

void detk_q8_upsample_add__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w, int32_t c,
                               int32_t out_h, int32_t out_w, const struct det_q8_add *q,
                               const int8_t *low, const int8_t *lateral, int8_t *out)
{
    for (int64_t row = 0; row < (int64_t)n * out_h; row++) {
        const int64_t image = row / out_h, y = row % out_h;
        for (int64_t column = 0; column < out_w; column++) {
            const int64_t from = ((image * h + y / 2) * w + column / 2) * c;
            const int64_t to = (row * out_w + column) * c;
            detk_q8_add__ref(x, c, q, low + from, lateral + to, out + to);
        }
    }
}
