/* COCO's JSON files: what is accepted, what is refused and with which words. */
#include <locale.h>

#include "formats/coco_json.h"
#include "formats/coco_segmentation.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

static const char good_truth[] =
    "\xEF\xBB\xBF{\"info\": {}, \"images\": [{\"id\": 7, \"width\": 640, \"height\": 480, "
    "\"file_name\": \"a.jpg\"}, {\"id\": 3}],\n"
    "\"annotations\": [{\"id\": 1, \"image_id\": 7, \"category_id\": 2, \"bbox\": [1.5, 2, 3e1, "
    "4], "
    "\"area\": 99.25, \"iscrowd\": 1, \"ignore\": true, \"segmentation\": [[1, 2]]},\n"
    " {\"image_id\": 3, \"category_id\": 2, \"bbox\": [0, 0, 10, 20]}],\n"
    "\"categories\": [{\"id\": 2, \"name\": \"c\\u00e4t\"}, {\"id\": 1}]}\n";

static const char good_detections[] =
    "[{\"image_id\": 7, \"category_id\": 2, \"bbox\": [1, 2, 3, 4.5], \"score\": 0.25},\n"
    " {\"image_id\": 0, \"image_id\": 3, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": "
    "-1, "
    "\"id\": 5}]";

static det_status parse_truth(struct det_env *env, const char *text, size_t bytes)
{
    struct det_coco_dataset dataset;
    const det_status status = det_coco_json_parse_dataset(env, "gt.json", text, bytes, &dataset);
    if (status != DET_OK)
        assert_true(dataset.images == NULL && dataset.annotation_count == 0);
    det_coco_dataset_free(env, &dataset);
    return status;
}

static det_status parse_detections(struct det_env *env, const char *text, size_t bytes)
{
    struct det_coco_detection_list list;
    const det_status status =
        det_coco_json_parse_detections(env, "dt.json", text, bytes, NULL, &list);
    if (status != DET_OK)
        assert_true(list.items == NULL && list.count == 0);
    det_coco_detection_list_free(env, &list);
    return status;
}

static void good_files(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_coco_dataset d;
    /* cJSON asks the locale for its decimal separator; a decimal comma must not matter. */
    char *const old = strdup(setlocale(LC_NUMERIC, NULL));
    setlocale(LC_NUMERIC, "de_DE.UTF-8");
    assert_ok(&t.env, det_coco_json_parse_dataset(&t.env, "gt.json", good_truth,
                                                  sizeof good_truth - 1, &d));
    setlocale(LC_NUMERIC, old);
    free(old);
    assert_int_equal(d.image_count, 2);
    assert_int_equal(d.images[0].id, 7);
    assert_int_equal(d.images[0].width_px, 640);
    assert_string_equal(d.images[0].file_name, "a.jpg");
    assert_null(d.images[1].file_name);
    assert_int_equal(d.category_count, 2);
    assert_string_equal(d.categories[0].name, "c\xC3\xA4t");
    assert_string_equal(d.categories[1].name, "");
    assert_int_equal(d.annotation_count, 2);
    assert_near(d.annotations[0].box_px[0], 1.5, 0);
    assert_near(d.annotations[0].box_px[2], 30, 0);
    assert_near(d.annotations[0].area_px2, 99.25, 0);
    assert_true(d.annotations[0].is_crowd && d.annotations[0].ignore);
    assert_near(d.annotations[1].area_px2, 200, 0);
    assert_int_equal(d.annotations[1].id, 2);
    assert_false(d.annotations[1].is_crowd || d.annotations[1].ignore);
    assert_int_equal(d.names.count, 0);
    det_coco_dataset_free(&t.env, &d);

    struct det_coco_detection_list list;
    assert_ok(&t.env, det_coco_json_parse_detections(&t.env, "dt.json", good_detections,
                                                     sizeof good_detections - 1, NULL, &list));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.items[1].image_id, 3); /* the last of equal keys, as in Python */
    assert_near(list.items[0].box_px[3], 4.5, 0);
    assert_near(list.items[1].score, -1, 0);
    det_coco_detection_list_free(&t.env, &list);
    assert_ok(&t.env, parse_detections(&t.env, " [ ] \n", 6));
    test_env_check(&t);
}

struct bad {
    det_status status;
    const char *message;
    const char *text;
};

