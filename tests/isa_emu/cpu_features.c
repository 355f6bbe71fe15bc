/* cpu_features.c: takes the place of libdet/ops/cpu/isa/cpu_features_x86.c in CONFIG=isa-emu, where
 * the code for AVX-512 and AVX-VNNI runs on AVX2 (avx512.h, avxvnni.h). */
#include "ops/cpu/isa/cpu_features.h"

const char *detk_why_not_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
               ? NULL
               : "this processor has no AVX2 with FMA";
}

const char *detk_why_not_avxvnni(void)
{
    return detk_why_not_avx2();
}

const char *detk_why_not_avx512(void)
{
    return detk_why_not_avx2();
}

const char *detk_why_not_avx512vnni(void)
{
    return detk_why_not_avx2();
}

const char *detk_why_not_avx512bf16(void)
{
    return detk_why_not_avx2();
}
