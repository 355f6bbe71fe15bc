/* targets against det_targets_assign(): the same matches, weights and counts to the last one,
 * encodings as close as logf. */
#include <math.h>

#include "cuda/support/device.h"
#include "data/ground_truth.h"
#include "model/anchors.h"
#include "targets.h"

enum { MOST_IMAGES = 3, CLASSES = 5 };

/* A batch on the host and, as the kernels want it, on the device. */
struct batch {
    struct test_env t;
    int32_t n, anchor_count;
    float (*anchors)[4];
    struct det_ground_truth truths[MOST_IMAGES];
    int32_t offsets[MOST_IMAGES + 1];
    float (*device_anchors)[4];
    struct detk_truths device;
    struct detk_targets out;
    void *workspace, *blocks[12];
    int32_t block_count;
};

static void *device_block(struct batch *b, const void *host, size_t bytes)
{
    assert_true(b->block_count < 12);
    void *block = host != NULL ? test_device_copy(host, bytes) : test_device_alloc(bytes);
    return b->blocks[b->block_count++] = block;
}

static float uniform(const float *random, size_t *at)
{
    return random[(*at)++] * .5f + .5f;
}

/* Boxes inside the unit square, some of no size, some of weight 0, some twice over. */
static void fill_truth(struct batch *b, struct det_ground_truth *truth, int32_t count,
                       uint32_t seed)
{
    float *random = malloc((size_t)(count * 6 + 1) * sizeof *random);
    size_t at = 0;
    assert_non_null(random);
    test_fill(random, (size_t)count * 6 + 1, seed);
    assert_ok(&b->t.env, det_ground_truth_reserve(&b->t.env, truth, count));
    truth->count = count;
    for (int32_t g = 0; g < count; g++) {
        float *box = truth->boxes[g];
        const float y = uniform(random, &at), x = uniform(random, &at);
        const float height = uniform(random, &at) * .4f, width = uniform(random, &at) * .4f;
        box[0] = y * .9f;
        box[1] = x * .9f;
        box[2] = g % 11 == 10 ? box[0] : box[0] + height;
        box[3] = box[1] + width;
        truth->class_index[g] = g % CLASSES;
        truth->weight[g] = g % 7 == 6 ? 0 : uniform(random, &at);
        if (g % 5 == 4)
            memcpy(box, truth->boxes[g - 2], 4 * sizeof *box);
    }
    free(random);
}

/* A grid of anchors of three shapes; many IoUs are equal. */
static void fill_anchors(struct batch *b, int32_t side)
{
    b->anchor_count = side * side * 3;
    b->anchors = malloc((size_t)b->anchor_count * sizeof *b->anchors);
    assert_non_null(b->anchors);
    for (int32_t a = 0; a < b->anchor_count; a++) {
        const float y = ((float)(a / 3 / side) + .5f) / (float)side;
        const float x = ((float)(a / 3 % side) + .5f) / (float)side;
        const float height = a % 3 == 0 ? .2f : .1f, width = a % 3 == 1 ? .2f : .1f;
        const float anchor[] = {y - height / 2, x - width / 2, y + height / 2, x + width / 2};
        memcpy(b->anchors[a], anchor, sizeof anchor);
    }
}

