/* convert/check, convert/repair: every rule finds its fault, repairs mend it. */
#include <math.h>

#include "convert/box_rules.h"
#include "convert/check.h"
#include "convert/resolve.h"
#include "convert/writers.h"
#include "support/annotation_sets.h"
#include "support/records.h"

struct bad_box {
    float box[4];
    const char *text;
    int64_t label;
    enum det_rule rule;
};

static const struct bad_box bad_boxes[] = {
    {{.1f, .1f, .5f, .5f}, "cat", 1, DET_RULE_COUNT},
    {{.6f, .6f, .9f, .9f}, "dog", 2, DET_RULE_COUNT},
    {{NAN, .1f, .5f, .6f}, "cat", 1, DET_RULE_BOX_NOT_FINITE},
    {{.7f, .1f, .5f, .5f}, "cat", 1, DET_RULE_BOX_REVERSED},
    {{.2f, .3f, .2f, .5f}, "cat", 1, DET_RULE_BOX_ZERO_SIZE},
    {{.15f, .3f, .7f, 1.4f}, "cat", 1, DET_RULE_BOX_OUTSIDE},
    {{.2f, .3f, .7f, 1.005f}, "cat", 1, DET_RULE_BOX_EDGE},
    {{3.f, 4.f, 20.f, 30.f}, "cat", 1, DET_RULE_BOX_PIXELS},
    {{.2f, .3f, .21f, .5f}, "cat", 1, DET_RULE_BOX_TINY},
    {{.1f, .1f, .5f, .5f}, "cat", 1, DET_RULE_BOX_DUPLICATE},
    {{.2f, .2f, .4f, .5f}, "cow", 3, DET_RULE_CLASS_UNKNOWN},
    {{.3f, .2f, .4f, .5f}, "cat", 2, DET_RULE_CLASS_DISAGREES},
    {{.3f, .3f, .4f, .5f}, "", 1, DET_RULE_COUNT},
    {{.31f, .3f, .4f, .5f}, "cat", 1, DET_RULE_WEIGHT},
    {{.32f, .3f, .4f, .5f}, "cat", 1, DET_RULE_AREA},
};

enum { BAD_BOXES = sizeof bad_boxes / sizeof bad_boxes[0] };

static void write_bad_records(struct det_env *env, const char *path)
{
    struct det_writer writer;
    float box[4][BAD_BOXES];
    struct det_bytes text[BAD_BOXES];
    int64_t label[BAD_BOXES];
    float weight[BAD_BOXES], area[BAD_BOXES];
    size_t bytes = 0, cut = 0;
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes),
                  *other = test_make_jpeg(40, 30, 2, &cut);
    for (size_t i = 0; i < BAD_BOXES; i++) {
        for (int c = 0; c < 4; c++)
            box[c][i] = bad_boxes[i].box[c];
        text[i] = test_text(bad_boxes[i].text);
        label[i] = bad_boxes[i].label;
        weight[i] = bad_boxes[i].rule == DET_RULE_WEIGHT ? NAN : 1;
        area[i] = bad_boxes[i].rule == DET_RULE_AREA ? -4 : 0;
    }
    struct det_example e = {
        .encoded = {jpeg, bytes},
        .filename = test_text("a.jpg"),
        .height = 30,
        .width = 40,
        .box_count = BAD_BOXES,
        .ymin = box[0],
        .xmin = box[1],
        .ymax = box[2],
        .xmax = box[3],
        .class_text = text,
        .class_label = label,
        .weight = weight,
        .area = area,
    };
    assert_ok(env, det_writer_open(env, path, &writer));
    test_write_example(env, &writer, &e);
    e.box_count = 0;
    test_write_example(env, &writer, &e); /* 1: the same picture and id */
    e.encoded = (struct det_bytes){other, cut};
    e.filename = test_text("b.jpg");
    e.width = 41;
    test_write_example(env, &writer, &e); /* 2: the size is wrong */
    e.width = 40;
    e.filename = test_text("c.jpg");
    e.encoded.bytes = cut / 2;
    test_write_example(env, &writer, &e); /* 3: cut off */
    e.encoded = test_text("%PDF-1.4");
    test_write_example(env, &writer, &e); /* 4 */
    e.encoded = (struct det_bytes){0};
    test_write_example(env, &writer, &e);                            /* 5: no image */
    assert_ok(env, det_tfrecord_write(env, &writer, "", 0));         /* 6 */
    assert_ok(env, det_tfrecord_write(env, &writer, "\xff\xff", 2)); /* 7 */
    assert_ok(env, det_writer_commit(env, &writer));
    free(jpeg);
    free(other);
}