#define IMAGES     "\"images\": [{\"id\": 1}]"
#define CATEGORIES "\"categories\": [{\"id\": 1, \"name\": \"a\"}]"
#define TRUTH(annotation)                                                          \
    "{" IMAGES ", " CATEGORIES ", \"annotations\": [{\"id\": 1, \"image_id\": 1, " \
    "\"category_id\": 1, \"bbox\": [1, 2, 3, 4]}, " annotation "]}"

static void bad_ground_truth_is_named(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {DET_STATUS_PARSE, "gt.json:1:1: the text ends, expected a JSON value", ""},
        {DET_STATUS_PARSE, "gt.json:2:12: found `nope`", "{\n\"images\": [nope]}"},
        {DET_STATUS_PARSE, "gt.json:1:4: found `x`, expected nothing behind", "{} x"},
        {DET_STATUS_PARSE, "gt.json: is a list, expected an object", "[]"},
        {DET_STATUS_PARSE, "gt.json: no list `images`", "{}"},
        {DET_STATUS_PARSE, "gt.json: `images` is an object", "{\"images\": {}}"},
        {DET_STATUS_PARSE, "gt.json: no list `categories`", "{" IMAGES "}"},
        {DET_STATUS_PARSE, "gt.json: images[1]: is a number, expected an object",
         "{\"images\": [{\"id\": 1}, 5]}"},
        {DET_STATUS_PARSE, "gt.json: images[0]: no `id`", "{\"images\": [{}]}"},
        {DET_STATUS_PARSE, "gt.json: images[0]: `id` is 1.5", "{\"images\": [{\"id\": 1.5}]}"},
        {DET_STATUS_PARSE, "at most 2^53", "{\"images\": [{\"id\": 1e17}]}"},
        {DET_STATUS_PARSE, "gt.json: images[0]: `width` is -3",
         "{\"images\": [{\"id\": 1, \"width\": -3}]}"},
        {DET_STATUS_CORRUPT, "gt.json: images[2]: id 4 is also that of images[0]",
         "{\"images\": [{\"id\": 4}, {\"id\": 1}, {\"id\": 4}]}"},
        {DET_STATUS_MISMATCH, "gt.json: images[1]: `id` is the string \"x\"",
         "{\"images\": [{\"id\": 4}, {\"id\": \"x\"}]}"},
        {DET_STATUS_PARSE, "gt.json: images[1]: `id` is a number, expected a string",
         "{\"images\": [{\"id\": \"x\"}, {\"id\": 4}]}"},
        {DET_STATUS_CORRUPT, "gt.json: images: id \"x\" appears twice",
         "{\"images\": [{\"id\": \"x\"}, {\"id\": \"x\"}]}"},
        {DET_STATUS_PARSE, "gt.json: categories[0]: `name` is a number",
         "{" IMAGES ", \"categories\": [{\"id\": 1, \"name\": 3}]}"},
        {DET_STATUS_CORRUPT, "gt.json: categories[1]: id 1 is also that of categories[0]",
         "{" IMAGES ", \"categories\": [{\"id\": 1}, {\"id\": 1}]}"},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: no `image_id`", TRUTH("{}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: no `category_id`", TRUTH("{\"image_id\": 1}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: no `bbox`",
         TRUTH("{\"image_id\": 1, \"category_id\": 1}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: `bbox` has 3 numbers, expected 4",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3]}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: `bbox` is null, expected a number",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, null]}")},
        {DET_STATUS_NON_FINITE, "gt.json: annotations[1]: `bbox` is not finite",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 1e999]}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: `iscrowd` is 2, expected 0 or 1",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"iscrowd\": 2}")},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: `area` is a string",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"area\": \"9\"}")},
        {DET_STATUS_PARSE, "gt.json:3:8: found `-Infinity`, expected a finite number",
         "{\"info\": \"NaN \\\" NaN\",\n\"images\": [\n{\"id\": -Infinity}]}"},
        {DET_STATUS_PARSE, "gt.json: annotations[1]: no `bbox`, and no outline",
         TRUTH("{\"image_id\": 1, \"category_id\": 1, \"bbox\": [], \"segmentation\": [[1]]}")},
        {DET_STATUS_CORRUPT, "gt.json: annotations[1]: id 1 is also that of annotations[0]",
         TRUTH("{\"id\": 1, \"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4]}")},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(&t.env, cases[i].status, cases[i].message,
                     parse_truth(&t.env, cases[i].text, strlen(cases[i].text)));
    test_env_check(&t);
}

