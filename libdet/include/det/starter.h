/* det/starter.h: the pipeline.config of a first training, made for a data set and for this machine:
 * what a practised user would write down, with a comment line for each choice. docs/recipes.md has
 * what it gives, measured.
 */
#ifndef DET_STARTER_H
#define DET_STARTER_H

#include "det/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_starter_settings {
    /** sizeof(det_starter_settings), set by the default function */
    size_t struct_size;
    /** of the set: what is trained on; NULL, the default: "train" */
    const char *split;
    /** as they shall stand in the config: files, patterns, paths from the config's folder. NULL,
     * the default: "train.tfrecord", "test.tfrecord" and "label_map.pbtxt" */
    const char *train_records, *test_records, *label_map;
    /** a .det or a TensorFlow checkpoint to begin from; NULL, the default: from scratch */
    const char *fine_tune_checkpoint;
    /** side of the network's input, from 64 to 1280; 0, the default: 320, or 640 where the boxes
     * would be too small */
    int32_t input_px;
    /** pictures a step; 0, the default: 8, fewer where this machine's memory or the set is small */
    int32_t batch_size;
    /** 0, the default: by the number of pictures */
    int32_t steps;
    int32_t reserved;
    /** fields of the config that are set on top of what was chosen, "PATH=VALUE" as
     * det_pipeline_config_load_with() takes them, in this order. Default: none */
    const char *const *assignments;
    size_t assignment_count;
} det_starter_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_starter_settings_init(det_starter_settings *settings, size_t struct_size);
static inline void det_starter_settings_default(det_starter_settings *settings)
{
    det_starter_settings_init(settings, sizeof *settings);
}

/** What was chosen. */
typedef struct det_starter_choices {
    /** sizeof(det_starter_choices), set by the caller */
    size_t struct_size;
    int32_t input_px, batch_size, steps;
    /** 0: no random_horizontal_flip, since classes are called left and right */
    int32_t flips;
    double learning_rate;
    /** of the batch norms' moving averages */
    double decay;
    double anchor_scale;
    /** width / height of the three shapes */
    double aspect_ratios[3];
    /** share of the boxes that an anchor fits, with an IoU of .5 or more; with the model zoo's
     * anchors */
    double covered, covered_by_default;
    /** median of the boxes' sides (square root of the area) in the network's input */
    double median_side_px;
} det_starter_choices;

/**
 * Writes the config for the images and boxes of a split of a resolved set, atomically. `settings`
 * and `choices` may be NULL. INVALID_ARGUMENT: no image or no box in the split, a size that is
 * none, an assignment to a field that is none; OUT_OF_MEMORY: not even one picture a step fits
 * into this machine's memory.
 */
DET_NODISCARD DET_API det_status det_starter_config_write(det_context *context,
                                                          det_annotation_set *set, const char *path,
                                                          const det_starter_settings *settings,
                                                          det_starter_choices *choices);

#ifdef __cplusplus
}
#endif
#endif
