/* convert/: every format gives back what it was given, damaged files and failing memory are
 * survived. */
#include "convert/check.h"
#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "convert/readers.h"
#include "convert/sheet.h"
#include "convert/split.h"
#include "convert/stats.h"
#include "convert/writers.h"
#include "support/annotation_sets.h"
#include "support/mem.h"
#include "support/records.h"

struct format {
    const char *name;
    det_reader read;
    det_writer_of_set write;
    const char *source; /* below the folder that was written */
    const char *victim; /* the file to damage */
    bool xml, yaml;
    bool flags; /* difficult and crowd come back */
};

static const struct format formats[] = {
    {"tfrecord", det_read_tfrecord, det_write_tfrecord, "a.tfrecord", "a.tfrecord", .flags = true},
    {"voc", det_read_voc, det_write_voc, "", "Annotations/1.xml", .xml = true, .flags = true},
    {"coco", det_read_coco, det_write_coco, "annotations/instances_a.json",
     "annotations/instances_a.json", .flags = true},
    {"yolo", det_read_yolo, det_write_yolo, "", "labels/a/1.txt", .yaml = true},
    {"yolo.yaml", det_read_yolo, det_write_yolo, "", "data.yaml", .yaml = true},
    {"csv", det_read_csv, det_write_csv, "a.csv", "a.csv", .flags = true},
    {"cvat", det_read_cvat, det_write_cvat, "annotations.xml", "annotations.xml", .xml = true,
     .flags = true},
};

enum { FORMATS = sizeof formats / sizeof formats[0] };

/* What the readers of a format need is in this build. */
static bool is_readable(const struct format *format)
{
    return (!format->xml || det_xml_missing() == NULL) &&
           (!format->yaml || det_yaml_missing() == NULL);
}

static const struct det_labelled_image *find(const struct det_annotations *set, const char *name)
{
    for (size_t i = 0; i < set->image_count; i++)
        if (set->images[i].name != NULL && strcmp(det_path_name(set->images[i].name), name) == 0)
            return &set->images[i];
    fail_msg("there is no image %s", name);
    return NULL;
}

/* The same pictures, boxes and classes, in any order. */
static void assert_same(const struct det_annotations *a, const struct det_annotations *b,
                        bool flags)
{
    assert_int_equal(a->image_count, b->image_count);
    assert_int_equal(a->object_count, b->object_count);
    for (size_t i = 0; i < a->image_count; i++) {
        const struct det_labelled_image *x = &a->images[i], *y = find(b, x->name);
        assert_false(y->broken);
        assert_int_equal(x->pixel_hash, y->pixel_hash);
        assert_int_equal(x->object_count, y->object_count);
        assert_int_equal(x->width_px, y->width_px);
        for (size_t o = 0; o < x->object_count; o++) {
            const struct det_labelled_object *p = &a->objects[x->first_object + o];
            const struct det_labelled_object *q = &b->objects[y->first_object + o];
            assert_string_equal(a->classes.paths[p->class_index], b->classes.paths[q->class_index]);
            for (int c = 0; c < 4; c++)
                assert_near(p->box[c], q->box[c], 5e-4 / 30); /* a thousandth of a pixel, rounded */
            if (flags) {
                assert_int_equal(p->difficult, q->difficult);
                assert_int_equal(p->is_crowd, q->is_crowd);
            }
        }
    }
}

