/* Whole training steps against stored trainings of the TF Object Detection API. */
#include "base/mem.h"
#include "support/formula.h"
#include "support/test.h"
#include "support/training_golden.h"

static void add_box(struct det_env *env, struct det_ground_truth *truth, int32_t class_index,
                    const float box[4])
{
    assert_ok(env, det_ground_truth_reserve(env, truth, truth->count + 1));
    memcpy(truth->boxes[truth->count], box, 4 * sizeof *box);
    truth->class_index[truth->count] = class_index;
    truth->weight[truth->count] = 1;
    truth->count++;
}

/* Formula weights, three boxes and one, frozen batch norms, K = 3 (goldens train_scene_focal_frozen_bn). */
static void scene(const struct det_ops *ops)
{
    static const float boxes[4][4] = {{.1f, .1f, .45f, .5f},
                                      {.5f, .3f, .95f, .8f},
                                      {.2f, .6f, .3f, .75f},
                                      {.05f, .4f, .9f, .95f}};
    static const int32_t classes[4] = {0, 1, 2, 1};
    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct det_pool *pool = NULL;
    assert_ok(env, det_pool_create(env, 0, &pool));
    struct det_ground_truth truths[2] = {{0}, {0}};
    for (int i = 0; i < 4; i++)
        add_box(env, &truths[i == 3], classes[i], boxes[i]);
    struct test_npy stored = test_npz_load("tests/golden/train_scene/images.npz", "images");
    assert_non_null(stored.data);
    assert_int_equal(stored.count, 2 * 320 * 320 * 3);
    float *images = malloc(stored.count * sizeof *images);
    assert_non_null(images);
    for (size_t i = 0; i < stored.count; i++)
        images[i] = (float)((const uint8_t *)stored.data)[i];
    test_npy_free(&stored);

    struct det_model_spec spec;
    det_model_spec_default(&spec, 320, 3);
    spec.freeze_batchnorm = true;
    struct det_learner_settings settings;
    det_learner_settings_default(&settings);
    settings.batch_size = 2;
    struct det_learner *learner = NULL;
    assert_ok(env, det_learner_create(env, &spec, &settings, ops, pool, 1, &learner));
    formula_params(&learner->graph, learner->params);
    char label[64];
    snprintf(label, sizeof label, "train_scene (%s)", ops->name);
    const struct training_golden golden = {
        .name = label,
        .steps = "tests/golden/train_scene/steps.txt",
        .gradients = "tests/golden/train_scene/grads_step0.txt",
        .gradients_full = "tests/golden/train_scene/grads_full.npz",
        .variables = "tests/golden/train_scene/variables_after_3_steps.txt",
        .steps_compared = 3,
        .loss_bound = 1e-5,
        .images = images,
        .truths = truths,
    };
    training_golden_run(env, &golden, learner);
    det_learner_destroy(env, &learner);
    for (int i = 0; i < 2; i++)
        det_ground_truth_free(env, &truths[i]);
    free(images);
    det_pool_destroy(env, &pool);
    test_env_check(&t);
}

static void scene_on_ref(void **state)
{
    (void)state;
    scene(det_ops_ref());
}

static void scene_on_cpu(void **state)
{
    (void)state;
    static const char *const names[] = {"sse2", "avx2", "avx512"};
    for (size_t i = 0; i < 3; i++) {
        const char *reason = NULL;
        const struct det_ops *ops = det_ops_cpu(names[i], &reason);
        if (ops != NULL)
            scene(ops);
        else
            print_message("skipped %s: %s\n", names[i], reason);
    }
}

int test_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scene_on_cpu),
        cmocka_unit_test(scene_on_ref),
    };
    return cmocka_run_group_tests_name("training", tests, NULL, NULL);
}
