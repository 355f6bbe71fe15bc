/* det/augmentation.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_AUGMENTATION_H
#define DET_AUGMENTATION_H
#include "det/context.h"
#include "det/detector.h"
#include "det/pipeline_config.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_augmenter det_augmenter;
DET_NODISCARD DET_API det_status det_augmenter_create(det_context *context,
                                                      const det_pipeline_config *config,
                                                      det_augmenter **augmenter);
DET_API void det_augmenter_destroy(det_augmenter **augmenter);
DET_API size_t det_augmenter_count(const det_augmenter *augmenter);
DET_API const char *det_augmenter_name(const det_augmenter *augmenter, size_t index);
typedef struct det_augmented {
    size_t struct_size;
    det_image_view image;
    const det_detection *objects;
    size_t count;
} det_augmented;
DET_NODISCARD DET_API det_status det_augmenter_run(det_augmenter *augmenter,
                                                   const det_image_view *image,
                                                   const det_detection *objects, size_t count,
                                                   uint64_t seed, uint64_t sample,
                                                   det_augmented *result);
#ifdef __cplusplus
}
#endif
#endif
