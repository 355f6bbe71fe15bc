/* Data sets cut into tiles: names, boxes, pixels, background; sizes of every kind. */
#include <math.h>

#include "base/context.h"
#include "data/image.h"
#include "det/det.h"
#include "support/annotation_sets.h"
#include "support/mem.h"
#include "support/run_tool.h"
#include "support/workspace.h"

enum { WIDTH = 250, HEIGHT = 170 };

struct fixture {
    struct test_env t;
    det_context *context;
    det_annotation_set *set;
    char folder[256];
};

static void make(struct fixture *f)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 1);
    test_make_directory(f->folder, "annotation_tiles");
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &f->set));
}

static void drop(struct fixture *f)
{
    det_annotation_set_destroy(&f->set);
    det_context_destroy(&f->context);
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

/* A picture whose pixels say where they are. */
static uint8_t red_at(int32_t y, int32_t x)
{
    return (uint8_t)(x * 7 + y * 3);
}

static size_t add_picture(struct fixture *f, const char *name, int32_t width, int32_t height,
                          const char *split)
{
    struct det_env *env = det_context_env(f->context);
    struct det_image image = {0};
    uint8_t *png = NULL, *rgb = NULL;
    size_t bytes = 0, position = 0;
    assert_ok(env, det_image_resize_buffer(env, &image, width, height));
    rgb = image.rgb;
    for (int32_t y = 0; y < height; y++)
        for (int32_t x = 0; x < width; x++, rgb += 3) {
            rgb[0] = red_at(y, x);
            rgb[1] = (uint8_t)y;
            rgb[2] = (uint8_t)(x + 3 * name[0] + 5 * name[1]);
        }
    assert_ok(env, det_image_encode_png(env, &image, &png, &bytes));
    const det_annotation_image given = {
        .struct_size = sizeof given, .data = png, .bytes = bytes, .name = name, .split = split};
    assert_context_ok(f->context, det_annotation_set_add_image(f->set, &given, &position));
    det_free(env, &png);
    det_image_free(env, &image);
    return position;
}

static void add_box(struct fixture *f, size_t position, double y0, double x0, double y1, double x1,
                    bool is_crowd)
{
    det_annotation_object object;
    det_annotation_object_default(&object);
    object.class_name = "car";
    object.in_pixels = 1;
    object.is_crowd = is_crowd;
    const double box[4] = {y0, x0, y1, x1};
    memcpy(object.box, box, sizeof box);
    assert_context_ok(f->context, det_annotation_set_add_object(f->set, position, &object));
}

static det_tile_settings tiles_of(int32_t width, int32_t height, int32_t whole)
{
    det_tile_settings tiles;
    det_tile_settings_default(&tiles);
    tiles.width = width;
    tiles.height = height;
    tiles.whole = whole;
    return tiles;
}

static det_annotations_tiled cut(struct fixture *f, const det_tile_settings *tiles,
                                 double background)
{
    det_annotations_tiled tiled = {.struct_size = sizeof tiled};
    det_annotation_tile_settings settings;
    det_annotation_tile_settings_default(&settings);
    settings.tiles = tiles;
    settings.background = background;
    assert_context_ok(f->context, det_annotation_set_resolve(f->set));
    assert_context_ok(f->context, det_annotation_set_tile(f->set, &settings, &tiled));
    return tiled;
}

/* Position of the image of a name; asserts that there is one. */
static size_t find(struct fixture *f, const char *name)
{
    for (size_t i = 0; i < det_annotation_set_image_count(f->set); i++)
        if (strcmp(test_image_info(f->context, f->set, i).name, name) == 0)
            return i;
    fail_msg("no image is called %s", name);
    return 0;
}

static void assert_box_px(struct fixture *f, size_t position, size_t index, double y0, double x0,
                          double y1, double x1, int truncated)
{
    const det_annotation_image_info info = test_image_info(f->context, f->set, position);
    const det_annotation_object object = test_object_at(f->context, f->set, position, index);
    const double wanted[4] = {y0 / info.height_px, x0 / info.width_px, y1 / info.height_px,
                              x1 / info.width_px};
    for (int side = 0; side < 4; side++)
        assert_near(object.box[side], wanted[side], 1e-9);
    assert_int_equal(object.truncated, truncated);
}

/* Tiles of 100 x 95 over 250 x 170: columns at 0, 75, 150, rows at 0, 75. */
static void boxes_and_names(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const size_t at = add_picture(&f, "street/a.png", WIDTH, HEIGHT, "train");
    add_box(&f, at, 10, 10, 40, 60, false);    /* whole in one */
    add_box(&f, at, 10, 80, 20, 95, false);    /* whole in two */
    add_box(&f, at, 100, 60, 140, 110, false); /* in part: 40 and 35 of 50 columns */
    add_box(&f, at, 100, 140, 120, 240, true); /* a crowd: with any part */
    const det_tile_settings tiles = tiles_of(100, 95, 1);
    const det_annotations_tiled tiled = cut(&f, &tiles, 0);
    assert_int_equal(tiled.images, 1);
    assert_int_equal(tiled.tiles, 5); /* that of row 0, column 150 has none */
    assert_int_equal(tiled.left_out, 1);
    assert_int_equal(tiled.background, 0);
    assert_int_equal(tiled.objects, 3 + 2 + 2);
    assert_int_equal(tiled.clipped, 4);
    assert_int_equal(tiled.dropped, 0);
    assert_int_equal(det_annotation_set_image_count(f.set), 6);
    const size_t whole = find(&f, "street/a.png");
    assert_int_equal(test_image_info(f.context, f.set, whole).object_count, 4);
    const size_t first = find(&f, "street/a_y0000_x0000.png");
    const det_annotation_image_info info = test_image_info(f.context, f.set, first);
    assert_true(info.width_px == 100 && info.height_px == 95 && info.usable);
    assert_string_equal(info.split, "train");
    assert_contains(info.where, "tile at row 0, column 0");
    assert_int_equal(info.object_count, 2);
    assert_box_px(&f, first, 0, 10, 10, 40, 60, 0);
    assert_box_px(&f, first, 1, 10, 80, 20, 95, 0);
    assert_box_px(&f, find(&f, "street/a_y0000_x0075.png"), 0, 10, 5, 20, 20, 0);
    const size_t left = find(&f, "street/a_y0075_x0000.png");
    assert_box_px(&f, left, 0, 25, 60, 65, 100, 1);
    const size_t middle = find(&f, "street/a_y0075_x0075.png");
    assert_box_px(&f, middle, 0, 25, 0, 65, 35, 1);
    assert_box_px(&f, middle, 1, 25, 65, 45, 100, 1);
    assert_int_equal(test_object_at(f.context, f.set, middle, 1).is_crowd, 1);
    assert_box_px(&f, find(&f, "street/a_y0075_x0150.png"), 0, 25, 0, 45, 90, 1);
    drop(&f);
}

/* What is less than half inside is left out; with another share it is not. */
static void the_share_inside_decides(void **state)
{
    (void)state;
    static const struct {
        double least;
        size_t objects, dropped;
    } cases[] = {{.5, 1, 1}, {.29, 2, 0}, {.7, 1, 1}, {.71, 0, 2}, {1, 0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        make(&f);
        const size_t at = add_picture(&f, "a.png", 200, 50, NULL);
        add_box(&f, at, 10, 70, 40, 112.5, false); /* .706 and .294 of it */
        det_tile_settings tiles = tiles_of(100, 50, 0);
        tiles.overlap = 0;
        det_annotations_tiled tiled = {.struct_size = sizeof tiled};
        det_annotation_tile_settings settings;
        det_annotation_tile_settings_default(&settings);
        settings.tiles = &tiles;
        settings.least_inside = cases[i].least;
        assert_context_ok(f.context, det_annotation_set_resolve(f.set));
        assert_context_ok(f.context, det_annotation_set_tile(f.set, &settings, &tiled));
        assert_int_equal(tiled.objects, cases[i].objects);
        assert_int_equal(tiled.dropped, cases[i].dropped);
        drop(&f);
    }
}

static void background_is_chosen_by_split(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    /* 4 x 1 tiles each; one has an object in the first four pictures of each split. */
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%c%d.png", i % 2 == 0 ? 'a' : 'b', i);
        const size_t at = add_picture(&f, name, 400, 20, i % 2 == 0 ? "train" : "val");
        if (i < 8)
            add_box(&f, at, 2, 110, 18, 150, false);
    }
    det_tile_settings tiles = tiles_of(100, 20, 0);
    tiles.overlap = 0;
    const det_annotations_tiled tiled = cut(&f, &tiles, .5);
    assert_int_equal(tiled.tiles, 8 + 4);
    assert_int_equal(tiled.background, 4);
    assert_int_equal(tiled.left_out, 2 * (4 * 3 + 4) - 4);
    det_annotation_split_stats stats = {.struct_size = sizeof stats};
    assert_context_ok(f.context, det_annotation_set_split_stats(f.set, "train", &stats));
    assert_int_equal(stats.images, 6);
    assert_int_equal(stats.images_without_objects, 2);
    assert_int_equal(stats.duplicates, 0);
    drop(&f);
}

/* What is written has the pixels of the tile, and is read as any other set; a picture that is no
 * larger than a tile is byte for byte what it was. */
static void tiles_are_written(void **state)
{
    (void)state;
    struct fixture f;
    char path[400];
    make(&f);
    struct det_env *env = det_context_env(f.context);
    const size_t at = add_picture(&f, "a.png", WIDTH, HEIGHT, "train");
    add_box(&f, at, 100, 60, 140, 110, false);
    const size_t small = add_picture(&f, "small.png", 80, 60, "train");
    add_box(&f, small, 10, 10, 50, 50, false);
    const det_tile_settings tiles = tiles_of(100, 95, 1);
    cut(&f, &tiles, 9);
    det_annotations_written written = {.struct_size = sizeof written};
    assert_context_ok(f.context, det_annotation_set_check(f.set));
    assert_int_equal(
        det_annotation_set_finding_count(f.set, "image-duplicate", DET_SEVERITY_WARNING), 0);
    assert_context_ok(f.context, det_annotation_set_write(f.set, "coco", f.folder, NULL, &written));
    assert_int_equal(written.images, 8);
    assert_int_equal(written.copied, 2);
    assert_int_equal(written.encoded, 6);
    snprintf(path, sizeof path, "%s/train/a_y0075_x0075.png", f.folder);
    struct det_image image = {0};
    assert_ok(env, det_image_read(env, path, &image));
    assert_true(image.width == 100 && image.height == 95);
    for (int32_t y = 0; y < 95; y++)
        for (int32_t x = 0; x < 100; x++)
            assert_int_equal(image.rgb[(y * 100 + x) * 3], red_at(y + 75, x + 75));
    det_image_free(env, &image);
    snprintf(path, sizeof path, "%s/sheet.png", f.folder);
    assert_context_ok(f.context, det_annotation_set_write_sheet(f.set, path, NULL, NULL, NULL));

    det_annotation_set *again = NULL;
    snprintf(path, sizeof path, "%s/annotations/instances_train.json", f.folder);
    assert_context_ok(f.context, det_annotation_set_create(f.context, NULL, &again));
    assert_context_ok(f.context, det_annotation_set_read(again, "coco", path, "train"));
    assert_context_ok(f.context, det_annotation_set_resolve(again));
    assert_int_equal(det_annotation_set_image_count(again), 8);
    assert_int_equal(det_annotation_set_object_count(again),
                     det_annotation_set_object_count(f.set));
    det_annotation_set_destroy(&again);

    /* Tiles of tiles are of the same picture. */
    const det_tile_settings smaller = tiles_of(50, 45, 0);
    cut(&f, &smaller, 1e9);
    char more[300];
    snprintf(more, sizeof more, "%s/more", f.folder);
    assert_context_ok(f.context, det_annotation_set_write(f.set, "voc", more, NULL, &written));
    snprintf(path, sizeof path, "%s/JPEGImages/a_y0075_x0075_y0050_x0050.png", more);
    assert_ok(env, det_image_read(env, path, &image));
    assert_int_equal(image.rgb[(3 * 50 + 7) * 3], red_at(75 + 50 + 3, 75 + 50 + 7));
    det_image_free(env, &image);
    drop(&f);
}

static void sizes_of_every_kind(void **state)
{
    (void)state;
    static const int32_t sizes[][2] = {{1, 1}, {4097, 3}, {100, 90}, {101, 90}, {3, 300}};
    struct fixture f;
    make(&f);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "p%zu.png", i);
        const size_t at = add_picture(&f, name, sizes[i][0], sizes[i][1], NULL);
        add_box(&f, at, 0, 0, sizes[i][1], sizes[i][0], false);
    }
    add_picture(&f, "none.png", 130, 100, NULL); /* background from the beginning */
    det_tile_settings tiles = tiles_of(100, 90, 0);
    tiles.overlap = .9F;
    const det_annotations_tiled tiled = cut(&f, &tiles, .25);
    assert_int_equal(tiled.images, 4);
    for (size_t i = 0; i < det_annotation_set_image_count(f.set); i++) {
        const det_annotation_image_info info = test_image_info(f.context, f.set, i);
        assert_true(info.usable && info.width_px <= 100 && info.height_px <= 90);
        for (size_t o = 0; o < info.object_count; o++) {
            const det_annotation_object object = test_object_at(f.context, f.set, i, o);
            assert_true(object.box[0] >= 0 && object.box[0] < object.box[2] && object.box[2] <= 1);
            assert_true(object.box[1] >= 0 && object.box[1] < object.box[3] && object.box[3] <= 1);
        }
    }
    drop(&f);
}