static void bad_detections_are_named(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {DET_STATUS_PARSE, "dt.json: is an object, expected a list", "{}"},
        {DET_STATUS_PARSE, "dt.json: detections[0]: is a list", "[[]]"},
        {DET_STATUS_PARSE, "dt.json: detections[0]: no `image_id`", "[{}]"},
        {DET_STATUS_MISMATCH, "the string \"a\"", "[{\"image_id\": \"a\"}]"},
        {DET_STATUS_PARSE, "dt.json: detections[0]: `bbox` has 5 numbers",
         "[{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4, 5], \"score\": 1}]"},
        {DET_STATUS_PARSE, "dt.json: detections[0]: no `score`",
         "[{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4]}]"},
        {DET_STATUS_PARSE, "dt.json: detections[0]: `score` is a truth value",
         "[{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": true}]"},
        {DET_STATUS_PARSE, "dt.json:1:67: found `NaN`, expected a finite number",
         "[{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"score\": NaN}]"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(&t.env, cases[i].status, cases[i].message,
                     parse_detections(&t.env, cases[i].text, strlen(cases[i].text)));
    struct det_coco_detection_list list;
    assert_fails(&t.env, DET_STATUS_NOT_FOUND, "build/no-such.json",
                 det_coco_json_read_detections(&t.env, "build/no-such.json", NULL, &list));
    test_env_check(&t);
}

/* Copies of exactly the size, so that a read behind the end is seen by AddressSanitizer. */
static void try_copy(struct det_env *env, const char *text, size_t bytes, size_t flip, int bit,
                     bool truth)
{
    char *copy = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, text, bytes);
    if (flip < bytes)
        copy[flip] = (char)(copy[flip] ^ (1 << bit));
    if (truth)
        (void)parse_truth(env, copy, bytes);
    else
        (void)parse_detections(env, copy, bytes);
    free(copy);
}

static void truncated_and_flipped_everywhere(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (size_t bytes = 0; bytes < sizeof good_truth - 2; bytes++)
        assert_int_equal(parse_truth(&t.env, good_truth, bytes), DET_STATUS_PARSE);
    for (size_t bytes = 0; bytes < sizeof good_detections - 1; bytes++)
        assert_int_equal(parse_detections(&t.env, good_detections, bytes), DET_STATUS_PARSE);
    for (size_t bytes = 0; bytes < sizeof good_truth; bytes++)
        try_copy(&t.env, good_truth, bytes, SIZE_MAX, 0, true);
    for (size_t bytes = 0; bytes < sizeof good_detections; bytes++)
        try_copy(&t.env, good_detections, bytes, SIZE_MAX, 0, false);
    for (int bit = 0; bit < 8; bit++) {
        for (size_t i = 0; i + 1 < sizeof good_truth; i++)
            try_copy(&t.env, good_truth, sizeof good_truth - 1, i, bit, true);
        for (size_t i = 0; i + 1 < sizeof good_detections; i++)
            try_copy(&t.env, good_detections, sizeof good_detections - 1, i, bit, false);
    }
    /* Deep nesting ends in a message, not in a full stack. */
    char *deep = malloc(100000);
    assert_non_null(deep);
    memset(deep, '[', 100000);
    assert_int_equal(parse_detections(&t.env, deep, 100000), DET_STATUS_PARSE);
    free(deep);
    test_env_check(&t);
}

static const char named_truth[] = "{\"images\": [{\"id\": \"b\"}, {\"id\": \"a\"}], "
                                  "\"categories\": [{\"id\": 1, \"name\": \"x\"}], "
                                  "\"annotations\": [{\"id\": 4, \"image_id\": \"b\", "
                                  "\"category_id\": 1, \"bbox\": [1, 2, 3, 4]}]}";

