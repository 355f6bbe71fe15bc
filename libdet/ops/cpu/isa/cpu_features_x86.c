/* See cpu_features.h. */
#include "ops/cpu/isa/cpu_features.h"

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

/* Which register state the operating system saves: XCR0, read by XGETBV when CPUID says OSXSAVE.
 * Intel SDM volume 1, 13.3 and 14.3. */
#define STATE_YMM 0x06u /* XMM and YMM */
#define STATE_ZMM 0xe6u /* and opmask, upper halves of ZMM0-15, ZMM16-31 */

static bool system_saves(uint32_t states)
{
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0)
        return false;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & states) == states;
}

const char *detk_why_not_avx2(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return "this processor has no AVX2 with FMA";
    if (!system_saves(STATE_YMM))
        return "the operating system does not save the AVX registers";
    return NULL;
}

/* Intel SDM volume 2, CPUID leaf 7, subleaf 1. */
#define AVX_VNNI (1u << 4)

const char *detk_why_not_avxvnni(void)
{
    const char *reason = detk_why_not_avx2();
    uint32_t a, b, c, d;
    if (reason != NULL)
        return reason;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & AVX_VNNI) != 0
               ? NULL
               : "this processor has no AVX-VNNI";
}

const char *detk_why_not_avx512(void)
{
    const char *reason = detk_why_not_avx2();
    if (reason != NULL)
        return reason;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return "this processor has no AVX-512 F, BW, DQ and VL";
    if (!system_saves(STATE_ZMM))
        return "the operating system does not save the AVX-512 registers";
    return NULL;
}

const char *detk_why_not_avx512vnni(void)
{
    const char *reason = detk_why_not_avx512();
    if (reason != NULL)
        return reason;
    return __builtin_cpu_supports("avx512vnni") ? NULL : "this processor has no AVX512-VNNI";
}

const char *detk_why_not_avx512bf16(void)
{
    const char *reason = detk_why_not_avx512vnni();
    if (reason != NULL)
        return reason;
    return __builtin_cpu_supports("avx512bf16") ? NULL : "this processor has no AVX512-BF16";
}
