/* Training with 8 bits in it. */
#include <string.h>

#include "ops/ref/ref_ops.h"

void detk_value_range__ref(const struct det_exec *x, int64_t count, const float *values,
                           float range[2])
{
    (void)x;
    range[0] = range[1] = 0;
    for (int64_t i = 0; i < count; i++) {
        if (values[i] < range[0])
            range[0] = values[i];
        if (values[i] > range[1])
            range[1] = values[i];
    }
}

size_t detk_value_range_workspace__ref(int64_t count)
{
    (void)count;
    return 0;
}

void detk_fake_quant_forward__ref(const struct det_exec *x, int64_t count,
                                  const struct det_fake_quant *q, float *values, uint8_t *passes)
{
    (void)x;
    memset(passes, 0, (size_t)det_fake_quant_bytes(count));
    for (int64_t i = 0; i < count; i++) {
        if (det_fake_quant_passes(q, values[i]))
            passes[i / 8] = (uint8_t)(passes[i / 8] | 1u << i % 8);
        values[i] = det_fake_quant_value(q, values[i]);
    }
}

void detk_fake_quant_backward__ref(const struct det_exec *x, int64_t count, const uint8_t *passes,
                                   float *gradient)
{
    (void)x;
    for (int64_t i = 0; i < count; i++) {
        if ((passes[i / 8] >> i % 8 & 1) == 0)
            gradient[i] = 0;
    }
}
