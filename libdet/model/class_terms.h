/* class_terms.h: classification loss of logits whose target is 0, nearly all of them, four at a
 * time. */
#ifndef DET_MODEL_CLASS_TERMS_H
#define DET_MODEL_CLASS_TERMS_H

#include "model/losses.h"

#define DET_CLASS_TERMS_ROOM 4 /* arrays must have room for a multiple of it */

/* True where det_class_terms() can do it: no focal loss, or one with gamma 2. */
bool det_class_terms_serve(const struct det_loss_settings *settings);

/* loss and its derivative for each logit; the formulas are det_losses_compute()'s, within 3e-7 of
 * the exact values (relative to the loss; the derivative likewise). NaN gives NaN. */
void det_class_terms(const struct det_loss_settings *settings, const float *logits, int32_t count,
                     float *losses, float *slopes);

#endif
