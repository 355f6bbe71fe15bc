#include "support/forms.h"

#include <stdio.h>

#include "backend/cpu/bf16.h"

int forms(struct form list[FORMS_MAX])
{
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    int forms = 0;
    for (int i = 0; i < count; i++) {
        list[forms++].ops = tables[i];
        list[forms++].ops = tables[i]->bf16;
    }
    const char *reason = NULL;
    const struct det_ops *native = det_ops_cpu("avx512bf16", &reason);
    static bool said;
    if (native != NULL)
        list[forms++].ops = native->bf16;
    else if (!said)
        print_message("skipped: avx512bf16: %s\n", reason);
    said = true;
    for (int i = 0; i < forms; i++) {
        list[i].kernels = list[i].ops->blocked;
        snprintf(list[i].name, sizeof list[i].name, "%s %s", list[i].ops->name,
                 list[i].kernels->bf16 ? "bf16" : "f32");
    }
    return forms;
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
