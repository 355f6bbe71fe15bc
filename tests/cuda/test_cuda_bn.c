/* bn: statistics, application, gradients and column sums against ref; moving statistics against
 * their definition. */
#include <math.h>

#include "bn.h"
#include "cuda/support/device.h"
#include "ops/ref/ref_ops.h"

#define EPSILON 1e-3f

struct data {
    enum detk_type type;
    int64_t rows;
    int32_t c;
    size_t count;
    float *in, *dout, *gamma, *beta, *mean, *variance; /* host */
    void *device_in, *device_dout, *workspace;
    float *device_gamma, *device_beta, *device_mean, *device_variance;
    struct det_exec exec;
};

static float *fill(size_t count, uint32_t seed, float scale, float shift)
{
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] = values[i] * scale + shift;
    return values;
}

/* `far`: means a thousand deviations from zero. gamma and beta make ReLU6 cut on both sides. */
static struct data make(enum detk_type type, int64_t rows, int32_t c, bool far_mean)
{
    struct data d = {.type = type, .rows = rows, .c = c, .count = (size_t)rows * (size_t)c};
    const size_t channels = (size_t)c;
    d.in = fill(d.count, 1, 1, far_mean ? 1000 : .5f);
    d.dout = fill(d.count, 2, 1, .2f);
    d.gamma = fill(channels, 3, 4, 1);
    d.beta = fill(channels, 4, 2, 2);
    d.mean = fill(channels, 5, 1, 0);
    d.variance = fill(channels, 6, .4f, .6f);
    test_round(type, d.in, d.count);
    test_round(type, d.dout, d.count);
    d.device_in = test_device_values(type, d.in, d.count);
    d.device_dout = test_device_values(type, d.dout, d.count);
    d.device_gamma = test_device_copy(d.gamma, channels * sizeof(float));
    d.device_beta = test_device_copy(d.beta, channels * sizeof(float));
    d.device_mean = test_device_copy(d.mean, channels * sizeof(float));
    d.device_variance = test_device_copy(d.variance, channels * sizeof(float));
    d.workspace = test_device_alloc(detk_bn_workspace(rows, c));
    return d;
}

static void drop(struct data *d)
{
    float *const host[] = {d->in, d->dout, d->gamma, d->beta, d->mean, d->variance};
    void *const device[] = {d->device_in,   d->device_dout, d->device_gamma,   d->device_beta,
                            d->device_mean, d->workspace,   d->device_variance};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
}

static void check(const char *what, const struct data *d, const float *got, const float *wanted,
                  size_t count, double bound)
{
    const double error = test_relative_l2(got, wanted, count);
    if (!(error <= bound))
        fail_msg("%s: type %d, %lld x %d: relative error %.3g, allowed %.3g", what, (int)d->type,
                 (long long)d->rows, d->c, error, bound);
}

/* A mean may be small beside the deviation, and is measured by both. */
static void check_statistics(struct data *d)
{
    const size_t channels = (size_t)d->c;
    float *out = malloc(d->count * sizeof *out), *got = malloc(channels * sizeof *got);
    float *mean = malloc(channels * sizeof *mean), *variance = malloc(channels * sizeof *variance);
    detk_bn_forward__ref(&d->exec, d->rows, d->c, d->in, d->gamma, d->beta, EPSILON,
                         DET_ACTIVATION_NONE, out, mean, variance);
    assert_cuda(detk_bn_statistics(0, d->type, d->rows, d->c, d->device_in, d->device_mean,
                                   d->device_variance, d->workspace));
    test_device_read(got, d->device_mean, channels * sizeof *got);
    for (size_t k = 0; k < channels; k++)
        assert_near(got[k], mean[k], 4e-6 * (fabsf(mean[k]) + sqrtf(variance[k])));
    test_device_read(got, d->device_variance, channels * sizeof *got);
    if (d->rows == 1)
        assert_near(test_max_abs_error(got, variance, channels), 0, 0);
    else
        check("variance", d, got, variance, channels, d->in[d->count - 1] > 100 ? 3e-4 : 1e-5);
    free(out);
    free(got);
    free(mean);
    free(variance);
}

