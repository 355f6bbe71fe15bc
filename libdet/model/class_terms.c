/* class_terms.c: in the compiler's own vectors, so that every machine computes the same bits. */
#include "model/class_terms.h"

#include <string.h>

typedef float f4 __attribute__((vector_size(16)));
typedef uint32_t u4 __attribute__((vector_size(16)));

static inline f4 f4_from(u4 bits)
{
    return (f4)bits;
}

/* a where the mask is all ones, else b. */
static inline f4 choose(u4 mask, f4 a, f4 b)
{
    return f4_from((mask & (u4)a) | (~mask & (u4)b));
}

/* e^-a for a >= 0; 0 where that is no normal float. 2^n e^r with |r| <= ln(2) / 2 and the
 * polynomial of Cephes' expf. */
static inline f4 exp_minus(f4 a)
{
    const float to_integer = 12582912; /* 1.5 * 2^23: its last bit is worth 1 */
    const f4 shifted = to_integer - a * 1.44269504f;
    const f4 n = shifted - to_integer;
    const f4 r = (-a - n * 0.693359375f) + n * 2.12194440e-4f;
    f4 p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    const u4 exponent = ((u4)shifted + 127u) << 23; /* the integer is in the last bits */
    const u4 vanishes = (u4)(a > 87.0f);
    return f4_from((u4)(p * f4_from(exponent)) & ~vanishes);
}

/* log(1 + e) for 0 <= e <= 1: 2 artanh(e / (2 + e)), by a polynomial fitted for arguments up to
 * 1/3. */
static inline f4 log_one_plus(f4 e)
{
    const f4 z = e / (e + 2.0f), w = z * z;
    f4 p = w * 0.121987837f + 0.106987739f;
    p = p * w + 0.143101527f;
    p = p * w + 0.199993537f;
    p = p * w + 0.333333395f;
    return 2.0f * (z + z * (w * p));
}

bool det_class_terms_serve(const struct det_loss_settings *settings)
{
    return settings->class_loss == DET_CLASS_LOSS_SIGMOID || settings->focal_gamma == 2;
}

void det_class_terms(const struct det_loss_settings *settings, const float *logits, int32_t count,
                     float *losses, float *slopes)
{
    const bool focal = settings->class_loss == DET_CLASS_LOSS_SIGMOID_FOCAL;
    const float alpha = settings->focal_has_alpha ? 1 - settings->focal_alpha : 1;
    for (int32_t i = 0; i < count; i += 4) {
        f4 x = {0};
        memcpy(&x, logits + i, i + 4 <= count ? sizeof x : (size_t)(count - i) * sizeof *logits);
        const u4 negative = (u4)(x < 0.0f);
        const f4 e = exp_minus(f4_from((u4)x << 1 >> 1));
        const f4 inverse = 1.0f / (e + 1.0f), small = e * inverse;
        const f4 p = choose(negative, small, inverse);
        f4 loss = f4_from((u4)x & ~negative) + log_one_plus(e), slope = p;
        if (focal) {
            const f4 not_p = choose(negative, inverse, small), factor = p * p * alpha;
            slope = factor * (2.0f * not_p * loss + p);
            loss = factor * loss;
        }
        memcpy(losses + i, &loss, sizeof loss);
        memcpy(slopes + i, &slope, sizeof slope);
    }
}
