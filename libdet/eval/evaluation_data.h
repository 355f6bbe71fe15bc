/* evaluation_data.h: what an evaluation looks at: the records and the label map of the config's
 * first eval_input_reader, and which of the model's classes are which of the map's. */
#ifndef DET_EVAL_EVALUATION_DATA_H
#define DET_EVAL_EVALUATION_DATA_H

#include "data/dataset.h"
#include "det/evaluation.h"

struct det_evaluation_data {
    struct det_label_map labels;
    struct det_dataset dataset;
    /* After matching, by the model's class index: */
    const char **class_names; /* [K], never NULL; they live as long as the data and the model */
    bool *is_category; /* [K] the map has an item for it; the others are not evaluated, as the
                                 API does it */
};

/* `data` must be zeroed; it is closed by the caller, also after a failure. */
det_status det_evaluation_data_open(struct det_env *env, const struct det_pipeline_config *config,
                                    const det_evaluation_settings *settings,
                                    struct det_evaluation_data *data);

/* MISMATCH when names stand at other ids, unless config->class_match says what to do. Afterwards
 * the objects of the dataset have the model's class indices. */
det_status det_evaluation_data_match(struct det_env *env, const struct det_pipeline_config *config,
                                     const det_model *model, struct det_evaluation_data *data);
void det_evaluation_data_close(struct det_env *env, struct det_evaluation_data *data);

#endif
