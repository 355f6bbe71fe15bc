/* restore.h: starts a learner from somebody else's weights: a TensorFlow checkpoint or a libdet file.
 *
 * What is taken follows fine_tune_checkpoint_type as SSDMetaArch.restore_from_objects() of the API defines it. */
#ifndef DET_TRAIN_RESTORE_H
#define DET_TRAIN_RESTORE_H

#include "model/graph.h"

enum det_restore_scope {
    DET_RESTORE_ALL,               /* every stored parameter must match ("full" and loading for evaluation) */
    DET_RESTORE_FEATURE_EXTRACTOR, /* "detection": feature extractor; the head where its shapes fit is NOT taken */
    DET_RESTORE_BACKBONE,          /* "classification" */
    DET_RESTORE_FITTING,           /* "fine_tune" and "": everything whose key and shape fit */
};

struct det_restore_report {
    int32_t restored;    /* parameters taken */
    int32_t wrong_shape; /* present with another shape, left at their initial value */
    int32_t missing;     /* in scope but not in the file */
    int32_t out_of_scope;
    int32_t unused; /* variables in the file that nothing took (optimizer slots not counted) */
    int64_t step;   /* of the file, -1 if it does not say */
};

/* `path`: TensorFlow prefix, .det file or a folder. Fails with MISMATCH when nothing was restored, when ALL is not
 * complete, or when a parameter of the backbone in scope is missing; the message names the first and counts. Logs the
 * summary table. */
det_status det_restore_params(struct det_env *env, const char *path, enum det_restore_scope scope,
                              const struct det_graph *graph, float *params,
                              struct det_restore_report *report);

#endif
