/* box_rules.h: what check.c reports and repair.c mends, told in one place. */
#ifndef DET_CONVERT_BOX_RULES_H
#define DET_CONVERT_BOX_RULES_H

#include <math.h>

#include "convert/annotations.h"
#include "convert/findings.h"
#include "data/box_faults.h"

#define DET_BOX_PIXELS 2.0 /* a share is never so large, a pixel coordinate mostly is */

/* The first rule that a normalised box breaks; DET_RULE_COUNT: none. Boxes one rounding outside are
 * BOX_EDGE. */
static inline enum det_rule det_box_rule(const double box[4], int32_t width_px, int32_t height_px)
{
    double beyond = 0;
    const unsigned faults = det_box_faults(box, &beyond);
    if ((faults & DET_BOX_NOT_FINITE) != 0)
        return DET_RULE_BOX_NOT_FINITE;
    if ((faults & DET_BOX_REVERSED) != 0)
        return DET_RULE_BOX_REVERSED;
    if ((faults & DET_BOX_NO_AREA) != 0)
        return DET_RULE_BOX_ZERO_SIZE;
    if (fmax(box[2], box[3]) > DET_BOX_PIXELS && box[2] > 1 && box[3] > 1)
        return DET_RULE_BOX_PIXELS;
    if ((faults & DET_BOX_OUTSIDE) != 0)
        return DET_RULE_BOX_OUTSIDE;
    /* float32 of a record rounds by up to 6e-8 */
    if (beyond > 1e-6)
        return DET_RULE_BOX_EDGE;
    if ((box[2] - box[0]) * height_px < 1 - 1e-3 || (box[3] - box[1]) * width_px < 1 - 1e-3)
        return DET_RULE_BOX_TINY;
    return DET_RULE_COUNT;
}

/* Positions of images by rising pixel hash, broken ones left out; equal hashes by position. *count:
 * how many. The caller frees. */
det_status det_images_by_hash(struct det_env *env, const struct det_annotations *set,
                              uint32_t **order, size_t *count);
/* The same by split and source_id. */
det_status det_images_by_id(struct det_env *env, const struct det_annotations *set,
                            uint32_t **order, size_t *count);
/* Same class and the same coordinates to 1e-6. */
bool det_same_object(const struct det_labelled_object *a, const struct det_labelled_object *b);

#endif
