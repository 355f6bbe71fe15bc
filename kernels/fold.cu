/* Folding and its gradient: a block takes 32 channels of a layer, its threads the rows in turns. */
#include "fold.h"

#include "quant.cuh"
#include "tile.cuh"

#define FOLD_CHANNELS 32
#define FOLD_ROWS     8

static dim3 fold_grid(int32_t layers, int32_t most_channels)
{
    return dim3((unsigned)det_ceil_div(most_channels, FOLD_CHANNELS), (unsigned)layers);
}

/* gamma / sqrt(variance + epsilon), and without gamma. */
__device__ __forceinline__ double inverse_of(const struct detk_fold_layer &l, const float *params,
                                             int channel)
{
    return 1 / sqrt((double)params[l.variance + channel] + (double)l.epsilon);
}

__device__ __forceinline__ double scale_of(const struct detk_fold_layer &l, const float *params,
                                           int channel)
{
    if (l.gamma < 0)
        return 1;
    return (double)params[l.gamma + channel] /
           sqrt((double)params[l.variance + channel] + (double)l.epsilon);
}

/* The largest of the threads that have the same channel. */
__device__ __forceinline__ float most_of_channel(float mine)
{
    DET_SHARED(float, most, [FOLD_ROWS][FOLD_CHANNELS]);
    most[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    for (int y = 0; y < FOLD_ROWS; y++)
        mine = fmaxf(mine, most[y][threadIdx.x]);
    return mine;
}

/* What a bias must not be larger than, as a limit of the weights. */
__device__ __forceinline__ float limit_of_bias(const struct detk_alike *in,
                                               const struct detk_ranges &ranges, float bias)
{
    float limit = 0;
    for (int k = 0; k < in->count; k++) {
        const int tensor = in->tensors[k];
        double step = (double)(float)(2.0 / 255); /* of the input */
        if (tensor != 0 && *ranges.rate >= 1)
            continue; /* nothing is known before the first batch */
        if (tensor != 0)
            step = (double)det_quant_of(ranges.low[tensor], ranges.high[tensor]).scale;
        limit = fmaxf(limit, (float)(fabs((double)bias) * 127 / (step * (0.25 * 1073741824.0))));
    }
    return limit;
}

static __global__ void __launch_bounds__(FOLD_CHANNELS *FOLD_ROWS)
    detk_fold_layers(const struct detk_fold_layer *layers, const float *params,
                     struct detk_ranges ranges, float *folded)
{
    const struct detk_fold_layer &l = layers[blockIdx.y];
    const int channel = (int)(blockIdx.x * FOLD_CHANNELS + threadIdx.x);
    const bool mine = channel < l.channels;
    if ((int)(blockIdx.x * FOLD_CHANNELS) >= l.channels)
        return;
    const double scale = mine ? scale_of(l, params, channel) : 0;
    float limit = 0;
    for (int row = (int)threadIdx.y; mine && row < l.rows; row += FOLD_ROWS) {
        const double w = (double)params[l.kernel + (int64_t)row * l.channels + channel];
        limit = fmaxf(limit, fabsf((float)(w * scale)));
    }
    limit = most_of_channel(limit);
    if (!mine)
        return;
    if (l.folded_bias >= 0) {
        const float bias = l.gamma < 0 ? params[l.bias + channel]
                                       : (float)((double)params[l.beta + channel] -
                                                 (double)params[l.mean + channel] * scale);
        limit = fmaxf(limit, limit_of_bias(&l.in, ranges, bias));
        if (threadIdx.y == 0)
            folded[l.folded_bias + channel] = bias;
    }
    const float step = limit > 0 ? limit / 127.0f : 1.0f;
    for (int row = (int)threadIdx.y; row < l.rows; row += FOLD_ROWS) {
        const int64_t at = (int64_t)row * l.channels + channel;
        const float w = (float)((double)params[l.kernel + at] * scale);
        const float steps = det_round_away(w / step);
        folded[l.folded_kernel + at] = step * (steps < -127  ? -127.0f
                                               : steps > 127 ? 127.0f
                                                             : steps);
    }
}

cudaError_t detk_fold_params(cudaStream_t stream, const struct detk_fold_layer *layers,
                             int32_t count, int32_t most_channels, const float *params,
                             const struct detk_ranges *ranges, float *folded)
{
    DET_LAUNCH(detk_fold_layers, fold_grid(count, most_channels), dim3(FOLD_CHANNELS, FOLD_ROWS), 0,
               stream, layers, params, *ranges, folded);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(FOLD_CHANNELS *FOLD_ROWS)
    detk_unfold_layers(const struct detk_fold_layer *layers, const int32_t *heads,
                       const float *params, const float *folded_gradients, float *gradients)
{
    DET_SHARED(double, sums, [FOLD_ROWS][FOLD_CHANNELS]);
    const int channel = (int)(blockIdx.x * FOLD_CHANNELS + threadIdx.x);
    bool first = true;
    for (int index = heads[blockIdx.y]; index >= 0; first = false) {
        const struct detk_fold_layer &l = layers[index];
        const bool mine = channel < l.channels, normed = l.gamma >= 0;
        const double gamma = mine && normed ? (double)params[l.gamma + channel] : 1;
        const double inverse = mine && normed ? inverse_of(l, params, channel) : 1;
        double products = 0;
        for (int row = (int)threadIdx.y; mine && row < l.rows; row += FOLD_ROWS) {
            const int64_t at = (int64_t)row * l.channels + channel;
            const double gradient = (double)folded_gradients[l.folded_kernel + at];
            const float dw = (float)(gradient * gamma * inverse);
            float *to = gradients + l.kernel + at;
            *to = first ? dw : *to + dw;
            products += gradient * (double)params[l.kernel + at];
        }
        sums[threadIdx.y][threadIdx.x] = products;
        __syncthreads();
        if (threadIdx.y == 0 && mine && l.folded_bias >= 0) {
            const float dbias = folded_gradients[l.folded_bias + channel];
            double sum = 0;
            for (int y = 0; y < FOLD_ROWS; y++)
                sum += sums[y][threadIdx.x];
            if (normed) {
                gradients[l.gamma + channel] =
                    (float)((sum - (double)dbias * (double)params[l.mean + channel]) * inverse);
                gradients[l.beta + channel] = dbias;
            } else {
                gradients[l.bias + channel] = dbias;
            }
        }
        __syncthreads();
        index = l.next;
    }
}

cudaError_t detk_fold_gradients(cudaStream_t stream, const struct detk_fold_layer *layers,
                                const int32_t *heads, int32_t head_count, int32_t most_channels,
                                const float *params, const float *folded_gradients,
                                float *gradients)
{
    DET_LAUNCH(detk_unfold_layers, fold_grid(head_count, most_channels),
               dim3(FOLD_CHANNELS, FOLD_ROWS), 0, stream, layers, heads, params, folded_gradients,
               gradients);
    return cudaGetLastError();
}
