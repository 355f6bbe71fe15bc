/* blocked_bf16.set.c: the kernels of blocked.h on bf16, for each set of bf16. */
#include "ops/cpu/isa/isas.h"

#define DET_FORM_BF16
#define BLOCKED_TABLE DETK_NAME(detk_blocked_bf16)
#include "ops/cpu/blocked/blocked_table.h"
