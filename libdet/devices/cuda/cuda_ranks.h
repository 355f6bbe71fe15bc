/* cuda_ranks.h: a training step's ties to those of other ranks, a rank a GPU: NCCL's communicator
 * and a stream of its own on which it works, beside the stream that computes.
 *
 *     compute   forward | losses, backward ................. | norm | waits, mean, update
 *     ranks       waits, statistics | waits, bucket 0 | .. 1 | .. n | finite
 *
 * What one stream has made for the other is marked by an event: `ready` by the computing one,
 * `done` by this one. A recorded step has both streams in it, where NCCL can be recorded.
 *
 * NCCL alone does not notice that a rank is gone: its kernels wait on the device, and who waits for
 * the device waits with them. So the host looks for both, and has NCCL end what is under way when
 * a rank is lost. What is behind that on the device goes on, with gradients that are no sums: the
 * update looks at a word of the host's (`left`) and leaves all as it was. After that, or a failure
 * of this rank, the ranks are `over`. The same when this rank is asked to stop while it waits.
 *
 * "Collective": all ranks call it. NULL ranks: one alone. */
#ifndef DET_DEVICES_CUDA_RANKS_H
#define DET_DEVICES_CUDA_RANKS_H

#include "devices/cuda/cuda_buckets.h"
#include "devices/cuda/cuda_device.h"
#include "devices/cuda/cuda_nccl.h"
#include "model/rank_figures.h"

struct det_cuda_ranks {
    struct det_communicator *communicator; /* borrowed */
    int32_t rank, size;
    bool captures; /* NCCL can be recorded */
    bool over;
    const struct det_nccl *nccl;
    struct ncclComm *tie;
    cudaStream_t stream;
    cudaEvent_t ready, done;
    struct det_cuda_buckets buckets;
    /* In the step's memory: what each rank's forward has seen, statistics of batch norms or ranges;
     * the sums of squares of chunks; a bucket as bf16 (with bf16_gradients); the weights'
     * checksum. */
    float *seen;
    void *squares, *wire;
    uint64_t *weights;
    /* In the step's pinned memory: a rank was lost, what is under way must not be learned from; the
     * checksum. */
    int32_t *left;
    uint64_t *told_weights;
    bool (*wants_stop)(void *user); /* of the learner's settings */
    void *wants_stop_user;

    /* cuda_ranks_figures.h. Host [size]: of the batch, and of the update so far. */
    struct det_rank_figures *figures;
    double *seconds;
    double wait_seconds;
    /* With clocks: a batch's beginning, the end of what this rank does without the others, and when
     * it has what they made. */
    bool timed;
    cudaEvent_t begun, worked, met;
    uint64_t begin_ns, together_ns; /* the host's; 0: not yet */
};

/* NULL in *ranks without a communicator, or of one rank. Collective, and all get the same status:
 * UNSUPPORTED by name what is not done by several ranks, DEVICE without NCCL or when two ranks
 * have one GPU. A device that nobody named is that of the rank's place on its machine then. */
det_status det_cuda_ranks_open(struct det_env *env, struct det_device *device,
                               const struct det_learner *learner, struct det_cuda_ranks **ranks);
/* Recordings with the ranks in them must be gone. */
void det_cuda_ranks_close(struct det_env *env, struct det_cuda_ranks **ranks);

/* How something went on each rank, as det_ranks_agree(). Collective. */
det_status det_cuda_ranks_agree(struct det_env *env, struct det_cuda_ranks *ranks, det_status mine);
/* Of a failure of this rank that the others do not ask about: they are told, and nothing is under
 * way any more. Recordings with the ranks in them must be gone: NCCL waits for their end, too.
 * Returns `status`. */
det_status det_cuda_ranks_fail(struct det_env *env, struct det_cuda_ranks *ranks,
                               det_status status);
/* det_cuda_device_wait(), which also ends when a rank is lost. */
det_status det_cuda_ranks_wait(struct det_env *env, const struct det_device *device,
                               struct det_cuda_ranks *ranks, const char *what);

/* --- enqueued --- */

/* What the computing stream has made so far is there for the other one; and the other way. */
det_status det_cuda_ranks_ready(struct det_env *env, const struct det_device *device,
                                const struct det_cuda_ranks *ranks);
det_status det_cuda_ranks_done(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_ranks *ranks);
/* The sum over ranks of gradients[bucket] in their place, on the way as bf16 when there is a
 * wire. */
det_status det_cuda_ranks_sum(struct det_env *env, const struct det_cuda_ranks *ranks,
                              const struct det_cuda_bucket *bucket, float *gradients);
/* What each rank has at `mine`, `count` of a type, into all [size][count]. */
det_status det_cuda_ranks_gather(struct det_env *env, const struct det_cuda_ranks *ranks,
                                 const void *mine, size_t count, enum det_nccl_type type,
                                 void *all);
/* The lowest of the ranks' numbers in its place. */
det_status det_cuda_ranks_lowest(struct det_env *env, const struct det_cuda_ranks *ranks,
                                 int32_t *number);

#endif
