/* pipeline_paths.h: the files that a pipeline.config names. A path counts as written from the
 * working folder, else from the config's own folder. The API reads input_path as a glob pattern, in
 * which a backslash takes the meaning of the character behind it: "My\ Drive/x" is "My Drive/x"
 * here too.
 *
 * Paths written on Windows ("C:\\work\\annotations\\train.record", also with single backslashes,
 * where \t has become a tab) are brought over once, when the config is read: `\` is a separator,
 * the drive goes, and if that names nothing the last components are looked for around the
 * config. */
#ifndef DET_FORMATS_PIPELINE_PATHS_H
#define DET_FORMATS_PIPELINE_PATHS_H

#include "formats/pipeline_config.h"
#include "support/io.h"

enum det_path_use {
    DET_PATH_FILE,
    DET_PATH_CHECKPOINT, /* also a prefix: PATH.index or PATH.det is there, or a folder */
    DET_PATH_RECORDS     /* also a pattern: *, ?, [..], name-00000-of-00010, name@10 */
};

/* NOT_FOUND names both places. A pattern comes back as a pattern. The caller frees *out. */
det_status det_pipeline_path_find(struct det_env *env, const struct det_pipeline_config *config,
                                  const char *path, enum det_path_use use, char **out);

/* The record files of an input reader, one entry for each input_path, for det_dataset_open(); freed
 * with det_path_list_free(). */
det_status det_pipeline_path_records(struct det_env *env, const struct det_pipeline_config *config,
                                     const struct det_input_reader_config *reader,
                                     struct det_path_list *patterns);

/* What is going to be read. Samples of a program: of the input reader the label map alone. */
struct det_pipeline_reading {
    bool train_input, eval_input, fine_tune_checkpoint;
    bool train_samples, eval_samples;
};

/* NOT_FOUND names all files that are missing, each with field and line, before any is read; in a
 * training that lacks one those of the eval_input_reader too. */
det_status det_pipeline_paths_check(struct det_env *env, const struct det_pipeline_config *config,
                                    struct det_pipeline_reading reading);

/* Replaces Windows paths that name nothing as they stand by what they are found as, each with a
 * warning; part of reading a config. */
det_status det_pipeline_paths_bring_over(struct det_env *env, struct det_pipeline_config *config);

#endif
