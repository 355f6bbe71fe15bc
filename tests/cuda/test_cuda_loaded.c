/* The backend as libdet loads it, beside the one that is linked with these tests: the same bits. */
#include <math.h>

#include "cuda/support/tiny.h"
#include "devices/backend_library.h"
#include "support/formula.h"

static void loaded_is_linked(void **state)
{
    (void)state;
    const struct tiny_settings settings = {.device = {.index = -1, .deterministic = true}};
    const struct det_backend *backend = NULL;
    struct det_device *device = NULL;
    struct det_learner *learner = NULL;
    struct det_step_result linked, loaded;
    struct tiny tiny;
    tiny_open(&tiny, &settings);
    struct det_env *env = tiny.env;
    assert_ok(env, det_backend_library_open(env, "det-cuda.so", "DET_CUDA_LIBRARIES", &backend));
    assert_string_equal(backend->name, "cuda");
    assert_ptr_not_equal(backend, tiny.backend);
    assert_ok(env, backend->device_open(env, &settings.device, &device));
    char text[2][200];
    tiny.backend->device_describe(tiny.device, text[0], sizeof text[0]);
    backend->device_describe(device, text[1], sizeof text[1]);
    assert_string_equal(text[1], text[0]);

    struct det_model_spec spec;
    tiny_spec(&spec);
    assert_ok(env,
              det_learner_create(env, &spec, &tiny.gpu->settings, backend, device, 7, &learner));
    formula_params(&learner->graph, learner->params);
    assert_ok(env, det_learner_push(env, learner));
    for (int i = 0; i < 3; i++) {
        assert_ok(env, det_learner_step(env, tiny.gpu, tiny.images, tiny.truths, 0.01f, &linked));
        assert_ok(env, det_learner_step(env, learner, tiny.images, tiny.truths, 0.01f, &loaded));
        assert_true(isfinite(loaded.total_loss) && loaded.total_loss > 0);
        assert_true(loaded.total_loss == linked.total_loss);
    }
    assert_ok(env, tiny.backend->step_pull(env, tiny.gpu->step));
    assert_ok(env, backend->step_pull(env, learner->step));
    assert_memory_equal(learner->params, tiny.gpu->params,
                        learner->graph.param_floats * sizeof *learner->params);
    det_learner_destroy(env, &learner);
    backend->device_close(env, &device);
    tiny_close(&tiny);
}

int test_cuda_loaded(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loaded_is_linked)};
    return cmocka_run_group_tests_name("cuda_loaded", tests, NULL, NULL);
}
