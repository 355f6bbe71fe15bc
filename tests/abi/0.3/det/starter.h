/* det/starter.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_STARTER_H
#define DET_STARTER_H
#include "det/dataset.h"
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_starter_settings {
    size_t struct_size;
    const char *split;
    const char *train_records, *test_records, *label_map;
    const char *fine_tune_checkpoint;
    int32_t input_px;
    int32_t batch_size;
    int32_t steps;
    int32_t reserved;
    const char *const *assignments;
    size_t assignment_count;
} det_starter_settings;
DET_API void det_starter_settings_init(det_starter_settings *settings, size_t struct_size);
static inline void det_starter_settings_default(det_starter_settings *settings)
{
    det_starter_settings_init(settings, sizeof *settings);
}
typedef struct det_starter_choices {
    size_t struct_size;
    int32_t input_px, batch_size, steps;
    int32_t flips;
    double learning_rate;
    double decay;
    double anchor_scale;
    double aspect_ratios[3];
    double covered, covered_by_default;
    double median_side_px;
} det_starter_choices;
DET_NODISCARD DET_API det_status det_starter_config_write(det_context *context,
                                                          det_annotation_set *set, const char *path,
                                                          const det_starter_settings *settings,
                                                          det_starter_choices *choices);
#ifdef __cplusplus
}
#endif
#endif
