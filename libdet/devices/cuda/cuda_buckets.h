/* cuda_buckets.h: gradients in pieces that leave while the backward pass still runs. A bucket is a
 * range of the block of parameters, about four MB, so that there are few calls and the last one is
 * short; it is complete when the operations that write gradients in it have been passed. Backward
 * goes from the last operation to the first, parameters lie in the order of the operations: so the
 * end of the block leaves first.
 *
 * All ranks come to the same buckets, and hand them over in the same order. */
#ifndef DET_DEVICES_CUDA_BUCKETS_H
#define DET_DEVICES_CUDA_BUCKETS_H

#include "model/graph.h"

/* 4 MB, of a network that is not so large a quarter. */
static inline size_t det_cuda_bucket_floats(const struct det_graph *graph)
{
    const size_t usual = (size_t)1 << 20, quarter = graph->param_floats / 4;
    return quarter < usual ? quarter : usual;
}

struct det_cuda_bucket {
    size_t begin, end;   /* floats of the block */
    int32_t complete_at; /* the operation behind which, going backward, it is complete */
    int32_t first_chunk, chunk_count; /* of det_cuda_fill_chunks() */
};

struct det_cuda_buckets {
    struct det_cuda_bucket *buckets; /* from the end of the block to its beginning; no gap */
    int32_t count;
    size_t most_floats;
};

/* A bucket is closed when it has `floats` gradients or more. */
det_status det_cuda_buckets_create(struct det_env *env, const struct det_graph *graph,
                                   size_t floats, struct det_cuda_buckets *buckets);
void det_cuda_buckets_free(struct det_env *env, struct det_cuda_buckets *buckets);

#endif