static void open_batch(struct batch *b, int32_t side, const int32_t *counts, int32_t n)
{
    *b = (struct batch){.n = n};
    test_env_init(&b->t);
    fill_anchors(b, side);
    for (int32_t i = 0; i < n; i++) {
        fill_truth(b, &b->truths[i], counts[i], (uint32_t)(i + side));
        b->offsets[i + 1] = b->offsets[i] + counts[i];
    }
    const size_t all = (size_t)b->offsets[n], rows = (size_t)n * (size_t)b->anchor_count;
    float(*boxes)[4] = device_block(b, NULL, (all + 1) * sizeof *boxes);
    int32_t *classes = device_block(b, NULL, (all + 1) * sizeof *classes);
    float *weights = device_block(b, NULL, (all + 1) * sizeof *weights);
    for (int32_t i = 0; i < n; i++) {
        const size_t at = (size_t)b->offsets[i], some = (size_t)counts[i];
        if (some == 0)
            continue;
        assert_cuda(cudaMemcpy(boxes + at, b->truths[i].boxes, some * sizeof *boxes,
                               cudaMemcpyHostToDevice));
        assert_cuda(cudaMemcpy(classes + at, b->truths[i].class_index, some * sizeof *classes,
                               cudaMemcpyHostToDevice));
        assert_cuda(cudaMemcpy(weights + at, b->truths[i].weight, some * sizeof *weights,
                               cudaMemcpyHostToDevice));
    }
    b->device = (struct detk_truths){
        .offsets = device_block(b, b->offsets, sizeof b->offsets),
        .boxes = (const float(*)[4])boxes,
        .class_index = classes,
        .weight = weights,
    };
    b->device_anchors = device_block(b, b->anchors, (size_t)b->anchor_count * sizeof *b->anchors);
    b->out.matched = device_block(b, NULL, rows * sizeof(int32_t));
    b->out.class_index = device_block(b, NULL, rows * sizeof(int32_t));
    b->out.class_weight = device_block(b, NULL, rows * sizeof(float));
    b->out.box_weight = device_block(b, NULL, rows * sizeof(float));
    b->out.encodings = device_block(b, NULL, rows * sizeof *b->out.encodings);
    b->out.box_weight_sum = device_block(b, NULL, sizeof(double));
    b->out.matched_count = device_block(b, NULL, sizeof(int64_t));
    b->workspace = test_device_alloc(detk_targets_workspace(n, b->anchor_count, (int32_t)all + 3));
}

static void close_batch(struct batch *b)
{
    for (int32_t i = 0; i < b->n; i++)
        det_ground_truth_free(&b->t.env, &b->truths[i]);
    for (int32_t i = 0; i < b->block_count; i++)
        test_device_free(b->blocks[i]);
    test_device_free(b->workspace);
    free(b->anchors);
    test_env_check(&b->t);
}

static void same_ints(const char *what, const int32_t *wanted, const int32_t *device, size_t count)
{
    int32_t *got = malloc(count * sizeof *got);
    assert_non_null(got);
    test_device_read(got, device, count * sizeof *got);
    for (size_t i = 0; i < count; i++)
        if (got[i] != wanted[i])
            fail_msg("%s of anchor %zu: %d, expected %d", what, i, got[i], wanted[i]);
    free(got);
}

static void same_floats(const char *what, const float *wanted, const float *device, size_t count,
                        float relative)
{
    float *got = malloc(count * sizeof *got);
    assert_non_null(got);
    test_device_read(got, device, count * sizeof *got);
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - wanted[i]) <= relative * fabsf(wanted[i])))
            fail_msg("%s %zu: %.9g, expected %.9g", what, i, (double)got[i], (double)wanted[i]);
    free(got);
}

static void compare(struct batch *b, const struct det_target_settings *settings)
{
    struct det_env *env = &b->t.env;
    struct det_targets *wanted;
    double weight_sum;
    int64_t matched;
    const size_t rows = (size_t)b->n * (size_t)b->anchor_count;
    assert_ok(env, det_targets_create(env, settings, (const float(*)[4])b->anchors, b->anchor_count,
                                      CLASSES, b->n, &wanted));
    assert_ok(env, det_targets_assign(env, wanted, NULL, b->truths, b->n));
    assert_cuda(detk_targets_assign(0, settings, (const float(*)[4])b->device_anchors,
                                    b->anchor_count, b->n, b->offsets[b->n] + 3, &b->device,
                                    &b->out, b->workspace));
    same_ints("match", wanted->matched, b->out.matched, rows);
    same_ints("class", wanted->class_index, b->out.class_index, rows);
    same_floats("class weight", wanted->class_weight, b->out.class_weight, rows, 0);
    same_floats("box weight", wanted->box_weight, b->out.box_weight, rows, 0);
    same_floats("encoding", wanted->encodings[0], b->out.encodings[0], 4 * rows, 3e-7f);
    test_device_read(&weight_sum, b->out.box_weight_sum, sizeof weight_sum);
    test_device_read(&matched, b->out.matched_count, sizeof matched);
    assert_near(weight_sum, wanted->box_weight_sum, 1e-12 * wanted->box_weight_sum);
    assert_int_equal(matched, wanted->matched_count);
    det_targets_destroy(env, &wanted);
}

