#include "cuda/support/tiny.h"

#include <math.h>

#include "ranks/communicator.h"
#include "support/cpu_device.h"
#include "support/formula.h"
#include "support/mem.h"

void tiny_spec(struct det_model_spec *spec)
{
    det_model_spec_default(spec, TINY_SIDE, TINY_CLASSES);
    spec->depth_multiplier = 0.35f;
    spec->min_depth = 8;
}

/* Objects of the device's that have not been released; 0 where nobody counts them. */
static long alive(void)
{
#ifdef DET_CUDA_EMU
    const struct cuda_emu_counts c = cuda_emu_read_counts();
    return c.live_device_blocks + c.live_pinned_blocks + c.live_streams + c.live_events +
           c.live_graphs + c.live_execs + c.live_handles;
#else
    return 0;
#endif
}

/* Of various sizes, overlapping, some of no class that another one has. */
void tiny_boxes(struct tiny *tiny, int32_t count)
{
    for (int32_t n = 0; n < TINY_BATCH; n++) {
        struct det_ground_truth *truth = &tiny->truths[n];
        const int32_t boxes = count - n;
        assert_ok(tiny->env, det_ground_truth_reserve(tiny->env, truth, boxes));
        truth->count = boxes;
        for (int32_t g = 0; g < boxes; g++) {
            const float y = 0.07f * (float)(g % 11), x = 0.09f * (float)(g % 7);
            const float side = 0.15f + 0.1f * (float)(g % 5);
            const float box[4] = {y, x, fminf(y + side, 1), fminf(x + side * 1.3f, 1)};
            memcpy(truth->boxes[g], box, sizeof box);
            truth->class_index[g] = (g + n) % TINY_CLASSES;
            truth->weight[g] = g % 4 == 3 ? 0.5f : 1;
        }
    }
}

void tiny_turn(struct tiny *tiny, int32_t number)
{
    const size_t count = (size_t)TINY_SIDE * TINY_SIDE * 3;
    for (int32_t n = 0; n < TINY_BATCH; n++)
        formula_image(number * TINY_BATCH + n, TINY_SIDE, TINY_SIDE,
                      tiny->images + (size_t)n * count);
    tiny_boxes(tiny, tiny->boxes + number);
}

void tiny_learning(const struct tiny_settings *settings, struct det_learner_settings *learning)
{
    det_learner_settings_default(learning);
    learning->batch_size = TINY_BATCH;
    learning->rule = settings->rule;
    learning->clip_norm = settings->clip_norm;
    learning->average_decay = settings->average_decay;
    learning->quantise = settings->quantise;
    learning->quantise_delay = settings->quantise_delay;
}

void tiny_open(struct tiny *tiny, const struct tiny_settings *settings)
{
    const char *reason = NULL;
    const struct det_ops *ops = det_ops_cpu("auto", &reason);
    *tiny = (struct tiny){.backend = det_backend_cuda(), .alive = alive()};
    test_env_init(&tiny->t);
    tiny->env = &tiny->t.env;
    struct det_env *env = tiny->env;
    struct det_model_spec spec;
    tiny_spec(&spec);
    spec.freeze_batchnorm = settings->freeze_batchnorm;
    spec.share_tower = !settings->own_towers;
    if (settings->max_level > 0) {
        spec.min_level = settings->min_level;
        spec.max_level = settings->max_level;
    }
    struct det_learner_settings learning;
    tiny_learning(settings, &learning);
    const int32_t batches = settings->accumulate > 0 ? settings->accumulate : 1;
    learning.accumulate = batches * det_communicator_size(settings->communicator);
    tiny->cpu_device = test_cpu_device(env, ops, NULL);
    assert_ok(env, det_learner_create(env, &spec, &learning, det_backend_cpu(), tiny->cpu_device, 7,
                                      &tiny->cpu));
    learning.accumulate = batches;
    learning.communicator = settings->communicator;
    learning.bf16_gradients = settings->bf16_gradients;
    learning.sync_batch_norm = settings->sync_batch_norm;
    learning.bucket_floats = settings->bucket_floats;
    learning.wants_stop = settings->wants_stop;
    assert_ok(env, tiny->backend->device_open(env, &settings->device, &tiny->device));
    assert_ok(
        env, det_learner_create(env, &spec, &learning, tiny->backend, tiny->device, 7, &tiny->gpu));
    const size_t count = (size_t)TINY_BATCH * TINY_SIDE * TINY_SIDE * 3;
    tiny->images = malloc(count * sizeof *tiny->images);
    assert_non_null(tiny->images);
    formula_params(&tiny->cpu->graph, tiny->cpu->params);
    formula_params(&tiny->gpu->graph, tiny->gpu->params);
    tiny->boxes = settings->boxes > 0 ? settings->boxes : 3;
    tiny_turn(tiny, 0);
    assert_ok(env, det_learner_push(env, tiny->cpu));
    assert_ok(env, det_learner_push(env, tiny->gpu));
}