static void string_ids_and_round_trip(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    char directory[256];
    test_make_directory(directory, "coco");
    char *truth_path = NULL, *path = NULL;
    assert_ok(&t.env, det_path_join(&t.env, &truth_path, directory, "gt.json"));
    assert_ok(&t.env, det_path_join(&t.env, &path, directory, "dt.json"));
    struct det_coco_dataset d, again;
    assert_ok(&t.env, det_coco_json_parse_dataset(&t.env, "gt.json", named_truth,
                                                  sizeof named_truth - 1, &d));
    assert_int_equal(d.images[0].id, 2); /* sorted by name: a = 1, b = 2 */
    assert_int_equal(d.images[1].id, 1);
    assert_int_equal(d.annotations[0].image_id, 2);
    assert_ok(&t.env, det_coco_json_write_dataset(&t.env, truth_path, &d));
    assert_ok(&t.env, det_coco_json_read_dataset(&t.env, truth_path, &again));
    assert_int_equal(again.image_count, 2);
    assert_int_equal(again.images[0].id, 2);
    assert_int_equal(again.annotations[0].id, 4);
    assert_near(again.annotations[0].area_px2, 12, 0);
    assert_string_equal(again.names.names[1], "b");
    det_coco_dataset_free(&t.env, &again);

    const struct det_coco_detection items[] = {{2, 1, {.1, 1. / 3, 1e-300, -2.5e17}, .7},
                                               {1, 1, {0, 0, 1, 1}, -0.}};
    struct det_coco_detection_list list;
    assert_ok(&t.env, det_coco_json_write_detections(&t.env, path, items, 2, &d.names));
    assert_ok(&t.env, det_coco_json_read_detections(&t.env, path, &d.names, &list));
    assert_int_equal(list.count, 2);
    assert_memory_equal(list.items[0].box_px, items[0].box_px, sizeof items[0].box_px);
    assert_int_equal(list.items[0].image_id, 2);
    assert_near(list.items[0].score, .7, 0);
    det_coco_detection_list_free(&t.env, &list);
    assert_ok(&t.env, det_coco_json_write_detections(&t.env, path, items, 2, NULL));
    assert_fails(&t.env, DET_STATUS_PARSE, "expected a string",
                 det_coco_json_read_detections(&t.env, path, &d.names, &list));
    assert_ok(&t.env, det_coco_json_read_detections(&t.env, path, NULL, &list));
    det_coco_detection_list_free(&t.env, &list);
    static const char stranger[] = "[{\"image_id\": \"zz\"}]";
    assert_fails(&t.env, DET_STATUS_NOT_FOUND,
                 "dt.json: detections[0]: `image_id` \"zz\" is not an image of the ground truth",
                 det_coco_json_parse_detections(&t.env, "dt.json", stranger, sizeof stranger - 1,
                                                &d.names, &list));
    const struct det_coco_detection nameless = {3, 1, {0, 0, 1, 1}, 1};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "3 has no name",
                 det_coco_json_write_detections(&t.env, path, &nameless, 1, &d.names));
    det_coco_dataset_free(&t.env, &d);
    det_free(&t.env, &path);
    det_free(&t.env, &truth_path);
    test_remove_tree(directory);
    test_env_check(&t);
}

/* Ids are integers of 64 bits, in both directions, to the last one. */
static void ids_are_exact(void **state)
{
    (void)state;
    static const int64_t ids[] = {
        INT64_MIN,        -9007199254740993, -1,       0, 9007199254740992,
        9007199254740993, INT64_MAX - 1,     INT64_MAX};
    enum { IDS = sizeof ids / sizeof ids[0] };
    struct test_env t;
    char path[300], folder[256], text[300];
    struct det_coco_detection items[IDS];
    struct det_coco_detection_list list;
    struct det_coco_dataset d;
    test_env_init(&t);
    test_make_directory(folder, "coco_ids");
    snprintf(path, sizeof path, "%s/dt.json", folder);
    for (int i = 0; i < IDS; i++)
        items[i] = (struct det_coco_detection){ids[i], ids[IDS - 1 - i], {1, 2, 3, 4}, .5};
    assert_ok(&t.env, det_coco_json_write_detections(&t.env, path, items, IDS, NULL));
    assert_ok(&t.env, det_coco_json_read_detections(&t.env, path, NULL, &list));
    assert_int_equal(list.count, IDS);
    for (int i = 0; i < IDS; i++) {
        assert_true(list.items[i].image_id == ids[i]);
        assert_true(list.items[i].category_id == ids[IDS - 1 - i]);
    }
    det_coco_detection_list_free(&t.env, &list);
    /* Two that are one double stay two images. */
    const int length = snprintf(
        text, sizeof text,
        "{\"images\": [{\"id\": 9007199254740992}, {\"id\": 9007199254740993}, {\"id\": 1e3}, "
        "{\"id\": 7.0}], \"categories\": [], \"annotations\": []}");
    assert_ok(&t.env, det_coco_json_parse_dataset(&t.env, "gt.json", text, (size_t)length, &d));
    assert_true(d.images[1].id == 9007199254740993);
    assert_int_equal(d.images[2].id, 1000);
    assert_int_equal(d.images[3].id, 7);
    det_coco_dataset_free(&t.env, &d);
    static const char *const bad[] = {"9223372036854775808", "-9223372036854775809", "1e300"};
    for (int i = 0; i < 3; i++) {
        const int bytes = snprintf(text, sizeof text, "{\"images\": [{\"id\": %s}]}", bad[i]);
        assert_fails(&t.env, DET_STATUS_PARSE, "expected an integer of 64 bits",
                     det_coco_json_parse_dataset(&t.env, "gt.json", text, (size_t)bytes, &d));
    }
    test_remove_tree(folder);
    test_env_check(&t);
}

