/* blocked_upsample.h: body of the addition of an upsampled row of blocked.h, included by blocked_<isa>.c. */
#ifndef DET_BACKEND_CPU_BLOCKED_UPSAMPLE_H
#define DET_BACKEND_CPU_BLOCKED_UPSAMPLE_H

#include "backend/cpu/blocked.h"
#include "backend/cpu/simd.h"

static void add_upsampled(const float *low, int32_t w, float *to)
{
    for (int32_t x = 0; x < w; x += 2, low += DETK_BLOCK, to += 2 * DETK_BLOCK) {
        for (int j = 0; j < DETK_BLOCK; j += V_WIDTH) {
            const v_f32 value = v_load_all(low + j);
            v_store_all(to + j, v_add(v_load_all(to + j), value));
            if (x + 1 < w)
                v_store_all(to + DETK_BLOCK + j, v_add(v_load_all(to + DETK_BLOCK + j), value));
        }
    }
}

#endif
