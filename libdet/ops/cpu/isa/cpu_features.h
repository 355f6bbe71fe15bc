/* cpu_features.h: which instruction sets this processor and its operating system let a program use.
 * Each is NULL when the set can be used, else why not: a constant text.
 * cpu_features_ARCHITECTURE.c; a build that emulates an instruction set (isa_emu.mk) answers
 * otherwise. */
#ifndef DET_OPS_CPU_ISA_CPU_FEATURES_H
#define DET_OPS_CPU_ISA_CPU_FEATURES_H

#include <stddef.h>

static inline const char *detk_why_not_generic(void)
{
    return NULL;
}
const char *detk_why_not_avx2(void);
const char *detk_why_not_avxvnni(void);
const char *detk_why_not_avx512(void);
const char *detk_why_not_avx512vnni(void);
const char *detk_why_not_avx512bf16(void);

#endif
