/* Whole training steps against stored trainings of the TF Object Detection API. */
#include "support/cpu_device.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/ops.h"
#include "support/test.h"
#include "support/training_sets.h"

static void scene(const struct det_ops *ops)
{
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct det_pool *pool = NULL;
    assert_ok(env, det_pool_create(env, 0, &pool));
    struct training_scene scene;
    training_scene_open(env, &scene);
    struct det_learner *learner = NULL;
    struct det_device *device = test_cpu_device(env, ops, pool);
    assert_ok(env, det_learner_create(env, &scene.spec, &scene.settings, det_backend_cpu(), device,
                                      1, &learner));
    formula_params(&learner->graph, learner->params);
    scene.golden.name = ops->name;
    training_golden_run(env, &scene.golden, learner);
    det_learner_destroy(env, &learner);
    test_cpu_device_close(env, &device);
    training_scene_close(env, &scene);
    det_pool_destroy(env, &pool);
    test_env_check(&t);
}

/* --- the API's trainings with batch statistics --- */

static void real(const char *name, enum det_class_loss loss, double loss_bound)
{
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct training_real set;
    if (!training_real_open(env, name, loss, loss_bound, &set))
        test_skip_without_shared();
    struct det_pool *pool = NULL;
    assert_ok(env, det_pool_create(env, 0, &pool));
    const char *reason = NULL;
    struct det_learner *learner = NULL;
    struct det_device *device = test_cpu_device(env, det_ops_cpu("auto", &reason), pool);
    assert_ok(env, det_learner_create(env, &set.spec, &set.settings, det_backend_cpu(), device, 1,
                                      &learner));
    training_real_restore(env, &set, learner);
    training_golden_run(env, &set.golden, learner);
    det_learner_destroy(env, &learner);
    test_cpu_device_close(env, &device);
    training_real_close(env, &set);
    det_pool_destroy(env, &pool);
    test_env_check(&t);
}

static void formula(enum det_class_loss loss, const char *name)
{
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct training_formula set;
    training_formula_open(env, loss, &set);
    struct det_pool *pool = NULL;
    assert_ok(env, det_pool_create(env, 0, &pool));
    const char *reason = NULL;
    struct det_learner *learner = NULL;
    struct det_device *device = test_cpu_device(env, det_ops_cpu("auto", &reason), pool);
    assert_ok(env, det_learner_create(env, &set.spec, &set.settings, det_backend_cpu(), device, 1,
                                      &learner));
    training_formula_run(env, &set, name, learner);
    det_learner_destroy(env, &learner);
    test_cpu_device_close(env, &device);
    training_formula_close(env, &set);
    det_pool_destroy(env, &pool);
    test_env_check(&t);
}

static void formula_weights(void **state)
{
    (void)state;
    formula(DET_CLASS_LOSS_SIGMOID_FOCAL, "train320_focal");
    formula(DET_CLASS_LOSS_SIGMOID, "train320_sigmoid");
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

static void scene_on_ref(void **state)
{
    (void)state;
    scene(det_ops_ref());
}

static void scene_on_cpu(void **state)
{
    (void)state;
    const struct det_ops *tables[OPS_TABLES_MAX];
    const int count = ops_tables(tables);
    for (int i = 0; i < count; i++)
        scene(tables[i]);
}

int test_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_focal),      cmocka_unit_test(real_sigmoid),
        cmocka_unit_test(formula_weights), cmocka_unit_test(scene_on_cpu),
        cmocka_unit_test(scene_on_ref),
    };
    return cmocka_run_group_tests_name("training", tests, NULL, NULL);
}
