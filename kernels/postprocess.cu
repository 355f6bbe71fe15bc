/* Five kernels, of which the second looks at every logit, the third at every score, and the others
 * at few:
 *  1. counters are reset;
 *  2. scores: many blocks write each class' scores of each image side by side, and count its
 *     candidates in a histogram;
 *  3. listing: many blocks put the best candidates of each class of each image on its list, LISTED
 *     of them at most: the histogram says from which bin on;
 *  4. suppression: a block for each class of each image walks down its list (select.cuh) and keeps
 *     what may stay. Where that is not enough, it walks on down the scores below the list, as far
 *     as it must: no candidate is left out;
 *  5. merging: a block for each image walks down the list of what was kept.
 * Where boxes and overlaps are computed, every operation rounds once, as in model/: no contraction
 * into fma. */
#include "postprocess.h"
#include "select.cuh"
#include "vec.cuh"

#define BLOCK DET_SELECT_THREADS
#define TILE_THREADS \
    256 /* of a block of the second kernel, its most columns of logits, its anchors: whole warps */
#define TILE_COLUMNS 32
#define TILE_ANCHORS 64
#define VECTOR       4 /* scores of a thread of the third kernel: of a block, a span */
#define SPAN         (VECTOR * BLOCK)           /* anchors */
#define LISTED       (DET_SELECT_LOADS * BLOCK) /* what a walk loads at once */

struct alignas(16) box {
    float ymin, xmin, ymax, xmax;
};

struct problem {
    struct det_postprocess_settings settings;
    int32_t anchor_count, class_count;
    uint32_t stride;    /* scores of a list: the anchors, rounded up to a VECTOR */
    uint32_t listed;    /* most candidates on a list */
    uint32_t per_class; /* most detections of a class */
    const float (*anchors)[4];
    const float *logits, *encodings;
};

__device__ __forceinline__ float score_threshold(const problem &p, int class_index)
{
    return p.settings.class_thresholds != NULL ? p.settings.class_thresholds[class_index]
                                               : p.settings.score_threshold;
}

/* "List" is the number of a class of an image, image * K + class. "Place" is where a class'
 * detection stands in an image, class * per_class + rank: places rise as ties are ordered. */
struct workspace {
    float *scores;             /* [n * K][stride], NaN after the last anchor's */
    uint32_t *bins;            /* [n * K][DET_SELECT_BINS] the candidates' first histogram */
    uint64_t *candidates;      /* [n * K][listed] keys, of anchors */
    uint32_t *candidate_count; /* [n * K] of them */
    uint64_t *kept;            /* [n * K][per_class] keys, of anchors */
    box *kept_boxes;           /* [n * K][per_class] */
    uint64_t *merged;          /* [n][K * per_class] keys, of places */
    uint32_t *merged_count;    /* [n] */
};

/* --- boxes --- */

__device__ __forceinline__ float size_factor(float log_size)
{
    return expf(log_size > 80.0f ? 80.0f : log_size);
}

/* One axis of model/box_coder.c det_box_decode(). */
__device__ __forceinline__ void decode_axis(float shift, float log_size, float shift_scale,
                                            float size_scale, float low, float high, float *out_low,
                                            float *out_high)
{
    const float anchor_size = __fsub_rn(high, low);
    const float anchor_center = __fadd_rn(low, __fmul_rn(anchor_size, 0.5f));
    const float size = __fmul_rn(size_factor(__fdiv_rn(log_size, size_scale)), anchor_size);
    const float center =
        __fadd_rn(__fmul_rn(__fdiv_rn(shift, shift_scale), anchor_size), anchor_center);
    *out_low = __fsub_rn(center, __fmul_rn(size, 0.5f));
    *out_high = __fadd_rn(center, __fmul_rn(size, 0.5f));
}

__device__ __forceinline__ box decode(const problem &p, int image, uint32_t anchor)
{
    const struct det_box_coder &coder = p.settings.coder;
    float e[4], a[4];
    det_load<float, 4>(p.encodings + ((int64_t)image * p.anchor_count + anchor) * 4, e);
    det_load<float, 4>(p.anchors[anchor], a);
    box b;
    decode_axis(e[0], e[2], coder.y_scale, coder.height_scale, a[0], a[2], &b.ymin, &b.ymax);
    decode_axis(e[1], e[3], coder.x_scale, coder.width_scale, a[1], a[3], &b.xmin, &b.xmax);
    return b;
}

