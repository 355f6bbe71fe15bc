/* dwconv_kernel.h for any machine. */
#define DET_ISA       generic
#define DET_ISA_WIDTH 4
#include "ops/cpu/dwconv/dwconv_kernel.h"
