/* det/export_formats.h: a model as the file of another engine: ONNX, TFLite, a TensorFlow
 * checkpoint, ncnn, or libdet's own .det.
 *
 * What is made is in memory, and proved there: libdet reads it back with a reader of that format,
 * runs what it has read by plain C on a picture and compares with its own network. Only then is
 * there something to write. docs/deploy.md tells what each engine takes.
 *
 * Thread safety: as the context; an export that is made is not changed any more.
 */
#ifndef DET_EXPORT_FORMATS_H
#define DET_EXPORT_FORMATS_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which models in 8 bits (det/quantisation.h) a format takes. */
typedef enum det_export_eight_bits {
    DET_EXPORT_EIGHT_BITS_NONE = 0,
    DET_EXPORT_EIGHT_BITS_ANY = 1,
    /** such that have no layer in float32: DET_QUANTISATION_FLOATS_NONE */
    DET_EXPORT_EIGHT_BITS_WHOLE = 2
} det_export_eight_bits;

/** Lent to the caller; static. */
typedef struct det_export_format {
    /** as far as this library knows the struct */
    size_t struct_size;
    /** "onnx" */
    const char *name;
    /** one line: "ONNX, opset 13: ONNX Runtime, OpenVINO, TensorRT, OpenCV" */
    const char *description;
    /** the files it consists of, with NAME for what they are called: "NAME.onnx" */
    const char *files;
    det_export_eight_bits eight_bits;
    int32_t reserved;
} det_export_format;

/** Format 0, 1, ...; NULL behind the last. From any thread. */
DET_API const det_export_format *det_export_format_at(size_t index);

/** What the exported network gives. AUTO: what is usual for the format's engines. */
typedef enum det_export_outputs {
    /** onnx: DETECTIONS; tflite: DETECTIONS; ncnn: RAW */
    DET_EXPORT_OUTPUTS_AUTO = 0,
    /** box encodings [N, A, 4] and scores [N, A, K], before anchors */
    DET_EXPORT_OUTPUTS_RAW = 1,
    /** boxes [N, A, 4] (ymin, xmin, ymax, xmax as shares of the frame) and scores [N, A, K] */
    DET_EXPORT_OUTPUTS_DECODED = 2,
    /** after non-maximum suppression, by the engine's own operator */
    DET_EXPORT_OUTPUTS_DETECTIONS = 3,
    /** onnx: after TensorRT's EfficientNMS_TRT */
    DET_EXPORT_OUTPUTS_EFFICIENT_NMS = 4
} det_export_outputs;

typedef enum det_export_input {
    /** onnx: IMAGE; tflite, ncnn: FLOAT, in the order that the format has */
    DET_EXPORT_INPUT_AUTO = 0,
    /** uint8 [N, height, width, 3], of any size: resized and normalised inside */
    DET_EXPORT_INPUT_IMAGE = 1,
    /** float32 [N, H, W, 3] of the network's size, normalised to -1 .. 1 */
    DET_EXPORT_INPUT_FLOAT_NHWC = 2,
    /** the same as [N, 3, H, W] */
    DET_EXPORT_INPUT_FLOAT_NCHW = 3
} det_export_input;

typedef enum det_export_precision {
    DET_EXPORT_FLOAT32 = 0,
    /** weights are stored in half precision; engines compute in what they have */
    DET_EXPORT_FLOAT16 = 1
} det_export_precision;

typedef struct det_export_settings {
    /** sizeof(det_export_settings), set by the default function */
    size_t struct_size;
    det_export_outputs outputs;
    det_export_input input;
    det_export_precision precision;
    /** images at once; 0: any number; default 1 */
    int32_t batch;
    /** detections below are left out; negative, the default: as the model has it */
    float score_threshold;
    /** of the non-maximum suppression; negative, the default: as the model has it */
    float iou_threshold;
    /** most detections of an image; 0, the default: as the model has it */
    int32_t max_detections;
    /** 1, the default: read back and compared before it is done */
    int32_t verify;
    /** what the files are called, without the ending: one name, no path; NULL, the default:
     * "model", of tf_checkpoint "ckpt-STEP" */
    const char *name;
    /** tflite: 1 has the operator suppress boxes across classes, each by its best class, which the
     * TF Object Detection API calls fast; 0, the default, class by class as libdet does it. LiteRT
     * leaves a class out in the latter when it has more threads than one and fewer than classes */
    int32_t fast_nms;
    /** onnx: version of the operators. 0, the default: 13. 10 is what OpenCV before 4.7 reads, for
     * float input and for RAW or DECODED outputs */
    int32_t onnx_opset;
} det_export_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_export_settings_init(det_export_settings *settings, size_t struct_size);
static inline void det_export_settings_default(det_export_settings *settings)
{
    det_export_settings_init(settings, sizeof *settings);
}

/** One model in one format, in memory. */
typedef struct det_export det_export;

/**
 * Makes the files of `format`, and proves them unless told not to. `settings` may be NULL.
 * UNSUPPORTED: an unknown format, or something that the format cannot express. MISMATCH: the proof
 * failed; the message says where and by how much. On failure *exported is NULL. The model is not
 * needed afterwards.
 */
DET_NODISCARD DET_API det_status det_export_create(det_context *context, const det_model *model,
                                                   const char *format,
                                                   const det_export_settings *settings,
                                                   det_export **exported);
/** Releases it and sets *exported to NULL. NULL is allowed. The context may be gone. */
DET_API void det_export_destroy(det_export **exported);

/** A file of an export; lent as long as that. */
typedef struct det_export_file {
    /** sizeof(det_export_file), set by the caller */
    size_t struct_size;
    /** "model.onnx" */
    const char *name;
    const void *data;
    size_t bytes;
} det_export_file;

DET_API size_t det_export_file_count(const det_export *exported);
/** INVALID_ARGUMENT out of range. */
DET_NODISCARD DET_API det_status det_export_file_at(det_context *context,
                                                    const det_export *exported, size_t index,
                                                    det_export_file *file);

/** What the proof found. */
typedef struct det_export_proof {
    /** sizeof(det_export_proof), set by the caller */
    size_t struct_size;
    /** 0: there is none; the differences are 0 too */
    int32_t proved;
    /** tensors compared one by one */
    int32_t tensors;
    /** largest difference of box encodings and of scores from libdet's own network */
    double encodings, scores;
} det_export_proof;
DET_NODISCARD DET_API det_status det_export_proof_of(det_context *context,
                                                     const det_export *exported,
                                                     det_export_proof *proof);

/** Its inputs and outputs in words, a line for each: "input_tensor: uint8 [1, height, width, 3]".
 *  Owned by the export. */
DET_API const char *det_export_signature(const det_export *exported);

/** Writes the files into `folder`, which is made when it is not there, each atomically; what leads
 * to the others (a checkpoint's `checkpoint`) comes last. */
DET_NODISCARD DET_API det_status det_export_write(det_context *context, const det_export *exported,
                                                  const char *folder);

#ifdef __cplusplus
}
#endif
#endif
