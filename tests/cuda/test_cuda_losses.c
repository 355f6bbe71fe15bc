/* losses and their gradients against det_losses_compute(). */
#include <float.h>
#include <math.h>

#include "cuda/support/device.h"
#include "losses.h"

struct batch {
    struct test_env t;
    int32_t n, anchors, classes;
    size_t rows, logit_count;
    float *logits, *encodings;  /* host */
    struct det_targets targets; /* host arrays, filled here */
    struct detk_targets device;
    float *device_logits, *device_encodings, *logit_gradients, *encoding_gradients;
    struct detk_loss_values *values;
    void *workspace;
};

static float *random_floats(size_t count, uint32_t seed, float scale)
{
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] *= scale;
    return values;
}

/* A quarter of the anchors matched, some ignored; logits up to +-100. */
static void fill_targets(struct batch *b)
{
    struct det_targets *t = &b->targets;
    float *random = random_floats(b->rows * 6, 3, 1);
    *t = (struct det_targets){.images = b->n,
                              .images_max = b->n,
                              .anchor_count = b->anchors,
                              .class_count = b->classes,
                              .class_index = malloc(b->rows * sizeof(int32_t)),
                              .class_weight = malloc(b->rows * sizeof(float)),
                              .box_weight = malloc(b->rows * sizeof(float)),
                              .encodings = malloc(b->rows * 4 * sizeof(float))};
    for (size_t i = 0; i < b->rows; i++) {
        const bool matched = i % 4 == 1;
        t->class_index[i] = matched ? (int32_t)(i % (size_t)b->classes) : -1;
        t->class_weight[i] = matched ? random[i] + 1.5f : i % 9 == 8 ? 0.0f : 1.0f;
        t->box_weight[i] = matched ? t->class_weight[i] : 0.0f;
        for (size_t k = 0; k < 4; k++)
            t->encodings[i][k] = matched ? 3 * random[b->rows + 4 * i + k] : 0.0f;
        t->box_weight_sum += (double)t->box_weight[i];
        t->matched_count += matched;
    }
    free(random);
}

static void open_batch(struct batch *b, int32_t n, int32_t anchors, int32_t classes)
{
    *b = (struct batch){.n = n, .anchors = anchors, .classes = classes};
    test_env_init(&b->t);
    b->rows = (size_t)n * (size_t)anchors;
    b->logit_count = b->rows * (size_t)(classes + 1);
    b->logits = random_floats(b->logit_count, 1, 6);
    b->encodings = random_floats(b->rows * 4, 2, 3);
    b->logits[0] = 100;
    b->logits[b->logit_count - 1] = -100;
    fill_targets(b);
    const struct det_targets *t = &b->targets;
    b->device = (struct detk_targets){
        .class_index = test_device_copy(t->class_index, b->rows * sizeof(int32_t)),
        .class_weight = test_device_copy(t->class_weight, b->rows * sizeof(float)),
        .box_weight = test_device_copy(t->box_weight, b->rows * sizeof(float)),
        .encodings = test_device_copy(t->encodings, b->rows * 4 * sizeof(float)),
        .box_weight_sum = test_device_copy(&t->box_weight_sum, sizeof(double)),
        .matched_count = test_device_copy(&t->matched_count, sizeof(int64_t)),
    };
    b->device_logits = test_device_copy(b->logits, b->logit_count * sizeof(float));
    b->device_encodings = test_device_copy(b->encodings, b->rows * 4 * sizeof(float));
    b->logit_gradients = test_device_alloc(b->logit_count * sizeof(float));
    b->encoding_gradients = test_device_alloc(b->rows * 4 * sizeof(float));
    b->values = test_device_alloc(sizeof *b->values);
    b->workspace = test_device_alloc(detk_losses_workspace(n, anchors, classes));
}

static void close_batch(struct batch *b)
{
    void *const host[] = {b->logits,
                          b->encodings,
                          b->targets.class_index,
                          b->targets.class_weight,
                          b->targets.box_weight,
                          b->targets.encodings};
    void *const device[] = {b->device.class_index,
                            b->device.class_weight,
                            b->device.box_weight,
                            b->device.encodings,
                            b->device.box_weight_sum,
                            b->device.matched_count,
                            b->device_logits,
                            b->device_encodings,
                            b->logit_gradients,
                            b->encoding_gradients,
                            b->values,
                            b->workspace};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
    test_env_check(&b->t);
}

static struct detk_loss_values run_device(struct batch *b, const struct det_loss_settings *settings,
                                          int32_t ranks, bool gradients)
{
    struct detk_loss_values got;
    assert_cuda(detk_losses(0, settings, b->n, b->anchors, b->classes, &b->device, ranks,
                            b->device_logits, b->device_encodings,
                            gradients ? b->logit_gradients : NULL,
                            gradients ? b->encoding_gradients : NULL, b->values, b->workspace));
    test_device_read(&got, b->values, sizeof got);
    return got;
}

static void check_gradients(const char *what, const float *device, const float *wanted,
                            size_t count)
{
    float *got = malloc(count * sizeof *got);
    assert_non_null(got);
    test_device_read(got, device, count * sizeof *got);
    assert_near(test_relative_l2(got, wanted, count), 0, 1e-6);
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - wanted[i]) <= 1e-6f + 1e-4f * fabsf(wanted[i])))
            fail_msg("%s %zu: %g, expected %g", what, i, (double)got[i], (double)wanted[i]);
    free(got);
}

