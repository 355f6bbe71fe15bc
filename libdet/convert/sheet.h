/* sheet.h: pictures of a data set with its boxes, side by side in one image. */
#ifndef DET_CONVERT_SHEET_H
#define DET_CONVERT_SHEET_H

#include "convert/annotations.h"
#include "data/augment.h"

struct det_sheet_settings {
    size_t count; /* pictures; fewer when there are not so many */
    int32_t columns;
    int32_t cell_px; /* side of the square that a picture is fitted into */
    uint64_t seed;   /* chooses the pictures */
    /* applied to each, with the seed; count 0: none */
    const struct det_augment_option *augmentations;
    size_t augmentation_count;
};

/* The set must be resolved. A picture that needs turning is shown turned. INVALID_ARGUMENT when
 * there is no picture. */
det_status det_annotations_sheet(struct det_env *env, const struct det_annotations *set,
                                 const struct det_sheet_settings *settings,
                                 struct det_image *sheet);

#endif
