/* Six kernels, of which the second looks at every logit, the next two at every score, and the
 * others at few:
 *  1. counters are reset;
 *  2. scores: many blocks write each class' scores of each image side by side, and find the least
 *     and the highest of its candidates;
 *  3. counting: many blocks count the candidates in a histogram between these: what scores there
 *     are spreads over all of it, even where they are nearly or wholly equal;
 *  4. listing: many blocks put the best candidates of each class of each image on its list, LISTED
 *     of them at most: the histogram says from which key on;
 *  5. suppression: a block for each class of each image walks down its list (select.cuh) and keeps
 *     what may stay. Where that is not enough, it walks on down the scores below the list, as far
 *     as it must: no candidate is left out;
 *  6. merging: a block for each image walks down the list of what was kept. */
#include "postprocess.h"
#include "postprocess_keep.cuh"
#include "vec.cuh"

#define BLOCK DET_SELECT_THREADS

/* A block of the second kernel: its threads, its most columns of logits, its anchors then (whole
 * warps; fewer columns leave room for more, up to 2^TILE_SHIFTS times as many), and how many loads
 * of a thread are on their way at a time. */
#define TILE_THREADS      256
#define TILE_COLUMNS      32
#define TILE_ANCHOR_SHIFT 6
#define TILE_ANCHORS      (1 << TILE_ANCHOR_SHIFT)
#define TILE_SHIFTS       4
#define TILE_LOADS        4

#define VECTOR 4                /* scores of a thread where all are looked at: of a block, a span */
#define SPAN   (VECTOR * BLOCK) /* anchors */
#define LISTED (DET_SELECT_LOADS * BLOCK) /* what a walk loads at once */

struct problem {
    struct det_postprocess_settings settings;
    int32_t anchor_count, class_count;
    int32_t tile_shift;  /* a tile has 2^tile_shift anchors */
    int32_t anchor_bits; /* of an anchor's number */
    uint32_t stride;     /* scores of a list: the anchors, rounded up to a VECTOR */
    uint32_t listed;     /* most candidates on a list */
    uint32_t per_class;  /* most detections of a class */
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
    uint32_t *least, *most;    /* [n * K] bits of the candidates' scores */
    uint32_t *bins;            /* [n * K][DET_SELECT_BINS] the candidates' histogram */
    uint64_t *candidates;      /* [n * K][listed] keys, of anchors */
    uint32_t *candidate_count; /* [n * K] of them */
    uint64_t *kept;            /* [n * K][per_class] keys, of anchors */
    box *kept_boxes;           /* [n * K][per_class] */
    uint64_t *merged;          /* [n][K * per_class] keys, of places */
    uint32_t *merged_count;    /* [n] */
};

/* --- histograms --- */

__device__ __forceinline__ uint32_t *bins_of(const workspace &work, int64_t list)
{
    return work.bins + list * DET_SELECT_BINS;
}

/* Candidates of a list as numbers without gaps between one score and the next, in the order of
 * their keys: a score's distance from the least, above; below it the complement of the anchor. */
struct numbering {
    uint32_t least;
    int anchor_bits;
    int shift; /* bins are 2^shift numbers wide */
};

__device__ __forceinline__ numbering numbering_of(const problem &p, const workspace &work,
                                                  int64_t list)
{
    const uint32_t least = work.least[list], most = work.most[list];
    const uint64_t end = ((uint64_t)(most - least) + 1) << p.anchor_bits;
    return {least, p.anchor_bits, det_bin_shift(end - 1)};
}

__device__ __forceinline__ uint32_t bin_of(const numbering &n, float score, uint32_t anchor)
{
    const uint64_t above = (uint64_t)(__float_as_uint(score) - n.least) << n.anchor_bits;
    return (uint32_t)((above + (((1U << n.anchor_bits) - 1) - anchor)) >> n.shift);
}

/* The least key that may be in a bin. */
__device__ __forceinline__ uint64_t key_of_bin(const numbering &n, uint32_t bin)
{
    const uint64_t number = (uint64_t)bin << n.shift;
    const uint32_t anchors = (1U << n.anchor_bits) - 1;
    return det_key(__uint_as_float(n.least + (uint32_t)(number >> n.anchor_bits)),
                   anchors - ((uint32_t)number & anchors));
}

