/* Depthwise convolutions in 8 bits. In q8.h.
 *
 * 3x3: a thread owns 4 channels and DWCONV_PIXELS adjacent pixels of a row. Of each row of inputs
 * the columns under it are loaded once, 4 channels a word, and 4 columns at a time turned into
 * words of a channel's: then one instruction multiplies three taps. */
#include "q8.cuh"
#include "tile.cuh"

/* The columns under a thread's pixels: whole words of 4, and what is left: 2 columns or 1. */
#define Q8_COLUMNS(stride) ((DWCONV_PIXELS - 1) * (stride) + 3)
#define Q8_WORDS(stride)   (Q8_COLUMNS(stride) / 4)

/* at[j] = channels 0 .. 3 of column j becomes at[i] = columns 0 .. 3 of channel i. */
__device__ __forceinline__ void q8_turn(uint32_t (&at)[4])
{
    const uint32_t low01 = __byte_perm(at[0], at[1], 0x5140);
    const uint32_t low23 = __byte_perm(at[2], at[3], 0x5140);
    const uint32_t high01 = __byte_perm(at[0], at[1], 0x7362);
    const uint32_t high23 = __byte_perm(at[2], at[3], 0x7362);
    at[0] = __byte_perm(low01, low23, 0x5410);
    at[1] = __byte_perm(low01, low23, 0x7632);
    at[2] = __byte_perm(high01, high23, 0x5410);
    at[3] = __byte_perm(high01, high23, 0x7632);
}

/* The columns of a row from `left` on; `outside` where there is none. `at`: the thread's channels
 * of column `left`, `inside`: there is such a row. */
template <int COLUMNS>
__device__ __forceinline__ void q8_load_columns(const int8_t *at, bool inside, int left, int width,
                                                int c, uint32_t outside,
                                                uint32_t (&columns)[COLUMNS])
{
#pragma unroll
    for (int j = 0; j < COLUMNS; j++) {
        columns[j] = outside;
        if (inside && det_inside(left + j, width))
            columns[j] = det_load_pack<uint32_t, 1>(reinterpret_cast<const uint32_t *>(at)).at[0];
        at += c;
    }
}

/* A row's columns, turned. The last ones, which fill no word, stay together: of stride 1 two
 * channels' two columns are a word, of stride 2 all channels' one column. */
template <int STRIDE> struct q8_row {
    uint32_t words[Q8_WORDS(STRIDE)][4];
    uint32_t rest[2];

    __device__ __forceinline__ explicit q8_row(const uint32_t (&columns)[Q8_COLUMNS(STRIDE)])
    {
        constexpr int whole = 4 * Q8_WORDS(STRIDE);
#pragma unroll
        for (int j = 0; j < whole; j++)
            words[j / 4][j % 4] = columns[j];
#pragma unroll
        for (int j = 0; j < Q8_WORDS(STRIDE); j++)
            q8_turn(words[j]);
        if constexpr (STRIDE == 1) {
            rest[0] = __byte_perm(columns[whole], columns[whole + 1], 0x5140);
            rest[1] = __byte_perm(columns[whole], columns[whole + 1], 0x7362);
        } else {
            rest[0] = columns[whole];
        }
    }

    /* The three columns of pixel p, channel i; what is in the fourth byte meets a tap of 0. */
    __device__ __forceinline__ uint32_t under(int p, int i) const
    {
        const int at = p * STRIDE / 4, from = p * STRIDE % 4;
        if (from < 2)
            return words[at][i] >> 8 * from;
        if (at + 1 < Q8_WORDS(STRIDE))
            return __byte_perm(words[at][i], words[at + 1][i], 0x3210U + 0x1111U * from);
        const uint32_t first = STRIDE == 1 ? 4 + 2 * (i % 2) : 4 + i; /* of the rest */
        const uint32_t digits =
            from == 2 ? 0x32 + (first << 8) : 3 + (first << 4) + ((first + 1) << 8);
        return __byte_perm(words[at][i], rest[STRIDE == 1 ? i / 2 : 0], digits);
    }
};

template <int STRIDE>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_RESIDENT)
    detk_q8_dwconv_3x3(const struct det_conv_shape s, const int8_t *in, int32_t in_zero,
                       const int32_t *weights, const struct detk_q8_scaling scaling, int8_t *out)
{
    const int c = s.in_c, groups = (s.out_w + DWCONV_PIXELS - 1) / DWCONV_PIXELS;
    const int channel = det_tile_vector() * Q8_VECTOR;
    const unsigned group = det_tile_pixel();
    const int row = (int)(group / (unsigned)groups);
    const int image = row / s.out_h;
    if (channel >= c || image >= s.n)
        return;
    const int ox = (int)(group % (unsigned)groups) * DWCONV_PIXELS;
    const int top = row % s.out_h * STRIDE - s.pad_top, left = ox * STRIDE - s.pad_left;
    const uint32_t outside = (uint32_t)(in_zero & 0xFF) * 0x01010101U;

    const int8_t *at = in + (((int64_t)image * s.in_h + top) * s.in_w + left) * c + channel;

    const q8_scaler<Q8_VECTOR> scaler(scaling, channel);
    int32_t sum[DWCONV_PIXELS][Q8_VECTOR];
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++)
#pragma unroll
        for (int i = 0; i < Q8_VECTOR; i++)
            sum[p][i] = scaler.bias.at[i];
