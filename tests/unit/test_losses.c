/* model/losses: values and gradients against a scalar loss in double and its central differences.
 */
#include <math.h>

#include "model/class_terms.h"
#include "model/losses.h"
#include "support/mem.h"
#include "support/test.h"

#define K       3
#define COLUMNS (K + 1)

/* A small batch with matched, background and ignored anchors, weights that are not 1. */
struct batch {
    struct det_targets *targets;
    struct det_ground_truth truths[2];
    float (*anchors)[4];
    int32_t a;
};

static void make_batch(struct test_env *t, struct batch *b, int32_t a, int32_t boxes)
{
    *b = (struct batch){.a = a};
    b->anchors = malloc((size_t)a * sizeof *b->anchors);
    assert_non_null(b->anchors);
    test_fill(b->anchors[0], (size_t)a * 4, 5);
    for (int32_t i = 0; i < a; i++)
        for (int k = 0; k < 2; k++) {
            b->anchors[i][k] = 0.25f + 0.25f * b->anchors[i][k];
            b->anchors[i][k + 2] = b->anchors[i][k] + 0.3f + 0.2f * b->anchors[i][k + 2];
        }
    for (int n = 0; n < 2; n++) {
        const int32_t count = n == 0 ? boxes : boxes / 2;
        assert_ok(&t->env, det_ground_truth_reserve(&t->env, &b->truths[n], count));
        b->truths[n].count = count;
        for (int32_t g = 0; g < count; g++) {
            const float box[4] = {0.1f * (float)g, 0.2f, 0.1f * (float)g + 0.35f, 0.55f};
            memcpy(b->truths[n].boxes[g], box, sizeof box);
            b->truths[n].class_index[g] = g % K;
            b->truths[n].weight[g] = 1 / (float)(1 + g);
        }
    }
    struct det_target_settings settings;
    det_target_settings_default(&settings);
    settings.unmatched_threshold = 0.3f;
    settings.unmatched_class_weight = 0.75f;
    assert_ok(&t->env, det_targets_create(&t->env, &settings, (const float(*)[4])b->anchors, a, K,
                                          2, &b->targets));
    assert_ok(&t->env, det_targets_assign(&t->env, b->targets, NULL, b->truths, 2));
    assert_true((b->targets->matched_count > 0) == (boxes > 0));
}

static void free_batch(struct test_env *t, struct batch *b)
{
    det_targets_destroy(&t->env, &b->targets);
    for (int n = 0; n < 2; n++)
        det_ground_truth_free(&t->env, &b->truths[n]);
    free(b->anchors);
}

static double softplus(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

/* The loss of one logit, written from the definition: cross entropy, times (1 - p_t)^gamma, times
 * alpha_t. */
static double class_loss(const struct det_loss_settings *s, double x, bool positive)
{
    const double cross_entropy = positive ? softplus(-x) : softplus(x);
    if (s->class_loss == DET_CLASS_LOSS_SIGMOID)
        return cross_entropy;
    const double not_p_t = exp(-(positive ? softplus(x) : softplus(-x)));
    double alpha = 1;
    if (s->focal_has_alpha)
        alpha = positive ? (double)s->focal_alpha : 1 - (double)s->focal_alpha;
    return alpha * pow(not_p_t, (double)s->focal_gamma) * cross_entropy;
}

static double huber(double error, double delta)
{
    const double size = fabs(error);
    return size <= delta ? size * size / 2 : delta * (size - delta / 2);
}

static double difference(double high, double low, double step)
{
    return (high - low) / (2 * step);
}

static void check(struct test_env *t, const struct det_loss_settings *s, const struct batch *b,
                  float logit_range, float extreme)
{
    const size_t rows = 2 * (size_t)b->a;
    float *logits = malloc(rows * COLUMNS * sizeof *logits);
    float *encodings = malloc(rows * 4 * sizeof *encodings);
    float *dl = malloc(rows * COLUMNS * sizeof *dl), *de = malloc(rows * 4 * sizeof *de);
    assert_true(logits != NULL && encodings != NULL && dl != NULL && de != NULL);
    test_fill(logits, rows * COLUMNS, 11);
    test_fill(encodings, rows * 4, 12);
    for (size_t i = 0; i < rows * COLUMNS; i++)
        logits[i] =
            extreme > 0 && i % 3 == 0 ? (i % 2 == 0 ? extreme : -extreme) : logits[i] * logit_range;
    for (size_t i = 0; i < rows * 4; i++)
        encodings[i] *= 4;
    memset(dl, 0xff, rows * COLUMNS * sizeof *dl); /* NaN: gradients are written, not added */
    memset(de, 0xff, rows * 4 * sizeof *de);
    struct det_losses *losses = NULL;
    struct det_loss_values values;
    assert_ok(&t->env, det_losses_create(&t->env, s, 2, b->a, K, &losses));
    assert_ok(&t->env, det_losses_compute(&t->env, losses, NULL, b->targets, logits, encodings,
                                          &values, dl, de));

    double normalizer = 1, localization = 0, classification = 0;
    if (s->normalize_loss_by_num_matches) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++)
            sum += (double)b->targets->box_weight[i];
        normalizer = fmax(sum, 1);
    }
    assert_near(values.normalizer, normalizer, 1e-6 * normalizer);
    const double class_scale = (double)s->classification_weight / normalizer;
    const double box_scale =
        (double)s->localization_weight / (normalizer * (s->normalize_loc_loss_by_codesize ? 4 : 1));
    const double delta = (double)s->huber_delta, h = 1e-5;
    for (size_t i = 0; i < rows; i++) {
        const double box_weight = (double)b->targets->box_weight[i] * box_scale;
        for (size_t k = 0; k < 4; k++) {
            const double error = (double)encodings[4 * i + k] - (double)b->targets->encodings[i][k];
            localization += box_weight * huber(error, delta);
            assert_near(de[4 * i + k],
                        box_weight *
                            difference(huber(error + h, delta), huber(error - h, delta), h),
                        2e-5 * box_weight * (1 + delta));
        }
        const double class_weight = (double)b->targets->class_weight[i] * class_scale;
        for (int c = 0; c < COLUMNS; c++) {
            const int class_index = b->targets->class_index[i];
            const bool positive =
                c > 0 ? class_index == c - 1 : class_index < 0 && !s->encode_background_as_zeros;
            const double x = (double)logits[i * COLUMNS + (size_t)c];
            classification += class_weight * class_loss(s, x, positive);
            const double slope =
                difference(class_loss(s, x + h, positive), class_loss(s, x - h, positive), h);
            /* differences of a loss of 1e4 are only so good */
            assert_near(dl[i * COLUMNS + (size_t)c], class_weight * slope,
                        class_weight * (1e-6 * (1 + fabs(slope)) + 1e-10 * fabs(x)));
        }
    }
    assert_near(values.localization, localization, 1e-6 * (localization + 1e-9));
    assert_near(values.classification, classification, 1e-6 * (classification + 1e-9));
    det_losses_destroy(&t->env, &losses);
    free(logits);
    free(encodings);
    free(dl);
    free(de);
}

