/* The CUDA backend against what TensorFlow computed: the network at 320 x 320, and a short
 * training. */
#include "devices/backend.h"
#include "model/postprocess.h"
#include "model/spec_anchors.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/model_golden.h"
#include "support/test.h"
#include "support/training_sets.h"

/* Folded, as detectors run it. */
static void model(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    const struct det_backend *backend = det_backend_cuda();
    struct det_model_spec spec;
    struct det_graph training, folded;
    float *params = NULL, *folded_params = NULL, *image = NULL;
    float(*anchors)[4] = NULL;
    int32_t anchor_count = 0;
    det_model_spec_default(&spec, 320, 3);
    assert_ok(env, det_graph_build(env, &spec, false, &training));
    assert_ok(env, det_graph_build(env, &spec, true, &folded));
    assert_ok(env, det_alloc(env, &params, training.param_floats, sizeof(float), "params"));
    assert_ok(env, det_alloc(env, &folded_params, folded.param_floats, sizeof(float), "params"));
    assert_ok(env, det_alloc(env, &image, 320 * 320 * 3, sizeof(float), "image"));
    assert_ok(env, det_spec_anchors(env, &spec, &anchors, &anchor_count));
    formula_params(&training, params);
    det_graph_fold_params(&training, params, &folded, folded_params);
    formula_image(0, 320, 320, image);
    struct det_postprocess_settings nms;
    det_postprocess_settings_default(&nms);
    const struct det_device_settings device_settings = {0};
    const struct det_runner_settings settings = {
        .spec = &spec,
        .graph = &folded,
        .params = folded_params,
        .evaluate = true,
        .batch = 1,
        .postprocess = &nms,
        .anchors = (const float(*)[4])anchors,
        .anchor_count = anchor_count,
    };
    const float window[1][4] = {{0, 0, 1, 1}};
    struct det_device *device = NULL;
    struct det_runner *runner = NULL;
    const float *logits = NULL, *encodings = NULL;
    assert_ok(env, backend->device_open(env, &device_settings, &device));
    assert_ok(env, backend->runner_create(env, device, &settings, &runner));
    assert_ok(env, backend->runner_set_images(env, runner, image, 320, 320, window));
    assert_ok(env, det_backend_run(env, backend, runner));
    assert_ok(env, backend->runner_outputs(env, runner, &logits, &encodings));
    model_golden_compare("box_encodings", encodings, "cuda, folded");
    model_golden_compare("class_logits", logits, "cuda, folded");
    backend->runner_destroy(env, &runner);
    backend->device_close(env, &device);
    det_free(env, &params);
    det_free(env, &folded_params);
    det_free(env, &image);
    det_free(env, &anchors);
    det_graph_free(env, &training);
    det_graph_free(env, &folded);
    test_env_check(&t);
}

static void training(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    const struct det_backend *backend = det_backend_cuda();
    struct training_scene scene;
    struct det_learner *learner = NULL;
    struct det_device *device = NULL;
    const struct det_device_settings settings = {0};
    training_scene_open(env, &scene);
    assert_ok(env, backend->device_open(env, &settings, &device));
    assert_ok(env,
              det_learner_create(env, &scene.spec, &scene.settings, backend, device, 1, &learner));
    formula_params(&learner->graph, learner->params);
    scene.golden.name = "train_scene (cuda)";
    training_golden_run(env, &scene.golden, learner);
    det_learner_destroy(env, &learner);
    backend->device_close(env, &device);
    training_scene_close(env, &scene);
    test_env_check(&t);
}

/* The trainings with batch statistics. The emulation is slow: of those on photographs it takes the
 * first step, a GPU all five. */
static void real(const char *name, enum det_class_loss loss, double loss_bound)
{
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    const struct det_backend *backend = det_backend_cuda();
    struct training_real set;
    struct det_learner *learner = NULL;
    struct det_device *device = NULL;
    const struct det_device_settings settings = {0};
    if (!training_real_open(env, name, loss, loss_bound, &set))
        test_skip_without_shared();
#ifdef DET_CUDA_EMU
    set.golden.steps_compared = 1;
    set.golden.variables = NULL;
#endif
    assert_ok(env, backend->device_open(env, &settings, &device));
    assert_ok(env, det_learner_create(env, &set.spec, &set.settings, backend, device, 1, &learner));
    training_real_restore(env, &set, learner);
    training_golden_run(env, &set.golden, learner);
    det_learner_destroy(env, &learner);
    backend->device_close(env, &device);
    training_real_close(env, &set);
    test_env_check(&t);
}

static void real_focal(void **state)
{
    (void)state;
    real("train_real_focal", DET_CLASS_LOSS_SIGMOID_FOCAL, 1e-5);
}

static void real_sigmoid(void **state)
{
    (void)state;
    real("train_real_sigmoid", DET_CLASS_LOSS_SIGMOID, 3e-5);
}

static void formula_weights(void **state)
{
    (void)state;
    static const enum det_class_loss losses[] = {DET_CLASS_LOSS_SIGMOID_FOCAL,
                                                 DET_CLASS_LOSS_SIGMOID};
    static const char *const names[] = {"train320_focal (cuda)", "train320_sigmoid (cuda)"};
    for (int i = 0; i < 2; i++) {
        struct test_env t;
        test_env_init(&t);
        struct det_env *env = &t.env;
        const struct det_backend *backend = det_backend_cuda();
        struct training_formula set;
        struct det_learner *learner = NULL;
        struct det_device *device = NULL;
        const struct det_device_settings settings = {0};
        training_formula_open(env, losses[i], &set);
        assert_ok(env, backend->device_open(env, &settings, &device));
        assert_ok(env,
                  det_learner_create(env, &set.spec, &set.settings, backend, device, 1, &learner));
        training_formula_run(env, &set, names[i], learner);
        det_learner_destroy(env, &learner);
        backend->device_close(env, &device);
        training_formula_close(env, &set);
        test_env_check(&t);
    }
}

int test_cuda_goldens(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model),           cmocka_unit_test(training),
        cmocka_unit_test(formula_weights), cmocka_unit_test(real_focal),
        cmocka_unit_test(real_sigmoid),
    };
    return cmocka_run_group_tests_name("cuda_goldens", tests, NULL, NULL);
}
