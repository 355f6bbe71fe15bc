/* checkpoint.h: training checkpoints: MODEL_DIR/ckpt-STEP.det, the text file MODEL_DIR/checkpoint
 * that names the newest and all kept ones (same syntax as TensorFlow's), rotation. */
#ifndef DET_TRAIN_CHECKPOINT_H
#define DET_TRAIN_CHECKPOINT_H

#include "det/checkpoints.h"
#include "train/best.h"
#include "train/learner.h"

/* What a checkpoint holds besides parameters and optimizer state. */
struct det_checkpoint_state {
    int64_t step; /* steps done */
    uint64_t seed;
    uint64_t next_sample; /* data position: samples consumed */
    struct det_best best; /* of the evaluations between steps; no metric: none were made */
    /* Written beside the moving statistics, not read back. */
    const float *recalibrated; /* NULL, or a block of parameters with statistics taken anew */
    int64_t recalibrated_images;
    bool recalibrated_with_averages; /* of the averages of the weights, not the weights */
};

/* Writes path atomically: all stored parameters under their keys, optimizer slot s under
 * "key/.SLOT/s", spec, class names, state in the meta JSON. */
det_status det_checkpoint_save(struct det_env *env, const char *path,
                               const struct det_learner *learner, const char *const *class_names,
                               const struct det_checkpoint_state *state);

/* A tensor of floats beside those of the learner. */
struct det_checkpoint_extra {
    const char *name;
    const int64_t *shape;
    int32_t dims;
    const float *data;
};
/* The same with more tensors, and whatever the values are: det_checkpoint_save() refuses to write
 * what is not finite. */
det_status det_checkpoint_write(struct det_env *env, const char *path,
                                const struct det_learner *learner, const char *const *class_names,
                                const struct det_checkpoint_state *state,
                                const struct det_checkpoint_extra *extra, size_t extra_count);

/* Everything back, for a learner of the same spec and optimizer. MISMATCH says what differs. */
det_status det_checkpoint_load(struct det_env *env, const char *path, struct det_learner *learner,
                               struct det_checkpoint_state *state);
/* The same for a file of det_checkpoint_write(): values need not be finite. */
det_status det_checkpoint_load_any(struct det_env *env, const char *path,
                                   struct det_learner *learner, struct det_checkpoint_state *state);

/* After a save: rewrites `checkpoint` and removes the oldest beyond `keep` (never `path`). */
det_status det_checkpoint_rotate(struct det_env *env, const char *directory, const char *path,
                                 int32_t keep);

/* Checkpoints of libdet in a folder, newest first (by number); a torn one is skipped with a warning
 * when det_checkpoint_load fails on it: see det_checkpoint_load_newest. */
det_status det_checkpoint_load_newest(struct det_env *env, const char *directory,
                                      struct det_learner *learner,
                                      struct det_checkpoint_state *state, bool *found);

/* det_checkpoint_find() for internal callers. */
det_status det_checkpoint_locate(struct det_env *env, const char *path,
                                 struct det_checkpoint_info *info);

/* N of a path .../ckpt-N.det, -1 for another name. */
int64_t det_checkpoint_number(const char *path);

#endif
