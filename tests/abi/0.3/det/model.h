/* det/model.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_MODEL_H
#define DET_MODEL_H
#include "det/context.h"
#include "det/pipeline_config.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_model det_model;
DET_NODISCARD DET_API det_status det_model_load(det_context *context, const char *path,
                                                det_model **model);
DET_NODISCARD DET_API det_status det_model_load_memory(det_context *context, const char *name,
                                                       const void *data, size_t bytes,
                                                       det_model **model);
DET_NODISCARD DET_API det_status det_model_load_checkpoint(det_context *context,
                                                           const det_pipeline_config *config,
                                                           const char *path, det_model **model);
DET_NODISCARD DET_API det_status det_model_load_resumable(det_context *context,
                                                          const det_pipeline_config *config,
                                                          const char *path, det_model **model);
DET_API void det_model_destroy(det_model **model);
DET_NODISCARD DET_API det_status det_model_export(det_context *context, const det_model *model,
                                                  const char *path);
DET_NODISCARD DET_API det_status det_model_save_half(det_context *context, const det_model *model,
                                                     const char *path);
DET_API int32_t det_model_class_count(const det_model *model);
DET_API const char *det_model_class_name(const det_model *model, int32_t class_id);
DET_API int det_model_class_is_used(const det_model *model, int32_t class_id);
DET_API int32_t det_model_input_height(const det_model *model);
DET_API int32_t det_model_input_width(const det_model *model);
DET_API int64_t det_model_step(const det_model *model);
DET_API int64_t det_model_parameter_count(const det_model *model);
DET_API int det_model_is_folded(const det_model *model);
DET_API int32_t det_model_anchor_count(const det_model *model);
typedef struct det_model_tensor {
    size_t struct_size;
    const char *name;
    const float *values;
    size_t count;
    int32_t dims;
    int32_t trainable;
    int64_t shape[4];
} det_model_tensor;
DET_API size_t det_model_tensor_count(const det_model *model);
DET_NODISCARD DET_API det_status det_model_tensor_at(det_context *context, const det_model *model,
                                                     size_t index, det_model_tensor *tensor);
DET_NODISCARD DET_API det_status det_model_tensor_find(det_context *context, const det_model *model,
                                                       const char *name, det_model_tensor *tensor);
#ifdef __cplusplus
}
#endif
#endif
