/* What was found in tiles of a picture made into one list: on scenes whose objects are known, seen
 * by a detector that sees in each tile what of them lies in it. */
#include <math.h>

#include "detect/sightings.h"
#include "support/mem.h"
#include "support/test.h"

enum { MOST_OBJECTS = 600, MOST_SEEN = 700 };

static det_tile_settings tiles_of(int32_t width, int32_t height, float overlap)
{
    det_tile_settings settings;
    det_tile_settings_default(&settings);
    settings.width = width;
    settings.height = height;
    settings.overlap = overlap;
    return settings;
}

/* --- scenes --- */

struct object {
    int32_t class_id;
    float box[4]; /* px */
};

struct scene {
    int32_t height, width;
    struct object objects[MOST_OBJECTS];
    int count;
};

static void put(struct scene *scene, float ymin, float xmin, float ymax, float xmax)
{
    assert_in_range(scene->count, 0, MOST_OBJECTS - 1);
    scene->objects[scene->count++] = (struct object){1, {ymin, xmin, ymax, xmax}};
}

/* How the detector is. */
struct eyes {
    float least_visible; /* share of an object that is enough */
    float half_score;    /* of a half; whole ones have .8 */
    bool sees_whole;     /* the whole picture scaled down, all objects in it */
};

static float random_of(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (float)(*seed >> 8) / 16777216.F;
}

/* What of an object is in a region, with a pixel's error. */
static bool sees(const struct scene *scene, const struct object *object, const float region[4],
                 const struct eyes *eyes, float error, uint32_t *seed, det_detection *seen)
{
    float box[4], visible = 1;
    for (int axis = 0; axis < 2; axis++) {
        box[axis] = fmaxf(object->box[axis], region[axis]);
        box[axis + 2] = fminf(object->box[axis + 2], region[axis + 2]);
        visible *=
            fmaxf(box[axis + 2] - box[axis], 0) / (object->box[axis + 2] - object->box[axis]);
    }
    if (visible < eyes->least_visible)
        return false;
    for (int side = 0; side < 4; side++)
        box[side] = fminf(fmaxf(box[side] + error * (2 * random_of(seed) - 1), region[side % 2]),
                          region[side % 2 + 2]);
    const float height = (float)scene->height, width = (float)scene->width;
    *seen = (det_detection){
        object->class_id, (visible > .98F ? .8F : eyes->half_score) - .01F * random_of(seed),
        box[0] / height,  box[1] / width,
        box[2] / height,  box[3] / width};
    return true;
}

static int by_score(const void *a, const void *b)
{
    const float x = ((const det_detection *)a)->score, y = ((const det_detection *)b)->score;
    return x < y ? 1 : x > y ? -1 : 0;
}

static size_t look(const struct scene *scene, const det_region *r, const struct eyes *eyes,
                   float error, uint32_t *seed, det_detection *seen)
{
    const float region[4] = {(float)r->y, (float)r->x, (float)(r->y + r->height),
                             (float)(r->x + r->width)};
    size_t count = 0;
    for (int i = 0; i < scene->count; i++)
        if (sees(scene, &scene->objects[i], region, eyes, error, seed, &seen[count]))
            assert_in_range(++count, 1, MOST_SEEN);
    qsort(seen, count, sizeof *seen, by_score);
    return count;
}

struct result {
    det_detection *list;
    size_t count, capacity;
};

