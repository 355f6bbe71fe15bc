/* trainer.h: what is behind a det_trainer. trainer_setup.c builds it from a config, trainer.c steps
 * and saves. */
#ifndef DET_TRAIN_TRAINER_H
#define DET_TRAIN_TRAINER_H

#include "base/context.h"
#include "data/loader.h"
#include "det/trainer.h"
#include "formats/label_map.h"
#include "train/checkpoint.h"
#include "train/from_config.h"
#include "train/learner.h"

struct det_trainer {
    struct det_context *context;
    struct det_env *env; /* the context's */

    char *model_dir; /* NULL: nothing is written */
    int64_t checkpoint_every_steps;
    double checkpoint_every_seconds;
    int32_t keep_checkpoints;

    struct det_label_map labels;
    struct det_dataset dataset;
    struct det_loader *loader;
    struct det_learner *learner;
    struct det_config_schedule schedule;
    int32_t max_boxes; /* train_config.max_number_of_boxes */
    det_trainer_memory memory;

    struct det_batch next; /* taken from the loader for the next step; count 0: none */
    bool staged;           /* and handed to the learner */

    struct det_checkpoint_state state; /* of the weights as they are now */
    int64_t num_steps;                 /* INT64_MAX: no end */
    int64_t saved_step;                /* step of the newest checkpoint, -1: none */
    uint64_t saved_ns;                 /* when it was written, or training began */
};

/* Everything but the loop; trainer->env and ->context are set. The caller destroys it after a
 * failure. */
det_status det_trainer_set_up(struct det_trainer *trainer, const struct det_pipeline_config *config,
                              const det_trainer_settings *settings);

/* MODEL_DIR/ckpt-STEP.det; freed by the caller. */
det_status det_trainer_checkpoint_path(const struct det_trainer *trainer, int64_t step,
                                       char **path);

/* Names of the classes as they go into checkpoints and models: [K]. */
const char *const *det_trainer_class_names(const struct det_trainer *trainer);

uint64_t det_trainer_clock_ns(void);

#endif
