/* model/optimizer: the rules in double over several steps, lengths about the pieces, any number of
 * threads. */
#include <math.h>

#include "model/optimizer.h"
#include "support/test.h"

#define STEPS 4

enum rule { SGD, ADAM, RMSPROP, RMSPROP_PLAIN, RULES };

struct arrays {
    float *w, *g, *first, *second;
};

static const struct det_adam adam = {0.9f, 0.999f, 1e-8f};
static const struct det_rmsprop rmsprop = {0.9f, 0.8f, 1e-3f};
static const struct det_rmsprop rmsprop_plain = {0.9f, 0, 1e-3f};

static void update(enum rule rule, struct det_pool *pool, struct arrays *x, size_t count, float lr,
                   int64_t step)
{
    switch (rule) {
    case SGD:
        det_sgd_update(pool, x->w, x->g, x->first, count, lr, 0.9f);
        break;
    case ADAM:
        det_adam_update(pool, &adam, x->w, x->g, x->first, x->second, count, lr, step);
        break;
    case RMSPROP:
        det_rmsprop_update(pool, &rmsprop, x->w, x->g, x->second, x->first, count, lr);
        break;
    case RMSPROP_PLAIN:
        det_rmsprop_update(pool, &rmsprop_plain, x->w, x->g, x->second, NULL, count, lr);
        break;
    default:
        fail();
    }
}

/* One element, one step, in double. */
static void expected_update(enum rule rule, double *w, double g, double *first, double *second,
                            double lr, double t)
{
    switch (rule) {
    case SGD:
        *first = 0.9 * *first - lr * g;
        *w += *first;
        break;
    case ADAM: {
        *first = 0.9 * *first + 0.1 * g;
        *second = 0.999 * *second + 0.001 * g * g;
        const double rate = lr * sqrt(1 - pow(0.999, t)) / (1 - pow(0.9, t));
        *w -= rate * *first / (sqrt(*second) + 1e-8);
        break;
    }
    case RMSPROP:
        *second = 0.9 * *second + 0.1 * g * g;
        *first = 0.8 * *first + lr * g / sqrt(*second + 1e-3);
        *w -= *first;
        break;
    case RMSPROP_PLAIN:
        *second = 0.9 * *second + 0.1 * g * g;
        *w -= lr * g / (sqrt(*second) + 1e-3);
        break;
    default:
        fail();
    }
}

static struct arrays make_arrays(size_t count)
{
    struct arrays x = {calloc(count + 1, 4), calloc(count + 1, 4), calloc(count + 1, 4),
                       calloc(count + 1, 4)};
    assert_true(x.w != NULL && x.g != NULL && x.first != NULL && x.second != NULL);
    test_fill(x.w, count, 1);
    return x;
}

static void free_arrays(struct arrays *x)
{
    free(x->w);
    free(x->g);
    free(x->first);
    free(x->second);
}

static void follow_the_rules(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const size_t counts[] = {0, 1, 4095, 4096, 4097, 300001};
    for (int rule = 0; rule < RULES; rule++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const size_t count = counts[i];
            struct arrays x = make_arrays(count), one = make_arrays(count);
            struct det_pool *pool = NULL;
            assert_ok(&t.env, det_pool_create(&t.env, 1 + (int)(i % 3), &pool));
            const size_t probes[3] = {0, count / 2, count == 0 ? 0 : count - 1};
            double w[3], first[3] = {0}, second[3] = {0};
            for (int p = 0; p < 3; p++)
                w[p] = (double)x.w[probes[p]];
            for (int step = 0; step < STEPS; step++) {
                const float lr = 0.1f / (float)(1 + step);
                test_fill(x.g, count, 50 + (uint32_t)step);
                memcpy(one.g, x.g, count * sizeof(float));
                update((enum rule)rule, pool, &x, count, lr, step);
                update((enum rule)rule, NULL, &one, count, lr, step);
                for (int p = 0; p < 3 && count > 0; p++) {
                    expected_update((enum rule)rule, &w[p], (double)x.g[probes[p]], &first[p],
                                    &second[p], (double)lr, step + 1);
                    assert_near(x.w[probes[p]], w[p], 1e-5);
                }
            }
            assert_memory_equal(x.w, one.w, (count + 1) * sizeof(float));
            assert_memory_equal(x.first, one.first, (count + 1) * sizeof(float));
            assert_memory_equal(x.second, one.second, (count + 1) * sizeof(float));
            det_pool_destroy(&t.env, &pool);
            free_arrays(&x);
            free_arrays(&one);
        }
    test_env_check(&t);
}

static void norms_and_decay(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const size_t counts[] = {0, 1, 3, 5, 4096, 4097, 262144, 262145, 1000003};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t count = counts[i];
        struct arrays x = make_arrays(count);
        double expected = 0;
        for (size_t k = 0; k < count; k++)
            expected += (double)x.w[k] * (double)x.w[k];
        const double sum = det_sum_of_squares(NULL, x.w, count);
        assert_near(sum, expected, 1e-12 * expected);
        for (int threads = 1; threads <= 3; threads++) {
            struct det_pool *pool = NULL;
            assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
            assert_near(det_sum_of_squares(pool, x.w, count), sum, 0);
            det_pool_destroy(&t.env, &pool);
        }
        assert_near(det_l2_loss(NULL, x.w, count, 0.5f), 0.25 * sum, 0);
        det_l2_add_gradient(NULL, x.w, x.g, count, 0.5f);
        det_l2_add_gradient(NULL, x.w, x.g, count, 0.25f);
        det_scale(NULL, x.g, count, 4);
        for (size_t k = 0; k < count; k++)
            assert_near(x.g[k], 3 * (double)x.w[k], 1e-6);
        free_arrays(&x);
    }
    test_env_check(&t);
}

static void clip_factors(void **state)
{
    (void)state;
    assert_near(det_clip_factor(20, 10), 0.5, 1e-7);
    assert_near(det_clip_factor(5, 10), 1, 1e-7);
    assert_near(det_clip_factor(0, 10), 1, 1e-7);
    assert_true(isnan(det_clip_factor(INFINITY, 10)));
    assert_true(isnan(det_clip_factor(NAN, 10)));
    assert_near(det_rmsprop_rate_factor(0.9f, 0), 1, 0);
    assert_near(det_rmsprop_rate_factor(0.9f, 10), 0.1, 1e-8);
    assert_near(det_rmsprop_rate_factor(0, 10), 1, 0);
}

int test_optimizer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follow_the_rules),
        cmocka_unit_test(norms_and_decay),
        cmocka_unit_test(clip_factors),
    };
    return cmocka_run_group_tests_name("optimizer", tests, NULL, NULL);
}