/* Of several ranks: divided by the share of each in what is matched on all. */
static double share_of(const struct batch *b, const struct det_loss_settings *settings,
                       int32_t ranks)
{
    const double sum = b->targets.box_weight_sum;
    return (settings->normalize_loss_by_num_matches && sum > 1 ? sum : 1) / ranks;
}

static void compare(struct batch *b, const struct det_loss_settings *settings, int32_t ranks)
{
    struct det_env *env = &b->t.env;
    struct det_losses *losses;
    struct det_loss_values wanted;
    float *logit_gradients = malloc(b->logit_count * sizeof(float));
    float *encoding_gradients = malloc(b->rows * 4 * sizeof(float));
    assert_ok(env, det_losses_create(env, settings, b->n, b->anchors, b->classes, &losses));
    if (ranks > 1)
        det_losses_divide_by(losses, share_of(b, settings, ranks));
    assert_ok(env, det_losses_compute(env, losses, NULL, &b->targets, b->logits, b->encodings,
                                      &wanted, logit_gradients, encoding_gradients));
    for (int gradients = 0; gradients < 2; gradients++) {
        const struct detk_loss_values got = run_device(b, settings, ranks, gradients);
        assert_near(got.localization, wanted.localization, 1e-6 * fabs(wanted.localization));
        /* Terms below the smallest normal number have few bits. */
        assert_near(got.classification, wanted.classification,
                    1e-6 * fabs(wanted.classification) + FLT_MIN);
        assert_near(got.normalizer, wanted.normalizer, 0);
        assert_int_equal(got.matched, b->targets.matched_count);
    }
    check_gradients("logit gradient", b->logit_gradients, logit_gradients, b->logit_count);
    check_gradients("encoding gradient", b->encoding_gradients, encoding_gradients, b->rows * 4);
    free(logit_gradients);
    free(encoding_gradients);
    det_losses_destroy(env, &losses);
}

static void losses_agree(void **state)
{
    (void)state;
    static const int32_t sizes[][3] = {{1, 1, 1},   {1, 255, 1},  {2, 128, 1}, {1, 257, 2},
                                       {3, 700, 3}, {1, 300, 20}, {1, 60, 90}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int variant = 0; variant < 8; variant++) {
            struct det_loss_settings settings;
            struct batch b;
            det_loss_settings_default(&settings);
            settings.encode_background_as_zeros = variant % 2 == 0;
            settings.focal_has_alpha = variant % 3 != 0;
            settings.focal_gamma = variant == 2 ? 1.5f : variant == 4 ? 0 : 2;
            settings.class_loss =
                variant == 5 ? DET_CLASS_LOSS_SIGMOID : DET_CLASS_LOSS_SIGMOID_FOCAL;
            settings.normalize_loss_by_num_matches = variant != 6;
            settings.normalize_loc_loss_by_codesize = variant != 7;
            settings.huber_delta = variant == 3 ? .4f : 1;
            settings.localization_weight = variant == 1 ? 2.5f : 1;
            settings.classification_weight = variant == 1 ? .5f : 1;
            open_batch(&b, sizes[s][0], sizes[s][1], sizes[s][2]);
            compare(&b, &settings, 1);
            compare(&b, &settings, 2 + variant % 2);
            close_batch(&b);
        }
}

static bool is_nan_at(const float *device, size_t at)
{
    float value;
    test_device_read(&value, device + at, sizeof value);
    return isnan(value);
}

/* A NaN logit or encoding makes its loss and its gradient NaN; a NaN target counts as met. */
static void nan_shows(void **state)
{
    (void)state;
    struct det_loss_settings settings;
    struct batch b;
    const float nan = NAN;
    det_loss_settings_default(&settings);
    open_batch(&b, 1, 300, 2);
    const struct detk_loss_values before = run_device(&b, &settings, 1, true);
    assert_cuda(cudaMemcpy(&b.device.encodings[1][2], &nan, sizeof nan, cudaMemcpyHostToDevice));
    const struct detk_loss_values met = run_device(&b, &settings, 1, true);
    assert_true(isfinite(met.localization) && met.localization != before.localization);
    assert_cuda(cudaMemcpy(&b.device_logits[100], &nan, sizeof nan, cudaMemcpyHostToDevice));
    assert_true(isnan(run_device(&b, &settings, 1, true).classification));
    assert_cuda(cudaMemcpy(&b.device_encodings[5 * 4], &nan, sizeof nan, cudaMemcpyHostToDevice));
    assert_true(isnan(run_device(&b, &settings, 1, true).localization));
    for (size_t i = 0; i < b.logit_count; i++)
        assert_int_equal(is_nan_at(b.logit_gradients, i), i == 100);
    for (size_t i = 0; i < b.rows * 4; i++)
        assert_int_equal(is_nan_at(b.encoding_gradients, i), i == 5 * 4);
    close_batch(&b);
}

int test_cuda_losses(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_agree),
        cmocka_unit_test(nan_shows),
    };
    return cmocka_run_group_tests_name("cuda_losses", tests, NULL, NULL);
}
