/* rank_figures.h: what ranks that learn together tell each other of a batch, and what an update's
 * figures become of it. Added up in the order of the ranks, so that all come to the same. */
#ifndef DET_MODEL_RANK_FIGURES_H
#define DET_MODEL_RANK_FIGURES_H

#include "model/learner_state.h"
#include "ranks/communicator.h"

struct det_rank_figures {
    double losses[4]; /* localization, classification, regularization, total */
    double seconds;   /* that it needed, without waiting for others; negative: not known */
    int64_t matched_anchors;
    int64_t status;   /* where ranks do not agree on it by other means */
    uint64_t weights; /* the checksum of those it began with; 0 where it is not their time */
};

/* The losses and the anchors. */
struct det_rank_figures det_rank_figures_of(const struct det_step_result *result);
/* MISMATCH: a rank has other weights than rank 0. */
det_status det_rank_figures_compare(struct det_env *env, const det_communicator *communicator,
                                    const struct det_rank_figures *figures);
/* A share of all losses, and all anchors. */
void det_rank_figures_add(const struct det_rank_figures *figures, int32_t size, double share,
                          struct det_step_result *sum);
/* Of the update's batches so far, of which this is the first or not: each rank's [size]. NULL where
 * one is not known: what one rank does not know of a batch is not known of the update. */
const double *det_rank_figures_add_seconds(const struct det_rank_figures *figures, int32_t size,
                                           bool first, double *seconds);

#endif