static void check_apply(struct data *d, enum det_activation act, bool in_place)
{
    float *wanted = malloc(d->count * sizeof *wanted), *got = malloc(d->count * sizeof *got);
    void *out = in_place ? test_device_values(d->type, d->in, d->count)
                         : test_device_values(d->type, d->dout, d->count);
    detk_bn_frozen_forward__ref(&d->exec, d->rows, d->c, d->in, d->gamma, d->beta, d->mean,
                                d->variance, EPSILON, act, wanted);
    assert_cuda(detk_bn_apply(0, d->type, d->rows, d->c, in_place ? out : d->device_in,
                              d->device_gamma, d->device_beta, d->device_mean, d->device_variance,
                              EPSILON, act, out));
    test_device_read_values(d->type, got, out, d->count);
    check("apply", d, got, wanted, d->count, test_bound(d->type));
    for (size_t i = 0; i < d->count; i++)
        if (act == DET_ACTIVATION_RELU6)
            assert_true(got[i] >= 0 && got[i] <= 6);
    free(wanted);
    free(got);
    test_device_free(out);
}

static void check_backward(struct data *d, bool frozen, enum det_activation act, bool accumulate,
                           bool in_place)
{
    const size_t channels = (size_t)d->c;
    float *wanted = in_place ? fill(d->count, 2, 1, .2f) : fill(d->count, 9, 1, 0);
    float *got = malloc(d->count * sizeof *got), *sums = malloc(4 * channels * sizeof *sums);
    test_round(d->type, wanted, d->count);
    void *din = test_device_values(d->type, wanted, d->count);
    float *dgamma = test_device_alloc(channels * sizeof *dgamma);
    float *dbeta = test_device_alloc(channels * sizeof *dbeta);
    (frozen ? detk_bn_frozen_backward__ref : detk_bn_backward__ref)(
        &d->exec, d->rows, d->c, d->in, d->dout, d->gamma, d->beta, d->mean, d->variance, EPSILON,
        act, wanted, accumulate, sums, sums + channels);
    assert_cuda((frozen ? detk_bn_frozen_backward : detk_bn_backward)(
        0, d->type, d->rows, d->c, d->device_in, in_place ? din : d->device_dout, d->device_gamma,
        d->device_beta, d->device_mean, d->device_variance, EPSILON, act, din, accumulate, dgamma,
        dbeta, d->workspace));
    test_device_read_values(d->type, got, din, d->count);
    test_device_read(sums + 2 * channels, dgamma, channels * sizeof *dgamma);
    test_device_read(sums + 3 * channels, dbeta, channels * sizeof *dbeta);
    check("din", d, got, wanted, d->count, test_bound(d->type));
    check("dgamma", d, sums + 2 * channels, sums, channels, 2e-5);
    check("dbeta", d, sums + 3 * channels, sums + channels, channels, 2e-5);
    free(wanted);
    free(got);
    free(sums);
    test_device_free(din);
    test_device_free(dgamma);
    test_device_free(dbeta);
}

static void check_bias_backward(struct data *d, bool accumulate)
{
    const size_t channels = (size_t)d->c;
    float *wanted = fill(channels, 11, 1, 0), *got = malloc(channels * sizeof *got);
    float *sums = test_device_copy(wanted, channels * sizeof *wanted);
    det_ops_ref()->bias_backward(&d->exec, d->rows, d->c, d->dout, wanted, accumulate);
    assert_cuda(detk_bias_backward(0, d->type, d->rows, d->c, d->device_dout, sums, accumulate,
                                   d->workspace));
    test_device_read(got, sums, channels * sizeof *got);
    check("column sums", d, got, wanted, channels, 1e-5);
    free(wanted);
    free(got);
    test_device_free(sums);
}

static const int64_t row_counts[] = {1, 2, 7, 8, 9, 63, 65, 300, 2500};
static const int32_t channel_counts[] = {1, 3, 4, 8, 17, 32, 100, 264};

