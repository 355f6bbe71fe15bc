/* optimizer: norm, weight decay and update rules against model/optimizer.c, over several variables
 * and steps. */
#include <math.h>

#include "cuda/support/device.h"
#include "losses.h"
#include "optimizer.h"

/* Variables of odd sizes, one longer than a chunk; some frozen, some decayed. */
static const struct variable {
    int32_t count;
    float l2;
    bool trainable;
} variables[] = {
    {1, 0, true},        {3, 4e-5f, true},      {17, 0, false}, {300, 4e-5f, false},
    {1023, 1e-3f, true}, {DETK_CHUNK, 0, true}, {5, 0, true},   {DETK_CHUNK + 1, 4e-5f, true},
    {9001, 4e-5f, true},
};
enum { VARIABLES = sizeof variables / sizeof *variables, MOST_CHUNKS = 32 };

struct rig {
    struct detk_chunk chunks[MOST_CHUNKS];
    int32_t chunk_count;
    size_t offsets[VARIABLES], floats;
    float *params, *gradients, *slots[2]; /* host */
    struct detk_chunk *device_chunks;
    float *device_params, *device_gradients, *device_slots[2];
    struct detk_loss_values *losses;
    struct detk_step_result *step;
    struct detk_hyper *hyper;
    void *workspace;
};

static void lay_out(struct rig *r)
{
    for (int v = 0; v < VARIABLES; v++) {
        r->offsets[v] = r->floats;
        for (int32_t at = 0; at < variables[v].count; at += DETK_CHUNK) {
            const int32_t left = variables[v].count - at;
            assert_true(r->chunk_count < MOST_CHUNKS);
            r->chunks[r->chunk_count++] = (struct detk_chunk){
                .offset = (int64_t)r->floats + at,
                .count = left < DETK_CHUNK ? left : DETK_CHUNK,
                .l2 = variables[v].l2,
                .trainable = variables[v].trainable,
            };
        }
        r->floats += ((size_t)variables[v].count + 15) / 16 * 16;
    }
}

static float *random_floats(size_t count, uint32_t seed, float scale)
{
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] *= scale;
    return values;
}

static struct rig open_rig(void)
{
    struct rig r = {0};
    const struct detk_loss_values losses = {
        .localization = .25, .classification = 1.5, .normalizer = 3, .matched = 7};
    lay_out(&r);
    const size_t bytes = r.floats * sizeof(float);
    r.params = random_floats(r.floats, 1, 1);
    r.gradients = random_floats(r.floats, 2, .1f);
    r.device_chunks = test_device_copy(r.chunks, sizeof r.chunks);
    r.device_params = test_device_copy(r.params, bytes);
    r.device_gradients = test_device_alloc(bytes);
    for (int s = 0; s < 2; s++) {
        r.slots[s] = calloc(r.floats, sizeof(float));
        assert_non_null(r.slots[s]);
        r.device_slots[s] = test_device_copy(r.slots[s], bytes);
    }
    r.losses = test_device_copy(&losses, sizeof losses);
    r.step = test_device_alloc(sizeof *r.step);
    r.hyper = test_device_alloc(sizeof *r.hyper);
    r.workspace = test_device_alloc(detk_gradient_norm_workspace(r.chunk_count));
    return r;
}

static void close_rig(struct rig *r)
{
    float *const host[] = {r->params, r->gradients, r->slots[0], r->slots[1]};
    void *const device[] = {r->device_chunks,
                            r->device_params,
                            r->device_gradients,
                            r->device_slots[0],
                            r->device_slots[1],
                            r->losses,
                            r->step,
                            r->hyper,
                            r->workspace};
    for (size_t i = 0; i < sizeof host / sizeof *host; i++)
        free(host[i]);
    for (size_t i = 0; i < sizeof device / sizeof *device; i++)
        test_device_free(device[i]);
}

static void upload(float *device, const float *host, size_t floats)
{
    assert_cuda(cudaMemcpy(device, host, floats * sizeof *host, cudaMemcpyHostToDevice));
}