static void every_format_gives_back_what_it_was_given(void **state)
{
    (void)state;
    char folder[256], path[600];
    test_make_directory(folder, "convert");
    for (size_t f = 0; f < FORMATS; f++) {
        struct test_env t;
        struct det_annotations set, back;
        struct det_findings findings = {0};
        struct det_write_counts counts = {0};
        if (!is_readable(&formats[f]))
            continue;
        test_env_init(&t);
        snprintf(path, sizeof path, "%s/a.tfrecord", folder);
        test_make_set(&t.env, path, &set);
        snprintf(path, sizeof path, "%s/%s", folder, formats[f].name);
        const struct det_write_settings settings = {.directory = path, .shards = 1};
        assert_ok(&t.env, formats[f].write(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.images, 7);
        assert_int_equal(counts.objects, 6);
        assert_int_equal(counts.copied, 7);
        char source[700];
        test_path_in(source, sizeof source, path, formats[f].source);
        assert_ok(&t.env, test_load_set(&t.env, formats[f].read, source, &back, &findings));
        assert_int_equal(findings.errors + findings.warnings, 0);
        assert_int_equal(back.splits.count, 1);
        assert_same(&set, &back, formats[f].flags);
        det_annotations_free(&t.env, &back);
        det_annotations_free(&t.env, &set);
        test_env_check(&t);
    }
    test_remove_tree(folder);
}

/* Whatever stands in the file: a finding or a status, no crash, no leak. */
static void damaged_files_are_survived(void **state)
{
    (void)state;
    char folder[256], path[600], victim[700], source[700];
    test_make_directory(folder, "damaged");
    for (size_t f = 0; f < FORMATS; f++) {
        struct test_env t;
        struct det_annotations set;
        struct det_write_counts counts = {0};
        size_t bytes = 0, bad = 0;
        if (!is_readable(&formats[f]))
            continue;
        test_env_init(&t);
        snprintf(path, sizeof path, "%s/a.tfrecord", folder);
        test_make_set(&t.env, path, &set);
        snprintf(path, sizeof path, "%s/%s", folder, formats[f].name);
        const struct det_write_settings settings = {.directory = path, .shards = 1};
        assert_ok(&t.env, formats[f].write(&t.env, &settings, &set, &counts));
        det_annotations_free(&t.env, &set);
        test_path_in(victim, sizeof victim, path, formats[f].victim);
        test_path_in(source, sizeof source, path, formats[f].source);
        uint8_t *data = (uint8_t *)test_read_bytes(victim, &bytes);
        uint32_t random = 12345;
        const size_t trials = 120;
        for (size_t trial = 0; trial < 2 * trials; trial++) {
            struct det_findings findings = {0};
            random = random * 1664525 + 1013904223;
            const size_t at = (size_t)(random >> 8) % bytes;
            const uint8_t old = data[at];
            if (trial < trials) {
                data[at] ^= (uint8_t)(1u << (random & 7));
                test_write_bytes(victim, data, bytes);
            } else {
                test_write_bytes(victim, data, at);
            }
            data[at] = old;
            const det_status status =
                test_load_set(&t.env, formats[f].read, source, &set, &findings);
            bad += status != DET_OK || findings.errors > 0;
            if (status == DET_OK)
                assert_ok(&t.env, det_annotations_check(&t.env, &set, &findings));
            det_annotations_free(&t.env, &set);
        }
        assert_true(bad > 0);
        free(data);
        test_env_check(&t);
    }
    test_remove_tree(folder);
}

struct pass {
    char folder[256], record[300];
};

static det_status whole_pass(struct det_env *env, void *argument)
{
    const struct pass *pass = argument;
    struct det_annotations set = {0};
    struct det_findings findings = {0};
    struct det_repairs repairs;
    struct det_set_stats stats = {0};
    struct det_text text = {0};
    struct det_image sheet = {0};
    struct det_write_counts counts = {0};
    static const char *const names[] = {"train", "val"};
    static const double shares[] = {.7, .3};
    const struct det_split_settings split = {names, shares, 2, 3};
    const struct det_sheet_settings look = {.count = 2, .columns = 2, .cell_px = 32};
    const struct det_write_settings settings = {.directory = pass->folder, .shards = 2};
    det_status status = DET_OK;
    DET_TRY(test_load_set(env, det_read_tfrecord, pass->record, &set, &findings));
    if (findings.errors > 0) /* what had no memory became a finding: not sound, but told */
        DET_TRY(DET_STATUS_OUT_OF_MEMORY);
    DET_TRY(det_annotations_check(env, &set, &findings));
    DET_TRY(det_annotations_repair(env, &set, &repairs));
    DET_TRY(det_annotations_stats(env, &set, &stats));
    DET_TRY(det_set_stats_table(env, &set, &stats, &text));
    DET_TRY(det_set_stats_json(env, &set, &stats, &text));
    DET_TRY(det_annotations_split(env, &set, &split));
    DET_TRY(det_annotations_sheet(env, &set, &look, &sheet));
    DET_TRY(det_write_tfrecord(env, &settings, &set, &counts));
    DET_TRY(det_write_csv(env, &settings, &set, &counts));
fail:
    det_image_free(env, &sheet);
    det_text_free(env, &text);
    det_set_stats_free(env, &stats);
    det_annotations_free(env, &set);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct pass pass;
    struct test_env t;
    test_env_init(&t);
    test_make_directory(pass.folder, "convert_memory");
    snprintf(pass.record, sizeof pass.record, "%s/in.tfrecord", pass.folder);
    test_write_records(&t.env, pass.record, 3);
    test_each_allocation_fails(whole_pass, &pass);
    test_remove_tree(pass.folder);
    test_env_check(&t);
}

/* tf.Examples and label maps may hold any bytes. */
static void classes_become_utf8(void **state)
{
    (void)state;
    struct test_env t;
    struct det_annotations set;
    const char *names[] = {"cat", "caf\xe9"};
    const struct det_label_map map = {.count = 2, .names = names};
    int32_t index = -1;
    test_env_init(&t);
    assert_ok(&t.env, det_annotations_init(&t.env, &set, &map));
    assert_string_equal(set.classes.paths[1], "caf%E9");
    assert_ok(&t.env, det_annotations_class(&t.env, &set, "caf\xe9", &index));
    assert_int_equal(index, 1);
    assert_ok(&t.env, det_annotations_class(&t.env, &set, "caf\xe8", &index));
    assert_int_equal(index, DET_CLASS_UNLISTED);
    det_annotations_free(&t.env, &set);
    assert_ok(&t.env, det_annotations_init(&t.env, &set, NULL));
    assert_ok(&t.env, det_annotations_class(&t.env, &set, "caf\xe9", &index));
    assert_string_equal(set.classes.paths[index], "caf%E9");
    det_annotations_free(&t.env, &set);
    test_env_check(&t);
}

int test_convert(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_back_what_it_was_given),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(classes_become_utf8),
    };
    return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
