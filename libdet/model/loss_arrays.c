/* loss_arrays.c: det/losses.h. */
#include "det/losses.h"

#include "base/arguments.h"
#include "base/context.h"
#include "model/losses.h"

det_status det_loss_sigmoid_focal(det_context *context, float gamma, float alpha,
                                  const float *logits, const uint8_t *targets, size_t count,
                                  float *losses, float *gradients)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, logits, count);
    DET_NEED_ARRAY(env, targets, count);
    DET_NEED_ARRAY(env, losses, count);
    if (!(alpha <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "focal loss: alpha is %g, expected 0 to 1, or less than 0 for none",
                        (double)alpha);
    struct det_loss_settings settings;
    det_loss_settings_default(&settings);
    settings.focal_gamma = gamma;
    settings.focal_has_alpha = alpha >= 0;
    settings.focal_alpha = alpha;
    if (gamma == 0 && alpha < 0)
        settings.class_loss = DET_CLASS_LOSS_SIGMOID;
    DET_TRY_RETURN(det_loss_settings_check(env, &settings));
    for (size_t i = 0; i < count; i++)
        if (targets[i] > 1)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "focal loss: target %zu is %d, expected 0 or 1", i, targets[i]);
    det_class_losses(&settings, logits, targets, count, losses, gradients);
    return DET_OK;
}

det_status det_loss_smooth_l1(det_context *context, float delta, const float *encodings,
                              const float *targets, size_t count, float *losses, float *gradients)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, encodings, count);
    DET_NEED_ARRAY(env, targets, count);
    DET_NEED_ARRAY(env, losses, count);
    struct det_loss_settings settings;
    det_loss_settings_default(&settings);
    settings.huber_delta = delta;
    DET_TRY_RETURN(det_loss_settings_check(env, &settings));
    for (size_t i = 0; i < count; i++) {
        float slopes[4];
        losses[i] = det_huber_loss(delta, encodings + 4 * i, targets + 4 * i,
                                   gradients != NULL ? gradients + 4 * i : slopes);
    }
    return DET_OK;
}