static det_status detect(struct det_env *env, const struct scene *scene,
                         const det_tile_settings *settings, const struct eyes *eyes,
                         struct result *result)
{
    struct det_sightings s = {0};
    struct det_tile_grid grid;
    det_detection *seen = calloc(MOST_SEEN, sizeof *seen);
    const det_region all = {0, 0, scene->height, scene->width};
    uint32_t seed = 1;
    det_status status = DET_OK;
    assert_non_null(seen);
    result->count = 0;
    DET_TRY(det_tile_grid_make(env, settings, scene->height, scene->width, &grid));
    DET_TRY(det_sightings_begin(env, &s, &grid, &all, scene->height, scene->width, .6F));
    for (int32_t i = 0; i < det_tile_grid_count(&grid); i++) {
        const det_region tile = det_tile_grid_at(&grid, i);
        DET_TRY(det_sightings_add(env, &s, seen, look(scene, &tile, eyes, 1, &seed, seen)));
    }
    /* Scaled down an error of a pixel is one of several. */
    if (eyes->sees_whole)
        DET_TRY(det_sightings_add(env, &s, seen, look(scene, &all, eyes, 3, &seed, seen)));
    DET_TRY(
        det_sightings_merge(env, &s, SIZE_MAX, &result->list, &result->count, &result->capacity));
fail:
    free(seen);
    det_sightings_free(env, &s);
    if (status != DET_OK)
        det_free(env, &result->list);
    return status;
}

static float iou_of(const struct scene *scene, const struct object *object, const det_detection *d)
{
    const float height = (float)scene->height, width = (float)scene->width;
    const float box[4] = {d->ymin * height, d->xmin * width, d->ymax * height, d->xmax * width};
    float common = 1, area[2] = {1, 1};
    for (int axis = 0; axis < 2; axis++) {
        common *= fmaxf(
            fminf(box[axis + 2], object->box[axis + 2]) - fmaxf(box[axis], object->box[axis]), 0);
        area[0] *= box[axis + 2] - box[axis];
        area[1] *= object->box[axis + 2] - object->box[axis];
    }
    return common / (area[0] + area[1] - common);
}

/* Each object once, all of it, and nothing else. */
static void assert_found(const struct scene *scene, const struct result *result, float least_iou)
{
    for (int i = 0; i < scene->count; i++) {
        float best = 0;
        for (size_t d = 0; d < result->count; d++)
            if (result->list[d].class_id == scene->objects[i].class_id)
                best = fmaxf(best, iou_of(scene, &scene->objects[i], &result->list[d]));
        if (!(best >= least_iou))
            fail_msg("object %d (%g %g %g %g) is found with an IoU of %g", i,
                     (double)scene->objects[i].box[0], (double)scene->objects[i].box[1],
                     (double)scene->objects[i].box[2], (double)scene->objects[i].box[3],
                     (double)best);
    }
    assert_int_equal(result->count, scene->count);
    for (size_t d = 1; d < result->count; d++)
        assert_true(result->list[d].score <= result->list[d - 1].score);
}

static void expect(const struct scene *scene, const det_tile_settings *settings,
                   const struct eyes *eyes, float least_iou)
{
    struct test_env t;
    struct result result = {0};
    test_env_init(&t);
    assert_ok(&t.env, detect(&t.env, scene, settings, eyes, &result));
    assert_found(scene, &result, least_iou);
    det_free(&t.env, &result.list);
    test_env_check(&t);
}

/* Tiles of 320 by .2 over 576 x 576: two by two, which have 64 pixels in common, 256 to 320. */
static const struct eyes plain = {.least_visible = .15F, .half_score = .7F};

static const struct eyes keen_on_halves = {.least_visible = .1F, .half_score = .95F};

static const struct eyes with_whole = {
    .least_visible = .1F, .half_score = .95F, .sees_whole = true};

static void an_object_at_a_border_is_one(void **state)
{
    (void)state;
    static const float boxes[][4] = {
        {100, 100, 140, 150}, /* whole in one tile */
        {100, 270, 140, 310}, /* whole in both */
        {100, 230, 140, 290}, /* whole in one, cut in the other */
        {100, 290, 140, 345},
        {100, 200, 160, 380}, /* larger than what they have in common: cut in both */
        {100, 255, 140, 321},
        {200, 100, 380, 160}, /* the same across rows */
        {270, 270, 300, 300}, /* at the corner of four: whole in all */
        {240, 240, 300, 300}, /* whole in one, cut in three */
        {200, 200, 380, 380}, /* cut in all four */
        {200, 270, 380, 310}, /* cut in all four, by rows alone */
    };
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    for (size_t i = 0; i < sizeof boxes / sizeof boxes[0]; i++) {
        struct scene scene = {.height = 576, .width = 576};
        put(&scene, boxes[i][0], boxes[i][1], boxes[i][2], boxes[i][3]);
        expect(&scene, &settings, &plain, .85F);
        expect(&scene, &settings, &keen_on_halves, .85F);
        expect(&scene, &settings, &with_whole, .8F);
    }
}