__device__ __forceinline__ bool is_finite(const box &b)
{
    return isfinite(b.ymin) && isfinite(b.xmin) && isfinite(b.ymax) && isfinite(b.xmax);
}

__device__ __forceinline__ float least(float a, float b)
{
    return a < b ? a : b;
}

__device__ __forceinline__ float most(float a, float b)
{
    return a > b ? a : b;
}

__device__ __forceinline__ float area(const box &b)
{
    return __fmul_rn(__fsub_rn(b.ymax, b.ymin), __fsub_rn(b.xmax, b.xmin));
}

/* An IoU that is NaN (areas that overflow) suppresses. */
__device__ __forceinline__ bool overlaps(const box &a, const box &b, float threshold)
{
    const float area_a = area(a), area_b = area(b);
    float iou = 0;
    if (area_a > 0 && area_b > 0) {
        const float height = most(__fsub_rn(least(a.ymax, b.ymax), most(a.ymin, b.ymin)), 0);
        const float width = most(__fsub_rn(least(a.xmax, b.xmax), most(a.xmin, b.xmin)), 0);
        const float shared = __fmul_rn(height, width);
        iou = __fdiv_rn(shared, __fsub_rn(__fadd_rn(area_a, area_b), shared));
    }
    return !(iou <= threshold);
}

__device__ __forceinline__ float clip(float value, float low, float high)
{
    return most(least(value, high), low);
}

/* Clips to the window and moves to its frame when wanted; false when nothing is left. */
__device__ __forceinline__ bool place_box(box *b, const float *window, bool change_frame)
{
    const float ymin = window[0], xmin = window[1], ymax = window[2], xmax = window[3];
    *b = {clip(b->ymin, ymin, ymax), clip(b->xmin, xmin, xmax), clip(b->ymax, ymin, ymax),
          clip(b->xmax, xmin, xmax)};
    if (!(area(*b) > 0))
        return false;
    if (change_frame) {
        const float to_y = __fdiv_rn(1, __fsub_rn(ymax, ymin));
        const float to_x = __fdiv_rn(1, __fsub_rn(xmax, xmin));
        *b = {__fmul_rn(__fsub_rn(b->ymin, ymin), to_y), __fmul_rn(__fsub_rn(b->xmin, xmin), to_x),
              __fmul_rn(__fsub_rn(b->ymax, ymin), to_y), __fmul_rn(__fsub_rn(b->xmax, xmin), to_x)};
    }
    return true;
}

/* --- kernels --- */

/* Grid: lists. */
__global__ void __launch_bounds__(BLOCK) detk_postprocess_reset(workspace work, int n, int *finite)
{
    static_assert(DET_SELECT_OWN_BINS == 4, "a thread's bins are one vector");
    const int list = (int)blockIdx.x;
    uint32_t *own_bins =
        work.bins + (int64_t)list * DET_SELECT_BINS + threadIdx.x * DET_SELECT_OWN_BINS;
    DET_CHECK_ACCESS(own_bins, sizeof(uint4));
    *reinterpret_cast<uint4 *>(own_bins) = {0, 0, 0, 0};
    if (threadIdx.x > 0)
        return;
    work.candidate_count[list] = 0;
    if (list < n) {
        work.merged_count[list] = 0;
        finite[list] = 1;
    }
}

__device__ __forceinline__ float sigmoid(float logit)
{
    return __fdiv_rn(1, __fadd_rn(1, expf(-logit)));
}

/* Counts the warp's candidates. Those that share the first one's bin are counted together: where
 * all scores are equal, an atomic of each would be as slow as one thread. */
__device__ __forceinline__ void count_candidates(uint32_t *bins, bool candidate, float score)
{
    const unsigned mask = __ballot_sync(DET_EVERY_LANE, candidate);
    if (mask == 0)
        return;
    const int lane = (int)threadIdx.x % 32, first = __ffs((int)mask) - 1;
    const uint32_t bin = det_first_bin(score);
    const uint32_t first_bin = __shfl_sync(DET_EVERY_LANE, bin, first);
    const unsigned together = __ballot_sync(DET_EVERY_LANE, candidate && bin == first_bin);
    if (lane == first)
        atomicAdd(&bins[first_bin], (uint32_t)__popc(together));
    else if (candidate && bin != first_bin)
        atomicAdd(&bins[bin], 1U);
}

/* Grid: anchors, columns of logits, images. Logits are read along the columns, scores are written
 * along the anchors. */