/* Where a list ends: what has keys from here up is on it, that many of all candidates. */
struct list_end {
    uint64_t first_key;
    uint32_t held, all;
};

__device__ __forceinline__ list_end end_of_list(const problem &p, const workspace &work,
                                                int64_t list)
{
    const det_cut cut = det_find_cut(bins_of(work, list), p.listed);
    return {key_of_bin(numbering_of(p, work, list), cut.bin), cut.held, cut.all};
}

/* Counts the warp's candidates. Those that share the first one's bin are counted together: where
 * all scores are equal, an atomic of each would be as slow as one thread. */
__device__ __forceinline__ void count_candidates(uint32_t *bins, bool candidate, uint32_t bin)
{
    const unsigned mask = __ballot_sync(DET_EVERY_LANE, candidate);
    if (mask == 0)
        return;
    const int lane = (int)threadIdx.x % 32, first = __ffs((int)mask) - 1;
    const uint32_t first_bin = __shfl_sync(DET_EVERY_LANE, bin, first);
    const unsigned together = __ballot_sync(DET_EVERY_LANE, candidate && bin == first_bin);
    if (lane == first)
        atomicAdd(&bins[first_bin], (uint32_t)__popc(together));
    else if (candidate && bin != first_bin)
        atomicAdd(&bins[bin], 1U);
}

/* --- kernels --- */

/* Grid: lists. */
__global__ void __launch_bounds__(BLOCK) detk_postprocess_reset(workspace work, int n, int *finite)
{
    static_assert(DET_SELECT_OWN_BINS == 4, "a thread's bins are one vector");
    const int list = (int)blockIdx.x;
    uint32_t *own_bins = bins_of(work, list) + threadIdx.x * DET_SELECT_OWN_BINS;
    DET_CHECK_ACCESS(own_bins, sizeof(uint4));
    *reinterpret_cast<uint4 *>(own_bins) = {0, 0, 0, 0};
    if (threadIdx.x > 0)
        return;
    work.candidate_count[list] = 0;
    work.least[list] = UINT32_MAX;
    work.most[list] = 0;
    if (list < n) {
        work.merged_count[list] = 0;
        finite[list] = 1;
    }
}

__device__ __forceinline__ float sigmoid(float logit)
{
    return __fdiv_rn(1, __fadd_rn(1, expf(-logit)));
}

/* Lowers `least` and raises `most` to what the warp's candidates have. */
template <typename Bits>
__device__ __forceinline__ void note_range(bool candidate, float score, Bits least, Bits most)
{
    if (__ballot_sync(DET_EVERY_LANE, candidate) == 0)
        return;
    uint32_t low = candidate ? __float_as_uint(score) : UINT32_MAX;
    uint32_t high = candidate ? __float_as_uint(score) : 0;
    for (int with = 16; with > 0; with /= 2) {
        low = min(low, __shfl_xor_sync(DET_EVERY_LANE, low, with));
        high = max(high, __shfl_xor_sync(DET_EVERY_LANE, high, with));
    }
    if (threadIdx.x % 32 == 0) {
        atomicMin(least, low);
        atomicMax(most, high);
    }
}

/* Grid: anchors, columns of logits, images. Logits are read along the columns, scores are written
 * along the anchors. */
