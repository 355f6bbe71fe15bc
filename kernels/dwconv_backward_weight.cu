/* Gradient of depthwise weights: dw[ky, kx] is the sum over all outputs of dout * the input under
 * that tap. A block sums a strip of groups of outputs for some channels, its threads interleaved
 * along the strip; the strips' sums are added up by a second kernel. Through a group a thread
 * marches row by row: a row of the input is loaded once, and the gradients of the outputs that it
 * belongs to wait in registers. How the outputs are split depends on the shape alone. */
#include "dwconv.cuh"
#include "dwconv.h"
#include "dwconv_rows.cuh"
#include "reduce.cuh"

/* Outputs that a thread of another kernel sums at least, so that the first stage is worth its
 * second. */
#define LEAST_OUTPUTS 16

/* How the outputs are split: `groups` of adjacent pixels of rows, of one where the kernel is not
 * 3x3; `strips` of strip_groups of them. */
struct weight_plan {
    struct det_tile tile;
    int32_t row_groups,
        group_rows; /* groups beside each other; rows of each, the lowest perhaps with fewer */
    int32_t groups, strips, strip_groups;
};

static struct weight_plan make_plan(const struct det_conv_shape *s)
{
    const bool fast = dwconv_has_vectors(s, DWCONV_WEIGHT_VECTOR);
    const int vector = fast ? DWCONV_WEIGHT_VECTOR : 1;
    const struct det_tile_sides sides =
        det_tile_sides_of(s->in_c / vector, DWCONV_WEIGHT_LANES, DWCONV_THREADS);
    const int64_t wanted = dwconv_weight_groups(&sides) / sides.pixels; /* strips */
    struct weight_plan plan;
    plan.tile = det_tile_of(s->in_c / vector, DWCONV_WEIGHT_LANES, DWCONV_THREADS);
    plan.row_groups = (int32_t)det_ceil_div(s->out_w, fast ? DWCONV_WEIGHT_PIXELS : 1);
    plan.group_rows = fast ? dwconv_weight_rows(s, dwconv_weight_groups(&sides)) : 1;
    plan.groups = s->n * (int32_t)det_ceil_div(s->out_h, plan.group_rows) * plan.row_groups;
    const int64_t most =
        det_ceil_div(plan.groups, (int64_t)sides.pixels * (fast ? 1 : LEAST_OUTPUTS));
    const int64_t strips = most < wanted ? most : wanted;
    plan.strip_groups = (int32_t)det_ceil_div(plan.groups, strips > 0 ? strips : 1);
    plan.strips = plan.groups > 0 ? (int32_t)det_ceil_div(plan.groups, plan.strip_groups) : 1;
    return plan;
}

/* Where a group of outputs begins. */
struct place {
    int image, oy, group;
};

__device__ __forceinline__ struct place place_of(const struct det_conv_shape &s,
                                                 const struct weight_plan &plan, int item)
{
    const int row = item / plan.row_groups;
    const int rows = (s.out_h + plan.group_rows - 1) / plan.group_rows; /* of groups */
    return {row / rows, row % rows * plan.group_rows, item % plan.row_groups};
}

/* Columns of the input that a group's outputs take. */
template <int STRIDE> constexpr int window_columns = (DWCONV_WEIGHT_PIXELS - 1) * STRIDE + 3;

/* Bit p * 3 + kx: the product of output p of a row and the column under tap kx is none. */
template <int STRIDE>
__device__ __forceinline__ unsigned
missing_products(const dwconv_columns<window_columns<STRIDE>> &columns,
                 const dwconv_columns<DWCONV_WEIGHT_PIXELS> &outputs)
{
    unsigned missing = 0;
#pragma unroll
    for (int p = 0; p < DWCONV_WEIGHT_PIXELS; p++)
        missing |= (outputs.inside(p) ? columns.outside >> p * STRIDE & 7U : 7U) << p * 3;
    return missing;
}

/* Adds the products of column j of a row of the input and a row of gradients, ky rows of taps above
 * it. */
template <int N, int STRIDE>
__device__ __forceinline__ void
add_products(int j, int ky, unsigned missing, const float (&value)[N],
             const float (&gradient)[DWCONV_WEIGHT_PIXELS][N], float (&sum)[9][N])
{
#pragma unroll
    for (int p = 0; p < DWCONV_WEIGHT_PIXELS; p++) {
        const int kx = j - p * STRIDE;
        if (kx >= 0 && kx < 3 && (missing >> (p * 3 + kx) & 1) == 0)
            dwconv_multiply_add<N>(value, gradient[p], sum[ky * 3 + kx]);
    }
}

/* Adds the products of a group of outputs. In a step, a row of gradients and STRIDE rows of the
 * input come in, each while what came before is worked on. A row of gradients waits for all the
 * rows of the input that it meets. There is one slot more than rows that wait, for the row that is
 * on its way: as many steps are written out, so that nothing is moved. Behind the last row it is
 * loaded again, and not used: a load without a condition. */