static void bad_calls(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const size_t at = add_picture(&f, "a.png", WIDTH, HEIGHT, NULL);
    add_box(&f, at, 10, 10, 40, 60, false);
    det_annotation_tile_settings settings;
    det_annotation_tile_settings_default(&settings);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "resolve",
                         det_annotation_set_tile(f.set, &settings, NULL));
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "tiles is NULL or of size 0 x 0",
                         det_annotation_set_tile(f.set, &settings, NULL));
    det_tile_settings tiles = tiles_of(1, 1, 1);
    tiles.overlap = .9F;
    settings.tiles = &tiles;
    settings.least_inside = 0;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "least_inside is 0",
                         det_annotation_set_tile(f.set, &settings, NULL));
    settings.least_inside = .5;
    settings.background = NAN;
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "background is",
                         det_annotation_set_tile(f.set, &settings, NULL));
    settings.background = 0;
    /* 42500 tiles of one pixel; an object that is no box. */
    det_annotation_object bad;
    det_annotation_object_default(&bad);
    bad.class_id = 1;
    bad.box[0] = bad.box[2] = .5;
    bad.box[3] = .5;
    assert_context_ok(f.context, det_annotation_set_set_objects(f.set, at, &bad, 1));
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "has no box that could be cut",
                         det_annotation_set_tile(f.set, &settings, NULL));
    assert_int_equal(det_annotation_set_image_count(f.set), 1);
    assert_int_equal(det_annotation_set_object_count(f.set), 1);
    drop(&f);
}

