#include "train/learner.h"

#include <string.h>

#include "model/spec_anchors.h"
#include "support/mem.h"

/* What only the CPU does so far. */
static det_status check_backend(struct det_env *env, const struct det_learner_settings *s,
                                const struct det_backend *backend)
{
    if (s->accumulate < 1 || s->accumulate > 65536)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "accumulation: got %d batches an update, expected 1 to 65536",
                        (int)s->accumulate);
    if (!(s->average_decay >= 0 && s->average_decay <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "moving averages: got a decay of %g, expected 0 to 1",
                        (double)s->average_decay);
    if (backend == det_backend_cpu())
        return DET_OK;
    if (s->loss.hard_examples.enabled)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "hard_example_miner is not supported on %s: train with --device cpu or "
                        "without it",
                        backend->name);
    return DET_OK;
}

/* The averages of what no update has touched yet. */
static void begin_averages(struct det_learner *l)
{
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (param->trainable)
            memcpy(l->slots[l->average_slot] + param->offset, l->params + param->offset,
                   param->count * sizeof(float));
    }
}

det_status det_learner_create_idle(struct det_env *env, const struct det_model_spec *spec,
                                   const struct det_learner_settings *settings, uint64_t seed,
                                   struct det_learner **out)
{
    *out = NULL;
    struct det_learner *l = NULL;
    DET_TRY_RETURN(det_alloc(env, &l, 1, sizeof *l, "learner"));
    *l = (struct det_learner){
        .settings = *settings,
        .spec = *spec,
        .slot_count = settings->rule == DET_UPDATE_MOMENTUM ? 1 : 2,
        .average_slot = -1,
    };
    if (settings->average_decay > 0)
        l->average_slot = l->slot_count++;
    det_status status = DET_OK;
    DET_TRY(det_graph_build(env, spec, false, &l->graph));
    const size_t floats = l->graph.param_floats;
    DET_TRY(det_alloc(env, &l->params, floats, sizeof(float), "parameters"));
    for (int32_t s = 0; s < l->slot_count; s++)
        DET_TRY(det_alloc(env, &l->slots[s], floats, sizeof(float), "optimizer state"));
    DET_TRY(det_alloc(env, &l->trainable, (size_t)l->graph.param_count, sizeof(bool),
                      "trainable flags"));
    for (int32_t p = 0; p < l->graph.param_count; p++)
        l->trainable[p] = l->graph.params[p].trainable;
    if (settings->quantise)
        DET_TRY(det_act_ranges_create(env, spec, &l->ranges));
    det_graph_init_params(&l->graph, seed, l->params);
    if (l->average_slot >= 0)
        begin_averages(l);
    *out = l;
    return DET_OK;
fail:
    det_learner_destroy(env, &l);
    return status;
}

det_status det_learner_create(struct det_env *env, const struct det_model_spec *spec,
                              const struct det_learner_settings *settings,
                              const struct det_backend *backend, struct det_device *device,
                              uint64_t seed, struct det_learner **out)
{
    struct det_learner *l = NULL;
    int32_t anchor_count = 0;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(check_backend(env, settings, backend));
    DET_TRY_RETURN(det_learner_create_idle(env, spec, settings, seed, &l));
    l->backend = backend;
    l->device = device;
    DET_TRY(det_spec_anchors(env, spec, &l->anchors, &anchor_count));
    if (anchor_count != l->graph.anchor_count)
        DET_TRY(det_fail(env, DET_STATUS_INTERNAL, "%d anchors for %d predictions", anchor_count,
                         l->graph.anchor_count));
    DET_TRY(det_alloc(env, &l->gradients, l->graph.param_floats, sizeof(float), "gradients"));
    DET_TRY(backend->step_create(env, device, l, &l->step));
    *out = l;
    return DET_OK;
fail:
    det_learner_destroy(env, &l);
    return status;
}

void det_learner_destroy(struct det_env *env, struct det_learner **out)
{
    struct det_learner *l = *out;
    if (l == NULL)
        return;
    if (l->step != NULL)
        l->backend->step_destroy(env, &l->step);
    det_free(env, &l->anchors);
    det_free(env, &l->params);
    det_free(env, &l->gradients);
    for (int32_t s = 0; s < DET_MOST_SLOTS; s++)
        det_free(env, &l->slots[s]);
    det_free(env, &l->trainable);
    det_act_ranges_free(env, &l->ranges);
    det_graph_free(env, &l->graph);
    det_free(env, out);
}

void det_learner_averages(const struct det_learner *l, float *params)
{
    for (int32_t p = 0; p < l->graph.param_count && l->average_slot >= 0; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (param->trainable)
            memcpy(params + param->offset, l->slots[l->average_slot] + param->offset,
                   param->count * sizeof *params);
    }
}

det_status det_learner_push(struct det_env *env, struct det_learner *l)
{
    if (l->average_slot >= 0 && l->updates == 0)
        begin_averages(l);
    return l->backend->step_push(env, l->step);
}

det_status det_learner_pull(struct det_env *env, struct det_learner *l)
{
    return l->backend->step_pull(env, l->step);
}

det_status det_learner_gradients(struct det_env *env, struct det_learner *l, const float *images,
                                 const struct det_ground_truth *truths,
                                 struct det_step_result *result)
{
    DET_TRY_RETURN(l->backend->step_gradients(env, l->step, images, truths, result));
    return l->backend->step_pull_gradients(env, l->step);
}

det_status det_learner_update(struct det_env *env, struct det_learner *l, float learning_rate,
                              const struct det_step_result *result)
{
    DET_TRY_RETURN(l->backend->step_update(env, l->step, learning_rate, result));
    l->updates++;
    return DET_OK;
}

det_status det_learner_step(struct det_env *env, struct det_learner *l, const float *images,
                            const struct det_ground_truth *truths, float learning_rate,
                            struct det_step_result *result)
{
    DET_TRY_RETURN(det_learner_stage(env, l, images, truths));
    DET_TRY_RETURN(det_learner_begin(env, l, learning_rate));
    return det_learner_end(env, l, result);
}

det_status det_learner_stage(struct det_env *env, struct det_learner *l, const float *images,
                             const struct det_ground_truth *truths)
{
    return l->backend->step_stage(env, l->step, images, truths);
}

det_status det_learner_stage_pictures(struct det_env *env, struct det_learner *l,
                                      const struct det_picture *pictures,
                                      const struct det_ground_truth *truths)
{
    return l->backend->step_stage_pictures(env, l->step, pictures, truths);
}

det_status det_learner_begin(struct det_env *env, struct det_learner *l, float learning_rate)
{
    return l->backend->step_begin(env, l->step, learning_rate);
}

det_status det_learner_end(struct det_env *env, struct det_learner *l,
                           struct det_step_result *result)
{
    const det_status status = l->backend->step_end(env, l->step, result);
    l->batches_done = status == DET_OK ? (l->batches_done + 1) % l->settings.accumulate : 0;
    if (status == DET_OK && l->batches_done == 0)
        l->updates++;
    return status;
}
