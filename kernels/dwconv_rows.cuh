/* dwconv_rows.cuh: how the depthwise convolution and its gradients go through the rows of a tensor.
 * Where the columns of a thread lie is worked out once, in 32 bits; a row is a pointer that moves
 * on. A column outside is no operand, not zero: a tap or a gradient that is NaN must not reach
 * results by it. */
#ifndef DET_KERNELS_DWCONV_ROWS_CUH
#define DET_KERNELS_DWCONV_ROWS_CUH

#include <string.h>

#include "dwconv_plan.h"
#include "tile.cuh"
#include "vec.cuh"

/* Has nvcc keep what was worked out: else it takes a row's address and a column's offset apart, and
 * works both out for each column and row. */
template <typename T> __device__ __forceinline__ void dwconv_keep(T &value)
{
#ifdef __CUDA_ARCH__
    asm("" : "+r"(value));
#else
    (void)value;
#endif
}

template <typename T> __device__ __forceinline__ void dwconv_keep(T *&global)
{
#ifdef __CUDA_ARCH__
    asm("" : "+l"(global));
    __builtin_assume(__isGlobal(global));
#else
    (void)global;
#endif
}

/* COUNT columns from `left` on, of rows of `width`. */
template <int COUNT> struct dwconv_columns {
    int offset[COUNT]; /* from a row's column 0; outside: of the nearest inside */
    unsigned outside;  /* bit j: column j is */

    __device__ __forceinline__ dwconv_columns(int left, int width, int c)
    {
        outside = 0;
#pragma unroll
        for (int j = 0; j < COUNT; j++) {
            offset[j] = min(max(left + j, 0), width - 1) * c;
            outside |= det_inside(left + j, width) ? 0 : 1U << j;
        }
        dwconv_keep(outside);
#pragma unroll
        for (int j = 0; j < COUNT; j++)
            dwconv_keep(offset[j]);
    }

    __device__ __forceinline__ bool inside(int j) const
    {
        return (outside >> j & 1) == 0;
    }

    /* add(j) for every column inside, then(j) for every column, after its add(j). Nearly all
     * threads have all columns inside, and pay for one branch instead of one a column. */
    template <typename Add, typename Then>
    __device__ __forceinline__ void each(const Add &add, const Then &then) const
    {
        if (outside == 0) {
#pragma unroll
            for (int j = 0; j < COUNT; j++) {
                add(j);
                then(j);
            }
            return;
        }
#pragma unroll
        for (int j = 0; j < COUNT; j++) {
            if (inside(j))
                add(j);
            then(j);
        }
    }

    template <typename Add> __device__ __forceinline__ void each(const Add &add) const
    {
        each(add, [](int) {});
    }
};

/* N adjacent values as they wait for their turn. Pairs of bf16 stay together: nvcc gives each half
 * that it knows of a register. */
template <typename T, int N> struct dwconv_waiting;

template <int N> struct dwconv_waiting<float, N> {
    det_pack<float, N> pack;

    __device__ __forceinline__ void load(const float *from)
    {
        pack = det_load_pack<float, N>(from);
    }

    __device__ __forceinline__ void take(float (&values)[N]) const
    {
        det_unpack<float, N>(pack, values);
    }
};

template <int N> struct dwconv_waiting<__nv_bfloat16, N> {
    uint32_t pairs[N / 2];

    __device__ __forceinline__ void load(const __nv_bfloat16 *from)
    {
        const det_pack<__nv_bfloat16, N> pack = det_load_pack<__nv_bfloat16, N>(from);
        memcpy(pairs, &pack, sizeof pairs);
    }

    __device__ __forceinline__ void take(float (&values)[N]) const
    {
#pragma unroll
        for (int i = 0; i < N; i += 2) {
            values[i] = __uint_as_float(pairs[i / 2] << 16);
            values[i + 1] = __uint_as_float(pairs[i / 2] & 0xFFFF0000U);
        }
    }
};

/* The columns of a row. A column's place is free for the next row's as soon as it was used: so the
 * next row is on its way while the rest of this one is worked on, in the registers of one row. */
template <typename T, int N, int COUNT> struct dwconv_row {
    dwconv_waiting<T, N> waiting[COUNT];

    /* `row` points to the thread's channels of column 0. */
    __device__ __forceinline__ void fetch(const T *row, const dwconv_columns<COUNT> &at, int j)
    {
        waiting[j].load(row + at.offset[j]);
    }

    __device__ __forceinline__ void fetch(const T *row, const dwconv_columns<COUNT> &at)
    {
        dwconv_keep(row);
#pragma unroll
        for (int j = 0; j < COUNT; j++)
            fetch(row, at, j);
    }

    __device__ __forceinline__ void take(int j, float (&values)[N]) const
    {
        waiting[j].take(values);
    }

    __device__ __forceinline__ void take(float (&values)[COUNT][N]) const
    {
#pragma unroll
        for (int j = 0; j < COUNT; j++)
            take(j, values[j]);
    }
};

/* Marches through a strip of `rows` rows of results. In step `at`, add(at, a, b, c) adds what is
 * loaded to the sums of the rows at, at - 1 and at - 2, of which the last is whole then: end(row,
 * sum) stores it, begin(sum) makes a row's first sums. Three steps are written out, so that the
 * sums' roles change and nothing is moved. Sums of rows that are outside the strip may be anything:
 * nobody stores them. */
template <int N, typename Begin, typename Add, typename End>
__device__ __forceinline__ void dwconv_rotate(int rows, const Begin &begin, const Add &add,
                                              const End &end)
{
    float sums[3][DWCONV_PIXELS][N];
#pragma unroll
    for (int k = 0; k < 3; k++)
        begin(sums[k]);
#pragma unroll 1
    for (int first = 0;; first += 3) {
#pragma unroll
        for (int k = 0; k < 3; k++) {
            const int at = first + k;
            if (at >= rows + 2)
                return;
            float(&oldest)[DWCONV_PIXELS][N] = sums[(k + 1) % 3];
            add(at, sums[k], sums[(k + 2) % 3], oldest);
            if (at >= 2)
                end(at - 2, oldest);
            begin(oldest);
        }
    }
}

#endif
