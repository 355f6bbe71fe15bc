/* ground_truth.h: the labelled objects of one image, as arrays of one length. */
#ifndef DET_DATA_GROUND_TRUTH_H
#define DET_DATA_GROUND_TRUTH_H

#include "support/env.h"

struct det_ground_truth {
    int32_t count;        /* G */
    int32_t capacity;     /* room in each array */
    float (*boxes)[4];    /* ymin, xmin, ymax, xmax, normalised to the image as it is now */
    int32_t *class_index; /* 0..K-1 */
    float *weight;        /* image/object/weight, 1 where absent */
    float *area_px; /* image/object/area, or height * width of the box in pixels; 0 = not known */
    uint8_t *is_crowd, *difficult, *group_of;
};

/* Room for `count` objects; the arrays are one block each, contents kept. */
det_status det_ground_truth_reserve(struct det_env *env, struct det_ground_truth *truth,
                                    int32_t count);
/* Moves object `from` to place `to` in every array (used to drop objects in place). */
void det_ground_truth_move(struct det_ground_truth *truth, int32_t to, int32_t from);
det_status det_ground_truth_copy(struct det_env *env, struct det_ground_truth *to,
                                 const struct det_ground_truth *from);
void det_ground_truth_free(struct det_env *env, struct det_ground_truth *truth);

#endif
