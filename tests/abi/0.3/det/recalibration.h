/* det/recalibration.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_RECALIBRATION_H
#define DET_RECALIBRATION_H
#include "det/context.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/sample_source.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define DET_RECALIBRATION_IMAGES 256
typedef struct det_recalibration_settings {
    size_t struct_size;
    const char *const *records;
    size_t record_count;
    const char *const *image_dirs;
    size_t image_dir_count;
    int64_t images;
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    const det_sample_source *samples;
} det_recalibration_settings;
DET_API void det_recalibration_settings_init(det_recalibration_settings *settings,
                                             size_t struct_size);
static inline void det_recalibration_settings_default(det_recalibration_settings *settings)
{
    det_recalibration_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_model_recalibrate(det_context *context,
                                                       const det_pipeline_config *config,
                                                       const det_model *model,
                                                       const det_recalibration_settings *settings,
                                                       det_model **recalibrated);
DET_API int64_t det_model_recalibrated_images(const det_model *model);
typedef struct det_decay_advice {
    size_t struct_size;
    double decay;
    double left;
    double fitting;
    int warn;
} det_decay_advice;
DET_NODISCARD DET_API det_status det_model_decay_advice(const det_model *model,
                                                        det_decay_advice *advice);
#ifdef __cplusplus
}
#endif
#endif