static void every_rule_finds_its_fault_and_repairs_mend_them(void **state)
{
    (void)state;
    static const enum det_rule others[] = {
        DET_RULE_IMAGE_DUPLICATE, DET_RULE_ID_DUPLICATE, DET_RULE_IMAGE_SIZE,
        DET_RULE_IMAGE_CORRUPT,   DET_RULE_IMAGE_FORMAT, DET_RULE_IMAGE_MISSING,
        DET_RULE_EMPTY_RECORD,    DET_RULE_UNREADABLE,   DET_RULE_CLASS_UNUSED};
    struct test_env t;
    struct det_annotations set;
    static struct test_findings seen;
    struct det_findings findings = {.report = test_note_finding, .user = &seen};
    struct det_label_map map = {0};
    static const char map_text[] =
        "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' } item { id: 3 name: 'elk' }";
    char folder[256], path[300];
    test_env_init(&t);
    test_make_directory(folder, "check");
    snprintf(path, sizeof path, "%s/bad.tfrecord", folder);
    write_bad_records(&t.env, path);
    assert_ok(&t.env, det_label_map_read_text(&t.env, "map", map_text, sizeof map_text - 1, &map));
    assert_ok(&t.env, det_annotations_init(&t.env, &set, &map));
    struct det_files files = {0};
    const struct det_read_settings settings = {
        .path = path, .files = &files, .findings = &findings};
    assert_ok(&t.env, det_read_tfrecord(&t.env, &settings, &set));
    assert_ok(&t.env, det_annotations_finish(&t.env, &set, &findings));
    det_files_close(&t.env, &files);
    assert_ok(&t.env, det_annotations_resolve(&t.env, &set, DET_EXIF_AUTO, NULL, &findings));
    assert_ok(&t.env, det_annotations_check(&t.env, &set, &findings));
    size_t expected = 0;
    for (size_t i = 0; i < BAD_BOXES; i++) {
        const enum det_rule rule = bad_boxes[i].rule;
        char object[48];
        if (rule == DET_RULE_COUNT)
            continue;
        assert_int_equal(findings.counts[rule], 1);
        snprintf(object, sizeof object, "record 0 (a.jpg): object %zu", i);
        if (strstr(seen.text[rule], object) == NULL ||
            strstr(seen.text[rule], "bad.tfrecord") == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", det_rule_name(rule), seen.text[rule], object);
        expected++;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (findings.counts[others[i]] != 1)
            fail_msg("%s: %zu findings", det_rule_name(others[i]), findings.counts[others[i]]);
        expected++;
    }
    assert_int_equal(findings.errors + findings.warnings, expected);

    struct det_repairs repairs;
    assert_ok(&t.env, det_annotations_repair(&t.env, &set, &repairs));
    assert_int_equal(repairs.images_dropped, 4); /* twice, cut off, PDF, missing */
    assert_int_equal(repairs.sizes_corrected, 1);
    assert_int_equal(repairs.boxes_swapped, 1);
    assert_int_equal(repairs.boxes_clipped, 2);
    assert_int_equal(repairs.boxes_dropped, 3); /* NaN, no area, the weight */
    assert_int_equal(repairs.boxes_repeated, 1);
    assert_int_equal(repairs.boxes_unlisted, 1);
    assert_int_equal(repairs.images_thinned, 1);
    assert_int_equal(repairs.classes_by_text, 1);
    char fixed[300];
    snprintf(fixed, sizeof fixed, "%s/fixed", folder);
    struct det_write_counts counts = {0};
    const struct det_write_settings out = {.directory = fixed, .shards = 1};
    assert_ok(&t.env, det_write_tfrecord(&t.env, &out, &set, &counts));
    det_annotations_free(&t.env, &set);
    struct det_findings after = {0};
    snprintf(path, sizeof path, "%s/fixed/bad.tfrecord", folder);
    assert_ok(&t.env, test_load_set(&t.env, det_read_tfrecord, path, &set, &after));
    assert_ok(&t.env, det_annotations_check(&t.env, &set, &after));
    assert_int_equal(after.errors, 0);
    assert_int_equal(set.image_count, 2);
    assert_int_equal(set.object_count, BAD_BOXES - 5);
    /* A pixel box became what it stands for. */
    assert_near(set.objects[5].box[3], 30. / 40, 1e-6);
    det_annotations_free(&t.env, &set);
    det_label_map_free(&t.env, &map);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* The rules that records and annotations share (data/box_faults.h). */
static void boxes_have_one_set_of_rules(void **state)
{
    (void)state;
    static const struct {
        double box[4];
        unsigned faults;
        enum det_rule rule;
        bool left; /* of it, when it is cut to the picture */
    } cases[] = {
        {{0, 0, 1, 1}, 0, DET_RULE_COUNT, true},
        {{-.01, 0, 1, 1.01 - 1e-9}, 0, DET_RULE_BOX_EDGE, true},
        {{-.011, 0, 1, 1}, DET_BOX_OUTSIDE, DET_RULE_BOX_OUTSIDE, true},
        {{1.2, 0, 1.4, 1}, DET_BOX_OUTSIDE, DET_RULE_BOX_OUTSIDE, false},
        {{.5, .5, .5, .9}, DET_BOX_NO_AREA, DET_RULE_BOX_ZERO_SIZE, false},
        {{.5, .5, .4, .9}, DET_BOX_NO_AREA | DET_BOX_REVERSED, DET_RULE_BOX_REVERSED, false},
        {{2, 1, 3, -1},
         DET_BOX_NO_AREA | DET_BOX_REVERSED | DET_BOX_OUTSIDE,
         DET_RULE_BOX_REVERSED,
         false},
        {{0, 0, INFINITY, 1}, DET_BOX_NOT_FINITE, DET_RULE_BOX_NOT_FINITE, true},
        {{0, NAN, 1, 1}, DET_BOX_NOT_FINITE, DET_RULE_BOX_NOT_FINITE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double box[4], beyond = -1;
        memcpy(box, cases[i].box, sizeof box);
        assert_int_equal(det_box_faults(box, &beyond), cases[i].faults);
        assert_true(beyond >= 0);
        assert_int_equal(det_box_rule(box, 100, 100), cases[i].rule);
        assert_int_equal(det_box_clip(box), cases[i].left);
    }
}

/* Without a label map the records' own numbers are what a class is compared by. */
static void numbers_of_records_may_disagree(void **state)
{
    (void)state;
    struct test_env t;
    struct det_annotations set;
    struct det_writer writer;
    static struct test_findings seen;
    struct det_findings findings = {.report = test_note_finding, .user = &seen};
    float low[3] = {0, 0, 0}, high[3] = {.5f, .6f, .7f};
    struct det_bytes text[3] = {test_text("cat"), test_text("dog"), test_text("dog")};
    int64_t label[3] = {1, 2, 1};
    char folder[256], path[300];
    size_t bytes = 0;
    test_env_init(&t);
    test_make_directory(folder, "disagree");
    snprintf(path, sizeof path, "%s/a.tfrecord", folder);
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    const struct det_example e = {.encoded = {jpeg, bytes},
                                  .filename = test_text("a.jpg"),
                                  .box_count = 3,
                                  .ymin = low,
                                  .xmin = low,
                                  .ymax = high,
                                  .xmax = high,
                                  .class_text = text,
                                  .class_label = label};
    assert_ok(&t.env, det_writer_open(&t.env, path, &writer));
    test_write_example(&t.env, &writer, &e);
    assert_ok(&t.env, det_writer_commit(&t.env, &writer));
    assert_ok(&t.env, test_load_set(&t.env, det_read_tfrecord, path, &set, &findings));
    assert_ok(&t.env, det_annotations_check(&t.env, &set, &findings));
    assert_int_equal(findings.counts[DET_RULE_CLASS_DISAGREES], 1);
    assert_contains(seen.text[DET_RULE_CLASS_DISAGREES],
                    "class \"dog\" has number 2 elsewhere (1 to 2), the record says 1");
    det_annotations_free(&t.env, &set);
    free(jpeg);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_convert_rules(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_finds_its_fault_and_repairs_mend_them),
        cmocka_unit_test(numbers_of_records_may_disagree),
        cmocka_unit_test(boxes_have_one_set_of_rules),
    };
    return cmocka_run_group_tests_name("convert_rules", tests, NULL, NULL);
}
