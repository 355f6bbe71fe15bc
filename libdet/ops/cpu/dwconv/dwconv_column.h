/* dwconv_column.h: what the loops of a 3x3 depthwise convolution are made of: some channels'
 * weights in registers, and a column of the input multiplied with a column of them. */
#ifndef DET_OPS_CPU_DWCONV_DWCONV_COLUMN_H
#define DET_OPS_CPU_DWCONV_DWCONV_COLUMN_H

#include "ops/cpu/isa/simd.h"

#if DET_ISA_WIDTH == 16
#define VECTORS 2 /* of 32 registers, 18 hold weights */
#else
#define VECTORS 1
#endif

#define UNROLL_3 _Pragma("GCC unroll 3")
#define UNROLL_V _Pragma("GCC unroll 2")

/* The three shapes of a call for all channels: several vectors, one, a part of one. */
#define FOR_BLOCKS(c, call)                                                           \
    do {                                                                              \
        int32_t j = 0;                                                                \
        for (; VECTORS > 1 && j + VECTORS * V_WIDTH <= (c); j += VECTORS * V_WIDTH) { \
            const int vectors = VECTORS, lanes = V_WIDTH;                             \
            call;                                                                     \
        }                                                                             \
        for (; j + V_WIDTH <= (c); j += V_WIDTH) {                                    \
            const int vectors = 1, lanes = V_WIDTH;                                   \
            call;                                                                     \
        }                                                                             \
        if (j < (c)) {                                                                \
            const int vectors = 1, lanes = (int)((c)-j);                              \
            call;                                                                     \
        }                                                                             \
    } while (0)

/* The weights of `rows` kernel rows. */
struct weights {
    v_f32 k[3][3][VECTORS];
};

V_INLINE void load_weights(struct weights *w, const float *from, int64_t c, int rows, int row_step,
                           int vectors, int lanes)
{
    UNROLL_3 for (int r = 0; r < rows; r++)
    {
        UNROLL_3 for (int x = 0; x < 3; x++)
        {
            UNROLL_V for (int v = 0; v < vectors; v++) w->k[r][x][v] =
                v_load(from + (r * row_step * 3 + x) * c + v * V_WIDTH, lanes);
        }
    }
}

/* to += column * (the weights of column x of the kernel), for `rows` rows that begin at `in`. */
V_INLINE void add_column(v_f32 *to, const v_f32 (*column)[VECTORS], const struct weights *w, int x,
                         int rows, int vectors)
{
    UNROLL_3 for (int r = 0; r < rows; r++)
    {
        UNROLL_V for (int v = 0; v < vectors; v++) to[v] =
            v_fma(column[r][v], w->k[r][x][v], to[v]);
    }
}

#endif
