/* planted.h: errors put into the labels of a data set, and how many of them a review finds: what
 * tests/review/label_errors.c measures and tests/unit/test_review.c checks. */
#ifndef DET_TESTS_SUPPORT_PLANTED_H
#define DET_TESTS_SUPPORT_PLANTED_H

#include <stdbool.h>

#include "det/det.h"

enum plant_kind { PLANT_MOVED, PLANT_DROPPED, PLANT_RENAMED, PLANT_KINDS };

struct planted {
    enum plant_kind kind;
    size_t image;
    int64_t object; /* in its image, as it is now; -1: dropped */
    double box[4];  /* as it was */
};

struct plants {
    struct planted *list;
    size_t count, boxes; /* boxes that there were */
};

/* In shares[kind] of all boxes, each box at most once: moved by .25 to .6 of its sides, so that the
 * IoU with where it was is below .6, dropped, or given another class; of a set with one class that
 * is a new one, "other". `set` is resolved, and is resolved again. The list is malloc's. */
det_status plant_errors(det_annotation_set *set, const double shares[PLANT_KINDS], uint64_t seed,
                        struct plants *plants);

/* How many of each kind are among the first `rows` of the review: the row of the box, or of a box
 * moved or dropped one of a detection without a box that meets where it was with an IoU of .5. */
void plants_found(const det_review *review, const struct plants *plants, size_t rows,
                  size_t found[PLANT_KINDS], size_t of[PLANT_KINDS]);

#endif
