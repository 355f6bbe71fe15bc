/* blocked.isa.c: the kernels of blocked.h on float32, for each instruction set. */
#include "ops/cpu/isa/isas.h"

#define BLOCKED_TABLE DETK_NAME(detk_blocked)
#include "ops/cpu/blocked/blocked_table.h"
