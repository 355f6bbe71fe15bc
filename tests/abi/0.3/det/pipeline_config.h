/* det/pipeline_config.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_PIPELINE_CONFIG_H
#define DET_PIPELINE_CONFIG_H
#include "det/context.h"
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_pipeline_config det_pipeline_config;
DET_NODISCARD DET_API det_status det_pipeline_config_load(det_context *context, const char *path,
                                                          det_pipeline_config **config);
DET_NODISCARD DET_API det_status det_pipeline_config_load_with(det_context *context,
                                                               const char *path,
                                                               const char *const *assignments,
                                                               size_t count,
                                                               det_pipeline_config **config);
DET_NODISCARD DET_API det_status det_pipeline_config_parse(det_context *context, const char *name,
                                                           const char *text, size_t bytes,
                                                           det_pipeline_config **config);
DET_API void det_pipeline_config_destroy(det_pipeline_config **config);
DET_API const char *det_pipeline_config_path(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_num_classes(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_input_height(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_input_width(const det_pipeline_config *config);
DET_API uint32_t det_pipeline_config_batch_size(const det_pipeline_config *config);
DET_API uint32_t det_pipeline_config_num_steps(const det_pipeline_config *config);
DET_API float det_pipeline_config_learning_rate(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_fine_tune_checkpoint(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_label_map_path(const det_pipeline_config *config);
DET_API size_t det_pipeline_config_train_path_count(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_train_path(const det_pipeline_config *config, size_t index);
DET_API size_t det_pipeline_config_eval_path_count(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_eval_path(const det_pipeline_config *config, size_t index);
DET_NODISCARD DET_API det_status det_pipeline_config_set_batch_size(det_pipeline_config *config,
                                                                    uint32_t batch_size);
DET_NODISCARD DET_API det_status det_pipeline_config_set_num_steps(det_pipeline_config *config,
                                                                   uint32_t num_steps,
                                                                   int stretch_schedule);
DET_NODISCARD DET_API det_status det_pipeline_config_scale_rates(det_pipeline_config *config,
                                                                 float factor);
DET_NODISCARD DET_API det_status det_pipeline_config_set_fine_tune_checkpoint(
    det_pipeline_config *config, const char *prefix, const char *type);
DET_NODISCARD DET_API det_status det_pipeline_config_set_label_map_path(det_pipeline_config *config,
                                                                        const char *path);
typedef enum det_class_match {
    DET_CLASSES_CHECK = 0,
    DET_CLASSES_REMAP,
    DET_CLASSES_RENAME
} det_class_match;
DET_NODISCARD DET_API det_status det_pipeline_config_set_class_match(det_pipeline_config *config,
                                                                     det_class_match match);
DET_API void det_pipeline_config_set_strict(det_pipeline_config *config, int strict);
DET_NODISCARD DET_API det_status det_pipeline_config_set_train_path(det_pipeline_config *config,
                                                                    const char *path);
DET_NODISCARD DET_API det_status det_pipeline_config_set_eval_path(det_pipeline_config *config,
                                                                   const char *path);
#ifdef __cplusplus
}
#endif
#endif
