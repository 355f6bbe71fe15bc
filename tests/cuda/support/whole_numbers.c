#include "cuda/support/whole_numbers.h"

#include <math.h>

static uint32_t state_of_draws;

int32_t whole_draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    const uint64_t range = (uint64_t)((int64_t)high - low + 1);
    return (int32_t)(low + (int64_t)((uint64_t)(state_of_draws >> 8) * range >> 24));
}

int8_t *whole_bytes(size_t count, enum whole_filling how)
{
    int8_t *to = malloc(count + 1);
    assert_non_null(to);
    for (size_t i = 0; i < count; i++)
        to[i] = (int8_t)(how == WHOLE_LOWEST    ? -128
                         : how == WHOLE_HIGHEST ? 127
                         : how == WHOLE_ENDS    ? (whole_draw(0, 1) ? 127 : -128)
                                                : whole_draw(-128, 127));
    return to;
}

static float draw_scale(enum whole_scales kind, int32_t terms)
{
    static const float ends[] = {0x1p29f, 0x1p28f, 0x1p-31f, 0, 1e-40f, 1};
    if (kind == WHOLE_TIES) /* powers of two: every other sum is a tie */
        return ldexpf(1, -1 - whole_draw(0, 8));
    if (kind == WHOLE_EXTREME)
        return ends[whole_draw(0, 5)];
    return ldexpf((float)whole_draw(100, 299), -15) / sqrtf((float)terms);
}

struct whole_layer whole_layer_make(int32_t terms, int32_t out_c, enum whole_scales scales)
{
    static const int32_t zeros[] = {-128, 127, 0, -3, 50};
    const bool ties = scales == WHOLE_TIES;
    struct whole_layer l = {.weights = malloc((size_t)terms * (size_t)out_c),
                            .bias = malloc((size_t)out_c * sizeof *l.bias),
                            .scales = malloc((size_t)out_c * sizeof *l.scales)};
    assert_true(l.weights != NULL && l.bias != NULL && l.scales != NULL);
    for (int32_t i = 0; i < terms * out_c; i++)
        l.weights[i] = (int8_t)(i % out_c == 3 ? 0
                                : ties         ? whole_draw(0, 1)
                                               : whole_draw(-127, 127));
    for (int32_t j = 0; j < out_c; j++) {
        l.bias[j] = j % 5 == 4 && !ties ? whole_draw(-DET_Q8_MOST_BIAS, DET_Q8_MOST_BIAS)
                                        : whole_draw(-9000, 9000);
        l.scales[j] = draw_scale(scales, terms);
    }
    struct det_q8_target to = {zeros[whole_draw(0, 4)], -128, 127};
    if (whole_draw(0, 1) == 1)
        to.low = to.zero;
    if (whole_draw(0, 3) == 0)
        to.high = whole_draw(to.low, 127);
    l.q = (struct det_q8_conv){zeros[whole_draw(0, 4)], l.weights, l.bias, l.scales, to};
    return l;
}

void whole_layer_drop(struct whole_layer *l)
{
    free(l->weights);
    free(l->bias);
    free(l->scales);
}

struct det_q8_add whole_draw_add(void)
{
    static const int32_t zeros[] = {-128, 127, 0, 17};
    const int32_t a_zero = zeros[whole_draw(0, 3)], b_zero = zeros[whole_draw(0, 3)];
    const struct det_q8_target to = {zeros[whole_draw(0, 3)], whole_draw(0, 2) == 0 ? -100 : -128,
                                     whole_draw(0, 2) == 0 ? 90 : 127};
    if (whole_draw(0, 2) == 0) /* equal scales: ties */
        return det_q8_add_of(1, a_zero, 1, b_zero, 2, to);
    const float out = whole_draw(1, 5) == 1 ? 3 : (float)whole_draw(100, 900);
    const float a = (float)whole_draw(1, 400), b = (float)whole_draw(1, 400);
    return det_q8_add_of(a, a_zero, b, b_zero, out, to);
}

void whole_assert_equal(const char *what, const int8_t *got, const int8_t *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (got[i] != want[i])
            fail_msg("%s: value %zu of %zu is %d, not %d", what, i, count, got[i], want[i]);
}
