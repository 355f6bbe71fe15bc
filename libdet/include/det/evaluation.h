/* det/evaluation.h: evaluates a model on the config's evaluation input, or a program's own images:
 * COCO figures and losses, as eval_continuously() of the TF Object Detection API reports them. */
#ifndef DET_EVALUATION_H
#define DET_EVALUATION_H

#include <stddef.h>
#include <stdint.h>

#include "det/coco.h"
#include "det/communicator.h"
#include "det/context.h"
#include "det/detector.h"
#include "det/export_formats.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/sample_source.h"
#include "det/summary.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_evaluation det_evaluation;

typedef struct det_evaluation_settings {
    size_t struct_size; /**< sizeof(det_evaluation_settings), set by the default function */
    const char *const *image_dirs; /**< for records whose image/encoded is empty */
    size_t image_dir_count;
    int64_t max_images; /**< 0, the default: all */
    /** 1: as the exported model computes, with the statistics that det_model_export() folds. 0, the
     * default: the figures that eval_continuously() of the API prints, which normalises in the box
     * predictor by each image's own statistics. See det_evaluation_forms_differ() */
    int as_exported;
    const int32_t *max_dets; /**< NULL: 1, 10, 100 */
    int32_t max_det_count;
    /** 1: `difficult` objects are taken out of COCO's figures, as crowds are; 0, the default: they
     * count, as in pycocotools and the API */
    int honour_ignore;
    /** figures and precision-recall curves go there too, by the API's tags, at the model's step; a
     * failing write is a warning. NULL, the default: nowhere */
    det_summary_writer *summaries;
    /** 1, the default: pictures go there too: the first eval_config.num_visualizations images with
     * detections and ground truth side by side, and those that went best and worst */
    int pictures;
    /** Called after each image; return non-zero to stop with CANCELLED. May be NULL. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    /** 1: what there is to say of the data is not said, for an evaluation of data that was told of
     * before (by det_evaluation_check() or another evaluation); default 0 */
    int quiet;
    int reserved; /**< 0 */
    /** images and boxes of the program's own, in place of the records of eval_input_reader, whose
     * label map is still needed; image_dirs is not looked at then. NULL, the default: the
     * records */
    const det_sample_source *samples;
    /** a CSV file, usually MODEL_DIR/results.csv, which a row of the figures is added to
     * (docs/monitoring.md); a failing write is a warning. NULL, the default: none */
    const char *results;
    /** What a detector finds that looks at the images in tiles is evaluated, in the exported form,
     * whatever as_exported says; losses are of the images as a whole. NULL, the default: no
     * tiles */
    const det_tile_settings *tiles;
    /** The files of the model in another engine's format: what they find is evaluated, as libdet
     * reads them and plain operations run them, which takes some tenths of a second an image.
     * Losses are the model's. Formats that are no other engine's ("det", "tf_checkpoint"), and
     * NULL, the default: the model. INVALID_ARGUMENT with tiles */
    const det_export *exported;
    /** the ranks that evaluate together: each takes its part of the images, all get the whole
     * result, that of one process bit for bit, or the same failure. All make this call with the
     * same model, settings and data; files are written, and `summaries` and `results` looked at,
     * on rank 0 alone. `progress` is told as if all ranks were as far as its own, and stops all.
     * NULL, the default: this process alone */
    det_communicator *communicator;
} det_evaluation_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_evaluation_settings_init(det_evaluation_settings *settings, size_t struct_size);
static inline void det_evaluation_settings_default(det_evaluation_settings *settings)
{
    det_evaluation_settings_init(settings, sizeof *settings);
}

/** Means over the images. An exported model has no regularised weights any more: regularization is
 * then 0. */
typedef struct det_evaluation_losses {
    size_t struct_size; /**< sizeof(det_evaluation_losses) */
    double localization, classification, regularization, total;
} det_evaluation_losses;

/** Whether the API's way of evaluating and the exported form can give other figures: not for an
 * exported model, and not with freeze_batchnorm. */
DET_API int det_evaluation_forms_differ(const det_model *model);

/** Opens the config's evaluation data and closes it again: what is wrong with it can be told before
 * a long training. */
DET_NODISCARD DET_API det_status det_evaluation_check(det_context *context,
                                                      const det_pipeline_config *config,
                                                      const det_evaluation_settings *settings);

/** Name of the run, a folder of event files, that the figures belong to, into name [bytes] (128 is
 * room enough for three max_dets): "eval" for those that eval_continuously() of the API would give;
 * what was made in another way cannot be compared with them and gets a run of its own:
 * "eval_exported", "eval_max_images_100". INVALID_ARGUMENT: it does not fit. */
DET_NODISCARD DET_API det_status det_evaluation_run_name(det_context *context,
                                                         const det_evaluation_settings *settings,
                                                         char *name, size_t bytes);

/** Evaluates. The result lives until it is destroyed. */
DET_NODISCARD DET_API det_status det_evaluation_run(det_context *context,
                                                    const det_pipeline_config *config,
                                                    const det_model *model,
                                                    const det_evaluation_settings *settings,
                                                    det_evaluation **evaluation);
DET_API void det_evaluation_destroy(det_evaluation **evaluation);

DET_API const det_coco_result *det_evaluation_coco(const det_evaluation *evaluation);
/** The evaluator behind it, for tables, JSON and curves. */
DET_API det_coco_evaluator *det_evaluation_evaluator(det_evaluation *evaluation);
DET_NODISCARD DET_API det_status det_evaluation_get_losses(const det_evaluation *evaluation,
                                                           det_evaluation_losses *losses);

#ifdef __cplusplus
}
#endif
#endif
