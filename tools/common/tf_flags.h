/* tf_flags.h: the flags of the TF Object Detection API's scripts (model_main_tf2.py,
 * exporter_main_v2.py, export_tflite_graph_tf2.py, create_*_tf_record.py), of TensorFlow 1's
 * predecessors, of the well-known tutorial's (generate_tfrecord.py, partition_dataset.py) and of
 * absl's logging. Command lines that people have from there work where a flag means the same, or
 * asks for what is done anyway; the others are told what to write. Flags with a name and a meaning
 * of ours stand in the tools' own tables. */
#ifndef DET_TOOLS_COMMON_TF_FLAGS_H
#define DET_TOOLS_COMMON_TF_FLAGS_H

#include "common/options.h"

/* Lists for struct options. */
extern const struct option_alias *const tf_flags_of_train[],
    *const tf_flags_of_eval[], *const tf_flags_of_export[], *const tf_flags_of_data[],
                                                                *const tf_flags_of_all[];

#endif
