/* det/trainer.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_TRAINER_H
#define DET_TRAINER_H
#include "det/communicator.h"
#include "det/context.h"
#include "det/evaluation.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/recalibration.h"
#include "det/sample_source.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_trainer det_trainer;
#define DET_BATCH_SIZE_AUTO (-1)
typedef struct det_trainer_settings {
    size_t struct_size;
    const char *model_dir;
    int64_t num_steps;
    uint64_t seed;
    int64_t checkpoint_every_steps;
    double checkpoint_every_seconds;
    int32_t keep_checkpoints;
    int32_t loader_threads;
    int fast_decode;
    const char *const *image_dirs;
    size_t image_dir_count;
    int resume;
    int32_t batch_size;
    size_t memory_limit_bytes;
    int scale_learning_rate;
    int32_t accumulate;
    int64_t eval_every_steps;
    const det_evaluation_settings *evaluation;
    const char *keep_best;
    int32_t patience;
    double min_delta;
    int64_t summary_every_steps;
    int64_t picture_every_steps;
    int64_t recalibrate_images;
    int api_evaluation;
    int allow_no_boxes;
    const det_sample_source *samples;
    const char *const *arguments;
    size_t argument_count;
    det_communicator *communicator;
    int sync_batch_norm;
    int bf16_gradients;
    int (*wants_stop)(void *user);
    void *wants_stop_user;
} det_trainer_settings;
DET_API void det_trainer_settings_init(det_trainer_settings *settings, size_t struct_size);
static inline void det_trainer_settings_default(det_trainer_settings *settings)
{
    det_trainer_settings_init(settings, sizeof *settings);
}
typedef struct det_step_report {
    size_t struct_size;
    int64_t step;
    int64_t num_steps;
    double learning_rate;
    double localization_loss, classification_loss, regularization_loss, total_loss;
    double gradient_norm;
    double step_seconds;
    double data_wait_seconds;
    int32_t images;
    int saved;
    det_evaluation *evaluation;
    double eval_seconds;
    int is_best;
    det_evaluation *api_evaluation;
    double rank_wait_seconds;
} det_step_report;
DET_NODISCARD DET_API det_status det_trainer_create(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const det_trainer_settings *settings,
                                                    det_trainer **trainer);
DET_API void det_trainer_destroy(det_trainer **trainer);
DET_NODISCARD DET_API det_status det_trainer_is_running(det_context *context, const char *model_dir,
                                                        int *running);
DET_NODISCARD DET_API det_status det_trainer_step(det_trainer *trainer, det_step_report *report);
DET_NODISCARD DET_API det_status det_trainer_save(det_trainer *trainer);
typedef int (*det_step_callback)(void *user, const det_step_report *report);
DET_NODISCARD DET_API det_status det_trainer_run(det_trainer *trainer, det_step_callback callback,
                                                 void *user);
typedef struct det_trainer_best {
    size_t struct_size;
    const char *metric;
    int known;
    double value;
    int64_t step;
    int64_t evaluations_since;
    int stopped_early;
} det_trainer_best;
DET_NODISCARD DET_API det_status det_trainer_get_best(const det_trainer *trainer,
                                                      det_trainer_best *best);
DET_API int64_t det_trainer_steps_done(const det_trainer *trainer);
DET_NODISCARD DET_API det_status det_trainer_snapshot(det_trainer *trainer, det_model **model);
DET_NODISCARD DET_API det_status det_trainer_replay(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const char *path, det_step_report *report);
typedef struct det_trainer_memory {
    size_t struct_size;
    size_t parameters_bytes, activations_bytes, loader_bytes;
} det_trainer_memory;
DET_NODISCARD DET_API det_status det_trainer_memory_plan(const det_trainer *trainer,
                                                         det_trainer_memory *memory);
#ifdef __cplusplus
}
#endif
#endif