__global__ void __launch_bounds__(TILE_THREADS)
    detk_postprocess_scores(problem p, workspace work, int *finite)
{
    DET_SHARED(float, score, [TILE_COLUMNS][TILE_ANCHORS + 1]);
    DET_SHARED(float, threshold, [TILE_COLUMNS]);
    const int thread = (int)threadIdx.x, image = (int)blockIdx.z;
    const int columns = p.class_count + 1;
    const int first_anchor = (int)blockIdx.x * TILE_ANCHORS;
    const int first_column = (int)blockIdx.y * TILE_COLUMNS;
    const int width = min(TILE_COLUMNS, columns - first_column);
    const int64_t first_row = (int64_t)image * p.anchor_count + first_anchor;
    bool sound = true;
    if (thread < width)
        threshold[thread] = score_threshold(p, max(first_column + thread - 1, 0));
    for (int i = thread; i < TILE_ANCHORS * width; i += TILE_THREADS) {
        const int y = i / width, x = i % width;
        float logit = NAN; /* no candidate */
        if (first_anchor + y < p.anchor_count) {
            logit = p.logits[(first_row + y) * columns + first_column + x];
            sound = sound && isfinite(logit);
        }
        score[x][y] = sigmoid(logit);
    }
    if (blockIdx.y == 0 && thread < TILE_ANCHORS && first_anchor + thread < p.anchor_count) {
        float encoding[4];
        det_load<float, 4>(p.encodings + (first_row + thread) * 4, encoding);
        for (int k = 0; k < 4; k++)
            sound = sound && isfinite(encoding[k]);
    }
    if (!sound)
        finite[image] = 0; /* whoever writes, writes this */
    __syncthreads();

    for (int i = thread; i < TILE_ANCHORS * width; i += TILE_THREADS) {
        const int x = i / TILE_ANCHORS, y = i % TILE_ANCHORS;
        const int class_index = first_column + x - 1; /* column 0 is the background */
        if (class_index < 0)
            continue; /* all of the warp */
        const int64_t list = (int64_t)image * p.class_count + class_index;
        const float own = score[x][y];
        if ((uint32_t)(first_anchor + y) < p.stride)
            work.scores[list * p.stride + first_anchor + y] = own;
        count_candidates(work.bins + list * DET_SELECT_BINS, own > threshold[x], own);
    }
}

/* Where a list ends: what its histogram's bins from here on hold is on it. */
__device__ __forceinline__ det_cut end_of_list(const problem &p, const workspace &work,
                                               int64_t list)
{
    return det_find_cut(work.bins + list * DET_SELECT_BINS, p.listed);
}

__device__ __forceinline__ uint64_t first_key(const det_cut &cut)
{
    return (uint64_t)cut.bin << DET_SELECT_SHIFT;
}

/* Grid: classes, spans of anchors, images. */
__global__ void __launch_bounds__(BLOCK) detk_postprocess_list(problem p, workspace work)
{
    const uint32_t anchor = blockIdx.y * SPAN + threadIdx.x * VECTOR, lane = threadIdx.x % 32;
    const int64_t list = (int64_t)blockIdx.z * p.class_count + blockIdx.x;
    float score[VECTOR] = {NAN, NAN, NAN, NAN};
    if (anchor < p.stride)
        det_load<float, VECTOR>(work.scores + list * p.stride + anchor, score);
    const float threshold = score_threshold(p, (int)blockIdx.x);
    const uint64_t bound = first_key(end_of_list(p, work, list));
#pragma unroll
    for (uint32_t k = 0; k < VECTOR; k++) {
        const uint64_t key = det_key(score[k], anchor + k);
        const bool wanted = score[k] > threshold && key >= bound;
        const unsigned mask = __ballot_sync(DET_EVERY_LANE, wanted);
        if (mask == 0)
            continue;
        uint32_t begin = 0;
        if (lane == 0)
            begin = atomicAdd(&work.candidate_count[list], (uint32_t)__popc(mask));
        begin = __shfl_sync(DET_EVERY_LANE, begin, 0);
        if (wanted)
            work.candidates[list * p.listed + begin + __popc(mask & ((1U << lane) - 1))] = key;
    }
}

/* The first thread that says true, or BLOCK. Has one barrier: the next call must use other flags,
 * or come after another. */
template <typename Flags> __device__ __forceinline__ uint32_t first_thread(bool value, Flags flags)
{
    const unsigned mask = __ballot_sync(DET_EVERY_LANE, value);
    if (threadIdx.x % 32 == 0)
        flags[threadIdx.x / 32] = mask;
    __syncthreads();
    for (uint32_t warp = 0; warp < DET_SELECT_WARPS; warp++) {
        const uint32_t found = flags[warp];
        if (found != 0)
            return warp * 32 + (uint32_t)__ffs((int)found) - 1;
    }
    return BLOCK;
}

