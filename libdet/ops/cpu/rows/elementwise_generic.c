/* elementwise_kernel.h for any machine. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#include "ops/cpu/rows/elementwise_kernel.h"
