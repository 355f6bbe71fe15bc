#include "train/tf_resume.h"

#include <stdio.h>
#include <string.h>

#include "formats/tf_bundle.h"
#include "model/model.h"
#include "model/optimizer_state.h"
#include "support/mem.h"
#include "train/restore.h"

/* Where the optimizer is in the checkpoint: alone, or inside the one that keeps moving averages,
 * which calls it so or, in newer tf-models-official, so. */
static const char *const optimizers[] = {"optimizer", "optimizer/base_optimizer",
                                         "optimizer/ema_base_optimizer"};

struct tally {
    int32_t found, missing;
    char first_missing[320];
};

static bool has_weights(const struct det_tf_bundle *bundle)
{
    for (size_t i = 0; i < det_tf_bundle_count(bundle); i++)
        if (strncmp(det_tf_bundle_entry(bundle, i)->key, "model/", 6) == 0)
            return true;
    return false;
}

det_status det_tf_resume_origin(struct det_env *env, const char *prefix, enum det_tf_origin *origin)
{
    struct det_tf_bundle *bundle = NULL;
    int64_t step = -1;
    *origin = DET_TF_NO_TRAINING;
    DET_TRY_RETURN(det_tf_bundle_open(env, prefix, &bundle));
    const det_status status = det_tf_bundle_step(env, bundle, &step);
    if (status == DET_OK && step >= 0)
        *origin = has_weights(bundle) ? DET_TF_TRAINING : DET_TF_UNBEGUN;
    det_tf_bundle_close(env, &bundle);
    return status;
}

static bool same_shape(const struct det_param *param, const struct det_tf_entry *entry)
{
    bool same = param->dims == entry->dims;
    for (int32_t d = 0; same && d < param->dims; d++)
        same = param->shape[d] == entry->shape[d];
    return same;
}

static const struct det_tf_entry *find_slot(const struct det_tf_bundle *bundle,
                                            const struct det_param *param, const char *name,
                                            char key[320])
{
    const struct det_tf_entry *entry = NULL;
    for (size_t i = 0; entry == NULL && i < sizeof optimizers / sizeof optimizers[0]; i++) {
        snprintf(key, 320, "%s/.OPTIMIZER_SLOT/%s/%s", param->key, optimizers[i], name);
        entry = det_tf_bundle_find_variable(bundle, key);
    }
    return entry != NULL && same_shape(param, entry) ? entry : NULL;
}

static det_status read_slot(struct det_env *env, struct det_tf_bundle *bundle,
                            struct det_learner *learner, int32_t slot, const char *name,
                            struct tally *tally)
{
    char key[320];
    for (int32_t p = 0; p < learner->graph.param_count; p++) {
        const struct det_param *param = &learner->graph.params[p];
        float *values = learner->slots[slot] + param->offset;
        if (!param->trainable)
            continue;
        const struct det_tf_entry *entry = find_slot(bundle, param, name, key);
        if (entry == NULL) {
            if (tally->missing++ == 0)
                snprintf(tally->first_missing, sizeof tally->first_missing, "%s of %.200s", name,
                         param->key);
            continue;
        }
        DET_TRY_RETURN(det_tf_bundle_read_float(env, bundle, entry, values, param->count));
        if (det_params_check_finite(env, det_tf_bundle_prefix(bundle), param, values) != DET_OK)
            return det_fail_prefix(env, DET_STATUS_NON_FINITE, "optimizer slot %s", name);
        tally->found++;
    }
    return DET_OK;
}

/* The optimizer's own count, which Adam and the averages go by; the step where there is none. */
static det_status read_updates(struct det_env *env, struct det_tf_bundle *bundle, int64_t step,
                               int64_t *updates)
{
    char key[64];
    *updates = step;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        snprintf(key, sizeof key, "%s/iter", optimizers[i]);
        const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, key);
        if (entry != NULL)
            DET_TRY_RETURN(det_tf_bundle_read_int64(env, bundle, entry, updates));
    }
    *updates = *updates < 0 ? 0 : *updates;
    return DET_OK;
}

det_status det_tf_resume(struct det_env *env, const char *prefix, struct det_learner *learner,
                         int64_t *step)
{
    struct det_tf_bundle *bundle = NULL;
    struct det_restore_report report;
    struct tally tally = {0};
    det_status status = DET_OK;
    *step = 0;
    DET_TRY(det_restore_params(env, prefix, DET_RESTORE_ALL, &learner->graph, NULL, learner->params,
                               &report));
    DET_TRY(det_tf_bundle_open(env, prefix, &bundle));
    for (int32_t s = 0; s < learner->slot_count; s++) {
        const bool average = s == learner->average_slot;
        if (average) /* where the file has none they begin as the weights */
            memcpy(learner->slots[s], learner->params, learner->graph.param_floats * sizeof(float));
        DET_TRY(read_slot(env, bundle, learner, s,
                          det_optimizer_slot_name(learner->settings.rule, s, learner->average_slot),
                          &tally));
    }
    DET_TRY(read_updates(env, bundle, report.step, &learner->updates));
    /* Before the first step there are none; they are zeros then. */
    if (tally.missing > 0 && report.step > 0)
        det_log(env, DET_LOG_WARNING,
                "%s: %d of %d optimizer slots are not there (first: %s): they begin as in a new "
                "training, as with TensorFlow",
                prefix, (int)tally.missing, (int)(tally.missing + tally.found),
                tally.first_missing);
    *step = report.step > 0 ? report.step : 0;
fail:
    det_tf_bundle_close(env, &bundle);
    return status;
}
