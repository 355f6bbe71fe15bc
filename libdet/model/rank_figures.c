#include "model/rank_figures.h"

#include "ranks/drift.h"

struct det_rank_figures det_rank_figures_of(const struct det_step_result *result)
{
    return (struct det_rank_figures){
        .losses = {result->localization_loss, result->classification_loss,
                   result->regularization_loss, result->total_loss},
        .matched_anchors = result->matched_anchors,
    };
}

det_status det_rank_figures_compare(struct det_env *env, const det_communicator *communicator,
                                    const struct det_rank_figures *figures)
{
    for (int32_t i = 1; i < det_communicator_size(communicator); i++)
        if (figures[i].weights != figures[0].weights)
            return det_ranks_have_drifted(env, communicator, i);
    return DET_OK;
}

void det_rank_figures_add(const struct det_rank_figures *figures, int32_t size, double share,
                          struct det_step_result *sum)
{
    for (int32_t i = 0; i < size; i++) {
        const struct det_rank_figures *of = &figures[i];
        sum->localization_loss += of->losses[0] * share;
        sum->classification_loss += of->losses[1] * share;
        sum->regularization_loss += of->losses[2] * share;
        sum->total_loss += of->losses[3] * share;
        sum->matched_anchors += of->matched_anchors;
    }
}

const double *det_rank_figures_add_seconds(const struct det_rank_figures *figures, int32_t size,
                                           bool first, double *seconds)
{
    bool known = true;
    for (int32_t i = 0; i < size; i++) {
        const double before = first ? 0 : seconds[i], of_batch = figures[i].seconds;
        seconds[i] = before < 0 || of_batch < 0 ? -1 : before + of_batch;
        known = known && seconds[i] >= 0;
    }
    return known ? seconds : NULL;
}
