/* evaluation_found.h: what an evaluation finds in an image, with what is in it: all that the
 * figures are made of, whichever rank has looked at the image.
 *
 * It goes from rank to rank as bytes: a head of fixed size, then each array, the objects' first,
 * without padding. Ranks are of one build, so the order of bytes is the machine's. Who reads them
 * believes no count: images of a rank may be many, and their arrays are allocated by what they say.
 */
#ifndef DET_EVAL_EVALUATION_FOUND_H
#define DET_EVAL_EVALUATION_FOUND_H

#include "data/ground_truth.h"
#include "model/postprocess.h"

struct det_evaluation_found {
    int64_t image;                       /* record of the data set */
    int32_t height, width;               /* of the image's file */
    double localization, classification; /* losses */
    struct det_ground_truth truth;       /* boxes normalised to the image; weights do not travel */
    struct det_detections detections;    /* the same, by falling score; no anchors */
    int32_t room;                        /* in the arrays of detections, after reading */
};

struct det_evaluation_bytes {
    uint8_t *data;
    size_t count, capacity;
};

/* Behind what is in `bytes`. */
det_status det_evaluation_found_append(struct det_env *env,
                                       const struct det_evaluation_found *found,
                                       struct det_evaluation_bytes *bytes);

/* From data[*at] on, which moves to behind it; `end` is where the bytes end, classes K of the
 * model. Arrays of `found` are reused; the first time it is zeroed. CORRUPT, and no objects and
 * detections, when it is not all there or has a class that is not. */
det_status det_evaluation_found_read(struct det_env *env, const uint8_t *data, size_t *at,
                                     size_t end, int32_t classes,
                                     struct det_evaluation_found *found);

/* Of one that was read. */
void det_evaluation_found_free(struct det_env *env, struct det_evaluation_found *found);

#endif