static void matches_are_equal(void **state)
{
    (void)state;
    static const int32_t counts[][MOST_IMAGES] = {
        {0, 0, 0}, {1, 0, 7}, {127, 128, 129}, {30, 300, 1}, {5, 1, 0}};
    static const int32_t sides[] = {1, 9, 20};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t s = 0; s < sizeof sides / sizeof *sides; s++)
            for (int variant = 0; variant < 6; variant++) {
                struct det_target_settings settings;
                struct batch b;
                det_target_settings_default(&settings);
                settings.force_match_for_each_row = variant % 2 == 0;
                settings.ignore_thresholds = variant == 4;
                if (variant == 1 || variant == 2) {
                    settings.matched_threshold = .6f;
                    settings.unmatched_threshold = .3f;
                    settings.negatives_lower_than_unmatched = variant == 1;
                    settings.unmatched_class_weight = .75f;
                }
                open_batch(&b, sides[s], counts[c], variant % 3 == 0 ? 1 : MOST_IMAGES);
                compare(&b, &settings);
                close_batch(&b);
            }
}

/* Boxes that touch no anchor take anchor 0, the lowest of them wins. */
static void lost_boxes_take_the_first_anchor(void **state)
{
    (void)state;
    static const int32_t counts[] = {4};
    struct det_target_settings settings;
    struct batch b;
    int32_t matched;
    det_target_settings_default(&settings);
    open_batch(&b, 5, counts, 1);
    for (int g = 0; g < 4; g++) {
        const float outside[] = {2, 2, 2.5f, 2.5f};
        memcpy(b.truths[0].boxes[g], outside, sizeof outside);
    }
    b.truths[0].weight[0] = 0;
    b.truths[0].weight[1] = .5f;
    assert_cuda(cudaMemcpy((void *)(uintptr_t)b.device.boxes, b.truths[0].boxes,
                           4 * 4 * sizeof(float), cudaMemcpyHostToDevice));
    assert_cuda(cudaMemcpy((void *)(uintptr_t)b.device.weight, b.truths[0].weight,
                           4 * sizeof(float), cudaMemcpyHostToDevice));
    compare(&b, &settings);
    test_device_read(&matched, b.out.matched, sizeof matched);
    assert_int_equal(matched, 1);
    close_batch(&b);
}

/* In the ranks' order: 1e16 + 1 + -1e16 + 1 is 1 from left to right. */
static void weights_of_ranks_are_added_up(void **state)
{
    (void)state;
    static const double weights[] = {1e16, 1, -1e16, 1};
    double *all = test_device_copy(weights, sizeof weights), sum = 0, wanted = 0;
    const struct detk_targets targets = {.box_weight_sum = test_device_alloc(sizeof sum)};
    for (int32_t ranks = 1; ranks <= 4; ranks++) {
        wanted += weights[ranks - 1];
        assert_cuda(detk_targets_join(0, all, ranks, &targets));
        test_device_read(&sum, targets.box_weight_sum, sizeof sum);
        assert_true(sum == wanted);
    }
    test_device_free(all);
    test_device_free(targets.box_weight_sum);
}

int test_cuda_targets(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_equal),
        cmocka_unit_test(lost_boxes_take_the_first_anchor),
        cmocka_unit_test(weights_of_ranks_are_added_up),
    };
    return cmocka_run_group_tests_name("cuda_targets", tests, NULL, NULL);
}
