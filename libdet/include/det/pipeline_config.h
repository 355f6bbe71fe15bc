/* det/pipeline_config.h: a pipeline.config of the TF Object Detection API (SSD MobileNetV2 FPN
 * models), the values a program wants to show, and those it may want to override. */
#ifndef DET_PIPELINE_CONFIG_H
#define DET_PIPELINE_CONFIG_H

#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_pipeline_config det_pipeline_config;

/** Reads and checks a configuration. A field that is unknown, misspelt or that training cannot
 * honour is an error naming it with line and column; what only inference or evaluation reads is
 * refused when it is used. A field written twice is merged as protobuf's text format does, with a
 * warning that names both lines. On failure *config is NULL. The configuration must be
 * destroyed before the context. */
DET_NODISCARD DET_API det_status det_pipeline_config_load(det_context *context, const char *path,
                                                          det_pipeline_config **config);
/** The same with fields that are set from outside, [count] times "PATH=VALUE", in this order:
 * "PATH" are names of fields with "." between them ("train_config.batch_size"), in a list of
 * messages "NAME[0]" is the first. VALUE is written as in the file, strings without quotes, a
 * message as "{ ... }", a list as "[1, 2]". Old values of the field go; messages on the way that
 * are not there are added. A training keeps the changed text in its folder. INVALID_ARGUMENT: no
 * such field. */
DET_NODISCARD DET_API det_status det_pipeline_config_load_with(det_context *context,
                                                               const char *path,
                                                               const char *const *assignments,
                                                               size_t count,
                                                               det_pipeline_config **config);
/** The same of text in memory, which need not end in a 0 nor stay. `name` stands for the file's
 *  path: in messages, and relative paths that the configuration names are also looked for in its
 *  folder part. */
DET_NODISCARD DET_API det_status det_pipeline_config_parse(det_context *context, const char *name,
                                                           const char *text, size_t bytes,
                                                           det_pipeline_config **config);
/** Releases the configuration and sets *config to NULL. NULL is allowed. */
DET_API void det_pipeline_config_destroy(det_pipeline_config **config);

/* Values. Strings live until the configuration is destroyed or the value is overridden; a missing
 * one is "". */
DET_API const char *det_pipeline_config_path(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_num_classes(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_input_height(const det_pipeline_config *config);
DET_API int32_t det_pipeline_config_input_width(const det_pipeline_config *config);
/** 0 when there is no train_config. */
DET_API uint32_t det_pipeline_config_batch_size(const det_pipeline_config *config);
/** 0: no end. */
DET_API uint32_t det_pipeline_config_num_steps(const det_pipeline_config *config);
/** Base learning rate of the schedule. */
DET_API float det_pipeline_config_learning_rate(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_fine_tune_checkpoint(const det_pipeline_config *config);
/** Label map of the training input, or of the first evaluation input if there is no training input.
 */
DET_API const char *det_pipeline_config_label_map_path(const det_pipeline_config *config);
DET_API size_t det_pipeline_config_train_path_count(const det_pipeline_config *config);
/** NULL when index is out of range. */
DET_API const char *det_pipeline_config_train_path(const det_pipeline_config *config, size_t index);
/** Of the first eval_input_reader. */
DET_API size_t det_pipeline_config_eval_path_count(const det_pipeline_config *config);
DET_API const char *det_pipeline_config_eval_path(const det_pipeline_config *config, size_t index);

/* Overrides. Strings are copied. INVALID_ARGUMENT for a value that the file could not have either,
 * or when the message it belongs to is not in the file. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_batch_size(det_pipeline_config *config,
                                                                    uint32_t batch_size);
/** Steps of training; total_steps of a cosine schedule is set as well when `stretch_schedule` is
 * not 0, and its warm-up is then scaled with it. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_num_steps(det_pipeline_config *config,
                                                                   uint32_t num_steps,
                                                                   int stretch_schedule);
/** Multiplies all learning rates of the schedule. */
DET_NODISCARD DET_API det_status det_pipeline_config_scale_rates(det_pipeline_config *config,
                                                                 float factor);
/** "" trains from scratch. `type` NULL leaves fine_tune_checkpoint_type as it is; UNSUPPORTED: there
 * is no such type. As all paths of a configuration the file is looked for when it is going to be
 * read: det_trainer_create() is NOT_FOUND before it reads anything else and names all that are not
 * there; a training that goes on needs none. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_fine_tune_checkpoint(
    det_pipeline_config *config, const char *prefix, const char *type);
/** Of the training input and all evaluation inputs. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_label_map_path(det_pipeline_config *config,
                                                                        const char *path);
/** What happens when a .det file knows other classes than the label map (the map's order is in no
 * weight: trucks would be taken for cars). A training that starts from it takes the class
 * predictor by name in any case. */
typedef enum det_class_match {
    DET_CLASSES_CHECK = 0, /**< the default: an error that says how they differ */
    /** the class predictor is taken by name; a class that the file does not have is an error, or
     * starts from initial values in training. Not for a training that goes on */
    DET_CLASSES_REMAP,
    DET_CLASSES_RENAME /**< taken by id, under the map's names */
} det_class_match;
DET_NODISCARD DET_API det_status det_pipeline_config_set_class_match(det_pipeline_config *config,
                                                                     det_class_match match);
/** 1: an object of the records whose class the label map does not list is an error in training and
 * evaluation; 0, the default: it is left out, as the API does, with a warning that counts them. */
DET_API void det_pipeline_config_set_strict(det_pipeline_config *config, int strict);
/** Replaces all paths of the training input by one file or pattern. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_train_path(det_pipeline_config *config,
                                                                    const char *path);
/** Replaces all paths of the first evaluation input by one file or pattern. */
DET_NODISCARD DET_API det_status det_pipeline_config_set_eval_path(det_pipeline_config *config,
                                                                   const char *path);

#ifdef __cplusplus
}
#endif
#endif
