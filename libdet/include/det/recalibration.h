/* det/recalibration.h: the statistics that an exported model's batch norms use, taken anew over
 * training pictures.
 *
 * A training keeps moving averages of them, with a decay from the config. After a short training
 * these are still in part what they began with (decay^steps of it), and the exported model, which
 * uses them, is worse than the trained one: on small sets by tens of points of AP. Source: Wu and
 * Johnson, "Rethinking 'Batch' in BatchNorm" (2021), section 3. */
#ifndef DET_RECALIBRATION_H
#define DET_RECALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/sample_source.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Pictures that are enough: more change no figure by more than another choice of as many does. */
#define DET_RECALIBRATION_IMAGES 256

typedef struct det_recalibration_settings {
    size_t struct_size; /**< sizeof(det_recalibration_settings), set by the default function */
    const char *const *records;    /**< TFRecord files or patterns; their boxes are not looked at */
    size_t record_count;           /**< 0, the default: those of the config's train_input_reader */
    const char *const *image_dirs; /**< for records whose image/encoded is empty */
    size_t image_dir_count;
    int64_t images; /**< at most, chosen evenly by a fixed seed; 0: all; default
                         DET_RECALIBRATION_IMAGES */
    /** Called after each batch; return non-zero to stop with CANCELLED. May be NULL. */
    int (*progress)(void *user, int64_t done, int64_t total);
    void *progress_user;
    /** pictures of the program's own, in place of all records; their boxes are not looked at. NULL,
     * the default: records */
    const det_sample_source *samples;
} det_recalibration_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_recalibration_settings_init(det_recalibration_settings *settings,
                                             size_t struct_size);
static inline void det_recalibration_settings_default(det_recalibration_settings *settings)
{
    det_recalibration_settings_init(settings, sizeof *settings);
}

/** A copy of `model`, which must be in training form, that is exported and evaluated with new
 * statistics; its weights and moving averages are the same. `settings` may be NULL.
 * INVALID_ARGUMENT when there is nothing to recalibrate: an exported model, or freeze_batchnorm.
 * On failure *recalibrated is NULL. */
DET_NODISCARD DET_API det_status det_model_recalibrate(det_context *context,
                                                       const det_pipeline_config *config,
                                                       const det_model *model,
                                                       const det_recalibration_settings *settings,
                                                       det_model **recalibrated);

/** Over how many pictures a model's statistics were taken anew: by det_model_recalibrate(), by the
 * training that wrote the checkpoint, before an export. 0: they are moving averages. */
DET_API int64_t det_model_recalibrated_images(const det_model *model);

/** How far a training's moving averages have come from what they began with. */
typedef struct det_decay_advice {
    size_t struct_size; /**< sizeof(det_decay_advice) */
    double decay;       /**< the largest of the config's batch norms */
    double left;        /**< decay^steps: the share of the beginning that is still in them */
    double fitting;     /**< a decay that leaves .01 of it */
    /** more than .01 is left and an export would use it: the statistics were not taken anew, batch
     * norms are not frozen, the model is not exported yet */
    int warn;
} det_decay_advice;

/** Of a model's own step. */
DET_NODISCARD DET_API det_status det_model_decay_advice(const det_model *model,
                                                        det_decay_advice *advice);

#ifdef __cplusplus
}
#endif
#endif
