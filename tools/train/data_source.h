/* data_source.h: det-train --data: the folder of a training is made of a data set, as det-data init
 * makes a workspace:
 *
 *   MODEL_DIR/annotations/      train.tfrecord, test.tfrecord, label_map.pbtxt, source.json
 *   MODEL_DIR/pipeline.config   beside the checkpoints
 */
#ifndef DET_TOOLS_TRAIN_DATA_SOURCE_H
#define DET_TOOLS_TRAIN_DATA_SOURCE_H

#include "common/tool.h"
#include "data/data.h"

/* Makes what is not there; what is there must be made of the same sources. `inputs` are sources as
 * det-data takes them, `arguments` the options for them, with --model_dir as output. */
det_status data_source_prepare(struct tool *tool, const struct option_list *inputs,
                               const struct data_arguments *arguments);

/* The config that training in `folder` goes on with; the caller frees. It is the folder's own, or
 * the file that this is a copy of, from where its paths are found. */
det_status data_source_config(struct tool *tool, const char *folder, char **config);

#endif
