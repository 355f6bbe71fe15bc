/* formats/tf_bundle against checkpoints that TensorFlow wrote: every value of the formula
 * checkpoint, and the keys of the others. Needs the shared folder. */
#include <cjson/cJSON.h>
#include <math.h>

#include "formats/tf_bundle.h"
#include "support/mem.h"
#include "support/test.h"

static struct det_tf_bundle *open_shared(struct test_env *t, const char *name)
{
    char buffer[256], path[256];
    snprintf(path, sizeof path, "%s.index", name);
    const char *index = test_shared(buffer, path);
    if (index == NULL)
        test_skip_without_shared();
    test_env_init(t);
    char *prefix = NULL;
    struct det_tf_bundle *bundle = NULL;
    assert_ok(&t->env, det_tf_checkpoint_find(&t->env, index, &prefix));
    assert_ok(&t->env, det_tf_bundle_open(&t->env, prefix, &bundle));
    det_free(&t->env, &prefix);
    return bundle;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* The rule of goldens/README.md: value of element `i` of variable `name`. */
static double formula_value(const char *name, const struct det_tf_entry *entry, uint64_t i)
{
    const double u = test_formula(name, i);
    if (ends_with(name, "/gamma"))
        return 1 + .1 * u;
    if (ends_with(name, "/beta") || ends_with(name, "/moving_mean"))
        return .1 * u;
    if (ends_with(name, "/moving_variance"))
        return 1 + .2 * u;
    if (ends_with(name, "/bias"))
        return .1 * u - (strstr(name, "class_predictions") != NULL ? 4.6 : 0);
    if (ends_with(name, "/depthwise_kernel"))
        return u * sqrt(.5);
    double fan_in = 1;
    for (int d = 0; d + 1 < entry->dims; d++)
        fan_in *= (double)entry->shape[d];
    const bool small =
        strstr(name, "Predictor") != NULL || strstr(name, "_layers/0/pointwise") != NULL;
    return u * sqrt(3 * (small ? .1 : 1) / fan_in);
}

static void formula_checkpoint(void **state)
{
    (void)state;
    struct test_env t;
    struct det_tf_bundle *bundle = open_shared(&t, "goldens/tf_checkpoint/ckpt-0");
    char buffer[256];
    const char *path = test_shared(buffer, "goldens/model320/variables.json");
    assert_non_null(path);
    char *text = test_read_text(path);
    cJSON *variables = cJSON_Parse(text);
    free(text);
    assert_non_null(variables);
    int checked = 0;
    const cJSON *variable = NULL;
    cJSON_ArrayForEach(variable, variables)
    {
        const char *name = variable->string;
        const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, name);
        if (entry == NULL)
            fail_msg("%s is missing", name);
        assert_int_equal(entry->dims, cJSON_GetArraySize(variable));
        for (int d = 0; d < entry->dims; d++)
            assert_int_equal(entry->shape[d], cJSON_GetArrayItem(variable, d)->valueint);
        float *values = malloc((entry->count + 1) * sizeof *values);
        assert_non_null(values);
        assert_ok(&t.env, det_tf_bundle_read_float(&t.env, bundle, entry, values, entry->count));
        for (size_t i = 0; i < entry->count; i++) {
            const float expected = (float)formula_value(name, entry, i);
            if (!(values[i] == expected))
                fail_msg("%s[%zu] = %.9g, expected %.9g", name, i, values[i], expected);
        }
        free(values);
        checked++;
    }
    assert_int_equal(checked, 384);
    cJSON_Delete(variables);
    int64_t step = 0;
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, "step");
    assert_non_null(entry);
    assert_ok(&t.env, det_tf_bundle_read_int64(&t.env, bundle, entry, &step));
    assert_int_equal(step, 7);
    det_tf_bundle_close(&t.env, &bundle);
    test_env_check(&t);
}

/* Reads every float of a checkpoint (so every CRC is checked) and lists what is no variable of the
 * model. */
static void read_all(const char *name, size_t expected_floats, size_t expected_slots)
{
    struct test_env t;
    struct det_tf_bundle *bundle = open_shared(&t, name);
    const size_t count = det_tf_bundle_count(bundle);
    size_t floats = 0, slots = 0;
    for (size_t i = 0; i < count; i++) {
        const struct det_tf_entry *entry = det_tf_bundle_entry(bundle, i);
        if (entry->dtype == DET_TF_FLOAT) {
            float *values = malloc((entry->count + 1) * sizeof *values);
            assert_non_null(values);
            assert_ok(&t.env,
                      det_tf_bundle_read_float(&t.env, bundle, entry, values, entry->count));
            for (size_t k = 0; k < entry->count; k++)
                assert_true(isfinite(values[k]));
            free(values);
            floats++;
        }
        const bool slot = strstr(entry->key, "/.OPTIMIZER_SLOT/") != NULL;
        slots += slot;
        if ((slot && slots > 2) || (!slot && strncmp(entry->key, "model/", 6) == 0))
            continue;
        char type[16];
        print_message("%s: %s: %s of %zu\n", name, entry->key, det_tf_type_name(entry->dtype, type),
                      entry->count);
    }
    print_message("%s: %zu entries, %zu float, %zu slots\n", name, count, floats, slots);
    assert_int_equal(floats, expected_floats);
    assert_int_equal(slots, expected_slots);
    det_tf_bundle_close(&t.env, &bundle);
    test_env_check(&t);
}

static void trained_checkpoint(void **state)
{
    (void)state;
    read_all("goldens/trained_raccoon/ckpt-2", 618, 232);
}

static void backbone_checkpoint(void **state)
{
    (void)state;
    read_all("data/imagenet_backbone/ckpt-1", 384, 0);
}

static void zoo_index(void **state)
{
    (void)state;
    struct test_env t;
    struct det_tf_bundle *bundle = open_shared(&t, "data/zoo/ckpt-0");
    size_t model = 0;
    for (size_t i = 0; i < det_tf_bundle_count(bundle); i++) {
        const struct det_tf_entry *entry = det_tf_bundle_entry(bundle, i);
        model += strncmp(entry->key, "model/", 6) == 0;
        if (strncmp(entry->key, "model/", 6) != 0)
            print_message("zoo: %s\n", entry->key);
    }
    print_message("zoo: %zu entries, %zu of the model\n", det_tf_bundle_count(bundle), model);
    assert_int_equal(model, 384);
    const struct det_tf_entry *head = det_tf_bundle_find_variable(
        bundle,
        "model/_box_predictor/_prediction_heads/class_predictions_with_background/_class_predictor_"
        "layers/0/bias");
    assert_non_null(head);
    assert_int_equal(head->count, 91 * 6);
    /* The data is not there. */
    const struct det_tf_entry *any = NULL;
    for (size_t i = 0; any == NULL && i < det_tf_bundle_count(bundle); i++) {
        if (det_tf_bundle_entry(bundle, i)->dtype == DET_TF_FLOAT)
            any = det_tf_bundle_entry(bundle, i);
    }
    assert_non_null(any);
    float *values = malloc(any->count * sizeof *values);
    assert_non_null(values);
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "ckpt-0.data-0000",
                 det_tf_bundle_read_float(&t.env, bundle, any, values, any->count));
    free(values);
    det_tf_bundle_close(&t.env, &bundle);
    test_env_check(&t);
}

int test_tf_checkpoint(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formula_checkpoint),
        cmocka_unit_test(trained_checkpoint),
        cmocka_unit_test(backbone_checkpoint),
        cmocka_unit_test(zoo_index),
    };
    return cmocka_run_group_tests_name("tf_checkpoint", tests, NULL, NULL);
}
