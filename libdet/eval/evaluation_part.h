/* evaluation_part.h: a rank's part of an evaluation's images, and what is found in them: the
 * network on the device with the losses, and, in place of what the network finds, what a detector
 * finds in tiles or another engine's files give.
 *
 * Rank r of R looks at images r, r + R, r + 2 R: as many as the others, give or take one, and of
 * every part of the data.
 */
#ifndef DET_EVAL_EVALUATION_PART_H
#define DET_EVAL_EVALUATION_PART_H

#include "base/context.h"
#include "eval/evaluation_data.h"
#include "eval/evaluation_found.h"

struct det_evaluation_part;

/* All is borrowed. */
struct det_evaluation_part_settings {
    const struct det_pipeline_config *config;
    const det_model *model;
    const struct det_dataset *dataset;
    const det_evaluation_settings *evaluation;
    int64_t images; /* of all ranks, the first ones of the data set */
};

det_status det_evaluation_part_open(det_context *context,
                                    const struct det_evaluation_part_settings *settings,
                                    struct det_evaluation_part **part);
void det_evaluation_part_close(struct det_env *env, struct det_evaluation_part **part);

/* The next image's, until the next call; NULL behind the last. */
det_status det_evaluation_part_next(struct det_evaluation_part *part,
                                    const struct det_evaluation_found **found);

#endif
