/* observe.h: what a tensor holds over some pictures, and which part of it 8 bits shall cover. */
#ifndef DET_QUANTISE_OBSERVE_H
#define DET_QUANTISE_OBSERVE_H

#include "det/quantisation.h"
#include "support/env.h"

enum { DET_OBSERVED_BINS = 4096 };

struct det_real_range {
    double low, high; /* low <= 0 <= high */
};

struct det_observed {
    int32_t channels;
    float *low, *high; /* [channels] */
    double *sum;       /* [channels] */
    int64_t pixels;    /* that were summed */
    int64_t images;
    double sum_low, sum_high; /* of each image's least and largest value */
    /* how many values lie in each part of -reach .. reach, a power of two that grows */
    double reach;
    int64_t *bins; /* [DET_OBSERVED_BINS] */
    bool has_squares;
    struct det_real_range squares; /* SQUARES' range, which takes long to find */
};

det_status det_observed_create(struct det_env *env, int32_t channels,
                               struct det_observed *observed);
void det_observed_free(struct det_env *env, struct det_observed *observed);
/* Back to nothing seen. */
void det_observed_clear(struct det_observed *observed);

/* Of one image, finite values [rows][channels]. */
void det_observed_add(struct det_observed *observed, const float *values, int64_t rows);

/* By an observer other than AUTO:
 *   MINMAX      all that was seen
 *   AVERAGE     the means of the images' least and largest values
 *   PERCENTILE  all but one value of ten thousand
 *   SQUARES     the part of MINMAX's range with the least squared error of rounding and clamping
 */
struct det_real_range det_observed_range(struct det_observed *observed,
                                         det_quantisation_observer observer);

#endif
