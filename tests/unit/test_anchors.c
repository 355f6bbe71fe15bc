/* model/anchors: grid, offsets, order, limits. */
#include <math.h>

#include "model/anchors.h"
#include "support/mem.h"
#include "support/test.h"

static void grid_sides(void **state)
{
    (void)state;
    const int32_t expected[5] = {40, 20, 10, 5, 3};
    for (int32_t level = 3; level <= 7; level++) {
        assert_int_equal(det_anchor_grid_side(320, 1, level), expected[level - 3]);
        assert_int_equal(det_anchor_grid_side(300, 32, level), expected[level - 3]);
    }
    assert_int_equal(det_anchor_grid_side(300, 1, 3), 38);
    assert_int_equal(det_anchor_grid_side(1, 1, 7), 1);
}

static void one_level_by_hand(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_anchor_settings settings;
    det_anchor_settings_default(&settings);
    settings.min_level = settings.max_level = 3;
    settings.normalize = false;
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    /* Height 16 is a multiple of 8: offset 4. Width 20 is not: offset 0. */
    const struct det_grid_size grid = {2, 3};
    assert_ok(&t.env, det_anchors_create(&t.env, &settings, &grid, 16, 20, &anchors, &count));
    assert_int_equal(count, 36);
    for (int32_t i = 0; i < count; i++) {
        const double aspects[3] = {1, 2, 0.5};
        const double y = i / 18 * 8 + 4, x = i / 6 % 3 * 8;
        const double aspect = aspects[i / 2 % 3], scale = pow(2, i % 2 / 2.0);
        const double height = scale / sqrt(aspect) * 32, width = scale * sqrt(aspect) * 32;
        assert_near(anchors[i][0], y - height / 2, 1e-5);
        assert_near(anchors[i][1], x - width / 2, 1e-5);
        assert_near(anchors[i][2], y + height / 2, 1e-5);
        assert_near(anchors[i][3], x + width / 2, 1e-5);
    }
    float(*scaled)[4] = NULL;
    settings.normalize = true;
    assert_ok(&t.env, det_anchors_create(&t.env, &settings, &grid, 16, 20, &scaled, &count));
    for (int32_t i = 0; i < count; i++)
        for (int k = 0; k < 4; k++)
            assert_near(scaled[i][k], anchors[i][k] / (k % 2 == 0 ? 16 : 20), 1e-6);
    det_free(&t.env, &anchors);
    det_free(&t.env, &scaled);
    test_env_check(&t);
}

static void wrong_settings(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_anchor_settings good, bad;
    det_anchor_settings_default(&good);
    assert_int_equal(det_anchors_per_cell(&good), 6);
    const struct det_grid_size grids[5] = {{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    float(*anchors)[4] = NULL;
    int32_t count = 0;
#define REJECTS(change, text)                                                        \
    bad = good;                                                                      \
    change;                                                                          \
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, text,                          \
                 det_anchors_create(&t.env, &bad, grids, 64, 64, &anchors, &count)); \
    assert_null(anchors);
    REJECTS(bad.max_level = 2, "levels 3 to 2")
    REJECTS(bad.max_level = 40, "levels 3 to 40")
    REJECTS(bad.aspect_ratio_count = 0, "0 aspect_ratios")
    REJECTS(bad.aspect_ratios[1] = -1, "aspect_ratios[1] is -1")
    REJECTS(bad.aspect_ratios[0] = NAN, "aspect_ratios[0]")
    REJECTS(bad.scales_per_octave = 0, "scales_per_octave")
    REJECTS(bad.anchor_scale = 0, "anchor_scale")
#undef REJECTS
    struct det_grid_size wrong[5] = {{1, 1}, {1, 1}, {0, 1}, {1, 1}, {1, 1}};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "level 5 is 0 x 1",
                 det_anchors_create(&t.env, &good, wrong, 64, 64, &anchors, &count));
    wrong[2] = (struct det_grid_size){INT32_MAX, INT32_MAX};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "too many",
                 det_anchors_create(&t.env, &good, wrong, 64, 64, &anchors, &count));
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "image is 0",
                 det_anchors_create(&t.env, &good, grids, 0, 64, &anchors, &count));
    test_env_check(&t);
}

static det_status create_body(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_anchor_settings settings;
    det_anchor_settings_default(&settings);
    const struct det_grid_size grids[5] = {{2, 2}, {1, 1}, {1, 1}, {1, 1}, {1, 1}};
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    const det_status status = det_anchors_create(env, &settings, grids, 16, 16, &anchors, &count);
    det_free(env, &anchors);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(create_body, NULL);
}

int test_anchors(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_sides),
        cmocka_unit_test(one_level_by_hand),
        cmocka_unit_test(wrong_settings),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("anchors", tests, NULL, NULL);
}
