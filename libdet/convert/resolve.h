/* resolve.h: decodes every image of a data set once, on all threads, and settles in which frame its
 * boxes are. */
#ifndef DET_CONVERT_RESOLVE_H
#define DET_CONVERT_RESOLVE_H

#include "base/pool.h"
#include "convert/annotations.h"
#include "convert/findings.h"
#include "det/dataset.h"

/* Looks at the images that were not resolved before. Afterwards every image that is not broken has
 * kind, size of the boxes' frame, orientation, turn and pixel hash, and all boxes are normalised to
 * that frame. Findings: IMAGE_*. */
det_status det_annotations_resolve(struct det_env *env, struct det_annotations *set,
                                   det_exif_policy exif, struct det_pool *pool,
                                   struct det_findings *findings);
#endif
