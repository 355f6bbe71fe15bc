/* Target assignment: a thread for each anchor of each image, the image's boxes staged in shared
 * memory. First every anchor finds its best box and every box, by integer maxima, its best anchor;
 * then every anchor looks whether a box has chosen it. */
#include "targets.h"

#include "block_sum.cuh"
#include "tile.cuh"
#include "vec.cuh"

#define TARGETS_THREADS 256
/* Boxes in shared memory at a time. */
#define TARGETS_BOXES 128

/* Of a box: the bits of its highest IoU above its best anchor's complement, so that the higher IoU,
 * then the lower anchor is the greater number. 0: it touches no anchor, and then takes anchor 0. */
typedef unsigned long long best_key;

static unsigned anchor_blocks(int32_t anchors)
{
    return (unsigned)det_ceil_div(anchors, TARGETS_THREADS);
}

static size_t best_bytes(int32_t most_boxes)
{
    const size_t bytes = (size_t)most_boxes * sizeof(best_key);
    return (bytes + DETK_ALIGN - 1) / DETK_ALIGN * DETK_ALIGN;
}

__device__ __forceinline__ float area_of(const float (&box)[4])
{
    return __fmul_rn(box[2] - box[0], box[3] - box[1]);
}

/* det_box_iou(), to the bit. */
__device__ __forceinline__ float iou_of(const float (&a)[4], float area_a, const float (&b)[4],
                                        float area_b)
{
    const float height = fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
    const float width = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (!(height > 0) || !(width > 0))
        return 0;
    const float shared = __fmul_rn(height, width);
    return shared == 0 ? 0 : __fdiv_rn(shared, __fsub_rn(__fadd_rn(area_a, area_b), shared));
}

__device__ __forceinline__ int match_of(const struct det_target_settings &settings, int gt,
                                        float iou)
{
    if (settings.ignore_thresholds || iou >= settings.matched_threshold)
        return gt;
    const bool below = iou < settings.unmatched_threshold;
    return below == settings.negatives_lower_than_unmatched ? DET_MATCH_BACKGROUND
                                                            : DET_MATCH_IGNORED;
}

__device__ __forceinline__ best_key key_of(float iou, int anchor)
{
    return (best_key)__float_as_uint(iou) << 32 | (unsigned)~anchor;
}

__device__ __forceinline__ int anchor_of(best_key key)
{
    return key == 0 ? 0 : (int)~(unsigned)key;
}

/* blockIdx.y is the image. */
static __global__ void __launch_bounds__(TARGETS_THREADS)
    detk_targets_match(const struct det_target_settings settings, const float (*anchors)[4],
                       int anchor_count, const struct detk_truths truths, int32_t *matched,
                       best_key *best)
{
    DET_SHARED(float, boxes, [TARGETS_BOXES][4]);
    DET_SHARED(best_key, keys, [TARGETS_BOXES]);
    const int a = (int)(blockIdx.x * TARGETS_THREADS + threadIdx.x), t = (int)threadIdx.x;
    const int begin = truths.offsets[blockIdx.y], end = truths.offsets[blockIdx.y + 1];
    float anchor[4] = {};
    if (a < anchor_count)
        det_load<float, 4>(anchors[a], anchor);
    const float area = area_of(anchor);
    int gt = 0;
    float highest = -1;
    for (int first = begin; first < end; first += TARGETS_BOXES) {
        const int staged = min(TARGETS_BOXES, end - first);
        for (int i = t; i < staged; i += TARGETS_THREADS) {
            for (int k = 0; k < 4; k++)
                boxes[i][k] = truths.boxes[first + i][k];
            keys[i] = 0;
        }
        __syncthreads();
        for (int i = 0; a < anchor_count && i < staged; i++) {
            const float box[4] = {boxes[i][0], boxes[i][1], boxes[i][2], boxes[i][3]};
            const float iou = iou_of(box, area_of(box), anchor, area);
            if (iou > highest) {
                highest = iou;
                gt = first + i - begin;
            }
            if (iou > 0)
                atomicMax(&keys[i], key_of(iou, a));
        }
        __syncthreads();
        for (int i = t; i < staged; i += TARGETS_THREADS)
            if (keys[i] != 0)
                atomicMax(&best[first + i], (best_key)keys[i]);
        __syncthreads(); /* before the next boxes overwrite these */
    }
    if (a < anchor_count)
        matched[(int64_t)blockIdx.y * anchor_count + a] =
            begin == end ? DET_MATCH_BACKGROUND : match_of(settings, gt, highest);
}

/* The lowest of the boxes of weight > 0 whose best anchor this is, else `match`. */
static __device__ __forceinline__ int forced_match(const struct detk_truths &truths,
                                                   const best_key *best, int begin, int end, int a,
                                                   int match)
{
    DET_SHARED(int, chosen, [TARGETS_BOXES]); /* by each box; -1: none */
    const int t = (int)threadIdx.x;
    bool forced = false;
    for (int first = begin; first < end; first += TARGETS_BOXES) {
        const int staged = min(TARGETS_BOXES, end - first);
        for (int i = t; i < staged; i += TARGETS_THREADS)
            chosen[i] = truths.weight[first + i] > 0 ? anchor_of(best[first + i]) : -1;
        __syncthreads();
        for (int i = 0; i < staged && !forced; i++)
            if (chosen[i] == a) {
                match = first + i - begin;
                forced = true;
            }
        __syncthreads();
    }
    return match;
}

