/* restore.h: starts a learner from somebody else's weights: a TensorFlow checkpoint or a libdet
 * file.
 *
 * What is taken follows fine_tune_checkpoint_type as SSDMetaArch.restore_from_objects()
 * (meta_architectures/ssd_meta_arch.py) and load_fine_tune_checkpoint() (model_lib_v2.py) of the
 * API define it. Like there, what is in scope must be in the file with the right shape
 * (assert_existing_objects_matched); FITTING is libdet's own, more forgiving scope, which reports
 * what it left out.
 */
#ifndef DET_TRAIN_RESTORE_H
#define DET_TRAIN_RESTORE_H

#include "model/class_match.h"

enum det_restore_scope {
    DET_RESTORE_ALL,               /* "full", and loading for evaluation: every stored parameter */
    DET_RESTORE_FEATURE_EXTRACTOR, /* "detection": backbone, FPN and coarse levels; the head keeps
                                      its initial values, whether its shapes fit or not */
    /* "classification": the backbone, under the keys of a detection checkpoint or under
     * "feature_extractor/", as the API's classification checkpoints have them */
    DET_RESTORE_BACKBONE,
    DET_RESTORE_FITTING, /* "fine_tune" (the API refuses it for SSD): all of the backbone, and of
                            the rest whatever fits; a head of another class count keeps its initial
                            class predictor */
};

/* The classes that the parameters are for; a .det file has names for its own (class_match.h), a
 * TensorFlow checkpoint has none. Where names stand at other ids the class predictor is taken by
 * name, which needs to be asked for (DET_CLASSES_REMAP) unless a training starts;
 * DET_CLASSES_RENAME takes everything by id. A start initialises what has no name in the file,
 * anything else needs them all. */
struct det_restore_classes {
    const struct det_label_map *labels; /* NULL: nothing is compared */
    det_class_match match;
    bool start; /* of a training on other classes */
};

/* Puts the moving averages of the weights that a training checkpoint of libdet or TensorFlow holds
 * in the place of what is trained in `params`; for evaluation with eval_config.use_moving_averages.
 * MISMATCH when it holds none. */
det_status det_restore_averages(struct det_env *env, const char *path,
                                const struct det_graph *graph,
                                const struct det_restore_classes *classes, float *params);

/* MISMATCH when a .det file has other classes than the map, unless they are to be renamed: for a
 * training that goes on, whose optimizer state stays as it is. */
det_status det_restore_check_classes(struct det_env *env, const char *path,
                                     const struct det_restore_classes *classes);

struct det_restore_report {
    int32_t restored;    /* parameters taken */
    int32_t wrong_shape; /* present with another shape, left at their initial value */
    int32_t missing;     /* in scope but not in the file */
    int32_t out_of_scope;
    /* of BACKBONE: variables of the other feature extractor's layers that would fit */
    int32_t left_out;
    int32_t unused; /* variables in the file that nothing took (optimizer slots not counted) */
    int64_t step;   /* of the file, -1 if it does not say */
};

/* `path`: TensorFlow prefix, .det file or a folder. Fails with MISMATCH when nothing was restored
 * or the scope is not complete (FITTING: its backbone); the message names the first and counts. An
 * exported .det file is a MISMATCH too: its batch norms are folded. NON_FINITE names the tensor.
 * `params` is written when all shapes were found good. `classes` may be NULL. Logs the summary
 * table. */
det_status det_restore_params(struct det_env *env, const char *path, enum det_restore_scope scope,
                              const struct det_graph *graph,
                              const struct det_restore_classes *classes, float *params,
                              struct det_restore_report *report);

#endif
