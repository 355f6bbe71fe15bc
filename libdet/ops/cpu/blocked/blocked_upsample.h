/* blocked_upsample.h: body of the addition of an upsampled row of blocked.h, included by
 * blocked_table.h. */
#ifndef DET_OPS_CPU_BLOCKED_BLOCKED_UPSAMPLE_H
#define DET_OPS_CPU_BLOCKED_BLOCKED_UPSAMPLE_H

#include "ops/cpu/blocked/blocked_form.h"

static void add_upsampled(const float *low, int32_t w, const struct detk_q8_sum *sum, float *to)
{
    (void)sum;
    for (int32_t x = 0; x < w; x += 2, low += WORDS, to += 2 * WORDS) {
        for (int j = 0; j < WORDS; j += WORDS_OF(V_WIDTH)) {
            const v_f32 value = load_channels(low + j);
            store_channels(to + j, v_add(load_channels(to + j), value));
            if (x + 1 < w)
                store_channels(to + WORDS + j, v_add(load_channels(to + WORDS + j), value));
        }
    }
}

#endif
