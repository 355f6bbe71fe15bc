/* input_paths.h: the record files that an input reader names, found the way the config's other
 * paths are: as written, else inside the config's folder. */
#ifndef DET_TRAIN_INPUT_PATHS_H
#define DET_TRAIN_INPUT_PATHS_H

#include "base/io.h"
#include "formats/pipeline_config.h"

/* One entry for each input_path: a path, glob or shard pattern for det_dataset_open(). A path
 * without wildcards that does not exist is NOT_FOUND naming both places; a pattern that matches
 * nowhere is kept as written. Freed by the caller with det_path_list_free(). */
det_status det_input_paths_resolve(struct det_env *env, const struct det_pipeline_config *config,
                                   const struct det_input_reader_config *reader,
                                   struct det_path_list *patterns);

#endif