/* After any failure the set is as it was. */
static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const size_t at = add_picture(&f, "a.png", WIDTH, HEIGHT, NULL);
    add_box(&f, at, 100, 60, 140, 110, false);
    add_box(&f, at, 10, 10, 40, 60, false);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    const det_tile_settings tiles = tiles_of(100, 95, 1);
    det_annotation_tile_settings settings;
    det_annotation_tile_settings_default(&settings);
    settings.tiles = &tiles;
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    for (long n = 1; status != DET_OK; n++) {
        test_env_fail_at(&f.t, n);
        status = det_annotation_set_tile(f.set, &settings, NULL);
        test_env_fail_at(&f.t, 0);
        if (status == DET_OK)
            break;
        assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        assert_int_equal(det_annotation_set_image_count(f.set), 1);
        assert_int_equal(det_annotation_set_object_count(f.set), 2);
        assert_box_px(&f, 0, 1, 10, 10, 40, 60, 0);
    }
    assert_true(det_annotation_set_image_count(f.set) > 4);
    drop(&f);
}

static void the_tool_cuts(void **state)
{
    (void)state;
    struct fixture f;
    char out[4000];
    make(&f);
    const size_t at = add_picture(&f, "a.png", WIDTH, HEIGHT, "train");
    add_box(&f, at, 100, 60, 140, 110, false);
    assert_context_ok(f.context, det_annotation_set_resolve(f.set));
    char source[300];
    snprintf(source, sizeof source, "%s/source", f.folder);
    assert_context_ok(f.context, det_annotation_set_write(f.set, "coco", source, NULL, NULL));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data convert %s --to yolo --output %s/tiles --tiles 100x95 "
                              "--tile_background 0",
                              source, f.folder),
                     0);
    assert_contains(out,
                    "tiles: 2 of 1 images, 0 of them without an object (4 more were left out)");
    char path[400];
    snprintf(path, sizeof path, "%s/tiles/labels/train/a_y0075_x0000.txt", f.folder);
    char *text = test_read_text(path);
    assert_contains(text, "0 0.8 0.47368421 0.4 0.42105263");
    free(text);
    /* The picture is in one of the two parts, its tiles are there with it. */
    if (run_tool(out, sizeof out, "det-data init %s --output %s/training --tiles 100x95", source,
                 f.folder) != 0)
        fail_msg("%s", out);
    assert_contains(out, "tiles: 3 of 1 images, 1 of them without an object");
    snprintf(path, sizeof path, "%s/training/models/my/pipeline.config", f.folder);
    free(test_read_text(path));
    static const struct {
        const char *command, *rest, *text;
    } bad[] = {
        {"convert", "--tiles", "a size is missing"},
        {"convert", "--tiles=10x0", "expected pixels: N, or WIDTHxHEIGHT"},
        {"convert", "--tiles=10x", "expected pixels: N, or WIDTHxHEIGHT"},
        {"convert", "--tiles 9 --tile_overlap 1", "--tile_overlap: expected"},
        {"convert", "--tiles 9 --nocopy_images", "--nocopy_images writes none"},
        {"convert", "--tiles 9 --tile_least_inside 0", "--tile_least_inside: expected"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(run_tool(out, sizeof out, "det-data %s %s --to yolo --output %s/x %s",
                                  bad[i].command, source, f.folder, bad[i].rest),
                         2);
        assert_contains(out, bad[i].text);
    }
    drop(&f);
}

int test_annotation_tiles(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boxes_and_names),
        cmocka_unit_test(the_share_inside_decides),
        cmocka_unit_test(background_is_chosen_by_split),
        cmocka_unit_test(tiles_are_written),
        cmocka_unit_test(sizes_of_every_kind),
        cmocka_unit_test(bad_calls),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(the_tool_cuts),
    };
    return cmocka_run_group_tests_name("annotation_tiles", tests, NULL, NULL);
}