/* Grid: classes, images. In a round each thread has a candidate; the first that still stands is
 * kept and strikes out what it overlaps, as long as one stands. */
__global__ void __launch_bounds__(BLOCK, 2) detk_postprocess_suppress(problem p, workspace work)
{
    DET_SHARED(box, boxes, [BLOCK]);
    DET_SHARED(uint32_t, standing_masks, [2][DET_SELECT_WARPS]); /* by turns: one barrier a step */
    DET_SHARED(uint32_t, merged_begin, [1]);
    const int class_index = (int)blockIdx.x, image = (int)blockIdx.y;
    const uint32_t thread = threadIdx.x;
    const int64_t list = (int64_t)image * p.class_count + class_index;
    const float threshold = p.settings.iou_threshold;
    uint64_t *kept = work.kept + list * p.per_class;
    box *kept_boxes = work.kept_boxes + list * p.per_class;
    uint32_t count = 0; /* kept */
    int turn = 0;
    bool on_list = true;
    det_walk walk = det_walk_keys(work.candidates + list * p.listed, work.candidate_count[list]);
    while (count < p.per_class) {
        if (walk.left == 0) {
            if (!on_list)
                break;
            on_list = false;
            const det_cut cut = end_of_list(p, work, list);
            walk = det_walk_scores(work.scores + list * p.stride, score_threshold(p, class_index),
                                   (uint32_t)p.anchor_count, cut.all - cut.held, first_key(cut));
            continue;
        }
        const uint64_t key = det_walk_next(&walk);
        box own = {0, 0, 0, 0};
        bool standing = key != 0;
        if (standing) {
            own = decode(p, image, det_key_index(key));
            standing = is_finite(own);
        }
        for (uint32_t k = 0; standing && k < count; k++)
            standing = !overlaps(own, kept_boxes[k], threshold);
        boxes[thread] = own;
        while (count < p.per_class) {
            const uint32_t first = first_thread(standing, standing_masks[turn]);
            if (first == BLOCK)
                break;
            if (thread == first) {
                kept[count] = key;
                kept_boxes[count] = own;
                standing = false;
            }
            const box winner = boxes[first];
            if (standing)
                standing = !overlaps(own, winner, threshold);
            count++;
            turn = 1 - turn;
        }
    }

    if (thread == 0)
        merged_begin[0] = atomicAdd(&work.merged_count[image], count);
    __syncthreads();
    uint64_t *merged = work.merged + (int64_t)image * p.class_count * p.per_class + merged_begin[0];
    for (uint32_t k = thread; k < count; k += BLOCK)
        merged[k] = det_key(det_key_score(kept[k]), (uint32_t)class_index * p.per_class + k);
}

/* Grid: images. */
__global__ void __launch_bounds__(BLOCK)
    detk_postprocess_merge(problem p, workspace work, const float (*windows)[4],
                           struct detk_detections out)
{
    DET_SHARED(uint32_t, shown_masks, [DET_SELECT_WARPS]);
    const int image = (int)blockIdx.x;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const uint32_t max = (uint32_t)p.settings.max_total_detections;
    const int64_t first_place = (int64_t)image * p.class_count * p.per_class;
    const int64_t first_out = (int64_t)image * max;
    uint32_t written = 0;
    det_walk walk = det_walk_keys(work.merged + first_place, work.merged_count[image]);
    while (walk.left > 0 && written < max) {
        const uint64_t key = det_walk_next(&walk);
        const uint32_t place = det_key_index(key);
        box own = {0, 0, 0, 0};
        bool shown = false;
        if (key != 0) {
            own = work.kept_boxes[first_place + place];
            shown = place_box(&own, windows[image], p.settings.change_coordinate_frame);
        }
        const unsigned mask = __ballot_sync(DET_EVERY_LANE, shown);
        if (lane == 0)
            shown_masks[warp] = mask;
        __syncthreads();
        uint32_t all = 0, at = written + (uint32_t)__popc(mask & ((1U << lane) - 1));
        for (uint32_t w = 0; w < DET_SELECT_WARPS; w++) {
            const uint32_t in_warp = (uint32_t)__popc(shown_masks[w]);
            all += in_warp;
            at += w < warp ? in_warp : 0;
        }
        if (shown && at < max) {
            const float corners[4] = {own.ymin, own.xmin, own.ymax, own.xmax};
            det_store<float, 4>(out.boxes[first_out + at], corners);
            out.class_index[first_out + at] = (int32_t)(place / p.per_class);
            out.score[first_out + at] = det_key_score(key);
            out.anchor[first_out + at] = (int32_t)det_key_index(work.kept[first_place + place]);
        }
        written += all;
    }
    if (threadIdx.x == 0)
        out.count[image] = (int32_t)min(written, max);
}

