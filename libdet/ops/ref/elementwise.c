/* Addition, accumulation and nearest x2 upsampling. */
#include "ops/ref/ref_ops.h"

void detk_add_forward__ref(const struct det_exec *x, int64_t count, const float *a, const float *b,
                           float *out)
{
    (void)x;
    for (int64_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

void detk_accumulate__ref(const struct det_exec *x, int64_t count, const float *from, float *to,
                          bool accumulate)
{
    (void)x;
    for (int64_t i = 0; i < count; i++)
        to[i] = accumulate ? to[i] + from[i] : from[i];
}

void detk_upsample_add_forward__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w,
                                    int32_t c, int32_t out_h, int32_t out_w, const float *low,
                                    const float *lateral, float *out)
{
    (void)x;
    for (int64_t image = 0; image < n; image++) {
        for (int64_t y = 0; y < out_h; y++) {
            for (int64_t column = 0; column < out_w; column++) {
                const int64_t from = ((image * h + y / 2) * w + column / 2) * c;
                const int64_t to = ((image * out_h + y) * out_w + column) * c;
                for (int32_t j = 0; j < c; j++)
                    out[to + j] = low[from + j] + lateral[to + j];
            }
        }
    }
}

void detk_upsample_backward__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w,
                                 int32_t c, int32_t out_h, int32_t out_w, const float *dout,
                                 float *dlow, bool accumulate)
{
    (void)x;
    for (int64_t row = 0; row < (int64_t)n * h; row++) {
        const int64_t image = row / h, y = row % h;
        for (int64_t column = 0; column < w; column++) {
            float *to = dlow + (row * w + column) * c;
            for (int32_t j = 0; j < c; j++) {
                double sum = accumulate ? (double)to[j] : 0.0;
                for (int64_t dy = 2 * y; dy < 2 * y + 2 && dy < out_h; dy++) {
                    for (int64_t dx = 2 * column; dx < 2 * column + 2 && dx < out_w; dx++)
                        sum += (double)dout[((image * out_h + dy) * out_w + dx) * c + j];
                }
                to[j] = (float)sum;
            }
        }
    }
}