/* What finish_gradients() of train/learner.c does; changes r->gradients. */
static struct detk_step_result finish_on_host(struct rig *r, bool regularize)
{
    struct detk_step_result step = {
        .localization_loss = .25, .classification_loss = 1.5, .finite = 1};
    double squares = 0;
    for (int v = 0; v < VARIABLES; v++) {
        const size_t at = r->offsets[v], count = (size_t)variables[v].count;
        if (regularize)
            step.regularization_loss += det_l2_loss(NULL, r->params + at, count, variables[v].l2);
        if (!variables[v].trainable)
            continue;
        if (regularize && variables[v].l2 > 0)
            det_l2_add_gradient(NULL, r->params + at, r->gradients + at, count, variables[v].l2);
        squares += det_sum_of_squares(NULL, r->gradients + at, count);
    }
    step.gradient_norm = sqrt(squares);
    step.total_loss = 1.75 + step.regularization_loss;
    return step;
}

static struct detk_step_result finish_on_device(struct rig *r, bool regularize, float clip_norm)
{
    struct detk_step_result step;
    assert_cuda(detk_gradient_norm(0, r->device_chunks, r->chunk_count, regularize, clip_norm,
                                   r->device_params, r->device_gradients, r->losses, r->step,
                                   r->workspace));
    test_device_read(&step, r->step, sizeof step);
    return step;
}

static void norms_agree(void **state)
{
    (void)state;
    static const float clips[] = {0, 10, .5f};
    for (int regularize = 0; regularize < 2; regularize++)
        for (size_t c = 0; c < sizeof clips / sizeof *clips; c++) {
            struct rig r = open_rig();
            upload(r.device_gradients, r.gradients, r.floats);
            const struct detk_step_result got = finish_on_device(&r, regularize, clips[c]);
            const struct detk_step_result wanted = finish_on_host(&r, regularize);
            assert_near(got.gradient_norm, wanted.gradient_norm, 1e-12 * wanted.gradient_norm);
            assert_near(got.regularization_loss, wanted.regularization_loss, 1e-14);
            assert_near(got.total_loss, wanted.total_loss, 1e-14);
            assert_near(got.localization_loss, .25, 0);
            assert_near(got.classification_loss, 1.5, 0);
            assert_int_equal(got.matched_anchors, 7);
            assert_int_equal(got.finite, 1);
            const float factor = clips[c] > 0 ? det_clip_factor(got.gradient_norm, clips[c]) : 1;
            assert_near(got.clip_factor, factor, 0);
            float *gradients = malloc(r.floats * sizeof *gradients);
            assert_non_null(gradients);
            test_device_read(gradients, r.device_gradients, r.floats * sizeof *gradients);
            assert_memory_equal(gradients, r.gradients, r.floats * sizeof *gradients);
            free(gradients);
            close_rig(&r);
        }
}

enum rule { SGD, RMSPROP, RMSPROP_PLAIN, ADAM, RULES };

static const struct det_adam adam = {0.9f, 0.999f, 1e-8f};
static const struct det_rmsprop rmsprop[] = {{0.9f, 0.9f, 1.0f}, {0.9f, 0, 1e-3f}};

static void update_on_device(struct rig *r, enum rule rule, float rate, int64_t done)
{
    const struct detk_hyper hyper = {
        .learning_rate = rule == ADAM ? rate * det_adam_correction(&adam, done) : rate};
    assert_cuda(cudaMemcpy(r->hyper, &hyper, sizeof hyper, cudaMemcpyHostToDevice));
    if (rule == SGD)
        assert_cuda(detk_sgd(0, r->device_chunks, r->chunk_count, .9f, r->hyper, r->step,
                             r->device_params, r->device_gradients, r->device_slots[0]));
    else if (rule == ADAM)
        assert_cuda(detk_adam(0, r->device_chunks, r->chunk_count, &adam, r->hyper, r->step,
                              r->device_params, r->device_gradients, r->device_slots[0],
                              r->device_slots[1]));
    else
        assert_cuda(detk_rmsprop(0, r->device_chunks, r->chunk_count, &rmsprop[rule - RMSPROP],
                                 r->hyper, r->step, r->device_params, r->device_gradients,
                                 r->device_slots[0], r->device_slots[1]));
}