/* --- host --- */

static problem make_problem(const struct det_postprocess_settings *settings,
                            const float (*anchors)[4], int32_t anchor_count, int32_t class_count,
                            const float *logits, const float *encodings)
{
    problem p = {*settings, anchor_count, class_count, 0, 0, 0, anchors, logits, encodings};
    p.stride = ((uint32_t)anchor_count + VECTOR - 1) / VECTOR * VECTOR;
    p.listed = (uint32_t)(anchor_count < LISTED ? anchor_count : LISTED);
    p.per_class = (uint32_t)(settings->max_detections_per_class < anchor_count
                                 ? settings->max_detections_per_class
                                 : anchor_count);
    return p;
}

/* The next `count` elements of a workspace that is `*used` bytes long so far; only that grows when
 * there is none. */
template <typename T> static T *take(void *workspace, size_t *used, size_t count)
{
    T *array =
        workspace == NULL ? NULL : reinterpret_cast<T *>(static_cast<char *>(workspace) + *used);
    *used += (count * sizeof(T) + DETK_ALIGN - 1) / DETK_ALIGN * DETK_ALIGN;
    return array;
}

static workspace lay_out(const problem &p, int32_t n, void *memory, size_t *bytes)
{
    const size_t lists = (size_t)n * (size_t)p.class_count;
    const size_t kept = lists * p.per_class;
    workspace work;
    *bytes = 0;
    work.scores = take<float>(memory, bytes, lists * p.stride);
    work.bins = take<uint32_t>(memory, bytes, lists * DET_SELECT_BINS);
    work.candidates = take<uint64_t>(memory, bytes, lists * p.listed);
    work.candidate_count = take<uint32_t>(memory, bytes, lists);
    work.kept = take<uint64_t>(memory, bytes, kept);
    work.kept_boxes = take<box>(memory, bytes, kept);
    work.merged = take<uint64_t>(memory, bytes, kept);
    work.merged_count = take<uint32_t>(memory, bytes, (size_t)n);
    return work;
}

size_t detk_postprocess_workspace(const struct det_postprocess_settings *settings, int32_t n,
                                  int32_t anchors, int32_t class_count)
{
    size_t bytes;
    lay_out(make_problem(settings, NULL, anchors, class_count, NULL, NULL), n, NULL, &bytes);
    return bytes;
}

static unsigned blocks(int64_t count, int64_t of_block)
{
    return (unsigned)((count + of_block - 1) / of_block);
}

cudaError_t detk_postprocess(cudaStream_t stream, const struct det_postprocess_settings *settings,
                             const float (*anchors)[4], int32_t n, int32_t anchor_count,
                             int32_t class_count, const float *logits, const float *encodings,
                             const float (*windows)[4], const struct detk_detections *detections,
                             void *memory)
{
    if (n == 0)
        return cudaGetLastError();
    size_t bytes;
    const problem p = make_problem(settings, anchors, anchor_count, class_count, logits, encodings);
    const workspace work = lay_out(p, n, memory, &bytes);
    const unsigned images = (unsigned)n, classes = (unsigned)class_count;
    const dim3 tiles(blocks(anchor_count, TILE_ANCHORS), blocks(class_count + 1, TILE_COLUMNS),
                     images);
    DET_LAUNCH(detk_postprocess_reset, images * classes, BLOCK, 0, stream, work, n,
               detections->finite);
    DET_LAUNCH(detk_postprocess_scores, tiles, TILE_THREADS, 0, stream, p, work,
               detections->finite);
    DET_LAUNCH(detk_postprocess_list, dim3(classes, blocks(anchor_count, SPAN), images), BLOCK, 0,
               stream, p, work);
    DET_LAUNCH(detk_postprocess_suppress, dim3(classes, images), BLOCK, 0, stream, p, work);
    DET_LAUNCH(detk_postprocess_merge, images, BLOCK, 0, stream, p, work, windows, *detections);
    return cudaGetLastError();
}