void tiny_close(struct tiny *tiny)
{
    struct det_env *env = tiny->env;
    det_learner_destroy(env, &tiny->cpu);
    det_learner_destroy(env, &tiny->gpu);
    tiny->backend->device_close(env, &tiny->device);
    test_cpu_device_close(env, &tiny->cpu_device);
    for (int32_t n = 0; n < TINY_BATCH; n++)
        det_ground_truth_free(env, &tiny->truths[n]);
    free(tiny->images);
    test_env_check(&tiny->t);
    assert_int_equal(alive(), tiny->alive);
}

void tiny_steps(struct tiny *tiny, float learning_rate, struct det_step_result *cpu,
                struct det_step_result *gpu)
{
    assert_ok(tiny->env, det_learner_step(tiny->env, tiny->cpu, tiny->images, tiny->truths,
                                          learning_rate, cpu));
    assert_ok(tiny->env, det_learner_step(tiny->env, tiny->gpu, tiny->images, tiny->truths,
                                          learning_rate, gpu));
}

static void compare(const char *what, double got, double wanted, double bound)
{
    const double error = fabs(got - wanted) / fmax(fabs(wanted), 1e-12);
    if (!(error <= bound))
        fail_msg("%s: CUDA %.9g, CPU %.9g: relative difference %.3g, bound %.3g", what, got, wanted,
                 error, bound);
}

void tiny_compare_results(const struct det_step_result *cpu, const struct det_step_result *gpu,
                          double bound, double norm_bound)
{
    compare("localization loss", gpu->localization_loss, cpu->localization_loss, bound);
    compare("classification loss", gpu->classification_loss, cpu->classification_loss, bound);
    compare("regularization loss", gpu->regularization_loss, cpu->regularization_loss, bound);
    compare("total loss", gpu->total_loss, cpu->total_loss, bound);
    compare("gradient norm", gpu->gradient_norm, cpu->gradient_norm, norm_bound);
    assert_int_equal(gpu->matched_anchors, cpu->matched_anchors);
}

void tiny_compare_params(struct tiny *tiny, double bound, double slot_bound)
{
    const size_t count = tiny->cpu->graph.param_floats;
    assert_ok(tiny->env, tiny->backend->step_pull(tiny->env, tiny->gpu->step));
    const double params = test_relative_l2(tiny->gpu->params, tiny->cpu->params, count);
    if (!(params <= bound))
        fail_msg("parameters differ by %.3g relative l2, bound %.3g", params, bound);
    for (int32_t s = 0; s < tiny->cpu->slot_count; s++) {
        const double slot = test_relative_l2(tiny->gpu->slots[s], tiny->cpu->slots[s], count);
        if (!(slot <= slot_bound))
            fail_msg("slot %d differs by %.3g relative l2, bound %.3g", s, slot, slot_bound);
    }
}

void tiny_compare_moving(struct tiny *tiny, double bound)
{
    for (int32_t p = 0; p < tiny->cpu->graph.param_count; p++) {
        const struct det_param *param = &tiny->cpu->graph.params[p];
        if (param->role != DET_PARAM_MOVING_MEAN && param->role != DET_PARAM_MOVING_VARIANCE)
            continue;
        const double error = test_relative_l2(tiny->gpu->params + param->offset,
                                              tiny->cpu->params + param->offset, param->count);
        if (!(error <= bound))
            fail_msg("%s differs by %.3g relative l2, bound %.3g", param->key, error, bound);
    }
}

void tiny_follow(struct tiny *tiny)
{
    const size_t bytes = tiny->cpu->graph.param_floats * sizeof(float);
    memcpy(tiny->gpu->params, tiny->cpu->params, bytes);
    for (int32_t s = 0; s < tiny->cpu->slot_count; s++)
        memcpy(tiny->gpu->slots[s], tiny->cpu->slots[s], bytes);
    assert_ok(tiny->env, tiny->backend->step_push(tiny->env, tiny->gpu->step));
}
