/* finite.h: whether numbers are numbers. */
#ifndef DET_SUPPORT_FINITE_H
#define DET_SUPPORT_FINITE_H

#include <stdbool.h>
#include <stddef.h>

/* No infinity and no NaN among them. */
bool det_all_finite(const float *values, size_t count);

#endif
