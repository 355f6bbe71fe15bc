/* coverage.h: how well the anchors suit the training boxes. */
#ifndef DET_TRAIN_COVERAGE_H
#define DET_TRAIN_COVERAGE_H

#include "base/pool.h"
#include "data/dataset.h"
#include "model/spec.h"

struct det_coverage {
    size_t boxes; /* looked at */
    /* of them: an anchor has an IoU of at least the threshold, without being forced */
    size_t covered;
    double mean_iou; /* of each box with its best anchor */
};

/* Boxes as the network sees them: in the frame that the resize of `spec` makes of their image
 * (where the record does not say its size, a square one). Of more than `most` boxes every n-th is
 * looked at. Same figures for any number of threads. */
det_status det_coverage_measure(struct det_env *env, struct det_pool *pool,
                                const struct det_model_spec *spec, const struct det_dataset *data,
                                float threshold, size_t most, struct det_coverage *coverage);

#endif