static void neighbours_at_a_border_stay_two(void **state)
{
    (void)state;
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    struct scene scene = {.height = 576, .width = 576};
    put(&scene, 20, 200, 60, 300); /* one behind the other, the border between them */
    put(&scene, 20, 302, 60, 400);
    put(&scene, 100, 180, 150, 390); /* one above the other, both across it */
    put(&scene, 152, 180, 202, 390);
    put(&scene, 210, 200, 230, 276); /* one begins where the other ends, in the strip */
    put(&scene, 210, 278, 230, 390);
    put(&scene, 400, 250, 430, 290); /* and beside one that is whole */
    put(&scene, 400, 292, 430, 420);
    expect(&scene, &settings, &plain, .85F);
    expect(&scene, &settings, &keen_on_halves, .85F);
    /* Two of different classes in the same place are two. */
    scene = (struct scene){.height = 576, .width = 576};
    put(&scene, 100, 200, 160, 380);
    put(&scene, 102, 203, 158, 384);
    scene.objects[1].class_id = 2;
    expect(&scene, &settings, &plain, .85F);
}

/* Larger than a tile: three in a row, and nine. Parts without a neighbour's border in common
 * (the middle) join, too. */
static void an_object_larger_than_a_tile_is_one(void **state)
{
    (void)state;
    static const struct eyes eyes = {.least_visible = .01F, .half_score = .7F};
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    struct scene scene = {.height = 832, .width = 832};
    put(&scene, 100, 150, 180, 700);
    expect(&scene, &settings, &eyes, .9F);
    scene.count = 0;
    put(&scene, 130, 150, 700, 720);
    expect(&scene, &settings, &eyes, .9F);
    expect(&scene, &settings, &with_whole, .9F);
}

static void no_overlap_and_much(void **state)
{
    (void)state;
    struct scene scene = {.height = 640, .width = 640};
    put(&scene, 100, 250, 160, 390);
    put(&scene, 290, 20, 350, 80);
    put(&scene, 270, 270, 370, 370);
    put(&scene, 400, 500, 440, 560);
    const det_tile_settings none = tiles_of(320, 320, 0), much = tiles_of(320, 320, .9F);
    const det_tile_settings half = tiles_of(320, 320, .5F);
    expect(&scene, &none, &plain, .85F);
    expect(&scene, &half, &plain, .85F);
    expect(&scene, &much, &keen_on_halves, .85F);
}

/* Many objects anywhere, none on another: all are found once, whatever borders cut them. */
static void crowds_are_counted_right(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 12; seed++) {
        struct scene scene = {.height = 1080, .width = 1920};
        uint32_t random = seed;
        for (float y = 4; y < 1000; y += 72)
            for (float x = 4; x < 1830; x += 92) {
                const float height = 14 + 50 * random_of(&random);
                const float width = 14 + 70 * random_of(&random);
                if (random_of(&random) < .7F)
                    put(&scene, y, x, y + height, x + width);
            }
        const det_tile_settings settings = tiles_of(320, 320, seed % 2 == 0 ? .1F : .2F);
        expect(&scene, &settings, seed % 3 == 0 ? &keen_on_halves : &plain, .6F);
    }
}

/* The scenes above are ones to merge: suppression by the IoU alone leaves halves. */
static void halves_are_there_to_be_merged(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    struct scene scene = {.height = 576, .width = 576};
    put(&scene, 200, 200, 380, 380);
    struct det_tile_grid grid;
    assert_ok(&t.env, det_tile_grid_make(&t.env, &settings, 576, 576, &grid));
    size_t seen = 0;
    det_detection found[4];
    uint32_t seed = 1;
    for (int32_t i = 0; i < 4; i++) {
        const det_region tile = det_tile_grid_at(&grid, i);
        seen += look(&scene, &tile, &plain, 1, &seed, found);
        assert_true(iou_of(&scene, &scene.objects[0], found) < .5F);
    }
    assert_int_equal(seen, 4);
    test_env_check(&t);
}

