/* Addition, accumulation and nearest x2 upsampling. */
#include "backend/ref/ref_ops.h"

void detk_add_forward__ref(const struct det_exec *x, int64_t count, const float *a, const float *b,
                           float *out) {
    (void)x;
    for (int64_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
}

void detk_accumulate__ref(const struct det_exec *x, int64_t count, const float *from, float *to,
                          bool accumulate) {
    (void)x;
    for (int64_t i = 0; i < count; i++)
        to[i] = accumulate ? to[i] + from[i] : from[i];
}

void detk_upsample_add_forward__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w,
                                    int32_t c, const float *low, const float *lateral, float *out) {
    (void)x;
    for (int64_t row = 0; row < (int64_t)n * 2 * h; row++) {
        for (int64_t column = 0; column < 2 * (int64_t)w; column++) {
            const int64_t from = (row / 2 * w + column / 2) * c;
            const int64_t to = (row * 2 * w + column) * c;
            for (int32_t j = 0; j < c; j++)
                out[to + j] = low[from + j] + lateral[to + j];
        }
    }
}

void detk_upsample_backward__ref(const struct det_exec *x, int32_t n, int32_t h, int32_t w,
                                 int32_t c, const float *dout, float *dlow, bool accumulate) {
    (void)x;
    for (int64_t row = 0; row < (int64_t)n * h; row++) {
        for (int64_t column = 0; column < w; column++) {
            const float *top = dout + (2 * row * 2 * w + 2 * column) * c;
            const float *bottom = top + 2 * (int64_t)w * c;
            float *to = dlow + (row * w + column) * c;
            for (int32_t j = 0; j < c; j++) {
                double sum = accumulate ? (double)to[j] : 0.0;
                sum += (double)top[j] + top[c + j] + bottom[j] + bottom[c + j];
                to[j] = (float)sum;
            }
        }
    }
}
