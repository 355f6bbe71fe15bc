/* check.h: judges a resolved data set, and mends what can be mended without guessing much. */
#ifndef DET_CONVERT_CHECK_H
#define DET_CONVERT_CHECK_H

#include "convert/annotations.h"
#include "convert/findings.h"

/* Findings on classes, boxes, ids and duplicates, in the order of images. Call after
 * det_annotations_resolve(). */
det_status det_annotations_check(struct det_env *env, const struct det_annotations *set,
                                 struct det_findings *findings);

/* What becomes of an object that cannot be kept: its image stays with the others that it has, and
 * is dropped when none is left, so that what has lost its objects is not taken for background.
 * Objects of a class that the label map does not list are no fault of the labelling: without them
 * an image may be background. */
struct det_repairs {
    size_t images_dropped; /* missing, no image, do not decode; all but one of equal pixels */
    size_t images_emptied; /* dropped too: all of their objects had a fault */
    size_t images_thinned; /* kept, with some of their objects */
    size_t images_turned;  /* turned as the boxes need it, their EXIF tag gone */
    size_t tags_removed;   /* EXIF rotation that the boxes ignore */
    size_t sizes_corrected;
    size_t ids_changed;                  /* a source_id that came before: "ID#2" */
    size_t boxes_clipped, boxes_swapped; /* reversed: min and max exchanged */
    size_t boxes_dropped;   /* not finite, no area, outside, no class or weight, not read */
    size_t boxes_repeated;  /* dropped: there twice */
    size_t boxes_unlisted;  /* dropped: of a class that the label map lacks */
    size_t classes_by_text; /* number and text were different classes: the text stands */
};

/* Drops and changes in place; afterwards det_annotations_check() finds no error but fatal ones, and
 * that nothing is left. */
det_status det_annotations_repair(struct det_env *env, struct det_annotations *set,
                                  struct det_repairs *repairs);

/* An id that an image before it in its split has too becomes "ID#2", by the image's number.
 * *changed counts. */
det_status det_annotations_rename_ids(struct det_env *env, struct det_annotations *set,
                                      size_t *changed);

#endif