static void gradients(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (int variant = 0; variant < 64; variant++) {
        struct det_loss_settings s;
        det_loss_settings_default(&s);
        if (variant & 1)
            s.class_loss = DET_CLASS_LOSS_SIGMOID;
        if (variant & 2) {
            s.focal_gamma = variant & 4 ? 0.5f : 3;
            s.focal_alpha = 0.4f;
            s.huber_delta = 0.5f;
        }
        if (variant & 4) {
            s.focal_has_alpha = false;
            s.localization_weight = 2;
            s.classification_weight = 0.3f;
        }
        s.encode_background_as_zeros = (variant & 8) == 0;
        s.normalize_loss_by_num_matches = (variant & 16) == 0;
        s.normalize_loc_loss_by_codesize = (variant & 32) == 0;
        struct batch b;
        make_batch(&t, &b, 41, variant % 3 == 0 ? 0 : 4); /* every third without any box */
        check(&t, &s, &b, 6, 0);
        check(&t, &s, &b, 40, 1e4f);
        free_batch(&t, &b);
    }
    test_env_check(&t);
}

static void zero_gamma_is_cross_entropy(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_loss_settings s;
    det_loss_settings_default(&s);
    s.focal_gamma = 0;
    struct batch b;
    make_batch(&t, &b, 41, 4);
    check(&t, &s, &b, 6, 1e4f);
    free_batch(&t, &b);
    test_env_check(&t);
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const int32_t sizes[] = {1, 511, 512, 513, 3000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct batch b;
        make_batch(&t, &b, sizes[i], 6);
        const size_t rows = 2 * (size_t)b.a, all = rows * (COLUMNS + 4);
        float *in = malloc(all * sizeof *in), *first = malloc(all * sizeof *first),
              *next = malloc(all * sizeof *next);
        assert_true(in != NULL && first != NULL && next != NULL);
        test_fill(in, all, 3);
        struct det_loss_settings s;
        det_loss_settings_default(&s);
        struct det_losses *losses = NULL;
        assert_ok(&t.env, det_losses_create(&t.env, &s, 2, b.a, K, &losses));
        struct det_loss_values values[3];
        for (int threads = 1; threads <= 3; threads++) {
            struct det_pool *pool = NULL;
            assert_ok(&t.env, det_pool_create(&t.env, threads, &pool));
            const long before = test_env_allocations(&t);
            float *out = threads == 1 ? first : next;
            assert_ok(&t.env,
                      det_losses_compute(&t.env, losses, pool, b.targets, in, in + rows * COLUMNS,
                                         &values[threads - 1], out, out + rows * COLUMNS));
            assert_int_equal(test_env_allocations(&t), before);
            assert_memory_equal(&values[threads - 1], &values[0], sizeof values[0]);
            assert_memory_equal(out, first, all * sizeof *out);
            det_pool_destroy(&t.env, &pool);
        }
        struct det_loss_values without;
        assert_ok(&t.env, det_losses_compute(&t.env, losses, NULL, b.targets, in,
                                             in + rows * COLUMNS, &without, NULL, NULL));
        assert_memory_equal(&without, &values[0], sizeof without);
        det_losses_destroy(&t.env, &losses);
        free(in);
        free(first);
        free(next);
        free_batch(&t, &b);
    }
    test_env_check(&t);
}