static det_status read_all(struct det_env *env, void *argument)
{
    const char *directory = argument;
    struct det_coco_dataset d = {0};
    struct det_coco_detection_list list = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_coco_json_parse_dataset(env, "gt.json", named_truth, sizeof named_truth - 1, &d));
    det_coco_dataset_free(env, &d);
    DET_TRY(det_coco_json_parse_dataset(env, "gt.json", good_truth, sizeof good_truth - 1, &d));
    DET_TRY(det_coco_json_parse_detections(env, "dt.json", good_detections,
                                           sizeof good_detections - 1, NULL, &list));
    DET_TRY(det_path_join(env, &path, directory, "out.json"));
    DET_TRY(det_coco_json_write_dataset(env, path, &d));
    DET_TRY(det_coco_json_write_detections(env, path, list.items, list.count, NULL));
fail:
    det_free(env, &path);
    det_coco_dataset_free(env, &d);
    det_coco_detection_list_free(env, &list);
    return status;
}

static void survives_failed_allocations(void **state)
{
    (void)state;
    char directory[256];
    test_make_directory(directory, "coco-alloc");
    test_each_allocation_fails(read_all, directory);
    test_remove_tree(directory);
}

static det_status segmentation_box(struct det_env *env, const char *text, double box_px[4],
                                   bool *found)
{
    struct det_json root;
    DET_TRY_RETURN(det_json_parse(env, "mask", text, strlen(text), &root));
    return det_coco_segmentation_box(env, root, box_px, found);
}

/* What pycocotools' frPyObjects() and toBbox() make of the same runs. */
static void boxes_of_masks_are_those_of_pycocotools(void **state)
{
    (void)state;
    static const struct {
        const char *runs, *text;
        double box[4];
    } cases[] = {
        {"[65, 3, 27, 3, 1102]", "Q23k00cQ1", {2, 5, 2, 3}},
        {"[65, 100, 27, 3, 10, 2, 993]", "Q2T3k0oL_OOgn0", {2, 0, 5, 30}},
        {"[0, 1200]", "0`U1", {0, 0, 40, 30}},
        {"[34, 145, 195, 16, 65, 30, 126, 194, 115, 120, 97, 26, 6, 31]",
         "R1a4S6oKnK>m1T5EfM^ORMUM5",
         {1, 0, 39, 30}},
        {"[7, 99, 110, 155, 195, 196, 0, 178, 114, 68, 29, 37, 1, 5, 0, 0, 0, 5, 0, 1]",
         "7S3^3h1e2Y1mI^Ob3bL[MQOTOPOOK050L",
         {0, 0, 40, 30}},
        {"[175, 55, 108, 185, 7, 135, 56, 195, 112, 126, 35, 3, 5, 1, 2]",
         "_5g1\\\\3R4kL^Na1l1h1kMcMULRONM",
         {5, 0, 35, 30}},
    };
    static const char *const bad[] = {
        "null",
        "[]",
        "[[1]]",
        "[[1, null]]",
        "{}",
        "{\"size\": [30, 40], \"counts\": [1200]}",
        "{\"size\": [30, 40], \"counts\": [3, 1199]}",
        "{\"size\": [0, 40], \"counts\": [0, 1]}",
        "{\"size\": [30, 40], \"counts\": \"~~~~~~~~~~~~\"}",
        "{\"size\": [30, 40], \"counts\": \"ooooooooooooooooooooooo\"}",
        "{\"size\": [30], \"counts\": [0, 1]}"};
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int text = 0; text < 2; text++) {
            char json[300];
            double box[4];
            bool found = false;
            snprintf(json, sizeof json, "{\"size\": [30, 40], \"counts\": %s%s%s}",
                     text ? "\"" : "", text ? cases[i].text : cases[i].runs, text ? "\"" : "");
            assert_ok(&t.env, segmentation_box(&t.env, json, box, &found));
            assert_true(found);
            for (int c = 0; c < 4; c++)
                assert_near(box[c], cases[i].box[c], 0);
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        double box[4];
        bool found = true;
        assert_ok(&t.env, segmentation_box(&t.env, bad[i], box, &found));
        if (found)
            fail_msg("%s has a box", bad[i]);
    }
    test_env_check(&t);
}