/* Calls `body` for both types and all sizes whose product stays small. */
static void each_size(void (*body)(struct data *d, size_t number))
{
    size_t number = 0;
    for (int type = DETK_F32; type <= DETK_BF16; type++)
        for (size_t r = 0; r < sizeof row_counts / sizeof *row_counts; r++)
            for (size_t c = 0; c < sizeof channel_counts / sizeof *channel_counts; c++) {
                if (row_counts[r] * channel_counts[c] > 90000)
                    continue;
                struct data d =
                    make((enum detk_type)type, row_counts[r], channel_counts[c], number % 3 == 0);
                body(&d, number++);
                drop(&d);
            }
}

static void statistics_of(struct data *d, size_t number)
{
    (void)number;
    check_statistics(d);
    for (int32_t i = 0; i < d->c; i++) /* what distances start from is far from all others */
        d->in[i] = 1000;
    test_device_free(d->device_in);
    d->device_in = test_device_values(d->type, d->in, d->count);
    check_statistics(d);
}

static void apply_of(struct data *d, size_t number)
{
    if (number % 3 != 0) /* means far away belong to the statistics */
        check_apply(d, number % 2 != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE,
                    number % 5 < 2);
}

static void backward_of(struct data *d, size_t number)
{
    if (number % 3 == 0 || d->rows > 300)
        return;
    const bool accumulate = number % 4 < 2;
    check_backward(d, number % 7 < 3, number % 2 != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE,
                   accumulate, !accumulate && number % 5 < 3);
}

static void bias_backward_of(struct data *d, size_t number)
{
    if (number % 2 == 0)
        check_bias_backward(d, number % 4 == 0);
}

static const float *rows_of(const struct data *d, const float *values, int32_t rank, int32_t ranks)
{
    return values + (size_t)rank * (size_t)(d->rows / ranks) * (size_t)d->c;
}

/* Statistics and sums [2 * c] of each rank's rows, one rank behind the other. */
static float *part_statistics(struct data *d, int32_t ranks)
{
    const size_t c = (size_t)d->c, values = 2 * c;
    const int64_t rows = d->rows / ranks;
    float *all = test_device_alloc((size_t)ranks * values * sizeof *all);
    for (int32_t r = 0; r < ranks; r++) {
        void *in =
            test_device_values(d->type, rows_of(d, d->in, r, ranks), (size_t)rows * (size_t)d->c);
        assert_cuda(detk_bn_statistics(0, d->type, rows, d->c, in, all + (size_t)r * values,
                                       all + (size_t)r * values + c, d->workspace));
        test_device_free(in);
    }
    return all;
}

/* The host's own sum over the ranks, in double; of moments (`moments`) or of sums. */
static void join_on_host(const float *all, int32_t ranks, int32_t c, bool moments, float *first,
                         float *second)
{
    for (int32_t k = 0; k < c; k++) {
        double a = 0, b = 0;
        for (int32_t r = 0; r < ranks; r++)
            a += (double)all[2 * c * r + k];
        for (int32_t r = 0; r < ranks; r++) {
            const double off = (double)all[2 * c * r + k] - a / ranks;
            b += (double)all[2 * c * r + c + k] + (moments ? off * off : 0);
        }
        first[k] = (float)(a / ranks);
        second[k] = (float)(b / ranks);
    }
}

/* The ranks' mean and variance are those of all rows, and to the bit what the CPU makes of the
 * parts. */