/* det_box_encode(): differs by what logf differs. */
__device__ __forceinline__ void encode(const struct det_box_coder &coder, const float (&box)[4],
                                       const float (&anchor)[4], float (&encoding)[4])
{
    const float epsilon = 1e-8f;
    const float box_height = box[2] - box[0], box_width = box[3] - box[1];
    const float height = anchor[2] - anchor[0], width = anchor[3] - anchor[1];
    const float y = __fadd_rn(box[0], box_height / 2) - __fadd_rn(anchor[0], height / 2);
    const float x = __fadd_rn(box[1], box_width / 2) - __fadd_rn(anchor[1], width / 2);
    encoding[0] = __fmul_rn(__fdiv_rn(y, height + epsilon), coder.y_scale);
    encoding[1] = __fmul_rn(__fdiv_rn(x, width + epsilon), coder.x_scale);
    encoding[2] =
        __fmul_rn(logf(__fdiv_rn(box_height + epsilon, height + epsilon)), coder.height_scale);
    encoding[3] =
        __fmul_rn(logf(__fdiv_rn(box_width + epsilon, width + epsilon)), coder.width_scale);
}

static __global__ void __launch_bounds__(TARGETS_THREADS)
    detk_targets_encode(const struct det_target_settings settings, const float (*anchors)[4],
                        int anchor_count, const struct detk_truths truths,
                        const struct detk_targets targets, const best_key *best,
                        struct det_two_sums *partial)
{
    const int a = (int)(blockIdx.x * TARGETS_THREADS + threadIdx.x);
    const int begin = truths.offsets[blockIdx.y], end = truths.offsets[blockIdx.y + 1];
    const int64_t row = (int64_t)blockIdx.y * anchor_count + a;
    const bool inside = a < anchor_count;
    int match = inside ? targets.matched[row] : DET_MATCH_IGNORED;
    if (settings.force_match_for_each_row)
        match = forced_match(truths, best, begin, end, inside ? a : -2, match);
    struct det_two_sums sums = {0, 0};
    if (inside) {
        float encoding[4] = {};
        float weight = 0, class_weight = 0;
        int class_index = -1;
        if (match >= 0) {
            float box[4], anchor[4];
            det_load<float, 4>(anchors[a], anchor);
            for (int k = 0; k < 4; k++)
                box[k] = truths.boxes[begin + match][k];
            class_weight = weight = truths.weight[begin + match];
            class_index = truths.class_index[begin + match];
            encode(settings.coder, box, anchor, encoding);
            sums.first = (double)weight;
            sums.second = 1;
        } else if (match == DET_MATCH_BACKGROUND) {
            class_weight = settings.unmatched_class_weight;
        }
        targets.matched[row] = match;
        targets.class_index[row] = class_index;
        targets.class_weight[row] = class_weight;
        targets.box_weight[row] = weight;
        det_store<float, 4>(targets.encodings[row], encoding);
    }
    sums = det_block_sum<TARGETS_THREADS>(sums);
    if (threadIdx.x == 0)
        partial[blockIdx.y * gridDim.x + blockIdx.x] = sums;
}

static __global__ void __launch_bounds__(TARGETS_THREADS)
    detk_targets_total(int count, const struct det_two_sums *partial,
                       const struct detk_targets targets)
{
    struct det_two_sums sums = {0, 0};
    for (int i = (int)threadIdx.x; i < count; i += TARGETS_THREADS) {
        sums.first += partial[i].first;
        sums.second += partial[i].second;
    }
    sums = det_block_sum<TARGETS_THREADS>(sums);
    if (threadIdx.x == 0) {
        *targets.box_weight_sum = sums.first;
        *targets.matched_count = (int64_t)sums.second;
    }
}

size_t detk_targets_workspace(int32_t n, int32_t anchors, int32_t most_boxes)
{
    return best_bytes(most_boxes) +
           (size_t)n * anchor_blocks(anchors) * sizeof(struct det_two_sums);
}

cudaError_t detk_targets_assign(cudaStream_t stream, const struct det_target_settings *settings,
                                const float (*anchors)[4], int32_t anchor_count, int32_t n,
                                int32_t most_boxes, const struct detk_truths *truths,
                                const struct detk_targets *targets, void *workspace)
{
    best_key *const best = static_cast<best_key *>(workspace);
    struct det_two_sums *const partial = reinterpret_cast<struct det_two_sums *>(
        static_cast<char *>(workspace) + best_bytes(most_boxes));
    const dim3 grid(anchor_blocks(anchor_count), (unsigned)n), block(TARGETS_THREADS);
    if (most_boxes > 0) {
        const cudaError_t error =
            cudaMemsetAsync(best, 0, (size_t)most_boxes * sizeof *best, stream);
        if (error != cudaSuccess)
            return error;
    }
    DET_LAUNCH(detk_targets_match, grid, block, 0, stream, *settings, anchors, anchor_count,
               *truths, targets->matched, best);
    DET_LAUNCH(detk_targets_encode, grid, block, 0, stream, *settings, anchors, anchor_count,
               *truths, *targets, best, partial);
    DET_LAUNCH(detk_targets_total, dim3(1), block, 0, stream, (int)(grid.x * grid.y), partial,
               *targets);
    return cudaGetLastError();
}

/* One thread: ranks are few. */
static __global__ void __launch_bounds__(32)
    detk_targets_add(int ranks, const double *all, double *sum)
{
    double of_all = 0;
    for (int r = 0; r < ranks; r++)
        of_all += all[r];
    *sum = of_all;
}

cudaError_t detk_targets_join(cudaStream_t stream, const double *all, int32_t ranks,
                              const struct detk_targets *targets)
{
    DET_LAUNCH(detk_targets_add, dim3(1), dim3(1), 0, stream, (int)ranks, all,
               targets->box_weight_sum);
    return cudaGetLastError();
}
