/* tflite.h: the parts that the writer of TFLite files consists of. */
#ifndef DET_EXPORT_TFLITE_H
#define DET_EXPORT_TFLITE_H

#include "export/export.h"
#include "export/tflite_model.h"

/* The network with its input and outputs, as tflite.c has checked that they can be. */
det_status det_tflite_add_network(struct det_env *env, const struct det_export_job *job,
                                  struct det_tflite_model *model);

/* model->metadata: what the input takes, what the outputs mean, where the class names are. */
det_status det_tflite_add_metadata(struct det_env *env, const struct det_export_job *job,
                                   struct det_tflite_model *model);

/* A line for each class, for DET_TFLITE_LABEL_FILE: the name, "???" for an id without a class. Line
 * ends and other control characters in a name become blanks. */
det_status det_tflite_label_text(struct det_env *env, const det_model *model,
                                 struct det_text *text);

/* read_tflite.c: the writer's other half. */
det_status det_tflite_read(struct det_env *env, const struct det_export *exported,
                           struct det_program *program);

#endif
