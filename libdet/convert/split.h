/* split.h: deals a data set out into splits. */
#ifndef DET_CONVERT_SPLIT_H
#define DET_CONVERT_SPLIT_H

#include "convert/annotations.h"

struct det_split_settings {
    const char *const *names;
    const double *shares; /* positive; only their ratio counts */
    size_t count;
    uint64_t seed;
};

/* Every image gets a split anew; those that there were are forgotten. Images with the same pixels
 * stay together. The classes are spread evenly: class by class, from the rarest on, each image goes
 * to the split that still misses most of that class (iterative stratification; Sechidis, Tsoumakas,
 * Vlahavas, "On the stratification of multi-label data", ECML 2011). The same seed gives the same
 * splits. */
det_status det_annotations_split(struct det_env *env, struct det_annotations *set,
                                 const struct det_split_settings *settings);

#endif