__global__ void __launch_bounds__(TILE_THREADS)
    detk_postprocess_scores(problem p, workspace work, int *finite)
{
    DET_SHARED(float, score, [TILE_COLUMNS * (TILE_ANCHORS + 1)]); /* [width][anchors + 1] */
    DET_SHARED(float, threshold, [TILE_COLUMNS]);
    DET_SHARED(uint32_t, least, [TILE_COLUMNS]);
    DET_SHARED(uint32_t, most, [TILE_COLUMNS]);
    const int thread = (int)threadIdx.x, image = (int)blockIdx.z;
    const int columns = p.class_count + 1, anchors = 1 << p.tile_shift;
    const int first_anchor = (int)blockIdx.x * anchors;
    const int first_column = (int)blockIdx.y * TILE_COLUMNS;
    const int width = min(TILE_COLUMNS, columns - first_column), values = width << p.tile_shift;
    const int64_t first_row = (int64_t)image * p.anchor_count + first_anchor;
    bool sound = true;
    if (thread < width) {
        threshold[thread] = score_threshold(p, max(first_column + thread - 1, 0));
        least[thread] = UINT32_MAX;
        most[thread] = 0;
    }
    for (int begin = thread; begin < values; begin += TILE_LOADS * TILE_THREADS) {
        float logits[TILE_LOADS];
#pragma unroll
        for (int k = 0; k < TILE_LOADS; k++) {
            const int i = begin + k * TILE_THREADS, y = i / width, x = i - y * width;
            logits[k] = NAN; /* no candidate */
            if (i < values && first_anchor + y < p.anchor_count) {
                const float logit = p.logits[(first_row + y) * columns + first_column + x];
                sound = sound && isfinite(logit);
                logits[k] = logit;
            }
        }
#pragma unroll
        for (int k = 0; k < TILE_LOADS; k++) {
            const int i = begin + k * TILE_THREADS, y = i / width, x = i - y * width;
            if (i < values)
                score[x * (anchors + 1) + y] = sigmoid(logits[k]);
        }
    }
    for (int y = thread; blockIdx.y == 0 && y < anchors; y += TILE_THREADS) {
        float encoding[4] = {0, 0, 0, 0};
        if (first_anchor + y < p.anchor_count)
            det_load<float, 4>(p.encodings + (first_row + y) * 4, encoding);
        for (int k = 0; k < 4; k++)
            sound = sound && isfinite(encoding[k]);
    }
    if (!sound)
        finite[image] = 0; /* whoever writes, writes this */
    __syncthreads();

    for (int i = thread; i < values; i += TILE_THREADS) {
        const int x = i >> p.tile_shift, y = i & (anchors - 1);
        const int class_index = first_column + x - 1; /* column 0 is the background */
        if (class_index < 0)
            continue; /* all of the warp */
        const int64_t list = (int64_t)image * p.class_count + class_index;
        const float own = score[x * (anchors + 1) + y];
        if ((uint32_t)(first_anchor + y) < p.stride)
            work.scores[list * p.stride + first_anchor + y] = own;
        note_range(own > threshold[x], own, &least[x], &most[x]);
    }
    __syncthreads();
    if (thread < width && least[thread] <= most[thread]) { /* the background has none */
        const int64_t list = (int64_t)image * p.class_count + first_column + thread - 1;
        atomicMin(&work.least[list], least[thread]);
        atomicMax(&work.most[list], most[thread]);
    }
}

/* A thread's scores of a list. */
struct span {
    int64_t list;
    uint32_t anchor; /* the first score's */
    float threshold, score[VECTOR];
};

/* Grid: classes, spans of anchors, images. */
__device__ __forceinline__ span load_span(const problem &p, const workspace &work)
{
    const uint32_t anchor = blockIdx.y * SPAN + threadIdx.x * VECTOR;
    span s = {(int64_t)blockIdx.z * p.class_count + blockIdx.x,
              anchor,
              score_threshold(p, (int)blockIdx.x),
              {NAN, NAN, NAN, NAN}};
    if (anchor < p.stride)
        det_load<float, VECTOR>(work.scores + s.list * p.stride + anchor, s.score);
    return s;
}

__global__ void __launch_bounds__(BLOCK) detk_postprocess_count(problem p, workspace work)
{
    const span s = load_span(p, work);
    const numbering n = numbering_of(p, work, s.list);
#pragma unroll
    for (uint32_t k = 0; k < VECTOR; k++)
        count_candidates(bins_of(work, s.list), s.score[k] > s.threshold,
                         bin_of(n, s.score[k], s.anchor + k));
}

__global__ void __launch_bounds__(BLOCK) detk_postprocess_list(problem p, workspace work)
{
    const span s = load_span(p, work);
    const uint32_t lane = threadIdx.x % 32;
    const uint64_t bound = end_of_list(p, work, s.list).first_key;
    uint64_t key[VECTOR];
    unsigned masks[VECTOR];
    uint32_t wanted_count = 0, begin = 0;
#pragma unroll
    for (uint32_t k = 0; k < VECTOR; k++) {
        key[k] = det_key(s.score[k], s.anchor + k);
        masks[k] = __ballot_sync(DET_EVERY_LANE, s.score[k] > s.threshold && key[k] >= bound);
        wanted_count += (uint32_t)__popc(masks[k]);
    }
    if (wanted_count == 0)
        return;
    if (lane == 0)
        begin = atomicAdd(&work.candidate_count[s.list], wanted_count);
    begin = __shfl_sync(DET_EVERY_LANE, begin, 0);
#pragma unroll
    for (uint32_t k = 0; k < VECTOR; k++) {
        const uint32_t at = begin + (uint32_t)__popc(masks[k] & ((1U << lane) - 1));
        if (masks[k] >> lane & 1)
            work.candidates[s.list * p.listed + at] = key[k];
        begin += (uint32_t)__popc(masks[k]);
    }
}

