/* net_sync.h: a network's batch norms over the pictures of all ranks: a batch is one rank's part of
 * a whole one, all parts are of one size, and what a norm takes from its pictures (mean and
 * variance, and backward the gradient's sums) is gathered and put together in rank order, so that
 * all ranks have the same.
 *
 * Ioffe, Szegedy (2015), of the whole batch; as SyncBatchNormalization of Keras does it, whose
 * statistics are in float32 sums of squares; here they are in double and around the mean. */
#ifndef DET_MODEL_NET_SYNC_H
#define DET_MODEL_NET_SYNC_H

#include "model/net_bns.h"

struct det_net_sync {
    int32_t ranks;
    /* mine [bytes] of each rank into all [ranks][bytes], on all ranks. What fails is the user's to
     * know, and its det_net_stop_fn's to say. */
    void (*gather)(void *user, const void *mine, void *all, size_t bytes);
    void *user;
    float *mine; /* [2 * the most channels] */
    void *all;   /* [ranks][2 * the most channels] doubles */
};

det_status det_net_sync_create(struct det_env *env, const struct det_graph *graph, int32_t ranks,
                               void (*gather)(void *user, const void *mine, void *all,
                                              size_t bytes),
                               void *user, struct det_net_sync *sync);
void det_net_sync_free(struct det_env *env, struct det_net_sync *sync);

/* The statistics of this rank's part become the whole batch's. */
void det_net_sync_statistics(const struct det_net_sync *sync, struct det_net_bn *bn);
/* And the sums of the gradient. */
void det_net_sync_sums(const struct det_net_sync *sync, struct det_net_bn *bn);

#endif