template <typename T, int N, int STRIDE, enum detk_load_kind KIND>
__device__ __forceinline__ void
add_group(const struct det_conv_shape &s, const struct place &at, int rows, int channel,
          const dwconv_load<N, KIND> &loading, const T *in, const T *dout, float (&sum)[9][N])
{
    constexpr int waiting = 2 / STRIDE + 1, slots = waiting + 1;
    const int c = s.in_c, in_row_values = s.in_w * c, out_row_values = s.out_w * c;
    const int ox = at.group * DWCONV_WEIGHT_PIXELS, top = at.oy * STRIDE - s.pad_top;
    const int lowest = min(top + (rows - 1) * STRIDE + 2, s.in_h - 1);
    const dwconv_columns<window_columns<STRIDE>> columns(ox * STRIDE - s.pad_left, s.in_w, c);
    const dwconv_columns<DWCONV_WEIGHT_PIXELS> outputs(ox, s.out_w, c);
    const unsigned missing = missing_products<STRIDE>(columns, outputs);
    const int64_t in_row = (int64_t)at.image * s.in_h + min(max(top, 0), s.in_h - 1);
    const int64_t out_row = (int64_t)at.image * s.out_h + at.oy;
    const T *from = in + in_row * in_row_values + channel;
    const T *gradients = dout + out_row * out_row_values + channel;

    dwconv_row<T, N, window_columns<STRIDE>> row;
    dwconv_row<T, N, DWCONV_WEIGHT_PIXELS> coming[slots];
    float gradient[slots][DWCONV_WEIGHT_PIXELS][N]; /* [row of the group % slots] */
    row.fetch(from, columns);
    coming[0].fetch(gradients, outputs);
    const auto add_row = [&](int slot, int q, const auto &missing_of) {
#pragma unroll
        for (int j = 0; j < window_columns<STRIDE>; j++) {
            float value[N];
            row.take(j, value);
            loading.apply(value);
#pragma unroll
            for (int k = 0; k < waiting && k * STRIDE + q < 3; k++)
                add_products<N, STRIDE>(j, k * STRIDE + q, missing_of(k), value,
                                        gradient[(slot + slots - k) % slots], sum);
            row.fetch(from, columns, j);
        }
    };
    const auto add = [&](int step, int slot, int q) {
        const int y = top + step * STRIDE + q;
        if (y < 0 || y > lowest)
            return;
        if (y < lowest)
            from += in_row_values;
        if (missing == 0 && step >= waiting - 1 && step < rows)
            add_row(slot, q, [](int) { return 0U; });
        else
            add_row(slot, q, [&](int k) { return det_inside(step - k, rows) ? missing : ~0U; });
    };
#pragma unroll 1
    for (int first = 0; first < rows + waiting - 1; first += slots) {
#pragma unroll
        for (int slot = 0; slot < slots; slot++) {
            const int step = first + slot;
            if (step >= rows + waiting - 1)
                break;
            coming[slot].take(gradient[slot]);
            if (step < rows - 1)
                gradients += out_row_values;
            coming[(slot + 1) % slots].fetch(gradients, outputs);
#pragma unroll
            for (int q = 0; q < STRIDE; q++)
                add(step, slot, q);
        }
    }
}

template <typename T, int N, int STRIDE, enum detk_load_kind KIND>
__global__ void __launch_bounds__(DWCONV_THREADS, DWCONV_WEIGHT_RESIDENT)
    detk_dwconv_backward_weight_3x3(const struct det_conv_shape s, const struct weight_plan plan,
                                    const T *in, const struct detk_load load, const T *dout,
                                    float *partial)
{
    const int c = s.in_c;
    const int channel = det_tile_vector() * N;
    const int begin = (int)blockIdx.x * plan.strip_groups;
    const int end = channel < c ? begin + min(plan.strip_groups, plan.groups - begin) : 0;

    const dwconv_load<N, KIND> loading(load, channel < c ? channel : 0);
    float sum[9][N] = {};
    for (int item = begin + (int)threadIdx.y; item < end; item += (int)blockDim.y) {
        const struct place at = place_of(s, plan, item);
        const int rows = min(plan.group_rows, s.out_h - at.oy);
        add_group<T, N, STRIDE, KIND>(s, at, rows, channel, loading, in, dout, sum);
    }
    det_write_strip<9, N>(sum, c, 9, 0, partial);
}