struct told {
    size_t entries, notes, of_image;
    char text[2000];
};

static void tell_entry(void *user, const int64_t *image_id, const char *message)
{
    struct told *told = user;
    told->entries++;
    told->of_image += image_id != NULL && *image_id == 2;
    strncat(told->text, message, sizeof told->text - strlen(told->text) - 1);
}

static void tell_note(void *user, const char *message)
{
    struct told *told = user;
    (void)message;
    told->notes++;
}

/* Two of each kind of entry are sound. */
static const char half_truth[] =
    "{\"images\": [{\"id\": 1}, {\"id\": \"2\", \"file_name\": \"b\"}, {\"id\": 1.5}, 7, {\"id\": "
    "3, "
    "\"file_name\": \"c\"}, {\"id\": 3, \"file_name\": \"d\"}, {\"id\": 2, \"file_name\": \"b\"}], "
    "\"categories\": [{\"id\": 1, \"name\": \"a\"}, {\"id\": 1, \"name\": \"a\"}, {\"id\": null}, "
    "{\"id\": 4, \"name\": \"x\"}, {\"id\": 4, \"name\": \"y\"}, {\"id\": 5}], "
    "\"annotations\": [{\"id\": 1, \"image_id\": 2, \"category_id\": 1, \"bbox\": [1, 2, 3, NaN]}, "
    "{\"id\": 1, \"image_id\": \"2\", \"category_id\": \"1\", \"bbox\": [1, 2, \"3\", 4]}, {}, "
    "{\"id\": 1, \"image_id\": 2, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"iscrowd\": 3}, "
    "{\"image_id\": 1, \"category_id\": 1, \"bbox\": [1, 2, 3, 4], \"iscrowd\": null}]}";

static void sound_entries_are_read_past_bad_ones(void **state)
{
    (void)state;
    struct test_env t;
    struct told told = {0};
    const struct det_coco_faults faults = {&told, tell_entry, tell_note};
    struct det_coco_dataset d;
    test_env_init(&t);
    assert_ok(&t.env, det_coco_json_parse_sound(&t.env, "gt.json", half_truth,
                                                sizeof half_truth - 1, &faults, &d));
    assert_int_equal(d.image_count, 2);
    assert_int_equal(d.category_count, 2);
    assert_int_equal(d.annotation_count, 2);
    assert_near(d.annotations[0].box_px[2], 3, 0);
    assert_int_equal(told.notes, 1);
    assert_int_equal(told.entries, 4 + 3 + 3);
    assert_int_equal(told.of_image, 2);
    assert_contains(told.text, "gt.json: images[4]: id 3 is also that of images[5]");
    assert_contains(told.text, "gt.json: annotations[0]: `bbox` is not finite");
    assert_contains(told.text, "gt.json: annotations[3]: `iscrowd` is 3");
    det_coco_dataset_free(&t.env, &d);
    test_env_check(&t);
}

static det_status parse_half(struct det_env *env, void *argument)
{
    struct told told = {0};
    const struct det_coco_faults faults = {&told, tell_entry, tell_note};
    struct det_coco_dataset d;
    (void)argument;
    DET_TRY_RETURN(
        det_coco_json_parse_sound(env, "gt.json", half_truth, sizeof half_truth - 1, &faults, &d));
    det_coco_dataset_free(env, &d);
    return DET_OK;
}

static void every_allocation_past_bad_entries_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(parse_half, NULL);
}

int test_coco_json(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files),
        cmocka_unit_test(bad_ground_truth_is_named),
        cmocka_unit_test(bad_detections_are_named),
        cmocka_unit_test(truncated_and_flipped_everywhere),
        cmocka_unit_test(ids_are_exact),
        cmocka_unit_test(string_ids_and_round_trip),
        cmocka_unit_test(survives_failed_allocations),
        cmocka_unit_test(boxes_of_masks_are_those_of_pycocotools),
        cmocka_unit_test(sound_entries_are_read_past_bad_ones),
        cmocka_unit_test(every_allocation_past_bad_entries_may_fail),
    };
    return cmocka_run_group_tests_name("coco_json", tests, NULL, NULL);
}