static void check_joined_statistics(struct data *d, int32_t ranks)
{
    const size_t c = (size_t)d->c, bytes = 2 * c * sizeof(float);
    float *all = part_statistics(d, ranks), *parts = malloc((size_t)ranks * bytes);
    float *got = malloc(bytes), *wanted = malloc(bytes), *out = malloc(d->count * sizeof *out);
    assert_true(parts != NULL && got != NULL && wanted != NULL && out != NULL);
    test_device_read(parts, all, (size_t)ranks * bytes);
    join_on_host(parts, ranks, d->c, true, wanted, wanted + c);
    assert_cuda(detk_bn_join_statistics(0, ranks, d->c, all, d->device_mean, d->device_variance));
    test_device_read(got, d->device_mean, bytes / 2);
    test_device_read(got + c, d->device_variance, bytes / 2);
    assert_memory_equal(got, wanted, bytes);
    detk_bn_forward__ref(&d->exec, d->rows, d->c, d->in, d->gamma, d->beta, EPSILON,
                         DET_ACTIVATION_NONE, out, wanted, wanted + c);
    check("joined mean", d, got, wanted, c, 1e-6);
    check("joined variance", d, got + c, wanted + c, c, d->in[0] > 100 ? 3e-4 : 1e-5);
    test_device_free(all);
    free(parts);
    free(got);
    free(wanted);
    free(out);
}

/* Half of a backward on each rank, the sums joined, the other half: the whole's gradient. */
static void check_joined_backward(struct data *d, int32_t ranks, enum det_activation act,
                                  bool accumulate)
{
    const size_t c = (size_t)d->c, part = d->count / (size_t)ranks;
    const int64_t rows = d->rows / ranks;
    float *wanted = fill(d->count, 9, 1, 0), *got = malloc(d->count * sizeof *got);
    float *sums = malloc((4 + 2 * (size_t)ranks) * c * sizeof *sums), *parts = sums + 4 * c;
    assert_true(got != NULL && sums != NULL);
    test_round(d->type, wanted, d->count);
    memcpy(got, wanted, d->count * sizeof *got);
    detk_bn_backward__ref(&d->exec, d->rows, d->c, d->in, d->dout, d->gamma, d->beta, d->mean,
                          d->variance, EPSILON, act, wanted, accumulate, sums, sums + c);
    float *all = test_device_alloc(2 * (size_t)ranks * c * sizeof *all);
    float *joined = test_device_alloc(2 * c * sizeof *joined);
    for (int half = 0; half < 2; half++) {
        for (int32_t r = 0; r < ranks; r++) {
            void *in = test_device_values(d->type, rows_of(d, d->in, r, ranks), part);
            void *dout = test_device_values(d->type, rows_of(d, d->dout, r, ranks), part);
            void *din = test_device_values(d->type, rows_of(d, got, r, ranks), part);
            float *mine = all + 2 * (size_t)r * c;
            assert_cuda(
                half == 0
                    ? detk_bn_backward_sums(0, d->type, rows, d->c, in, dout, d->device_gamma,
                                            d->device_beta, d->device_mean, d->device_variance,
                                            EPSILON, act, mine + c, mine, d->workspace)
                    : detk_bn_backward_rows(0, d->type, rows, d->c, in, dout, d->device_gamma,
                                            d->device_beta, d->device_mean, d->device_variance,
                                            EPSILON, act, joined + c, joined, din, accumulate));
            if (half == 1)
                test_device_read_values(d->type, got + (size_t)r * part, din, part);
            test_device_free(in);
            test_device_free(dout);
            test_device_free(din);
        }
        if (half == 0)
            assert_cuda(detk_bn_join_sums(0, ranks, d->c, all, joined, joined + c));
    }
    test_device_read(parts, all, 2 * (size_t)ranks * c * sizeof *parts);
    join_on_host(parts, ranks, d->c, false, sums + 2 * c, sums + 3 * c);
    test_device_read(parts, joined, 2 * c * sizeof *parts);
    assert_memory_equal(parts, sums + 2 * c, 2 * c * sizeof *parts);
    for (size_t k = 0; k < 2 * c; k++) /* the whole's share of each rank */
        sums[k] /= (float)ranks;
    check("din of ranks", d, got, wanted, d->count, test_bound(d->type));
    check("dgamma of ranks", d, parts + c, sums, c, 2e-5);
    check("dbeta of ranks", d, parts, sums + c, c, 2e-5);
    test_device_free(all);
    test_device_free(joined);
    free(wanted);
    free(got);
    free(sums);
}

