/* det/evaluation.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_EVALUATION_H
#define DET_EVALUATION_H
#include "det/coco.h"
#include "det/communicator.h"
#include "det/context.h"
#include "det/detector.h"
#include "det/export_formats.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/sample_source.h"
#include "det/summary.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_evaluation det_evaluation;
typedef struct det_evaluation_settings {
    size_t struct_size;
    const char *const *image_dirs;
    size_t image_dir_count;
    int64_t max_images;
    int as_exported;
    const int32_t *max_dets;
    int32_t max_det_count;
    int honour_ignore;
    det_summary_writer *summaries;
    int pictures;
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    int quiet;
    int reserved;
    const det_sample_source *samples;
    const char *results;
    const det_tile_settings *tiles;
    const det_export *exported;
    det_communicator *communicator;
} det_evaluation_settings;
DET_API void det_evaluation_settings_init(det_evaluation_settings *settings, size_t struct_size);
static inline void det_evaluation_settings_default(det_evaluation_settings *settings)
{
    det_evaluation_settings_init(settings, sizeof *settings);
}
typedef struct det_evaluation_losses {
    size_t struct_size;
    double localization, classification, regularization, total;
} det_evaluation_losses;
DET_API int det_evaluation_forms_differ(const det_model *model);
DET_NODISCARD DET_API det_status det_evaluation_check(det_context *context,
                                                      const det_pipeline_config *config,
                                                      const det_evaluation_settings *settings);
DET_NODISCARD DET_API det_status det_evaluation_run_name(det_context *context,
                                                         const det_evaluation_settings *settings,
                                                         char *name, size_t bytes);
DET_NODISCARD DET_API det_status det_evaluation_run(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const det_model *model,
                                                    const det_evaluation_settings *settings,
                                                    det_evaluation **evaluation);
DET_API void det_evaluation_destroy(det_evaluation **evaluation);
DET_API const det_coco_result *det_evaluation_coco(const det_evaluation *evaluation);
DET_API det_coco_evaluator *det_evaluation_evaluator(det_evaluation *evaluation);
DET_NODISCARD DET_API det_status det_evaluation_get_losses(const det_evaluation *evaluation,
                                                           det_evaluation_losses *losses);
#ifdef __cplusplus
}
#endif
#endif