/* Two tiles of 320 by .2 in 576 x 320, and the whole; boxes in pixels of it. */
struct seen {
    int tile; /* 2: the whole */
    float score, box[4];
};

static void merge_seen(const struct seen *seen, int count, struct result *result,
                       struct test_env *t)
{
    struct det_sightings s = {0};
    struct det_tile_grid grid;
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    const det_region all = {0, 0, 320, 576};
    assert_ok(&t->env, det_tile_grid_make(&t->env, &settings, 320, 576, &grid));
    assert_int_equal(det_tile_grid_count(&grid), 2);
    assert_ok(&t->env, det_sightings_begin(&t->env, &s, &grid, &all, 320, 576, .6F));
    for (int tile = 0; tile < 3; tile++) {
        det_detection found[4];
        size_t here = 0;
        for (int i = 0; i < count; i++)
            if (seen[i].tile == tile)
                found[here++] = (det_detection){1,
                                                seen[i].score,
                                                seen[i].box[0] / 320,
                                                seen[i].box[1] / 576,
                                                seen[i].box[2] / 320,
                                                seen[i].box[3] / 576};
        assert_ok(&t->env, det_sightings_add(&t->env, &s, found, here));
    }
    result->count = 0;
    assert_ok(&t->env, det_sightings_merge(&t->env, &s, SIZE_MAX, &result->list, &result->count,
                                           &result->capacity));
    det_sightings_free(&t->env, &s);
}

static void one_by_one(void **state)
{
    (void)state;
    struct test_env t;
    struct result result = {0};
    test_env_init(&t);
    /* What one look at a tile finds twice is two, also when the boxes have much in common. */
    static const struct seen close[] = {{0, .9F, {100, 100, 200, 200}},
                                        {0, .8F, {100, 130, 200, 230}},
                                        {0, .7F, {20, 250, 80, 320}},
                                        {0, .6F, {30, 260, 70, 319}}};
    merge_seen(close, 4, &result, &t);
    assert_int_equal(result.count, 4);
    /* Halves of two objects, at other heights, are two. */
    static const struct seen apart[] = {{0, .9F, {100, 200, 140, 320}},
                                        {1, .9F, {130, 256, 220, 400}}};
    merge_seen(apart, 2, &result, &t);
    assert_int_equal(result.count, 2);
    /* So are a sure one and a faint one. */
    static const struct seen unlike[] = {{0, .9F, {100, 100, 140, 320}},
                                         {1, .3F, {100, 256, 140, 500}}};
    merge_seen(unlike, 2, &result, &t);
    assert_int_equal(result.count, 2);
    /* The tile's box, which is the finer one, and the score of the surest look. */
    static const struct seen coarse[] = {{0, .6F, {100, 100, 140, 150}},
                                         {2, .9F, {96, 98, 144, 152}}};
    merge_seen(coarse, 2, &result, &t);
    assert_int_equal(result.count, 1);
    assert_true(result.list[0].score == .9F);
    assert_near(result.list[0].xmin * 576, 100, 1e-3);
    /* Unless the tile is not sure at all. */
    static const struct seen faint[] = {{0, .3F, {100, 100, 140, 150}},
                                        {2, .9F, {96, 98, 144, 152}}};
    merge_seen(faint, 2, &result, &t);
    assert_int_equal(result.count, 1);
    assert_near(result.list[0].xmin * 576, 98, 1e-3);
    det_free(&t.env, &result.list);
    test_env_check(&t);
}

