/* Losses and their gradients in one pass: a block takes LOSSES_ROWS anchors (of all images, in one
 * row), its threads the logits side by side and then an anchor's box each. */
#include "losses.h"

#include "block_sum.cuh"
#include "tile.cuh"
#include "vec.cuh"

#define LOSSES_THREADS 256
#define LOSSES_ROWS    256

/* What the sums of the whole batch are multiplied by. */
struct scales {
    double normalizer, localization, classification;
};

__device__ __forceinline__ struct scales scales_of(const struct det_loss_settings &settings,
                                                   double box_weight_sum, int ranks)
{
    struct scales s;
    s.normalizer =
        (settings.normalize_loss_by_num_matches && box_weight_sum > 1 ? box_weight_sum : 1) / ranks;
    const double code_size = settings.normalize_loc_loss_by_codesize ? 4 : 1;
    s.localization = (double)settings.localization_weight / (s.normalizer * code_size);
    s.classification = (double)settings.classification_weight / s.normalizer;
    return s;
}

/* One anchor's Huber loss, and the gradient before any weight. NaN predictions show, NaN targets
 * count as met. */
__device__ __forceinline__ float huber(float delta, const float (&encoding)[4],
                                       const float (&target)[4], float (&gradient)[4])
{
    float sum = 0;
#pragma unroll
    for (int k = 0; k < 4; k++) {
        const float error = target[k] != target[k] ? 0 : encoding[k] - target[k];
        const float size = fabsf(error);
        if (size <= delta) {
            sum += 0.5f * size * size;
            gradient[k] = error;
        } else {
            sum += delta * (size - 0.5f * delta);
            gradient[k] = error > 0 ? delta : error < 0 ? -delta : error;
        }
    }
    return sum;
}

/* Loss of one logit and its gradient: model/losses.c has the formulas. exp() only of numbers <= 0:
 * nothing overflows. */
__device__ __forceinline__ float class_term(const struct det_loss_settings &settings, float x,
                                            bool positive, float *gradient)
{
    const float s = positive ? -x : x;
    const float e = expf(-fabsf(s)), inverse = 1.0f / (1.0f + e);
    const float p = s >= 0 ? inverse : e * inverse;
    const float softplus = (s > 0 ? s : 0.0f) + log1pf(e);
    float loss = softplus, slope = p;
    if (settings.class_loss == DET_CLASS_LOSS_SIGMOID_FOCAL) {
        const float gamma = settings.focal_gamma;
        const float not_p = s >= 0 ? e * inverse : inverse;
        float factor = gamma == 2 ? p * p : powf(p, gamma);
        if (settings.focal_has_alpha)
            factor *= positive ? settings.focal_alpha : 1 - settings.focal_alpha;
        loss = factor * softplus;
        slope = factor * (gamma * not_p * softplus + p);
    }
    *gradient = positive ? -slope : slope;
    return loss;
}

struct arrays {
    const float *logits, *encodings;
    float *logit_gradients, *encoding_gradients; /* both or neither nullptr */
};

/* partial [block]: localization, classification before scaling. */
static __global__ void __launch_bounds__(LOSSES_THREADS)
    detk_losses_rows(const struct det_loss_settings settings, int64_t rows, int columns,
                     const struct detk_targets targets, int ranks, const struct arrays arrays,
                     struct det_two_sums *partial)
{
    const struct scales scales = scales_of(settings, *targets.box_weight_sum, ranks);
    const float class_scale = (float)scales.classification, box_scale = (float)scales.localization;
    const int64_t first = (int64_t)blockIdx.x * LOSSES_ROWS;
    const int count = rows - first < LOSSES_ROWS ? (int)(rows - first) : LOSSES_ROWS;
    struct det_two_sums sums = {0, 0};
    for (int i = (int)threadIdx.x; i < count * columns; i += LOSSES_THREADS) {
        const int64_t row = first + i / columns, at = first * columns + i;
        const int positive = targets.class_index[row] + 1; /* column of the one-hot target */
        const bool target =
            i % columns == positive && (positive > 0 || !settings.encode_background_as_zeros);
        const float weight = targets.class_weight[row];
        float gradient;
        sums.second +=
            (double)(weight * class_term(settings, arrays.logits[at], target, &gradient));
        if (arrays.logit_gradients != nullptr)
            arrays.logit_gradients[at] = weight * gradient * class_scale;
    }
    for (int i = (int)threadIdx.x; i < count; i += LOSSES_THREADS) {
        const int64_t row = first + i;
        const float weight = targets.box_weight[row];
        float encoding[4], target[4], gradient[4];
        det_load<float, 4>(arrays.encodings + 4 * row, encoding);
        det_load<float, 4>(targets.encodings[row], target);
        sums.first += (double)(weight * huber(settings.huber_delta, encoding, target, gradient));
        if (arrays.encoding_gradients != nullptr) {
#pragma unroll
            for (int k = 0; k < 4; k++)
                gradient[k] = weight * gradient[k] * box_scale;
            det_store<float, 4>(arrays.encoding_gradients + 4 * row, gradient);
        }
    }
    sums = det_block_sum<LOSSES_THREADS>(sums);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sums;
}

static __global__ void __launch_bounds__(LOSSES_THREADS)
    detk_losses_total(const struct det_loss_settings settings, int count,
                      const struct det_two_sums *partial, const struct detk_targets targets,
                      int ranks, struct detk_loss_values *values)
{
    struct det_two_sums sums = {0, 0};
    for (int i = (int)threadIdx.x; i < count; i += LOSSES_THREADS) {
        sums.first += partial[i].first;
        sums.second += partial[i].second;
    }
    sums = det_block_sum<LOSSES_THREADS>(sums);
    if (threadIdx.x != 0)
        return;
    const struct scales scales = scales_of(settings, *targets.box_weight_sum, ranks);
    struct detk_loss_values found;
    found.localization = sums.first * scales.localization;
    found.classification = sums.second * scales.classification;
    found.normalizer = scales.normalizer;
    found.matched = *targets.matched_count;
    *values = found;
}

static unsigned blocks_of(int32_t n, int32_t anchors)
{
    return (unsigned)det_ceil_div((int64_t)n * anchors, LOSSES_ROWS);
}

size_t detk_losses_workspace(int32_t n, int32_t anchors, int32_t class_count)
{
    (void)class_count;
    return blocks_of(n, anchors) * sizeof(struct det_two_sums);
}

cudaError_t detk_losses(cudaStream_t stream, const struct det_loss_settings *settings, int32_t n,
                        int32_t anchors, int32_t class_count, const struct detk_targets *targets,
                        int32_t ranks, const float *logits, const float *encodings,
                        float *logit_gradients, float *encoding_gradients,
                        struct detk_loss_values *values, void *workspace)
{
    struct det_two_sums *const partial = static_cast<struct det_two_sums *>(workspace);
    const struct arrays arrays = {logits, encodings, logit_gradients, encoding_gradients};
    const unsigned blocks = blocks_of(n, anchors);
    DET_LAUNCH(detk_losses_rows, dim3(blocks), dim3(LOSSES_THREADS), 0, stream, *settings,
               (int64_t)n * anchors, class_count + 1, *targets, (int)ranks, arrays, partial);
    DET_LAUNCH(detk_losses_total, dim3(1), dim3(LOSSES_THREADS), 0, stream, *settings, (int)blocks,
               partial, *targets, (int)ranks, values);
    return cudaGetLastError();
}
