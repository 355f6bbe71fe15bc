/* Tiles of a picture: data/tile_grid.h, det_tile_plan(). */
#include <math.h>

#include "data/tile_grid.h"
#include "support/test.h"

static det_tile_settings tiles_of(int32_t width, int32_t height, float overlap)
{
    return (det_tile_settings){sizeof(det_tile_settings), height, width, overlap, 1};
}

static void assert_covers(const struct det_tile_axis *axis, int32_t whole, int32_t tile,
                          float overlap)
{
    assert_int_equal(axis->tile, whole < tile ? whole : tile);
    assert_int_equal(det_tile_axis_start(axis, 0), 0);
    assert_int_equal(det_tile_axis_start(axis, axis->count - 1) + axis->tile, whole);
    int32_t shortest = INT32_MAX, longest = 0;
    for (int32_t i = 1; i < axis->count; i++) {
        const int32_t step = det_tile_axis_start(axis, i) - det_tile_axis_start(axis, i - 1);
        shortest = step < shortest ? step : shortest;
        longest = step > longest ? step : longest;
        assert_true(step >= 1);
        /* A tile of few pixels may have to overlap by less than a pixel. */
        assert_true(step == 1 ||
                    (double)(axis->tile - step) >= (double)overlap * axis->tile - 1e-3);
    }
    assert_true(axis->count == 1 || longest - shortest <= 1);
    /* One less would not do. */
    if (axis->count > 2)
        assert_true((double)(whole - axis->tile) / (axis->count - 2) >
                    axis->tile * (1 - (double)overlap) - 1);
}

static void tiles_cover_a_picture_evenly(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    static const int32_t sides[] = {1, 2, 3, 95, 96, 97, 191, 192, 193, 1000, 1080, 1920, 4097};
    static const int32_t tiles[] = {1, 2, 7, 96, 320, 5000};
    static const float overlaps[] = {0, .1F, .2F, .25F, .5F, .9F};
    for (size_t s = 0; s < sizeof sides / sizeof sides[0]; s++)
        for (size_t i = 0; i < sizeof tiles / sizeof tiles[0]; i++)
            for (size_t o = 0; o < sizeof overlaps / sizeof overlaps[0]; o++) {
                const det_tile_settings settings = tiles_of(tiles[i], 5000, overlaps[o]);
                struct det_tile_grid grid;
                assert_ok(&t.env, det_tile_grid_make(&t.env, &settings, 7, sides[s], &grid));
                assert_int_equal(grid.axes[0].count, 1);
                assert_covers(&grid.axes[1], sides[s], tiles[i], overlaps[o]);
            }
    /* What a user reckons: 320 of 1920 by .2 is 256 further each time. */
    const det_tile_settings usual = tiles_of(320, 320, .2F);
    struct det_tile_grid grid;
    assert_ok(&t.env, det_tile_grid_make(&t.env, &usual, 1080, 1856, &grid));
    assert_int_equal(grid.axes[1].count, 7);
    assert_int_equal(det_tile_axis_start(&grid.axes[1], 6), 6 * 256);
    test_env_check(&t);
}

static void a_plan_is_public(void **state)
{
    (void)state;
    det_context *context = NULL;
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    det_tile_settings settings = tiles_of(100, 50, .2F);
    det_region regions[40];
    size_t count = 0;
    assert_int_equal(det_tile_plan(context, &settings, 90, 250, regions, 40, &count), DET_OK);
    assert_int_equal(count, 6);
    assert_true(regions[0].y == 0 && regions[0].x == 0 && regions[0].height == 50 &&
                regions[0].width == 100);
    assert_true(regions[1].x == 75 && regions[2].x == 150 && regions[3].y == 40);
    regions[4].x = -1; /* fewer places than tiles */
    assert_int_equal(det_tile_plan(context, &settings, 90, 250, regions, 4, &count), DET_OK);
    assert_true(count == 6 && regions[4].x == -1);
    assert_int_equal(det_tile_plan(context, &settings, 90, 250, NULL, 0, &count), DET_OK);
    static const struct {
        int32_t width, height;
        float overlap;
        int32_t picture;
        det_status status;
        const char *text;
    } bad[] = {
        {0, 0, .2F, 100, DET_STATUS_INVALID_ARGUMENT, "size is 0 x 0"},
        {10, 0, .2F, 100, DET_STATUS_INVALID_ARGUMENT, "tiles of 10 x 0 pixels"},
        {-1, -1, .2F, 100, DET_STATUS_INVALID_ARGUMENT, "tiles of -1 x -1 pixels"},
        {10, 10, -.1F, 100, DET_STATUS_INVALID_ARGUMENT, "overlap is -0.1"},
        {10, 10, .95F, 100, DET_STATUS_INVALID_ARGUMENT, "overlap is 0.95"},
        {10, 10, NAN, 100, DET_STATUS_INVALID_ARGUMENT, "overlap is"},
        {10, 10, .2F, 0, DET_STATUS_INVALID_ARGUMENT, "picture of 0 x 0 pixels"},
        {1, 1, .9F, 2000, DET_STATUS_UNSUPPORTED, "has 4000000 tiles of 1 x 1"},
        {INT32_MAX, 1, 0, INT32_MAX, DET_STATUS_UNSUPPORTED, "has 2147483647 tiles"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        settings = tiles_of(bad[i].width, bad[i].height, bad[i].overlap);
        count = 1;
        assert_int_equal(
            det_tile_plan(context, &settings, bad[i].picture, bad[i].picture, regions, 40, &count),
            bad[i].status);
        assert_contains(det_context_error(context), bad[i].text);
        assert_int_equal(count, 0);
    }
    det_context_destroy(&context);
}

int test_tile_grid(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_cover_a_picture_evenly),
        cmocka_unit_test(a_plan_is_public),
    };
    return cmocka_run_group_tests_name("tile_grid", tests, NULL, NULL);
}