static void update_on_host(struct rig *r, enum rule rule, float rate, int64_t done, float clip)
{
    for (int v = 0; v < VARIABLES; v++) {
        const size_t at = r->offsets[v], count = (size_t)variables[v].count;
        float *w = r->params + at, *g = r->gradients + at;
        float *first = r->slots[0] + at, *second = r->slots[1] + at;
        if (!variables[v].trainable)
            continue;
        if (clip != 1)
            det_scale(NULL, g, count, clip);
        if (rule == SGD)
            det_sgd_update(NULL, w, g, first, count, rate, .9f);
        else if (rule == ADAM)
            det_adam_update(NULL, &adam, w, g, first, second, count, rate, done);
        else
            det_rmsprop_update(NULL, &rmsprop[rule - RMSPROP], w, g, first, second, count, rate);
    }
}

/* The device's and the host's parameters and slots are the same bits, what is between the variables
 * included. */
static void compare(const struct rig *r, enum rule rule)
{
    const float *const host[] = {r->params, r->slots[0], r->slots[1]};
    const float *const device[] = {r->device_params, r->device_slots[0], r->device_slots[1]};
    float *got = malloc(r->floats * sizeof *got);
    assert_non_null(got);
    for (int i = 0; i < 3; i++) {
        test_device_read(got, device[i], r->floats * sizeof *got);
        for (size_t k = 0; k < r->floats; k++)
            if (memcmp(&got[k], &host[i][k], sizeof *got) != 0)
                fail_msg("rule %d, array %d, element %zu: %.9g, expected %.9g", (int)rule, i, k,
                         (double)got[k], (double)host[i][k]);
    }
    free(got);
}

static void updates_agree(void **state)
{
    (void)state;
    enum { STEPS = 3 };
    for (int rule = 0; rule < RULES; rule++)
        for (int clip = 0; clip < 2; clip++) {
            struct rig r = open_rig();
            for (int64_t done = 0; done < STEPS; done++) {
                test_fill(r.gradients, r.floats, 10 + (uint32_t)done);
                upload(r.device_gradients, r.gradients, r.floats);
                const float rate = .08f / (float)(done + 1);
                const struct detk_step_result got = finish_on_device(&r, true, clip ? .5f : 0);
                (void)finish_on_host(&r, true);
                update_on_device(&r, (enum rule)rule, rate, done);
                update_on_host(&r, (enum rule)rule, rate, done, got.clip_factor);
                compare(&r, (enum rule)rule);
            }
            close_rig(&r);
        }
}

static void averages_agree(void **state)
{
    (void)state;
    struct rig r = open_rig();
    memcpy(r.slots[0], r.params, r.floats * sizeof(float));
    upload(r.device_slots[0], r.slots[0], r.floats);
    for (int64_t done = 0; done < 3; done++) {
        const struct detk_hyper hyper = {.average_rate = det_average_rate(.4f, done + 1)};
        /* The second update did not take place. */
        const struct detk_step_result step = {.finite = 1, .update = done != 1};
        test_fill(r.params, r.floats, 20 + (uint32_t)done);
        upload(r.device_params, r.params, r.floats);
        assert_cuda(cudaMemcpy(r.hyper, &hyper, sizeof hyper, cudaMemcpyHostToDevice));
        assert_cuda(cudaMemcpy(r.step, &step, sizeof step, cudaMemcpyHostToDevice));
        assert_cuda(detk_average(0, r.device_chunks, r.chunk_count, r.hyper, r.step,
                                 r.device_params, r.device_slots[0]));
        for (int v = 0; v < VARIABLES && step.update; v++)
            if (variables[v].trainable)
                det_average_update(NULL, r.params + r.offsets[v], r.slots[0] + r.offsets[v],
                                   (size_t)variables[v].count, hyper.average_rate);
        compare(&r, SGD);
    }
    close_rig(&r);
}

/* Takes r->gradients in as batch `done` of `batches` on the device: their sums are in its first
 * slot. */
static struct detk_step_result accumulate_on_device(struct rig *r, int32_t batches, int32_t done,
                                                    struct detk_step_result *so_far)
{
    const struct detk_hyper hyper = {.batches_done = done};
    struct detk_step_result step;
    upload(r->device_gradients, r->gradients, r->floats);
    assert_cuda(cudaMemcpy(r->hyper, &hyper, sizeof hyper, cudaMemcpyHostToDevice));
    (void)finish_on_device(r, false, .5f);
    assert_cuda(detk_accumulate_gradients(0, r->device_chunks, r->chunk_count, batches, .5f,
                                          r->hyper, r->device_gradients, r->device_slots[0], so_far,
                                          r->step, r->workspace));
    test_device_read(&step, r->step, sizeof step);
    return step;
}

