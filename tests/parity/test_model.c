/* The whole network against TensorFlow's outputs for the formula weights (goldens model320). */
#include <time.h>

#include "backend/cpu/prepared.h"
#include "base/mem.h"
#include "model/net.h"
#include "support/formula.h"
#include "support/model_golden.h"
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
    assert_ok(env, det_prepared_create(env, &f->folded, f->folded_params, ops, f->pool, 1, &net));
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
    static const char *const names[] = {"sse2", "avx2", "avx512", "avx512bf16"};
    struct fixture f;
    make(&f);
    for (size_t i = 0; i < 4; i++) {
        const char *reason = NULL;
        const struct det_ops *ops = det_ops_cpu(names[i], &reason);
        if (ops == NULL) {
            print_message("skipped %s: %s\n", names[i], reason);
            continue;
        }
        char label[64];
        snprintf(label, sizeof label, "%s, prepared, bf16", names[i]);
        run_prepared(&f, ops->bf16, BF16_BOUND, label);
        if (strcmp(names[i], "avx512bf16") == 0) /* in float32 it is avx512 */
            continue;
        snprintf(label, sizeof label, "%s, batch norms apart", names[i]);
        run(&f, ops, false, label);
        snprintf(label, sizeof label, "%s, folded", names[i]);
        run(&f, ops, true, label);
        snprintf(label, sizeof label, "%s, prepared", names[i]);
        run_prepared(&f, ops, 2e-4, label);
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
