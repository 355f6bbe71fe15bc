/* dwconv.cuh: what the depthwise convolution and its gradients share. A thread owns one vector of N
 * adjacent channels and DWCONV_PIXELS adjacent pixels of a row or of a strip of rows
 * (dwconv_plan.h), one pixel where the kernel is not 3x3. */
#ifndef DET_KERNELS_DWCONV_CUH
#define DET_KERNELS_DWCONV_CUH

#include "dwconv.h"
#include "dwconv_plan.h"
#include "dwconv_rows.cuh"
#include "relu6.cuh"
#include "tile.cuh"
#include "vec.cuh"

/* Whether vectors of `n` channels may be used on parameters that lie at `w`: activations are
 * aligned, parameters need not be. NULL is aligned. Places in a row have 32 bits. */
static inline bool dwconv_vectors_fit(const struct det_conv_shape *s, int n, const float *w,
                                      const float *bias)
{
    const int64_t longest = (int64_t)(s->in_w > s->out_w ? s->in_w : s->out_w) * s->in_c;
    return dwconv_has_vectors(s, n) && longest <= INT32_MAX &&
           (reinterpret_cast<uintptr_t>(w) | reinterpret_cast<uintptr_t>(bias)) % 16 == 0;
}

static inline struct det_tile dwconv_tile(const struct det_conv_shape *s, int n)
{
    return det_tile_of(s->in_c / n, DWCONV_THREADS, DWCONV_THREADS);
}

/* N parameters, in accesses of up to 16 bytes. */
template <int N>
__device__ __forceinline__ void dwconv_load_floats(const float *from, float (&to)[N])
{
    constexpr int part = N < 4 ? N : 4;
#pragma unroll
    for (int i = 0; i < N; i += part) {
        float four[part];
        det_load<float, part>(from + i, four);
#pragma unroll
        for (int k = 0; k < part; k++)
            to[i + k] = four[k];
    }
}

template <int N>
__device__ __forceinline__ void dwconv_activate(enum det_activation act, float (&values)[N])
{
    if (act != DET_ACTIVATION_RELU6)
        return;
#pragma unroll
    for (int i = 0; i < N; i++)
        values[i] = det_relu6(values[i]);
}

/* struct detk_load for one thread's channels. The kind is the compiler's to know: a branch on it
 * among the columns spills. */
template <int N, detk_load_kind KIND> struct dwconv_load {
    static constexpr bool norm = KIND == DETK_LOAD_NORM_RELU6;
    float scale[norm ? N : 1], shift[norm ? N : 1];

    __device__ __forceinline__ dwconv_load(const struct detk_load &load, int channel)
    {
#pragma unroll
        for (int i = 0; norm && i < N; i++) {
            const int k = channel + i;
            scale[i] = det_load_one(load.gamma + k) *
                       rsqrtf(det_load_one(load.variance + k) + load.epsilon);
            shift[i] = det_load_one(load.beta + k) - det_load_one(load.mean + k) * scale[i];
        }
    }

    __device__ __forceinline__ void apply(float (&values)[N]) const
    {
#pragma unroll
        for (int i = 0; norm && i < N; i++)
            values[i] = values[i] * scale[i] + shift[i];
        if (KIND != DETK_LOAD_PLAIN)
            dwconv_activate<N>(DET_ACTIVATION_RELU6, values);
    }
};

/* A row of three taps. */
template <int N>
__device__ __forceinline__ void dwconv_load_taps(const float *w, int c, float (&taps)[3][N])
{
#pragma unroll
    for (int k = 0; k < 3; k++)
        dwconv_load_floats<N>(w + (int64_t)k * c, taps[k]);
}

/* Neither NaN nor infinite: 0 times each of them is 0. */
template <int N> __device__ __forceinline__ bool dwconv_finite(const float (&taps)[3][3][N])
{
    float nothing = 0;
#pragma unroll
    for (int k = 0; k < 9; k++) {
#pragma unroll
        for (int i = 0; i < N; i++)
            nothing += 0.0f * taps[k / 3][k % 3][i];
    }
    return nothing == 0;
}

template <int N>
__device__ __forceinline__ void dwconv_multiply_add(const float (&a)[N], const float (&b)[N],
                                                    float (&sum)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] += a[i] * b[i];
}

/* What column `j` of a row adds to the results that it belongs to. */
template <int N, int STRIDE>
__device__ __forceinline__ void dwconv_add_column(int j, const float (&value)[N],
                                                  const float (&taps)[3][N],
                                                  float (&sum)[DWCONV_PIXELS][N])
{
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        const int kx = j - p * STRIDE;
        if (kx >= 0 && kx < 3)
            dwconv_multiply_add<N>(value, taps[kx], sum[p]);
    }
}

#endif