static void batches_are_accumulated(void **state)
{
    (void)state;
    enum { BATCHES = 3 };
    struct rig r = open_rig();
    struct detk_step_result *so_far = test_device_alloc(sizeof *so_far);
    float *mean = malloc(r.floats * sizeof *mean);
    assert_non_null(mean);
    for (int update = 0; update < 2; update++)
        for (int32_t done = 0; done < BATCHES; done++) {
            const float share = (float)(1.0 / BATCHES);
            struct detk_step_result got;
            test_fill(r.gradients, r.floats, 40 + (uint32_t)done);
            if (update == 1 && done == 1) { /* leaves no trace */
                float *bad = &r.gradients[r.offsets[VARIABLES - 1]], kept = *bad;
                *bad = NAN;
                got = accumulate_on_device(&r, BATCHES, done, so_far);
                assert_int_equal(got.finite, 0);
                assert_int_equal(got.update, 0);
                *bad = kept;
            }
            got = accumulate_on_device(&r, BATCHES, done, so_far);
            assert_int_equal(got.update, done == BATCHES - 1);
            double squares = 0;
            for (int v = 0; v < VARIABLES; v++) {
                const size_t at = r.offsets[v], count = (size_t)variables[v].count;
                float *sums = r.slots[0] + at;
                if (!variables[v].trainable)
                    continue;
                if (done == 0)
                    memcpy(sums, r.gradients + at, count * sizeof *sums);
                else
                    det_add(NULL, sums, r.gradients + at, count);
                memcpy(mean + at, sums, count * sizeof *mean);
                det_scale(NULL, mean + at, count, share);
                squares += det_sum_of_squares(NULL, mean + at, count);
            }
            compare(&r, SGD);
            if (done < BATCHES - 1)
                continue;
            assert_near(got.total_loss, 1.75, 1e-15);
            assert_int_equal(got.matched_anchors, 7 * BATCHES);
            assert_near(got.gradient_norm, sqrt(squares), 1e-12 * sqrt(squares));
            assert_near(got.clip_factor, det_clip_factor(got.gradient_norm, .5f), 0);
            float *device = malloc(r.floats * sizeof *device);
            assert_non_null(device);
            test_device_read(device, r.device_gradients, r.floats * sizeof *device);
            for (int v = 0; v < VARIABLES; v++)
                if (variables[v].trainable)
                    assert_memory_equal(device + r.offsets[v], mean + r.offsets[v],
                                        (size_t)variables[v].count * sizeof *mean);
            free(device);
        }
    free(mean);
    test_device_free(so_far);
    close_rig(&r);
}

/* What the norm's pieces and detk_mean_gradients() make of gradients that are the sums of
 * `ranks`. */
static struct detk_step_result mean_on_device(struct rig *r, int32_t ranks, int32_t finite,
                                              const int32_t *left)
{
    struct detk_step_result step;
    const int32_t half = r->chunk_count / 2;
    upload(r->device_gradients, r->gradients, r->floats);
    assert_cuda(detk_gradient_norm_chunks(0, r->device_chunks, half, r->chunk_count - half, true,
                                          r->device_params, r->device_gradients, r->workspace));
    assert_cuda(detk_gradient_norm_chunks(0, r->device_chunks, 0, half, true, r->device_params,
                                          r->device_gradients, r->workspace));
    assert_cuda(
        detk_gradient_norm_finish(0, r->chunk_count, .5f, r->losses, r->step, r->workspace));
    test_device_read(&step, r->step, sizeof step);
    const struct detk_step_result whole = finish_on_host(r, true);
    assert_near(step.gradient_norm, whole.gradient_norm, 1e-12 * whole.gradient_norm);
    assert_near(step.total_loss, whole.total_loss, 1e-14);
    step.finite = finite;
    assert_cuda(cudaMemcpy(r->step, &step, sizeof step, cudaMemcpyHostToDevice));
    assert_cuda(detk_mean_gradients(0, r->device_chunks, r->chunk_count, ranks, .5f, left,
                                    r->device_gradients, r->step, r->workspace));
    test_device_read(&step, r->step, sizeof step);
    return step;
}

