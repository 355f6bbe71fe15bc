/* The whole network against TensorFlow's outputs for the formula weights (goldens model320). */
#include <time.h>

#include "devices/cpu/prepared/prepared.h"
#include "model/net.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/model_golden.h"
#include "support/ops.h"
#include "support/test.h"

struct fixture {
    struct test_env t;
    struct det_graph training, folded;
    float *params, *folded_params, *image;
    struct det_pool *pool;
};

static void make(struct fixture *f)
{
    test_env_init(&f->t);
    struct det_env *env = &f->t.env;
    struct det_model_spec spec;
    det_model_spec_default(&spec, 320, 3);
    assert_ok(env, det_graph_build(env, &spec, false, &f->training));
    assert_ok(env, det_graph_build(env, &spec, true, &f->folded));
    assert_ok(env, det_alloc(env, &f->params, f->training.param_floats, 4, "params"));
    assert_ok(env, det_alloc(env, &f->folded_params, f->folded.param_floats, 4, "params"));
    assert_ok(env, det_alloc(env, &f->image, 320 * 320 * 3, 4, "image"));
    formula_params(&f->training, f->params);
    formula_image(0, 320, 320, f->image);
    det_graph_fold_params(&f->training, f->params, &f->folded, f->folded_params);
    assert_ok(env, det_pool_create(env, 0, &f->pool));
}

static void drop(struct fixture *f)
{
    struct det_env *env = &f->t.env;
    det_pool_destroy(env, &f->pool);
    det_free(env, &f->params);
    det_free(env, &f->folded_params);
    det_free(env, &f->image);
    det_graph_free(env, &f->training);
    det_graph_free(env, &f->folded);
    test_env_check(&f->t);
}

static void run(struct fixture *f, const struct det_ops *ops, bool folded, const char *label)
{
    struct det_env *env = &f->t.env;
    struct det_net *net = NULL;
    assert_ok(env, det_net_create(env, folded ? &f->folded : &f->training, ops, f->pool, 1,
                                  folded ? DET_NET_INFER : DET_NET_TRAIN_FROZEN, &net));
    det_net_set_images(net, f->image, 320, 320);
    det_net_forward(net, folded ? f->folded_params : f->params);
    model_golden_compare("box_encodings", det_net_encodings(net), label);
    model_golden_compare("class_logits", det_net_logits(net), label);
    if (!folded)
        assert_null(det_net_first_non_finite(net));
    det_net_destroy(env, &net);
}

/* bf16 rounds what every layer stores to 8 significant bits; measured are .0042 to .0046. */
#define BF16_BOUND 0.01

static void run_prepared(struct fixture *f, const struct det_ops *ops, double bound,
                         const char *label)
{
    struct det_env *env = &f->t.env;
    struct det_prepared *net = NULL;
    assert_ok(env,
              det_prepared_create(env, &f->folded, NULL, f->folded_params, ops, f->pool, 1, &net));
    det_net_fill_input(&f->folded, 1, f->image, 320, 320, det_prepared_input(net));
    det_prepared_forward(net);
    model_golden_compare_within("box_encodings", det_prepared_encodings(net), bound, label);
    model_golden_compare_within("class_logits", det_prepared_logits(net), bound, label);
    det_prepared_destroy(env, &net);
}

static void ref_agrees_with_tensorflow(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    run(&f, det_ops_ref(), false, "ref, batch norms apart");
    run(&f, det_ops_ref(), true, "ref, folded");
    drop(&f);
}

static void cpu_agrees_with_tensorflow(void **state)
{
    (void)state;
    const struct det_ops *tables[OPS_TABLES_MAX];
    struct fixture f;
    char label[64];
    make(&f);
    const int count = ops_tables(tables);
    for (int i = 0; i < count; i++) {
        snprintf(label, sizeof label, "%s, batch norms apart", tables[i]->name);
        run(&f, tables[i], false, label);
        snprintf(label, sizeof label, "%s, folded", tables[i]->name);
        run(&f, tables[i], true, label);
        snprintf(label, sizeof label, "%s, prepared", tables[i]->name);
        run_prepared(&f, tables[i], 2e-4, label);
    }
    const int bf16_count = ops_bf16_tables(tables);
    for (int i = 0; i < bf16_count; i++) {
        snprintf(label, sizeof label, "%s, prepared, bf16", tables[i]->name);
        run_prepared(&f, tables[i], BF16_BOUND, label);
    }
    drop(&f);
}

int test_model(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_agrees_with_tensorflow),
        cmocka_unit_test(ref_agrees_with_tensorflow),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
