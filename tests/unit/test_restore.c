/* train/restore: what is taken from a TensorFlow checkpoint, and what it says about the rest. */
#include <math.h>

#include "formats/tf_bundle.h"
#include "support/bundle_writer.h"
#include "support/mem.h"
#include "support/test.h"
#include "train/restore.h"

enum { MOST_TENSORS = 600 };

struct fixture {
    struct test_env t;
    struct det_graph graph;
    float *params, *values; /* what is restored into, what the checkpoint holds */
    char directory[256], prefix[300];
    struct test_bundle_tensor tensors[MOST_TENSORS];
    char *keys[MOST_TENSORS];
    size_t count;
};

static struct det_model_spec tiny_spec(int32_t classes)
{
    struct det_model_spec spec;
    det_model_spec_default(&spec, 96, classes);
    spec.depth_multiplier = 0.1f;
    spec.min_depth = 8;
    spec.head_depth = 8;
    spec.head_layers = 1;
    return spec;
}

/* A checkpoint of a model with `classes` classes, for a graph with two. */
static void make(struct fixture *f, int32_t classes)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    struct det_env *env = &f->t.env;
    const struct det_model_spec mine = tiny_spec(2), theirs = tiny_spec(classes);
    struct det_graph other;
    assert_ok(env, det_graph_build(env, &mine, false, &f->graph));
    assert_ok(env, det_graph_build(env, &theirs, false, &other));
    assert_ok(env, det_alloc(env, &f->params, f->graph.param_floats, 4, "params"));
    assert_ok(env, det_alloc(env, &f->values, other.param_floats, 4, "values"));
    det_graph_init_params(&f->graph, 1, f->params);
    det_graph_init_params(&other, 2, f->values);
    for (int32_t p = 0; p < other.param_count; p++) {
        const struct det_param *param = &other.params[p];
        struct test_bundle_tensor tensor = {
            .dtype = DET_TF_FLOAT,
            .dims = param->dims,
            .data = f->values + param->offset,
            .bytes = param->count * 4,
        };
        for (int32_t d = 0; d < param->dims; d++)
            tensor.shape[d] = param->shape[d];
        f->keys[f->count] = malloc(400);
        snprintf(f->keys[f->count], 400, "%s%s", param->key, DET_TF_VARIABLE_SUFFIX);
        tensor.key = f->keys[f->count];
        f->tensors[f->count++] = tensor;
    }
    det_graph_free(env, &other);
    test_make_directory(f->directory, "restore");
    snprintf(f->prefix, sizeof f->prefix, "%s/ckpt-7", f->directory);
}

static void write_bundle(struct fixture *f)
{
    test_bundle_write(f->prefix, f->tensors, f->count,
                      (struct test_bundle_options){.snappy = true});
}

static void drop(struct fixture *f)
{
    struct det_env *env = &f->t.env;
    for (size_t i = 0; i < f->count; i++)
        free(f->keys[i]);
    det_free(env, &f->params);
    det_free(env, &f->values);
    det_graph_free(env, &f->graph);
    test_remove_tree(f->directory);
    test_env_check(&f->t);
}

static void everything_fits(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 2);
    write_bundle(&f);
    struct det_restore_report report;
    assert_ok(&f.t.env, det_restore_params(&f.t.env, f.prefix, DET_RESTORE_ALL, &f.graph, NULL,
                                           f.params, &report));
    assert_int_equal(report.restored, f.graph.param_count);
    assert_int_equal(report.missing + report.wrong_shape + report.unused, 0);
    assert_memory_equal(f.params, f.values, f.graph.param_floats * 4);
    drop(&f);
}

static void another_class_count(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 5);
    write_bundle(&f);
    struct det_restore_report report;
    assert_fails(
        &f.t.env, DET_STATUS_MISMATCH, "class_predictions",
        det_restore_params(&f.t.env, f.prefix, DET_RESTORE_ALL, &f.graph, NULL, f.params, &report));
    assert_ok(&f.t.env, det_restore_params(&f.t.env, f.prefix, DET_RESTORE_FITTING, &f.graph, NULL,
                                           f.params, &report));
    assert_int_equal(report.wrong_shape, 2); /* pointwise kernel and bias of the class head */
    assert_int_equal(report.restored, f.graph.param_count - 2);
    drop(&f);
}

static void only_what_was_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 2);
    write_bundle(&f);
    const int32_t head = det_graph_find_param(
        &f.graph, "model/_box_predictor/_box_prediction_head/_box_encoder_layers/0/bias");
    const int32_t fpn = det_graph_find_param(
        &f.graph, "model/_feature_extractor/_fpn_features_generator/top_layers/0/kernel");
    assert_true(head >= 0 && fpn >= 0);
    const size_t fpn_at = f.graph.params[fpn].offset;
    const float before = f.params[fpn_at];
    struct det_restore_report report;
    assert_ok(&f.t.env, det_restore_params(&f.t.env, f.prefix, DET_RESTORE_BACKBONE, &f.graph, NULL,
                                           f.params, &report));
    assert_true(f.params[fpn_at] == before);
    assert_ok(&f.t.env, det_restore_params(&f.t.env, f.prefix, DET_RESTORE_FEATURE_EXTRACTOR,
                                           &f.graph, NULL, f.params, &report));
    assert_true(f.params[fpn_at] != before);
    for (int32_t p = 0; p < f.graph.param_count; p++) {
        const struct det_param *param = &f.graph.params[p];
        const bool taken = strstr(param->key, "_feature_extractor") != NULL;
        const bool same =
            memcmp(f.params + param->offset, f.values + param->offset, param->count * 4) == 0;
        if (param->dims == 4 && same != taken)
            fail_msg("%s: %s", param->key, same ? "was taken" : "was not taken");
    }
    drop(&f);
}

static void damage_is_named(void **state)
{
    (void)state;
    struct fixture f;
    make(&f, 2);
    struct det_restore_report report;
    const size_t count = f.count;
    f.count -= 3;
    write_bundle(&f);
    assert_fails(
        &f.t.env, DET_STATUS_MISMATCH, "model/",
        det_restore_params(&f.t.env, f.prefix, DET_RESTORE_ALL, &f.graph, NULL, f.params, &report));
    f.count = count;
    f.values[3] = NAN;
    write_bundle(&f);
    assert_fails(
        &f.t.env, DET_STATUS_NON_FINITE, "layer_with_weights-0",
        det_restore_params(&f.t.env, f.prefix, DET_RESTORE_ALL, &f.graph, NULL, f.params, &report));
    /* Somebody else's model. */
    for (size_t i = 0; i < f.count; i++)
        snprintf(f.keys[i], 400, "other/%03zu", i);
    f.values[3] = 0;
    write_bundle(&f);
    assert_fails(&f.t.env, DET_STATUS_MISMATCH, "ssd_mobilenet_v2_fpn_keras",
                 det_restore_params(&f.t.env, f.prefix, DET_RESTORE_FITTING, &f.graph, NULL,
                                    f.params, &report));
    drop(&f);
}

int test_restore(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_fits),
        cmocka_unit_test(another_class_count),
        cmocka_unit_test(only_what_was_asked_for),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests_name("restore", tests, NULL, NULL);
}
