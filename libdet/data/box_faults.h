/* box_faults.h: what can be wrong with the box of an object, ymin, xmin, ymax, xmax as shares of
 * the picture: one set of rules for records that are trained on (dataset.h) and for annotations
 * that are checked and repaired (convert/). What follows from a fault is theirs. */
#ifndef DET_DATA_BOX_FAULTS_H
#define DET_DATA_BOX_FAULTS_H

#include <stdbool.h>

/* How far a coordinate may be outside the picture and still be taken for rounding. */
#define DET_BOX_TOLERANCE .01

enum det_box_fault {
    DET_BOX_NOT_FINITE = 1, /* stands alone: nothing else can be said */
    DET_BOX_REVERSED = 2,   /* a minimum above its maximum */
    DET_BOX_NO_AREA = 4,    /* a minimum that is not below its maximum */
    DET_BOX_OUTSIDE = 8,    /* by more than the tolerance */
};

/* All faults, 0: none. *beyond: how far the box reaches outside, 0 where it does not. */
unsigned det_box_faults(const double box[4], double *beyond);
/* "is reversed (min > max)" */
const char *det_box_fault_text(enum det_box_fault fault);
/* Cuts it to the picture; false when no area is left. */
bool det_box_clip(double box[4]);

#endif