static void nan_shows(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct batch b;
    make_batch(&t, &b, 20, 4);
    float logits[2 * 20 * COLUMNS] = {0}, encodings[2 * 20 * 4] = {0};
    for (int kind = 0; kind < 2; kind++) {
        struct det_loss_settings s;
        det_loss_settings_default(&s);
        s.class_loss = kind == 0 ? DET_CLASS_LOSS_SIGMOID : DET_CLASS_LOSS_SIGMOID_FOCAL;
        struct det_losses *losses = NULL;
        struct det_loss_values values;
        assert_ok(&t.env, det_losses_create(&t.env, &s, 2, 20, K, &losses));
        logits[37] = NAN;
        encodings[50] = NAN;
        assert_ok(&t.env, det_losses_compute(&t.env, losses, NULL, b.targets, logits, encodings,
                                             &values, NULL, NULL));
        assert_true(isnan(values.classification) && isnan(values.localization));
        logits[37] = encodings[50] = 0;
        /* A target that is not a number (a box turned inside out) counts as met. */
        float *target = b.targets->encodings[0];
        const float kept = target[2];
        target[2] = NAN;
        assert_ok(&t.env, det_losses_compute(&t.env, losses, NULL, b.targets, logits, encodings,
                                             &values, NULL, NULL));
        assert_true(isfinite(values.localization));
        target[2] = kept;
        det_losses_destroy(&t.env, &losses);
    }
    struct det_loss_settings s;
    det_loss_settings_default(&s);
    struct det_losses *losses = NULL;
    struct det_loss_values values;
    assert_ok(&t.env, det_losses_create(&t.env, &s, 2, 21, K, &losses));
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "20 anchors",
                 det_losses_compute(&t.env, losses, NULL, b.targets, logits, encodings, &values,
                                    NULL, NULL));
    det_losses_destroy(&t.env, &losses);
    s.huber_delta = 0;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "delta 0",
                 det_losses_create(&t.env, &s, 1, 1, 1, &losses));
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "0 images",
                 det_losses_create(&t.env, &s, 0, 1, 1, &losses));
    free_batch(&t, &b);
    test_env_check(&t);
}

static det_status create_body(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_loss_settings s;
    det_loss_settings_default(&s);
    struct det_losses *losses = NULL;
    const det_status status = det_losses_create(env, &s, 2, 100, 3, &losses);
    det_losses_destroy(env, &losses);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(create_body, NULL);
}

/* det_class_terms() against the definition in double, over all sizes of logits, with every length
 * of a rest. */
static void class_terms_are_exact(void **state)
{
    (void)state;
    enum { MOST = 4000 };
    static float logits[MOST], losses[MOST + DET_CLASS_TERMS_ROOM],
        slopes[MOST + DET_CLASS_TERMS_ROOM];
    struct det_loss_settings s;
    det_loss_settings_default(&s);
    for (int focal = 0; focal < 2; focal++) {
        s.class_loss = focal != 0 ? DET_CLASS_LOSS_SIGMOID_FOCAL : DET_CLASS_LOSS_SIGMOID;
        assert_true(det_class_terms_serve(&s));
        for (int i = 0; i < MOST; i++) {
            const double size = exp((i / 2 - 1500) / 100.0); /* 3e-7 to 150 */
            logits[i] = (float)(i % 2 == 0 ? size : -size);
        }
        logits[7] = 3e38f;
        logits[8] = -3e38f;
        logits[9] = 0;
        det_class_terms(&s, logits, MOST, losses, slopes);
        for (int i = 0; i < MOST; i++) {
            const double x = (double)logits[i],
                         p = x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x));
            const double not_p = x < 0 ? 1 / (1 + exp(x)) : exp(-x) / (1 + exp(-x));
            const double entropy = softplus(x), factor = focal != 0 ? 0.75 * p * p : 1;
            const double slope = focal != 0 ? factor * (2 * not_p * entropy + p) : p;
            /* e^x is 0 from -87 on. */
            assert_near(losses[i], factor * entropy, 1e-6 * factor * entropy + 1e-37);
            assert_near(slopes[i], slope, 1e-6 * slope + 1e-37);
        }
        for (int count = 1; count < 10; count++) {
            float some[12], slope[12];
            det_class_terms(&s, logits + 20, count, some, slope);
            assert_memory_equal(some, losses + 20, (size_t)count * sizeof *some);
            assert_memory_equal(slope, slopes + 20, (size_t)count * sizeof *some);
        }
        logits[1] = NAN;
        det_class_terms(&s, logits, 4, losses, slopes);
        assert_true(isnan(losses[1]) && isnan(slopes[1]) && !isnan(losses[0]) && !isnan(losses[2]));
    }
    s.focal_gamma = 1.5f;
    assert_false(det_class_terms_serve(&s));
}

int test_losses(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_terms_are_exact),
        cmocka_unit_test(gradients),
        cmocka_unit_test(zero_gamma_is_cross_entropy),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(nan_shows),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("losses", tests, NULL, NULL);
}