#pragma unroll
    for (int ky = 0; ky < 3; ky++) {
        uint32_t columns[Q8_COLUMNS(STRIDE)];
        q8_load_columns(at, det_inside(top + ky, s.in_h), left, s.in_w, c, outside, columns);
        at += (int64_t)s.in_w * c;
        const q8_row<STRIDE> turned(columns);
        const det_pack<int32_t, Q8_VECTOR> taps =
            det_load_pack<int32_t, Q8_VECTOR>(weights + (int64_t)ky * c + channel);
#pragma unroll
        for (int p = 0; p < DWCONV_PIXELS; p++)
#pragma unroll
            for (int i = 0; i < Q8_VECTOR; i++)
                sum[p][i] = __dp4a((int)turned.under(p, i), taps.at[i], sum[p][i]);
    }
    int8_t *to = out + ((int64_t)row * s.out_w + ox) * c + channel;
#pragma unroll
    for (int p = 0; p < DWCONV_PIXELS; p++) {
        det_pack<int8_t, Q8_VECTOR> result;
#pragma unroll
        for (int i = 0; i < Q8_VECTOR; i++)
            result.at[i] = scaler.apply(i, sum[p][i]);
        if (ox + p < s.out_w)
            det_store_pack<int8_t, Q8_VECTOR>(to + (int64_t)p * c, result);
    }
}

/* Any kernel, stride and number of channels: an output of one channel. */
static __global__ void __launch_bounds__(DWCONV_THREADS)
    detk_q8_dwconv_any(const struct det_conv_shape s, const int8_t *in, int32_t in_zero,
                       const int8_t *weights, const struct detk_q8_scaling scaling, int8_t *out)
{
    const int c = s.in_c;
    const int channel = det_tile_vector();
    const unsigned pixel = det_tile_pixel();
    const int row = (int)(pixel / (unsigned)s.out_w);
    const int image = row / s.out_h;
    if (channel >= c || image >= s.n)
        return;
    const int top = row % s.out_h * s.stride - s.pad_top;
    const int left = (int)(pixel % (unsigned)s.out_w) * s.stride - s.pad_left;
    int32_t sum = 0;
    for (int ky = 0; ky < s.kernel_h; ky++) {
        const int64_t in_row = (int64_t)image * s.in_h + top + ky;
#pragma unroll 1
        for (int kx = 0; kx < s.kernel_w; kx++) {
            int value = in_zero;
            if (det_inside(top + ky, s.in_h) && det_inside(left + kx, s.in_w))
                value = in[(in_row * s.in_w + left + kx) * c + channel];
            sum += value * weights[(ky * s.kernel_w + kx) * (int64_t)c + channel];
        }
    }
    const q8_scaler<1> scaler(scaling, channel);
    out[(int64_t)pixel * c + channel] = scaler.apply(0, sum + scaler.bias.at[0]);
}

template <int STRIDE>
static void launch_q8_3x3(cudaStream_t stream, const struct det_conv_shape *s, const int8_t *in,
                          int32_t in_zero, const void *weights,
                          const struct detk_q8_scaling *scaling, int8_t *out)
{
    const struct det_tile tile = det_tile_of(s->in_c / Q8_VECTOR, DWCONV_THREADS, DWCONV_THREADS);
    DET_LAUNCH((detk_q8_dwconv_3x3<STRIDE>),
               det_tile_grid(tile, (int64_t)s->n * s->out_h * dwconv_groups(s->out_w)), tile.block,
               0, stream, *s, in, in_zero, static_cast<const int32_t *>(weights), *scaling, out);
}

cudaError_t detk_q8_dwconv(cudaStream_t stream, const struct det_conv_shape *s, const int8_t *in,
                           int32_t in_zero, const void *weights,
                           const struct detk_q8_scaling *scaling, int8_t *out)
{
    if (s->n == 0)
        return cudaSuccess;
    if (detk_q8_dwconv_packed(s)) {
        if (s->stride == 1)
            launch_q8_3x3<1>(stream, s, in, in_zero, weights, scaling, out);
        else
            launch_q8_3x3<2>(stream, s, in, in_zero, weights, scaling, out);
        return cudaGetLastError();
    }
    const struct det_tile tile = det_tile_of(s->in_c, DWCONV_THREADS, DWCONV_THREADS);
    DET_LAUNCH(detk_q8_dwconv_any, det_tile_grid(tile, (int64_t)s->n * s->out_h * s->out_w),
               tile.block, 0, stream, *s, in, in_zero, static_cast<const int8_t *>(weights),
               *scaling, out);
    return cudaGetLastError();
}