static void ranks_of(struct data *d, size_t number)
{
    const int32_t ranks = d->rows % 3 == 0 ? 3 : 2;
    if (d->rows % ranks != 0 || d->rows > 300)
        return;
    check_joined_statistics(d, ranks);
    if (number % 3 != 0) {
        assert_cuda(cudaMemcpy(d->device_mean, d->mean, (size_t)d->c * sizeof(float),
                               cudaMemcpyHostToDevice));
        assert_cuda(cudaMemcpy(d->device_variance, d->variance, (size_t)d->c * sizeof(float),
                               cudaMemcpyHostToDevice));
        check_joined_backward(
            d, ranks, number % 2 != 0 ? DET_ACTIVATION_RELU6 : DET_ACTIVATION_NONE, number % 4 < 2);
    }
}

static void ranks_are_one_batch(void **state)
{
    (void)state;
    each_size(ranks_of);
}

static void statistics_agree(void **state)
{
    (void)state;
    each_size(statistics_of);
}

static void apply_agrees(void **state)
{
    (void)state;
    each_size(apply_of);
}

static void backward_agrees(void **state)
{
    (void)state;
    each_size(backward_of);
}

static void bias_backward_agree(void **state)
{
    (void)state;
    each_size(bias_backward_of);
}

/* A NaN reaches its channel's results, and no other's. */
static void nan_stays_in_its_channel(void **state)
{
    (void)state;
    enum { ROWS = 70, C = 12, BAD = 5 };
    struct data d = make(DETK_F32, ROWS, C, false);
    float *out = malloc(d.count * sizeof *out), sums[C];
    d.in[30 * C + BAD] = NAN;
    d.dout[40 * C + BAD] = NAN;
    assert_cuda(cudaMemcpy(d.device_in, d.in, d.count * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpy(d.device_dout, d.dout, d.count * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(detk_bn_apply(0, d.type, ROWS, C, d.device_in, d.device_gamma, d.device_beta,
                              d.device_mean, d.device_variance, EPSILON, DET_ACTIVATION_RELU6,
                              d.device_dout));
    test_device_read(out, d.device_dout, d.count * sizeof *out);
    for (size_t i = 0; i < d.count; i++)
        assert_int_equal(isnan(out[i]), i == 30 * C + BAD);
    assert_cuda(cudaMemcpy(d.device_dout, d.dout, d.count * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(
        detk_bias_backward(0, d.type, ROWS, C, d.device_dout, d.device_mean, false, d.workspace));
    test_device_read(sums, d.device_mean, sizeof sums);
    for (int k = 0; k < C; k++)
        assert_int_equal(isnan(sums[k]), k == BAD);
    assert_cuda(detk_bn_statistics(0, d.type, ROWS, C, d.device_in, d.device_mean,
                                   d.device_variance, d.workspace));
    for (int k = 0; k < 2; k++) {
        test_device_read(sums, k == 0 ? d.device_mean : d.device_variance, sizeof sums);
        for (int i = 0; i < C; i++)
            assert_int_equal(isnan(sums[i]), i == BAD);
    }
    free(out);
    drop(&d);
}

/* From a value that is NaN the gradient passes, to its place and into the sums, as on the CPU. */
static void gradients_pass_a_nan(void **state)
{
    (void)state;
    enum { ROWS = 70, C = 12, BAD = 5 };
    struct data d = make(DETK_F32, ROWS, C, false);
    float *wanted = malloc(d.count * sizeof *wanted), *got = malloc(d.count * sizeof *got);
    float sums[2][C], device_sums[2][C];
    d.in[30 * C + BAD] = NAN;
    assert_cuda(cudaMemcpy(d.device_in, d.in, d.count * sizeof(float), cudaMemcpyHostToDevice));
    detk_bn_frozen_backward__ref(&d.exec, ROWS, C, d.in, d.dout, d.gamma, d.beta, d.mean,
                                 d.variance, EPSILON, DET_ACTIVATION_RELU6, wanted, false, sums[0],
                                 sums[1]);
    float *device = test_device_alloc(sizeof device_sums);
    assert_cuda(detk_bn_frozen_backward(0, d.type, ROWS, C, d.device_in, d.device_dout,
                                        d.device_gamma, d.device_beta, d.device_mean,
                                        d.device_variance, EPSILON, DET_ACTIVATION_RELU6,
                                        d.device_dout, false, device, device + C, d.workspace));
    test_device_read(got, d.device_dout, d.count * sizeof *got);
    test_device_read(device_sums, device, sizeof device_sums);
    for (size_t i = 0; i < d.count; i++)
        assert_near(got[i], wanted[i], 1e-4);
    for (int k = 0; k < C; k++) {
        assert_near(device_sums[1][k], sums[1][k], 1e-3);
        assert_int_equal(isnan(device_sums[0][k]), k == BAD);
    }
    free(wanted);
    free(got);
    test_device_free(device);
    drop(&d);
}

/* Two entries share their moving statistics: the second moves what the first left. */
static void moving_statistics_move_in_order(void **state)
{
    (void)state;
    enum { C = 300, ENTRIES = 3, RUNS = 2 };
    float statistics[ENTRIES][2][C], moving[RUNS][2][C], got[RUNS][2][C];
    test_fill(&statistics[0][0][0], ENTRIES * 2 * C, 1);
    test_fill(&moving[0][0][0], RUNS * 2 * C, 2);
    float *device_statistics = test_device_copy(statistics, sizeof statistics);
    float *device_moving = test_device_copy(moving, sizeof moving);
    static const int32_t heads[RUNS + 1] = {0, 2, 3}, zero = 0, one = 1;
    const float unbiased[] = {1.25f, 1.5f, 1.0f}, rate = 1.0f - 0.997f;
    struct detk_bn_moving entries[ENTRIES];
    for (int e = 0; e < ENTRIES; e++) {
        const int run = e < 2 ? 0 : 1;
        entries[e] = (struct detk_bn_moving){
            .mean = device_statistics + (size_t)e * 2 * C,
            .variance = device_statistics + ((size_t)e * 2 + 1) * C,
            .moving_mean = device_moving + (size_t)run * 2 * C,
            .moving_variance = device_moving + ((size_t)run * 2 + 1) * C,
            .unbiased = unbiased[e],
            .rate = rate,
            .c = C,
        };
        for (int k = 0; k < C; k++) {
            float *mean = &moving[run][0][k], *variance = &moving[run][1][k];
            *mean -= (*mean - statistics[e][0][k]) * rate;
            *variance -= (*variance - statistics[e][1][k] * unbiased[e]) * rate;
        }
    }
    struct detk_bn_moving *device_entries = test_device_copy(entries, sizeof entries);
    int32_t *device_heads = test_device_copy(heads, sizeof heads);
    int32_t *bad = test_device_copy(&zero, sizeof zero), *good = test_device_copy(&one, sizeof one);
    assert_cuda(detk_bn_update_moving(0, device_entries, device_heads, RUNS, bad)); /* nothing */
    assert_cuda(detk_bn_update_moving(0, device_entries, device_heads, RUNS, good));
    test_device_read(got, device_moving, sizeof got);
    assert_memory_equal(got, moving, sizeof got);
    test_device_free(device_statistics);
    test_device_free(device_moving);
    test_device_free(device_entries);
    test_device_free(device_heads);
    test_device_free(bad);
    test_device_free(good);
}

int test_cuda_bn(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_agree),     cmocka_unit_test(apply_agrees),
        cmocka_unit_test(backward_agrees),      cmocka_unit_test(bias_backward_agree),
        cmocka_unit_test(ranks_are_one_batch),  cmocka_unit_test(nan_stays_in_its_channel),
        cmocka_unit_test(gradients_pass_a_nan), cmocka_unit_test(moving_statistics_move_in_order),
    };
    return cmocka_run_group_tests_name("cuda_bn", tests, NULL, NULL);
}
