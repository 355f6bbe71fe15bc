#include "common/samples.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct samples_summary samples_summarise(double *values, size_t count)
{
    struct samples_summary s = {0};
    qsort(values, count, sizeof *values, compare);
    for (size_t i = 0; i < count; i++)
        s.mean += values[i] / (double)count;
    s.least = values[0];
    s.p50 = values[(count + 1) / 2 - 1];
    s.p99 = values[(count * 99 + 99) / 100 - 1];
    return s;
}