/* The host's word. */
static int32_t *make_left(int32_t value)
{
    void *left = NULL;
    assert_cuda(cudaMallocHost(&left, sizeof(int32_t)));
    *(int32_t *)left = value;
    return left;
}

static void ranks_make_means(void **state)
{
    (void)state;
    int32_t *left = make_left(0);
    for (int32_t ranks = 2; ranks < 5; ranks++)
        for (int32_t finite = 0; finite < 2; finite++) {
            struct rig r = open_rig();
            const struct detk_step_result got = mean_on_device(&r, ranks, finite, left);
            double squares = 0;
            for (int v = 0; v < VARIABLES; v++) {
                float *gradient = r.gradients + r.offsets[v];
                const size_t count = (size_t)variables[v].count;
                if (!variables[v].trainable)
                    continue;
                if (finite)
                    det_scale(NULL, gradient, count, (float)(1.0 / ranks));
                squares += det_sum_of_squares(NULL, gradient, count);
            }
            float *device = malloc(r.floats * sizeof *device);
            assert_non_null(device);
            test_device_read(device, r.device_gradients, r.floats * sizeof *device);
            assert_memory_equal(device, r.gradients, r.floats * sizeof *device);
            free(device);
            assert_near(got.gradient_norm, sqrt(squares), 1e-12 * sqrt(squares));
            assert_int_equal(got.finite, finite);
            assert_int_equal(got.update, finite);
            assert_int_equal(got.matched_anchors, 7);
            if (finite)
                assert_near(got.clip_factor, det_clip_factor(got.gradient_norm, .5f), 0);
            close_rig(&r);
        }
    assert_cuda(cudaFreeHost(left));
}

/* Gradients that are finite on each rank, their sum is not; and a rank that was lost. */
static void sums_that_are_none(void **state)
{
    (void)state;
    struct rig r = open_rig();
    int32_t *left = make_left(0);
    struct detk_step_result got = mean_on_device(&r, 2, 1, left);
    assert_int_equal(got.update, 1);
    r.gradients[r.offsets[VARIABLES - 1]] = INFINITY;
    upload(r.device_gradients, r.gradients, r.floats);
    assert_cuda(detk_mean_gradients(0, r.device_chunks, r.chunk_count, 2, .5f, left,
                                    r.device_gradients, r.step, r.workspace));
    test_device_read(&got, r.step, sizeof got);
    assert_int_equal(got.finite, 0);
    assert_int_equal(got.update, 0);
    r.gradients[r.offsets[VARIABLES - 1]] = 0;
    *left = 1;
    got = mean_on_device(&r, 2, 1, left);
    assert_int_equal(got.finite, 0);
    assert_int_equal(got.update, 0);
    assert_cuda(cudaFreeHost(left));
    close_rig(&r);
}

/* A loss or a gradient that is not finite changes nothing. */
static void bad_steps_change_nothing(void **state)
{
    (void)state;
    for (int bad = 0; bad < 2; bad++)
        for (int rule = 0; rule < RULES; rule++) {
            struct rig r = open_rig();
            const struct detk_loss_values losses = {.localization = INFINITY};
            if (bad == 0)
                assert_cuda(cudaMemcpy(r.losses, &losses, sizeof losses, cudaMemcpyHostToDevice));
            else
                r.gradients[r.offsets[VARIABLES - 1] + 9000] = NAN;
            upload(r.device_gradients, r.gradients, r.floats);
            const struct detk_step_result got = finish_on_device(&r, true, 10);
            assert_int_equal(got.finite, 0);
            assert_true(bad == 0 ? isinf(got.total_loss) : isnan(got.gradient_norm));
            update_on_device(&r, (enum rule)rule, .1f, 0);
            compare(&r, (enum rule)rule);
            close_rig(&r);
        }
}

int test_cuda_optimizer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_agree),
        cmocka_unit_test(updates_agree),
        cmocka_unit_test(averages_agree),
        cmocka_unit_test(batches_are_accumulated),
        cmocka_unit_test(ranks_make_means),
        cmocka_unit_test(sums_that_are_none),
        cmocka_unit_test(bad_steps_change_nothing),
    };
    return cmocka_run_group_tests_name("cuda_optimizer", tests, NULL, NULL);
}
