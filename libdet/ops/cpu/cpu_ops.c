/* The fast tables, and which of them this machine can run. */
#include <string.h>

#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/isa/cpu_features.h"
#include "ops/cpu/isa/cpu_ops.h"

#define CPU_TABLE(text, set, isa, products, bytes, native_bf16)                            \
    static const struct det_ops set##_bf16_ops = {                                         \
        .name = text,                                                                      \
        .multiplies_bf16 = native_bf16,                                                    \
        .blocked = &detk_blocked_bf16_##products,                                          \
        DET_F32_OP_LIST(DET_FILL_OP, isa) DET_BF16_OP_LIST(DET_FILL_OP, bf16_##products)}; \
    static const struct det_ops set##_ops = {.name = text,                                 \
                                             .bf16 = &set##_bf16_ops,                      \
                                             .multiplies_bf16 = native_bf16,               \
                                             .blocked = &detk_blocked_##isa,               \
                                             .q8 = &detk_blocked_q8_##bytes,               \
                                             DET_OP_LIST(DET_FILL_OP, isa)};

DETK_SETS(CPU_TABLE)

/* Slowest first. */
#define CPU_SET(text, set, isa, bf16, q8, native_bf16) {&set##_ops, detk_why_not_##set},
static const struct {
    const struct det_ops *ops;
    const char *(*why_not)(void);
} sets[] = {DETK_SETS(CPU_SET)};

enum { SETS = sizeof sets / sizeof *sets };

const struct det_ops *det_ops_cpu(const char *instruction_set, const char **reason)
{
    int i = SETS - 1;
    *reason = NULL;
    if (strcmp(instruction_set, "ref") == 0)
        return det_ops_ref();
    if (strcmp(instruction_set, "generic") == 0)
        return sets[0].ops;
    if (strcmp(instruction_set, "auto") == 0) {
        while (sets[i].why_not() != NULL)
            i--;
        return sets[i].ops;
    }
    while (i >= 0 && strcmp(instruction_set, sets[i].ops->name) != 0)
        i--;
#define CPU_NAME(text, set, isa, bf16, q8, native_bf16) ", " text
    *reason = i < 0 ? "unknown instruction set, expected auto, ref" DETK_SETS(CPU_NAME)
                    : sets[i].why_not();
    return *reason == NULL ? sets[i].ops : NULL;
}

const char *det_ops_cpu_name(int index)
{
    if (index == 0)
        return det_ops_ref()->name;
    return index > 0 && index <= SETS ? sets[index - 1].ops->name : NULL;
}
