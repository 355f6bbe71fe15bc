#include "support/forms.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "ops/cpu/isa/bf16.h"

int forms(struct form list[FORMS_MAX])
{
    const struct det_ops *tables[FORMS_MAX];
    const int plain = ops_tables(tables), count = plain + ops_bf16_tables(tables + plain);
    for (int i = 0; i < count; i++) {
        list[i].ops = tables[i];
        list[i].kernels = tables[i]->blocked;
        snprintf(list[i].name, sizeof list[i].name, "%s %s", list[i].ops->name,
                 list[i].kernels->bf16 ? "bf16" : "f32");
    }
    return count;
}

int forms_q8(struct form list[FORMS_MAX])
{
    int count = 0;
    const char *name, *reason;
    for (int i = 1; (name = det_ops_cpu_name(i)) != NULL; i++) {
        const struct det_ops *ops = det_ops_cpu(name, &reason);
        bool known = ops == NULL;
        for (int j = 0; j < count && !known; j++)
            known = list[j].kernels == ops->q8;
        if (known)
            continue;
        assert_true(ops->q8->q8 && count < FORMS_MAX);
        list[count].ops = ops;
        list[count].kernels = ops->q8;
        snprintf(list[count++].name, sizeof list->name, "%s", name);
    }
    return count;
}

void form_round(const struct form *form, float *values)
{
    for (size_t i = 0; form->kernels->bf16 && i < ops_count(values); i++)
        values[i] = detk_from_bf16(detk_to_bf16(values[i]));
}

double form_rounding(const struct form *form)
{
    return form->kernels->bf16 ? 1.0 / 256 : 0;
}

float bf16_hostile(size_t i)
{
    static const uint32_t bits[] = {
        0x00000000, 0x80000000, 0x3F800000, 0x3F807FFF, 0x3F808000,
        0x3F808001,                                                 /* around a tie */
        0x3F817FFF, 0x3F818000, 0x3F818001, 0xBF818000, 0x3FFF8000, /* ... and a carry */
        0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
        0xFF800000,                                                 /* around infinity */
        0x7F800001, 0x7FFFFFFF, 0xFF80FFFF, 0x7FC00000, 0xFFC12345, /* not a number */
        0x00800000, 0x80808000, 0x00000001, 0x007FFFFF, 0x80012345, /* around denormal */
    };
    const size_t count = sizeof bits / sizeof bits[0];
    uint32_t value = (uint32_t)i * 2654435761U;
    float result;
    if (i < count)
        value = bits[i];
    else if ((value & 0x7F800000U) == 0) /* the only denormal ones are those above */
        value |= 0x3F800000U;
    memcpy(&result, &value, sizeof result);
    return result;
}

uint16_t bf16_wanted(const struct det_ops *ops, float value)
{
    const uint16_t narrow = detk_to_bf16(value);
    return ops->multiplies_bf16 && fabsf(value) < FLT_MIN ? narrow & 0x8000U : narrow;
}

uint16_t bf16_half(const float *words, size_t index)
{
    uint16_t half;
    memcpy(&half, (const char *)words + index * sizeof half, sizeof half);
    return half;
}
