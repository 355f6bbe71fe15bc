/* column_sums_kernel.h for any machine. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#include "ops/cpu/rows/column_sums_kernel.h"