__device__ __forceinline__ box decode(const problem &p, int image, uint32_t anchor)
{
    float encoding[4], corners[4];
    det_load<float, 4>(p.encodings + ((int64_t)image * p.anchor_count + anchor) * 4, encoding);
    det_load<float, 4>(p.anchors[anchor], corners);
    return decode_box(p.settings.coder, encoding, corners);
}

/* Grid: classes, images. In a round each thread has a candidate. */
__global__ void __launch_bounds__(BLOCK, 2) detk_postprocess_suppress(problem p, workspace work)
{
    DET_SHARED(box, boxes, [BLOCK]);
    DET_SHARED(box, near, [NEAR]);
    DET_SHARED(uint32_t, merged_begin, [1]);
    const int class_index = (int)blockIdx.x, image = (int)blockIdx.y;
    const uint32_t thread = threadIdx.x;
    const int64_t list = (int64_t)image * p.class_count + class_index;
    kept_list kept = {work.kept + list * p.per_class, work.kept_boxes + list * p.per_class, 0,
                      p.per_class};
    bool on_list = true;
    det_walk walk = det_walk_keys(work.candidates + list * p.listed, work.candidate_count[list]);
    while (kept.count < kept.most) {
        if (walk.left == 0) {
            if (!on_list)
                break;
            on_list = false;
            const list_end end = end_of_list(p, work, list);
            walk = det_walk_scores(work.scores + list * p.stride, score_threshold(p, class_index),
                                   (uint32_t)p.anchor_count, end.all - end.held, end.first_key);
            continue;
        }
        const uint64_t key = det_walk_next(&walk);
        box own = {0, 0, 0, 0};
        bool standing = key != 0;
        if (standing) {
            own = decode(p, image, det_key_index(key));
            standing = is_finite(own);
        }
        keep_of_round(key, own, standing, p.settings.iou_threshold, boxes, near, &kept);
    }

    if (thread == 0)
        merged_begin[0] = atomicAdd(&work.merged_count[image], kept.count);
    __syncthreads();
    uint64_t *merged = work.merged + (int64_t)image * p.class_count * p.per_class + merged_begin[0];
    for (uint32_t k = thread; k < kept.count; k += BLOCK)
        merged[k] = det_key(det_key_score(kept.keys[k]), (uint32_t)class_index * p.per_class + k);
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
    problem p = {*settings, anchor_count, class_count, 0, 0, 0, 0, 0, anchors, logits, encodings};
    while (p.tile_shift < TILE_SHIFTS && (class_count + 1) << p.tile_shift <= TILE_COLUMNS / 2)
        p.tile_shift++;
    p.tile_shift += TILE_ANCHOR_SHIFT;
    while (p.anchor_bits < 31 && anchor_count > 1 << p.anchor_bits)
        p.anchor_bits++;
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
    work.least = take<uint32_t>(memory, bytes, lists);
    work.most = take<uint32_t>(memory, bytes, lists);
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
    const dim3 tiles(blocks(anchor_count, 1 << p.tile_shift), blocks(class_count + 1, TILE_COLUMNS),
                     images);
    const dim3 spans(classes, blocks(anchor_count, SPAN), images);
    DET_LAUNCH(detk_postprocess_reset, images * classes, BLOCK, 0, stream, work, n,
               detections->finite);
    DET_LAUNCH(detk_postprocess_scores, tiles, TILE_THREADS, 0, stream, p, work,
               detections->finite);
    DET_LAUNCH(detk_postprocess_count, spans, BLOCK, 0, stream, p, work);
    DET_LAUNCH(detk_postprocess_list, spans, BLOCK, 0, stream, p, work);
    DET_LAUNCH(detk_postprocess_suppress, dim3(classes, images), BLOCK, 0, stream, p, work);
    DET_LAUNCH(detk_postprocess_merge, images, BLOCK, 0, stream, p, work, windows, *detections);
    return cudaGetLastError();
}
