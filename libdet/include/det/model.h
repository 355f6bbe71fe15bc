/* det/model.h: a network with its weights and class names: read from a .det file or a TensorFlow
 * checkpoint, written as a .det file.
 *
 * Thread safety: a model is immutable once loaded and may be used by the contexts of several
 * threads at once.
 */
#ifndef DET_MODEL_H
#define DET_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/pipeline_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_model det_model;

/** Loads a .det file: an exported model or a training checkpoint. All of it is read and checked;
 * afterwards the file is not needed and may be replaced, written to or removed. On failure *model
 * is NULL. OUT_OF_MEMORY also for a file that asks for more than max_file_memory_bytes of the
 * context's settings. */
DET_NODISCARD DET_API det_status det_model_load(det_context *context, const char *path,
                                                det_model **model);
/** The same of a .det file's bytes in memory, which are copied: they need neither alignment nor to
 *  stay. `name` stands for the file's name in messages. */
DET_NODISCARD DET_API det_status det_model_load_memory(det_context *context, const char *name,
                                                       const void *data, size_t bytes,
                                                       det_model **model);

/**
 * Loads the weights of a TensorFlow checkpoint (with or without optimizer slots) or of a libdet
 * training checkpoint for the network that `config` describes. `path` is a checkpoint prefix, a
 * file, or a folder, of which the newest checkpoint is taken. Every weight must be there with the
 * right shape: MISMATCH names the first that is not and counts. Class names come from the config's
 * label map when it can be read, else they are "class 1" and so on.
 */
DET_NODISCARD DET_API det_status det_model_load_checkpoint(det_context *context,
                                                           const det_pipeline_config *config,
                                                           const char *path, det_model **model);

/**
 * The same, and of a training checkpoint what its optimizer keeps (momentum and the like, moving
 * averages), for writing it as a TensorFlow checkpoint that a training goes on from
 * (det/export_formats.h, "tf_checkpoint"). A file without it gives a model without it. MISMATCH when
 * the config has another optimizer than the training.
 */
DET_NODISCARD DET_API det_status det_model_load_resumable(det_context *context,
                                                          const det_pipeline_config *config,
                                                          const char *path, det_model **model);

/** Releases the model and sets *model to NULL. NULL is allowed. It must not be in use any more; the
 * context that loaded it may be gone. */
DET_API void det_model_destroy(det_model **model);

/** Writes an inference file: batch norms folded, label map and preprocessing inside; atomic. */
DET_NODISCARD DET_API det_status det_model_export(det_context *context, const det_model *model,
                                                  const char *path);

/** Writes the weights as they are, training form or folded; atomic. det_model_load() and a
 * training's fine_tune_checkpoint read the file. */
DET_NODISCARD DET_API det_status det_model_save(det_context *context, const det_model *model,
                                                const char *path);
/** The same in half precision: half the size, and enough to start a fine-tuning from. */
DET_NODISCARD DET_API det_status det_model_save_half(det_context *context, const det_model *model,
                                                     const char *path);

/** K. */
DET_API int32_t det_model_class_count(const det_model *model);
/** Name of class id 1..K, "class N" where the label map has none; NULL for any other. Valid as long
 * as the model. */
DET_API const char *det_model_class_name(const det_model *model, int32_t class_id);
/** 0 for an id of 1..K that the label map has no item for (COCO's has 80 for ids up to 90): the
 * network has an output for it, but nothing was learnt of it, so that lists of classes leave it
 * out. 1 for the others. */
DET_API int det_model_class_is_used(const det_model *model, int32_t class_id);
DET_API int32_t det_model_input_height(const det_model *model);
DET_API int32_t det_model_input_width(const det_model *model);
/** Training step the weights are from, 0 when not known. */
DET_API int64_t det_model_step(const det_model *model);
/** Number of weights (batch norm statistics included). */
DET_API int64_t det_model_parameter_count(const det_model *model);
/** 1 for an exported (folded) model, 0 for training weights. */
DET_API int det_model_is_folded(const det_model *model);
/** Anchors, that is candidate boxes per image. */
DET_API int32_t det_model_anchor_count(const det_model *model);

/** A parameter of the network. What it points to is the model's and holds as long as that. */
typedef struct det_model_tensor {
    size_t struct_size; /**< sizeof(det_model_tensor) */
    /** TensorFlow's key in a checkpoint, without "/.ATTRIBUTES/VARIABLE_VALUE"; of an exported
     *  model, whose batch norms are folded, the convolution's */
    const char *name;
    const float *values; /**< [count], rows of the last dimension without gaps */
    size_t count;
    /** 1 to 4 of them: of kernels height, width, input, output channels (depthwise: height, width,
     *  channels, 1) */
    int32_t dims;
    /** 0: moving mean or variance of a batch norm, or switched off by the config */
    int32_t trainable;
    int64_t shape[4]; /**< 0 beyond dims */
} det_model_tensor;

/** Parameters that the model has, all that a checkpoint has of the network. */
DET_API size_t det_model_tensor_count(const det_model *model);
/** Number `index` of them, from 0 on, in the network's order. INVALID_ARGUMENT out of range. */
DET_NODISCARD DET_API det_status det_model_tensor_at(det_context *context, const det_model *model,
                                                     size_t index, det_model_tensor *tensor);
/** The one of this name, exactly. NOT_FOUND when there is none. */
DET_NODISCARD DET_API det_status det_model_tensor_find(det_context *context, const det_model *model,
                                                       const char *name, det_model_tensor *tensor);

/** Values for a tensor of a model that is copied. */
typedef struct det_tensor_values {
    /** sizeof(det_tensor_values) */
    size_t struct_size;
    /** of det_model_tensor */
    const char *name;
    /** [count], in the order of det_model_tensor; copied */
    const float *values;
    /** of the tensor, so that it is seen where another is meant */
    size_t count;
} det_tensor_values;

/**
 * A copy of the model, in the same form, with other values for some of its tensors: `changed`
 * [changed_count], whose elements are `changed[0].struct_size` apart; none: a plain copy.
 * NOT_FOUND: there is no tensor of a name; MISMATCH: it has another count; NON_FINITE: a value
 * that is no number, or infinite; INVALID_ARGUMENT: a name that is there twice. Statistics taken
 * anew (det/recalibration.h) belong to the old weights: a copy with changes is without them. The
 * original may go; *copy is NULL after a failure.
 */
DET_NODISCARD DET_API det_status det_model_copy(det_context *context, const det_model *model,
                                                const det_tensor_values *changed,
                                                size_t changed_count, det_model **copy);

#ifdef __cplusplus
}
#endif
#endif
