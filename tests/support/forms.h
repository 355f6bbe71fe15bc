/* forms.h: the kernels of the prepared network that this machine can run, for the tests that go
 * through all of them. */
#ifndef DET_TESTS_SUPPORT_FORMS_H
#define DET_TESTS_SUPPORT_FORMS_H

#include "ops/cpu/blocked/blocked.h"
#include "support/ops.h"

/* An instruction set in one of the two forms of blocked.h. */
struct form {
    const struct det_ops *ops;
    const struct detk_blocked *kernels; /* ops->blocked */
    char name[32];
};
#define FORMS_MAX (2 * OPS_TABLES_MAX)

/* Returns how many. */
int forms(struct form list[FORMS_MAX]);
/* Those in 8 bits, each once; `kernels` are ops->q8 then. */
int forms_q8(struct form list[FORMS_MAX]);
/* What the form makes of values that are stored in it. */
void form_round(const struct form *form, float *values);
/* Half a unit in the last of 8 significant bits: what storing a result in the form may change. */
double form_rounding(const struct form *form);

/* Values at which narrowing to bf16 can go wrong, and others. */
float bf16_hostile(size_t i);
/* What an instruction set makes of one: the processor's own instructions count denormal numbers as
 * zero. */
uint16_t bf16_wanted(const struct det_ops *ops, float value);
/* Half `index` of words, the lower one of a word first. */
uint16_t bf16_half(const float *words, size_t index);

#endif
