/* samples.h: repeated measurements of one thing, boiled down. */
#ifndef DET_TOOLS_COMMON_SAMPLES_H
#define DET_TOOLS_COMMON_SAMPLES_H

#include <stddef.h>

struct samples_summary {
    double p50, p99, least, mean; /* in the unit of the values */
};

/* Percentiles by nearest rank: values that were really measured. Sorts `values` [count], count >
 * 0. */
struct samples_summary samples_summarise(double *values, size_t count);

#endif
