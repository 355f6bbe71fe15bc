/* resolve.h: decodes every image of a data set once, on all threads, and settles in which frame its
 * boxes are. */
#ifndef DET_CONVERT_RESOLVE_H
#define DET_CONVERT_RESOLVE_H

#include "base/pool.h"
#include "convert/annotations.h"
#include "convert/findings.h"

/* What an EXIF rotation means for the boxes of an image. */
enum det_exif_policy {
    DET_EXIF_AUTO,  /* the size that the source says decides; where it does not tell: records are as
                        TensorFlow reads them (not turned), files as viewers show them (turned) */
    DET_EXIF_APPLY, /* boxes are for the turned image: it is turned when it is written */
    DET_EXIF_IGNORE, /* boxes are for the pixels as stored: the tag is taken off when it is written */
};

/* Afterwards every image that is not broken has kind, size of the boxes' frame, orientation, turn and
 * pixel hash, and all boxes are normalised to that frame. Findings: IMAGE_*. */
det_status det_annotations_resolve(struct det_env *env, struct det_annotations *set,
                                   enum det_exif_policy exif, struct det_pool *pool,
                                   struct det_findings *findings);
#endif
