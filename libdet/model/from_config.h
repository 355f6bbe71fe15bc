/* from_config.h: what a pipeline.config means for the network, the training step, the schedule and
 * the augmentation. The counterparts in the TF Object Detection API are the builders of
 * research/object_detection/builders. */
#ifndef DET_MODEL_FROM_CONFIG_H
#define DET_MODEL_FROM_CONFIG_H

#include "data/loader.h"
#include "formats/pipeline_config.h"
#include "model/learner_state.h"
#include "model/schedule.h"
#include "model/spec.h"

/* UNSUPPORTED or INVALID_ARGUMENT with file, line and column for what cannot be built. */
det_status det_spec_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                struct det_model_spec *spec);

/* Losses, targets, optimizer; needs a train_config. */
det_status det_learner_settings_from_config(struct det_env *env,
                                            const struct det_pipeline_config *config,
                                            struct det_learner_settings *settings);
/* Targets and losses alone, for evaluation. */
void det_loss_settings_from_config(const struct det_pipeline_config *config,
                                   struct det_target_settings *targets,
                                   struct det_loss_settings *loss);

/* The schedule and the arrays it borrows. */
struct det_config_schedule {
    struct det_schedule schedule;
    int64_t *steps;
    float *rates;
};
det_status det_schedule_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                    struct det_config_schedule *schedule);
void det_config_schedule_free(struct det_env *env, struct det_config_schedule *schedule);

/* How a loader makes the network's input of an image: the resizer of the spec, the padding of the
 * config. */
void det_config_resize(const struct det_pipeline_config *config, const struct det_model_spec *spec,
                       struct det_loader_settings *loader);

/* *options: [*count], freed by the caller with det_free. An option that is not built is
 * UNSUPPORTED, by name and line. */
det_status det_augment_from_config(struct det_env *env, const struct det_pipeline_config *config,
                                   struct det_augment_option **options, size_t *count);

#endif
