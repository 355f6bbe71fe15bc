/* postprocess_keep.cuh: which of a round's candidates are kept: a block's non-maximum
 * suppression. */
#ifndef DET_KERNELS_POSTPROCESS_KEEP_CUH
#define DET_KERNELS_POSTPROCESS_KEEP_CUH

#include "postprocess_boxes.cuh"
#include "select.cuh"

#define CHUNK 32  /* candidates that are looked at together: a warp's lanes */
#define NEAR  128 /* boxes that were kept and are at hand in shared memory */

/* What was kept of a list so far. */
struct kept_list {
    uint64_t *keys;
    box *boxes;
    uint32_t count, most;
};

/* Of a chunk's candidates, those that `standing` has: the first is kept and strikes out what it
 * overlaps, as long as one stands and there is room. `overlapped`: what the lane's own does. */
__device__ __forceinline__ uint32_t keep_in_order(uint32_t standing, uint32_t overlapped,
                                                  uint32_t room)
{
    uint32_t kept = 0;
    for (; standing != 0 && room > 0; room--) {
        const int first = __ffs((int)standing) - 1;
        kept |= 1U << first;
        standing &= ~(__shfl_sync(DET_EVERY_LANE, overlapped, first) | 1U << first);
    }
    return kept;
}

/* Walks down a round's candidates, a thread's `key` and `own`, as far as there is room. A chunk at
 * a time: the warps share out what its candidates must be compared with, those that were kept
 * before and each other; then each finds out for itself which are kept. All in falling order:
 * `boxes`. */
template <typename Boxes, typename Near>
__device__ __forceinline__ void keep_of_round(uint64_t key, const box &own, bool stands,
                                              float threshold, Boxes &boxes, Near &near,
                                              kept_list *kept)
{
    DET_SHARED(uint32_t, standing_masks, [DET_SELECT_WARPS]);
    DET_SHARED(uint32_t, struck_masks, [DET_SELECT_WARPS]);
    DET_SHARED(uint32_t, overlaps_of, [CHUNK]);
    static_assert(DET_SELECT_THREADS / CHUNK == DET_SELECT_WARPS,
                  "a chunk's candidates are a warp's");
    const uint32_t thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const unsigned stand = __ballot_sync(DET_EVERY_LANE, stands);
    boxes[thread] = own;
    if (lane == 0)
        standing_masks[warp] = stand;
    __syncthreads();
    for (uint32_t chunk = 0; chunk < DET_SELECT_WARPS && kept->count < kept->most; chunk++) {
        uint32_t standing = standing_masks[chunk];
        if (standing == 0)
            continue;
        const box candidate = boxes[chunk * CHUNK + lane];
        for (uint32_t k = warp; k < CHUNK; k += DET_SELECT_WARPS) {
            const box winner = boxes[chunk * CHUNK + k];
            const unsigned mask =
                __ballot_sync(DET_EVERY_LANE, overlaps(candidate, winner, threshold));
            if (lane == 0)
                overlaps_of[k] = mask;
        }
        bool struck = false;
        for (uint32_t k = warp; k < kept->count; k += DET_SELECT_WARPS) {
            box winner;
            if (k < NEAR)
                winner = near[k];
            else
                winner = kept->boxes[k];
            struck = overlaps(candidate, winner, threshold) || struck;
        }
        const unsigned struck_mask = __ballot_sync(DET_EVERY_LANE, struck);
        if (lane == 0)
            struck_masks[warp] = struck_mask;
        __syncthreads();
#pragma unroll
        for (uint32_t w = 0; w < DET_SELECT_WARPS; w++)
            standing &= ~struck_masks[w];
        const uint32_t chosen =
            keep_in_order(standing, overlaps_of[lane], kept->most - kept->count);
        if (warp == chunk && (chosen >> lane & 1) != 0) {
            const uint32_t at = kept->count + (uint32_t)__popc(chosen & ((1U << lane) - 1));
            kept->keys[at] = key;
            kept->boxes[at] = own;
            if (at < NEAR)
                near[at] = own;
        }
        kept->count += (uint32_t)__popc(chosen);
        __syncthreads();
    }
}

#endif
