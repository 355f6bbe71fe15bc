/* det/export_formats.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_EXPORT_FORMATS_H
#define DET_EXPORT_FORMATS_H
#include "det/context.h"
#include "det/model.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef enum det_export_eight_bits {
    DET_EXPORT_EIGHT_BITS_NONE = 0,
    DET_EXPORT_EIGHT_BITS_ANY = 1,
    DET_EXPORT_EIGHT_BITS_WHOLE = 2
} det_export_eight_bits;
typedef struct det_export_format {
    size_t struct_size;
    const char *name;
    const char *description;
    const char *files;
    det_export_eight_bits eight_bits;
    int32_t reserved;
} det_export_format;
DET_API const det_export_format *det_export_format_at(size_t index);
typedef enum det_export_outputs {
    DET_EXPORT_OUTPUTS_AUTO = 0,
    DET_EXPORT_OUTPUTS_RAW = 1,
    DET_EXPORT_OUTPUTS_DECODED = 2,
    DET_EXPORT_OUTPUTS_DETECTIONS = 3,
    DET_EXPORT_OUTPUTS_EFFICIENT_NMS = 4
} det_export_outputs;
typedef enum det_export_input {
    DET_EXPORT_INPUT_AUTO = 0,
    DET_EXPORT_INPUT_IMAGE = 1,
    DET_EXPORT_INPUT_FLOAT_NHWC = 2,
    DET_EXPORT_INPUT_FLOAT_NCHW = 3
} det_export_input;
typedef enum det_export_precision {
    DET_EXPORT_FLOAT32 = 0,
    DET_EXPORT_FLOAT16 = 1
} det_export_precision;
typedef struct det_export_settings {
    size_t struct_size;
    det_export_outputs outputs;
    det_export_input input;
    det_export_precision precision;
    int32_t batch;
    float score_threshold;
    float iou_threshold;
    int32_t max_detections;
    int32_t verify;
    const char *name;
    int32_t fast_nms;
    int32_t onnx_opset;
} det_export_settings;
DET_API void det_export_settings_init(det_export_settings *settings, size_t struct_size);
static inline void det_export_settings_default(det_export_settings *settings)
{
    det_export_settings_init(settings, sizeof *settings);
}
typedef struct det_export det_export;
DET_NODISCARD DET_API det_status det_export_create(det_context *context, const det_model *model,
                                                   const char *format,
                                                   const det_export_settings *settings,
                                                   det_export **exported);
DET_API void det_export_destroy(det_export **exported);
typedef struct det_export_file {
    size_t struct_size;
    const char *name;
    const void *data;
    size_t bytes;
} det_export_file;
DET_API size_t det_export_file_count(const det_export *exported);
DET_NODISCARD DET_API det_status det_export_file_at(det_context *context,
                                                    const det_export *exported, size_t index,
                                                    det_export_file *file);
typedef struct det_export_proof {
    size_t struct_size;
    int32_t proved;
    int32_t tensors;
    double encodings, scores;
} det_export_proof;
DET_NODISCARD DET_API det_status det_export_proof_of(det_context *context,
                                                     const det_export *exported,
                                                     det_export_proof *proof);
DET_API const char *det_export_signature(const det_export *exported);
DET_NODISCARD DET_API det_status det_export_write(det_context *context, const det_export *exported,
                                                  const char *folder);
#ifdef __cplusplus
}
#endif
#endif