static void only_the_surest_are_reported(void **state)
{
    (void)state;
    struct test_env t;
    struct result result = {0};
    struct det_sightings s = {0};
    struct det_tile_grid grid;
    test_env_init(&t);
    const det_tile_settings settings = tiles_of(10, 10, 0);
    const det_region all = {0, 0, 10, 20};
    const det_detection left[] = {{1, .9F, .1F, .1F, .3F, .2F}, {1, .5F, .5F, .1F, .7F, .2F}};
    const det_detection right[] = {{1, .7F, .1F, .7F, .3F, .8F}};
    assert_ok(&t.env, det_tile_grid_make(&t.env, &settings, 10, 20, &grid));
    assert_ok(&t.env, det_sightings_begin(&t.env, &s, &grid, &all, 10, 20, .6F));
    assert_ok(&t.env, det_sightings_add(&t.env, &s, left, 2));
    assert_ok(&t.env, det_sightings_add(&t.env, &s, right, 1));
    assert_ok(&t.env,
              det_sightings_merge(&t.env, &s, 2, &result.list, &result.count, &result.capacity));
    assert_int_equal(result.count, 2);
    assert_memory_equal(&result.list[0], &left[0], sizeof left[0]);
    assert_memory_equal(&result.list[1], &right[0], sizeof right[0]);
    det_sightings_free(&t.env, &s);
    det_free(&t.env, &result.list);
    test_env_check(&t);
}

/* Thousands of tiles full of detections: memory stays within what the surest of them take, and the
 * surest are right. */
static void memory_is_bounded(void **state)
{
    (void)state;
    enum { TILES = 8000, EACH = 100 };
    struct test_env t;
    struct det_sightings s = {0};
    struct det_tile_grid grid;
    struct result result = {0};
    det_detection found[EACH];
    test_env_init(&t);
    const det_tile_settings settings = tiles_of(100, 100, 0);
    const det_region all = {0, 0, 100, TILES * 100};
    assert_ok(&t.env, det_tile_grid_make(&t.env, &settings, 100, TILES * 100, &grid));
    assert_int_equal(det_tile_grid_count(&grid), TILES);
    assert_ok(&t.env, det_sightings_begin(&t.env, &s, &grid, &all, 100, TILES * 100, .6F));
    uint32_t seed = 3;
    for (int32_t tile = 0; tile < TILES; tile++) {
        for (int i = 0; i < EACH; i++) { /* ten by ten, apart */
            const float y = (float)(i / 10 * 10 + 2) / 100;
            const double x = tile * 100 + i % 10 * 10 + 2;
            found[i] = (det_detection){1 + i % 3, .5F * random_of(&seed),
                                       y,         (float)(x / (TILES * 100)),
                                       y + .06F,  (float)((x + 6) / (TILES * 100))};
        }
        found[0].score = .9F;
        qsort(found, EACH, sizeof found[0], by_score);
        assert_ok(&t.env, det_sightings_add(&t.env, &s, found, EACH));
        assert_true(s.count <= 2 * DET_MOST_SIGHTINGS + EACH);
    }
    assert_true(det_sightings_bytes(&s) < (size_t)200 << 20);
    assert_ok(&t.env, det_sightings_merge(&t.env, &s, TILES, &result.list, &result.count,
                                          &result.capacity));
    assert_int_equal(result.count, TILES);
    for (int i = 0; i < TILES; i++)
        assert_true(result.list[i].score == .9F);
    det_sightings_free(&t.env, &s);
    det_free(&t.env, &result.list);
    test_env_check(&t);
}

static det_status merge_once(struct det_env *env, void *argument)
{
    struct result result = {0};
    const det_tile_settings settings = tiles_of(320, 320, .2F);
    const det_status status = detect(env, argument, &settings, &with_whole, &result);
    det_free(env, &result.list);
    return status;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct scene scene = {.height = 576, .width = 576};
    put(&scene, 200, 200, 380, 380);
    put(&scene, 10, 10, 50, 50);
    test_each_allocation_fails(merge_once, &scene);
}

int test_tile_merge(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_at_a_border_is_one),
        cmocka_unit_test(neighbours_at_a_border_stay_two),
        cmocka_unit_test(an_object_larger_than_a_tile_is_one),
        cmocka_unit_test(no_overlap_and_much),
        cmocka_unit_test(crowds_are_counted_right),
        cmocka_unit_test(halves_are_there_to_be_merged),
        cmocka_unit_test(one_by_one),
        cmocka_unit_test(only_the_surest_are_reported),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("tile_merge", tests, NULL, NULL);
}