/* Any kernel and stride, one channel; blockIdx.z is the tap. */
template <typename T, enum detk_load_kind KIND>
__global__ void __launch_bounds__(DWCONV_THREADS)
    detk_dwconv_backward_weight_any(const struct det_conv_shape s, const struct weight_plan plan,
                                    const T *in, const struct detk_load load, const T *dout,
                                    float *partial)
{
    const int c = s.in_c, tap = (int)blockIdx.z;
    const int channel = det_tile_vector();
    const int begin = (int)blockIdx.x * plan.strip_groups;
    const int end = channel < c ? begin + min(plan.strip_groups, plan.groups - begin) : 0;

    const dwconv_load<1, KIND> loading(load, channel < c ? channel : 0);
    float sum[1][1] = {};
    for (int item = begin + (int)threadIdx.y; item < end; item += (int)blockDim.y) {
        const int row = item / s.out_w, image = row / s.out_h;
        const int iy = row % s.out_h * s.stride - s.pad_top + tap / s.kernel_w;
        const int ix = item % s.out_w * s.stride - s.pad_left + tap % s.kernel_w;
        if (!det_inside(iy, s.in_h) || !det_inside(ix, s.in_w))
            continue;
        float value[1], gradient[1];
        det_load<T, 1>(in + (((int64_t)image * s.in_h + iy) * s.in_w + ix) * c + channel, value);
        loading.apply(value);
        det_load<T, 1>(dout + (int64_t)item * c + channel, gradient);
        dwconv_multiply_add<1>(value, gradient, sum[0]);
    }
    det_write_strip<1, 1>(sum, c, s.kernel_h * s.kernel_w, tap, partial);
}

template <typename T, enum detk_load_kind KIND>
static cudaError_t backward_weight(cudaStream_t stream, const struct det_conv_shape *s,
                                   const void *in, const struct detk_load &load, const void *dout,
                                   float *dw, bool accumulate, void *workspace)
{
    constexpr int n = DWCONV_WEIGHT_VECTOR;
    const T *a = static_cast<const T *>(in), *b = static_cast<const T *>(dout);
    float *partial = static_cast<float *>(workspace);
    const struct weight_plan plan = make_plan(s);
    const int32_t taps = s->kernel_h * s->kernel_w, count = taps * s->in_c;
    const dim3 block = plan.tile.block;
    const size_t bytes = (size_t)block.x * block.y * sizeof(float); /* of one tap and channel */
    const dim3 grid((unsigned)plan.strips, (unsigned)plan.tile.channel_blocks);
    if (!dwconv_has_vectors(s, n))
        DET_LAUNCH((detk_dwconv_backward_weight_any<T, KIND>), dim3(grid.x, grid.y, (unsigned)taps),
                   block, bytes, stream, *s, plan, a, load, b, partial);
    else if (s->stride == 1)
        DET_LAUNCH((detk_dwconv_backward_weight_3x3<T, n, 1, KIND>), grid, block, 9 * n * bytes,
                   stream, *s, plan, a, load, b, partial);
    else
        DET_LAUNCH((detk_dwconv_backward_weight_3x3<T, n, 2, KIND>), grid, block, 9 * n * bytes,
                   stream, *s, plan, a, load, b, partial);
    const cudaError_t error = cudaGetLastError();
    return error != cudaSuccess ? error
                                : det_add_strips(stream, plan.strips, count, partial, count, dw,
                                                 nullptr, accumulate);
}

template <typename T>
static cudaError_t for_kind(cudaStream_t stream, const struct det_conv_shape *s, const void *in,
                            const struct detk_load &load, const void *dout, float *dw,
                            bool accumulate, void *workspace)
{
    switch (load.kind) {
    case DETK_LOAD_PLAIN:
        return backward_weight<T, DETK_LOAD_PLAIN>(stream, s, in, load, dout, dw, accumulate,
                                                   workspace);
    case DETK_LOAD_RELU6: /* inference's */
        break;
    case DETK_LOAD_NORM_RELU6:
        return backward_weight<T, DETK_LOAD_NORM_RELU6>(stream, s, in, load, dout, dw, accumulate,
                                                        workspace);
    }
    return cudaErrorInvalidValue;
}

size_t detk_dwconv_backward_weight_workspace(enum detk_type type,
                                             const struct det_conv_shape *shape)
{
    (void)type;
    const size_t count = (size_t)shape->kernel_h * (size_t)shape->kernel_w * (size_t)shape->in_c;
    return (size_t)make_plan(shape).strips * count * sizeof(float);
}

cudaError_t detk_dwconv_backward_weight(cudaStream_t stream, enum detk_type type,
                                        const struct det_conv_shape *shape, const void *in,
                                        const struct detk_load *load, const void *dout, float *dw,
                                        bool accumulate, void *workspace)
{
    return type == DETK_F32
               ? for_kind<float>(stream, shape, in, *load, dout, dw, accumulate, workspace)
               : for_kind<__nv_bfloat16>(stream, shape, in, *load, dout, dw, accumulate, workspace);
}
