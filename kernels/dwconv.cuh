/* dwconv.cuh: what the depthwise convolution and its gradients share. A thread owns one vector of N adjacent channels and
 * DWCONV_PIXELS adjacent pixels of a row, one pixel where the kernel is not 3x3. */
#ifndef DET_KERNELS_DWCONV_CUH
#define DET_KERNELS_DWCONV_CUH

#include "dwconv.h"
#include "tile.cuh"
#include "vec.cuh"

#define DWCONV_THREADS 128
/* Blocks that share a multiprocessor at least: bounds the registers to 128 a thread. */
#define DWCONV_RESIDENT 4
/* Adjacent pixels of one thread: a 3-wide window then reads 6 columns for 4 results instead of 12. */
#define DWCONV_PIXELS 4

/* Whether vectors of `n` channels may be used on parameters that lie at `w`: activations are aligned, parameters need not
 * be. NULL is aligned. */
static inline bool dwconv_vectors_fit(int32_t c, int n, const float *w, const float *bias)
{
    return c % n == 0 &&
           (reinterpret_cast<uintptr_t>(w) | reinterpret_cast<uintptr_t>(bias)) % 16 == 0;
}

static inline bool dwconv_is_3x3(const struct det_conv_shape *s)
{
    return s->kernel_h == 3 && s->kernel_w == 3 && (s->stride == 1 || s->stride == 2);
}

/* COUNT pixels of a row from column `left` on; `row` points to the thread's channels of column 0. A column outside is
 * replaced by the nearest inside, which is a load without a branch: the caller must not use it. */
template <typename T, int N, int COUNT>
__device__ __forceinline__ void dwconv_load_columns(const T *row, int left, int width, int c,
                                                    float (&columns)[COUNT][N])
{
#pragma unroll
    for (int j = 0; j < COUNT; j++) {
        const int x = min(max(left + j, 0), width - 1);
        det_load<T, N>(row + (int64_t)x * c, columns[j]);
    }
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

/* Both comparisons are false for NaN, which so passes through. */
template <int N>
__device__ __forceinline__ void dwconv_activate(enum det_activation act, float (&values)[N])
{
    if (act != DET_ACTIVATION_RELU6)
        return;
#pragma unroll
    for (int i = 0; i < N; i++)
        values[i] = values[i] < 0 ? 0 : values[i] > 6 ? 6 : values[i];
}

/* struct detk_load for one thread's channels. The kind is the compiler's to know: a branch on it among the columns spills. */
template <int N, enum detk_load_kind KIND>
struct dwconv_load {
    static constexpr bool norm = KIND == DETK_LOAD_NORM_RELU6;
    float scale[norm ? N : 1], shift[norm ? N : 1];

    __device__ __forceinline__ dwconv_load(const struct detk_load &load,
                                           int channel){if constexpr (norm){
#pragma unroll
        for (int i = 0; i < N;
             i++){const int k = channel + i;
                  scale[i] = det_load_one(load.gamma + k) /
                             sqrtf(det_load_one(load.variance + k) + load.epsilon);
                  shift[i] = det_load_one(load.beta + k) - det_load_one(load.mean + k) * scale[i];}
}
}

__device__ __forceinline__ void apply(float (&values)[N]) const
{
    if constexpr (norm) {
#pragma unroll
        for (int i = 0; i < N; i++)
            values[i] = values[i] * scale[i] + shift[i];
    }
    if constexpr (KIND != DETK_LOAD_PLAIN)
        dwconv_activate<N>(DET_ACTIVATION_RELU6, values);
}
}
;

/* A row of three taps. */
template <int N>
__device__ __forceinline__ void dwconv_load_taps(const float *w, int c, float (&taps)[3][N])
{
#pragma unroll
    for (int k = 0; k < 3; k++)
        dwconv_load_floats<N>(w + (int64_t)k * c, taps[k]);
}

template <int N>
__device__ __forceinline__ void dwconv_multiply_add(const float (&a)[N], const float (&b)[N],
                                                    float (&sum)[N])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        sum[i] += a[i] * b[i];
}

#endif
