/* det/augmentation.h: the data augmentation of a pipeline.config on single images: what training
 * sees, for programs that want to show or check it. */
#ifndef DET_AUGMENTATION_H
#define DET_AUGMENTATION_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"
#include "det/pipeline_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_augmenter det_augmenter;

/** Takes train_config.data_augmentation_options; the config is not needed afterwards. UNSUPPORTED
 *  names an option that cannot be done, with its line. The augmenter belongs to its context's
 *  thread and must be destroyed before it. */
DET_NODISCARD DET_API det_status det_augmenter_create(det_context *context,
                                                      const det_pipeline_config *config,
                                                      det_augmenter **augmenter);
DET_API void det_augmenter_destroy(det_augmenter **augmenter);

/** Number of options, and the name of each ("random_horizontal_flip"); NULL out of range. */
DET_API size_t det_augmenter_count(const det_augmenter *augmenter);
DET_API const char *det_augmenter_name(const det_augmenter *augmenter, size_t index);

/** An image after augmentation, before the resize to the network's input. */
typedef struct det_augmented {
    size_t struct_size;           /**< sizeof(det_augmented) */
    det_image_view image;         /**< RGB8, without padding */
    const det_detection *objects; /**< score 1; boxes normalised to this image */
    size_t count;
} det_augmented;

/**
 * Applies all options to an image and its objects (class_id from 1 on; scores are not looked at).
 * `sample` numbers the draw: the same seed and number give the same result, and those of a
 * training are its samples' (sample i of a run with that seed). Of an image with a region that part
 * is the image: the objects are normalised to it. `result` belongs to the augmenter and holds until
 * its next call, which may take it as its image and objects. A box that is not finite is
 * NON_FINITE.
 */
DET_NODISCARD DET_API det_status det_augmenter_run(det_augmenter *augmenter,
                                                   const det_image_view *image,
                                                   const det_detection *objects, size_t count,
                                                   uint64_t seed, uint64_t sample,
                                                   det_augmented *result);

#ifdef __cplusplus
}
#endif
#endif
