/* Whole training steps against stored trainings of the TF Object Detection API. */
#include <cjson/cJSON.h>

#include "base/mem.h"
#include "support/cpu_device.h"
#include "support/formula.h"
#include "support/test.h"
#include "support/training_golden.h"
#include "train/restore.h"

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

/* --- the API training on photographs: needs the shared folder --- */

/* The table of variables or gradients that training_golden reads, from the stored JSON. */
static void table_from_json(const char *json_path, const char *to)
{
    char *text = test_read_text(json_path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, tree)
    {
        static const char *const fields[] = {"mean", "l2", "first", "last", "noise"};
        fprintf(file, "%s %.0f", item->string,
                cJSON_GetNumberValue(cJSON_GetObjectItem(item, "n")));
        for (int i = 0; i < 5; i++)
            fprintf(file, " %.9g", cJSON_GetNumberValue(cJSON_GetObjectItem(item, fields[i])));
        fputc('\n', file);
    }
    fclose(file);
    cJSON_Delete(tree);
    free(text);
}

static void steps_from_json(const char *json_path, const char *to)
{
    char *text = test_read_text(json_path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, tree)
    {
        static const char *const fields[] = {"lr", "Loss/localization_loss",
                                             "Loss/classification_loss", "regularization", "total"};
        for (int i = 0; i < 5; i++)
            fprintf(file, "%.9g ", cJSON_GetNumberValue(cJSON_GetObjectItem(item, fields[i])));
        const cJSON *noise = cJSON_GetObjectItem(item, "noise");
        for (int i = 1; i < 3; i++)
            fprintf(file, "%.9g ", cJSON_GetNumberValue(cJSON_GetObjectItem(noise, fields[i])));
        fputc('\n', file);
    }
    fclose(file);
    cJSON_Delete(tree);
    free(text);
}

static void real(const char *name, enum det_class_loss loss, double loss_bound)
{
    static const float boxes[2][4] = {
        {0.21103116869926453f, 0.1246153861284256f, 0.9784172773361206f, 0.8030769228935242f},
        {0.004040404222905636f, 0.2888889014720917f, 0.9858585596084595f, 0.9911110997200012f}};
    char path[256], file[128], directory[256];
    if (test_shared(path, "goldens/train_real_focal/images.npy") == NULL)
        test_skip_without_shared();
    size_t count = 0;
    float *images = test_npy_load_float(path, &count);
    assert_int_equal(count, 2 * 320 * 320 * 3);
    test_make_directory(directory, name);
    char steps[300], gradients[300], variables[300];
    snprintf(steps, sizeof steps, "%s/steps", directory);
    snprintf(gradients, sizeof gradients, "%s/gradients", directory);
    snprintf(variables, sizeof variables, "%s/variables", directory);
    snprintf(file, sizeof file, "goldens/%s/steps.json", name);
    steps_from_json(test_shared(path, file), steps);
    snprintf(file, sizeof file, "goldens/%s/grads_step0.json", name);
    table_from_json(test_shared(path, file), gradients);
    snprintf(file, sizeof file, "goldens/%s/variables_after_5_steps.json", name);
    table_from_json(test_shared(path, file), variables);

    struct test_env t;
    test_env_init(&t);
    struct det_env *env = &t.env;
    struct det_pool *pool = NULL;
    assert_ok(env, det_pool_create(env, 0, &pool));
    struct det_ground_truth truths[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++)
        training_golden_add_box(env, &truths[i], 0, boxes[i]);
    struct det_model_spec spec;
    det_model_spec_default(&spec, 320, 1);
    struct det_learner_settings settings;
    det_learner_settings_default(&settings);
    settings.batch_size = 2;
    settings.loss.class_loss = loss;
    const char *reason = NULL;
    struct det_learner *learner = NULL;
    struct det_device *device = test_cpu_device(env, det_ops_cpu("auto", &reason), pool);
    assert_ok(env,
              det_learner_create(env, &spec, &settings, det_backend_cpu(), device, 1, &learner));
    char checkpoint[256], full[256];
    assert_non_null(test_shared(checkpoint, "goldens/trained_raccoon/ckpt-2.index"));
    struct det_restore_report report;
    assert_ok(env, det_restore_params(env, checkpoint, DET_RESTORE_ALL, &learner->graph,
                                      learner->params, &report));
    snprintf(file, sizeof file, "goldens/%s/grads_full.npz", name);
    assert_non_null(test_shared(full, file));
    const struct training_golden golden = {
        .name = name,
        .steps = steps,
        .gradients = gradients,
        .gradients_full = full,
        .variables = variables,
        .steps_compared = 5,
        .loss_bound = loss_bound,
        .images = images,
        .truths = truths,
    };
    training_golden_run(env, &golden, learner);
    det_learner_destroy(env, &learner);
    test_cpu_device_close(env, &device);
    for (int i = 0; i < 2; i++)
        det_ground_truth_free(env, &truths[i]);
    free(images);
    det_pool_destroy(env, &pool);
    test_env_check(&t);
    test_remove_tree(directory);
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
        cmocka_unit_test(real_focal),
        cmocka_unit_test(real_sigmoid),
        cmocka_unit_test(scene_on_cpu),
        cmocka_unit_test(scene_on_ref),
    };
    return cmocka_run_group_tests_name("training", tests, NULL, NULL);
}
