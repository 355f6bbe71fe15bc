/* Data sets of all formats: round trips, bad input, checks and repairs, splits, statistics. */
#include <math.h>

#include "base/io.h"
#include "base/mem.h"
#include "convert/check.h"
#include "convert/readers.h"
#include "convert/resolve.h"
#include "convert/sheet.h"
#include "convert/split.h"
#include "convert/stats.h"
#include "convert/writers.h"
#include "data/exif.h"
#include "data/readers.h"
#include "data/xml.h"
#include "data/yaml.h"
#include "support/pictures.h"
#include "support/records.h"
#include "support/test.h"

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
    return (!format->xml || strncmp(xml_about(), "no ", 3) != 0) &&
           (!format->yaml || strncmp(yaml_about(), "no ", 3) != 0);
}

static det_status load(struct det_env *env, det_reader read, const char *path,
                       struct det_annotations *set, struct det_findings *findings)
{
    static struct det_files files; /* on disk: it holds nothing but listings of folders */
    const struct det_read_settings settings = {
        .path = path, .files = &files, .split = "a", .findings = findings};
    det_status status = det_annotations_init(env, set, NULL);
    if (status == DET_OK)
        status = read(env, &settings, set);
    if (status == DET_OK)
        status = det_annotations_finish(env, set, findings);
    if (status == DET_OK)
        status = det_annotations_resolve(env, set, DET_EXIF_AUTO, NULL, findings);
    det_files_close(env, &files);
    return status;
}

/* Seven pictures, two of them without boxes, one box difficult, one a crowd. */
static void make_set(struct det_env *env, const char *path, struct det_annotations *set)
{
    struct det_findings findings = {0};
    test_write_records(env, path, 7);
    assert_ok(env, load(env, det_read_tfrecord, path, set, &findings));
    assert_int_equal(findings.errors, 0);
    assert_int_equal(set->image_count, 7);
    assert_int_equal(set->object_count, 6);
    set->objects[0].difficult = true;
    set->objects[2].is_crowd = true;
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

static void path_in(char *path, size_t size, const char *folder, const char *name)
{
    snprintf(path, size, "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
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
        make_set(&t.env, path, &set);
        snprintf(path, sizeof path, "%s/%s", folder, formats[f].name);
        const struct det_write_settings settings = {.directory = path, .shards = 1};
        assert_ok(&t.env, formats[f].write(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.images, 7);
        assert_int_equal(counts.objects, 6);
        assert_int_equal(counts.copied, 7);
        char source[700];
        path_in(source, sizeof source, path, formats[f].source);
        assert_ok(&t.env, load(&t.env, formats[f].read, source, &back, &findings));
        assert_int_equal(findings.errors + findings.warnings, 0);
        assert_int_equal(back.splits.count, 1);
        assert_same(&set, &back, formats[f].flags);
        det_annotations_free(&t.env, &back);
        det_annotations_free(&t.env, &set);
        test_env_check(&t);
    }
    test_remove_tree(folder);
}

static void write_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[700];
    path_in(path, sizeof path, folder, name);
    write_bytes(path, text, strlen(text));
}

static uint8_t *read_bytes(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    assert_non_null(data);
    *bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
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
        make_set(&t.env, path, &set);
        snprintf(path, sizeof path, "%s/%s", folder, formats[f].name);
        const struct det_write_settings settings = {.directory = path, .shards = 1};
        assert_ok(&t.env, formats[f].write(&t.env, &settings, &set, &counts));
        det_annotations_free(&t.env, &set);
        path_in(victim, sizeof victim, path, formats[f].victim);
        path_in(source, sizeof source, path, formats[f].source);
        uint8_t *data = read_bytes(victim, &bytes);
        uint32_t random = 12345;
        const size_t trials = 120;
        for (size_t trial = 0; trial < 2 * trials; trial++) {
            struct det_findings findings = {0};
            random = random * 1664525 + 1013904223;
            const size_t at = (size_t)(random >> 8) % bytes;
            const uint8_t old = data[at];
            if (trial < trials) {
                data[at] ^= (uint8_t)(1u << (random & 7));
                write_bytes(victim, data, bytes);
            } else {
                write_bytes(victim, data, at);
            }
            data[at] = old;
            const det_status status = load(&t.env, formats[f].read, source, &set, &findings);
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
    DET_TRY(load(env, det_read_tfrecord, pass->record, &set, &findings));
    if (findings.errors > 0)
        DET_TRY(
            DET_STATUS_OUT_OF_MEMORY); /* what had no memory became a finding: not sound, but told */
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

/* --- checks and repairs --- */

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
};

enum { BAD_BOXES = sizeof bad_boxes / sizeof bad_boxes[0] };

static void write_bad_records(struct det_env *env, const char *path)
{
    struct det_writer writer;
    float box[4][BAD_BOXES];
    struct det_bytes text[BAD_BOXES];
    int64_t label[BAD_BOXES];
    size_t bytes = 0, cut = 0;
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes),
                  *other = test_make_jpeg(40, 30, 2, &cut);
    for (size_t i = 0; i < BAD_BOXES; i++) {
        for (int c = 0; c < 4; c++)
            box[c][i] = bad_boxes[i].box[c];
        text[i] = test_text(bad_boxes[i].text);
        label[i] = bad_boxes[i].label;
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

struct seen {
    char text[DET_RULE_COUNT][DET_ERROR_BYTES];
};

static void note(void *user, enum det_rule rule, const char *message)
{
    struct seen *seen = user;
    snprintf(seen->text[rule], sizeof seen->text[rule], "%s", message);
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
    static struct seen seen;
    struct det_findings findings = {.report = note, .user = &seen};
    struct det_label_map map = {0};
    static const char map_text[] =
        "item { id: 1 name: 'cat' } item { id: 2 name: 'dog' } item { id: 3 name: 'elk' }";
    char folder[256], path[300];
    test_env_init(&t);
    test_make_directory(folder, "check");
    snprintf(path, sizeof path, "%s/bad.tfrecord", folder);
    write_bad_records(&t.env, path);
    assert_ok(&t.env, det_label_map_parse(&t.env, "map", map_text, sizeof map_text - 1, &map));
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
    assert_int_equal(repairs.boxes_dropped, 2); /* NaN, no area */
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
    assert_ok(&t.env, load(&t.env, det_read_tfrecord, path, &set, &after));
    assert_ok(&t.env, det_annotations_check(&t.env, &set, &after));
    assert_int_equal(after.errors, 0);
    assert_int_equal(set.image_count, 2);
    assert_int_equal(set.object_count, BAD_BOXES - 4);
    /* A pixel box became what it stands for. */
    assert_near(set.objects[5].box[3], 30. / 40, 1e-6);
    det_annotations_free(&t.env, &set);
    det_label_map_free(&t.env, &map);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* --- EXIF --- */

static void exif_orientation_is_found_and_undone(void **state)
{
    (void)state;
    struct test_env t;
    size_t bytes = 0, marked = 0, at = 0;
    test_env_init(&t);
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    assert_int_equal(det_exif_orientation(jpeg, bytes, &at), 1);
    for (int orientation = 1; orientation <= 9; orientation++) {
        for (int big = 0; big < 2; big++) {
            uint8_t *data = test_put_orientation(jpeg, bytes, orientation, big != 0, &marked);
            assert_int_equal(det_exif_orientation(data, marked, &at),
                             orientation <= 8 ? orientation : 1);
            if (orientation <= 8)
                assert_int_equal(data[at], orientation);
            for (size_t cut = 0; cut < 60;
                 cut++) { /* in a block of its own, so that ASan sees a step too far */
                uint8_t *part = malloc(cut + 1);
                assert_non_null(part);
                memcpy(part, data, cut);
                const int found = det_exif_orientation(part, cut, NULL);
                assert_true(found >= 1 && found <= 8);
                free(part);
            }
            for (size_t flip = 2; flip < 40; flip++) {
                data[flip] ^= 0xff;
                const int found = det_exif_orientation(data, marked, NULL);
                assert_true(found >= 1 && found <= 8);
                data[flip] ^= 0xff;
            }
            free(data);
        }
    }
    free(jpeg);
    /* 2 x 3 pixels: a b / c d / e f, and what upright looks like (EXIF 2.32: where row 0 and column 0 are). */
    static const char *const upright[9] = {NULL,     "abcdef", "badcfe", "fedcba", "efcdab",
                                           "acebdf", "ecafdb", "fdbeca", "bdface"};
    for (int orientation = 1; orientation <= 8; orientation++) {
        struct det_image image = {0};
        assert_ok(&t.env, det_image_resize_buffer(&t.env, &image, 2, 3));
        for (int i = 0; i < 18; i++)
            image.rgb[i] = (uint8_t)("abcdef"[i / 3]);
        assert_ok(&t.env, det_exif_turn(&t.env, &image, orientation));
        assert_int_equal(image.width, orientation >= 5 ? 3 : 2);
        for (int i = 0; i < 6; i++)
            assert_int_equal(image.rgb[i * 3], upright[orientation][i]);
        det_image_free(&t.env, &image);
    }
    test_env_check(&t);
}

/* BMP and GIF: copied into folders, PNG in records, where TensorFlow's users expect that or JPEG; the same pixels in both. */
static void other_kinds_are_written(void **state)
{
    (void)state;
    static const uint8_t colours[12] = {0, 1, 2, 3, 0, 1, 2, 3, 3, 2, 1, 0}, pixels[36] = {255};
    const struct test_gif gif = {4, 3, 0, 0, 4, 3, 2, false, false, -1, colours};
    const struct test_bmp bmp = {40, 4, 3, 24, 0, NULL, 0, pixels, 36};
    struct test_bytes files[2] = {test_make_bmp(&bmp), test_make_gif(&gif)};
    struct test_env t;
    char folder[256], path[300], out[300];
    test_env_init(&t);
    test_make_directory(folder, "kinds");
    snprintf(path, sizeof path, "%s/a.bmp", folder);
    write_bytes(path, files[0].data, files[0].count);
    snprintf(path, sizeof path, "%s/b.gif", folder);
    write_bytes(path, files[1].data, files[1].count);
    write_text(folder, "a.csv",
               "filename,width,height,class,xmin,ymin,xmax,ymax\n"
               "a.bmp,4,3,cat,0,0,2,2\nb.gif,4,3,cat,1,1,3,3\n");
    snprintf(path, sizeof path, "%s/a.csv", folder);
    struct det_annotations set, back;
    struct det_findings findings = {0};
    assert_ok(&t.env, load(&t.env, det_read_csv, path, &set, &findings));
    assert_int_equal(findings.errors + findings.warnings, 0);
    for (int record = 0; record < 2; record++) {
        struct det_write_counts counts = {0};
        snprintf(out, sizeof out, "%s/out%d", folder, record);
        const struct det_write_settings settings = {.directory = out, .shards = 1};
        assert_ok(&t.env, record ? det_write_tfrecord(&t.env, &settings, &set, &counts)
                                 : det_write_csv(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.encoded, record ? 2 : 0);
        if (!record)
            continue;
        snprintf(path, sizeof path, "%s/out%d/a.tfrecord", folder, record);
        assert_ok(&t.env, load(&t.env, det_read_tfrecord, path, &back, &findings));
        assert_int_equal(findings.errors + findings.warnings, 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(back.images[i].kind, DET_IMAGE_PNG);
            assert_int_equal(back.images[i].pixel_hash, set.images[i].pixel_hash);
        }
        det_annotations_free(&t.env, &back);
    }
    for (int i = 0; i < 2; i++) {
        size_t bytes = 0;
        snprintf(path, sizeof path, "%s/out0/images/%s", folder, i == 0 ? "a.bmp" : "b.gif");
        char *copy = test_read_bytes(path, &bytes);
        assert_int_equal(bytes, files[i].count);
        assert_memory_equal(copy, files[i].data, bytes);
        free(copy);
        free(files[i].data);
    }
    det_annotations_free(&t.env, &set);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* A portrait picture stored lying: VOC's size says for which the boxes are. */
static void exif_rotation_is_baked_in(void **state)
{
    (void)state;
    struct test_env t;
    char folder[256], path[300];
    size_t bytes = 0, marked = 0;
    test_env_init(&t);
    test_make_directory(folder, "exif");
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    uint8_t *data = test_put_orientation(jpeg, bytes, 6, false, &marked);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    write_bytes(path, data, marked);
    for (int stored = 0; stored < 2; stored++) {
        struct det_annotations set, back;
        struct det_findings findings = {0};
        struct det_write_counts counts = {0};
        char text[200], out[300];
        /* 0: 30 x 40, as a viewer shows it; 1: 40 x 30, as it is stored */
        snprintf(text, sizeof text,
                 "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,%d,%d,cat,3,4,15,20\n",
                 stored ? 40 : 30, stored ? 30 : 40);
        write_text(folder, "a.csv", text);
        snprintf(path, sizeof path, "%s/a.csv", folder);
        assert_ok(&t.env, load(&t.env, det_read_csv, path, &set, &findings));
        assert_int_equal(findings.errors, 0);
        assert_int_equal(findings.counts[DET_RULE_IMAGE_EXIF], 1);
        assert_int_equal(set.images[0].turn, stored ? 1 : 6);
        snprintf(out, sizeof out, "%s/out%d", folder, stored);
        const struct det_write_settings settings = {.directory = out, .shards = 1};
        assert_ok(&t.env, det_write_tfrecord(&t.env, &settings, &set, &counts));
        assert_int_equal(counts.encoded, stored ? 0 : 1);
        struct det_findings none = {0};
        snprintf(path, sizeof path, "%s/out%d/a.tfrecord", folder, stored);
        assert_ok(&t.env, load(&t.env, det_read_tfrecord, path, &back, &none));
        assert_int_equal(none.errors + none.warnings, 0); /* no rotation any more */
        assert_int_equal(back.images[0].width_px, stored ? 40 : 30);
        assert_near(back.objects[0].box[3], stored ? 15. / 40 : 15. / 30, 1e-6);
        if (stored)
            assert_int_equal(back.images[0].pixel_hash, set.images[0].pixel_hash);
        det_annotations_free(&t.env, &back);
        det_annotations_free(&t.env, &set);
    }
    free(data);
    free(jpeg);
    test_remove_tree(folder);
    test_env_check(&t);
}

/* --- splits --- */

static void splits_are_even_and_keep_duplicates_together(void **state)
{
    (void)state;
    enum { IMAGES = 200 };
    struct test_env t;
    struct det_annotations set[2];
    struct det_findings findings = {0};
    static const char *const names[] = {"train", "val", "test"};
    static const double shares[] = {7, 2, 1};
    test_env_init(&t);
    for (int round = 0; round < 2; round++) {
        int32_t cat = -1, rare = -1;
        assert_ok(&t.env, det_annotations_init(&t.env, &set[round], NULL));
        assert_ok(&t.env, det_annotations_class(&t.env, &set[round], "cat", &cat));
        assert_ok(&t.env, det_annotations_class(&t.env, &set[round], "rare", &rare));
        for (int i = 0; i < IMAGES; i++) {
            size_t image = 0;
            assert_ok(&t.env,
                      det_annotations_add_image(&t.env, &set[round], "x", "x.jpg", false, &image));
            set[round].images[image].pixel_hash = (uint64_t)i / 2 * 7919; /* each picture twice */
            struct det_labelled_object object = det_annotations_object(image);
            object.class_index = i % 20 < 2 ? rare : cat;
            if (i % 3 != 0)
                assert_ok(&t.env, det_annotations_add_object(&t.env, &set[round], &object));
        }
        assert_ok(&t.env, det_annotations_finish(&t.env, &set[round], &findings));
        const struct det_split_settings settings = {names, shares, 3, 5};
        assert_ok(&t.env, det_annotations_split(&t.env, &set[round], &settings));
    }
    int images[3] = {0}, rare_images[3] = {0};
    for (int i = 0; i < IMAGES; i++) {
        const struct det_labelled_image *image = &set[0].images[i];
        images[image->split]++;
        rare_images[image->split] += i % 20 < 2 && i % 3 != 0;
        assert_int_equal(image->split, set[0].images[i ^ 1].split);
        assert_int_equal(image->split, set[1].images[i].split);
    }
    assert_int_equal(images[0], 140);
    assert_int_equal(images[1], 40);
    assert_int_equal(images[2], 20);
    /* 10 pictures of the rare class: 7, 2, 1; of each, one or both copies have the box */
    assert_true(rare_images[0] >= 7 && rare_images[1] >= 2 && rare_images[2] >= 1);
    const double bad[] = {1, 0};
    const struct det_split_settings wrong = {names, bad, 2, 5};
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "`val`: share 0",
                 det_annotations_split(&t.env, &set[0], &wrong));
    det_annotations_free(&t.env, &set[0]);
    det_annotations_free(&t.env, &set[1]);
    test_env_check(&t);
}

/* --- names --- */

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

/* --- the readers' own rules --- */

struct lines {
    const char *text;
    enum det_rule rule; /* DET_RULE_COUNT: no finding */
    const char *message;
};

static void numbers_are_read_without_a_locale(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"12", 12}, {" 12.5 ", 12.5}, {"007", 7}, {"-0.25", -.25},
                {"+3", 3},  {"1e2", 100},     {"0", 0},   {".5", .5}};
    static const char *const bad[] = {"", " ", "x", "1,5", "0x10", "1.5f", "1 2", "--1", "1e"};
    double value = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(det_parse_coordinate(good[i].text, &value));
        assert_near(value, good[i].value, 1e-12);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(det_parse_coordinate(bad[i], &value));
    assert_true(det_parse_coordinate("nan", &value) && isnan(value));
    assert_true(det_parse_coordinate("inf", &value) && isinf(value));
    char text[32];
    assert_string_equal(det_format_pixels(text, 12.0004), "12");
    assert_string_equal(det_format_pixels(text, -.5), "-0.5");
    assert_string_equal(det_format_pixels(text, 12.050), "12.05");
    assert_string_equal(det_format_share(text, 1. / 3), "0.33333333");
}

/* One file's text and what its reader says. */
static void expect_finding(det_reader read, const char *name, const struct lines *line)
{
    struct test_env t;
    struct det_annotations set;
    static struct seen seen;
    struct det_findings findings = {.report = note, .user = &seen};
    char folder[256], path[300];
    size_t bytes = 0;
    test_env_init(&t);
    test_make_directory(folder, "lines");
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    write_bytes(path, jpeg, bytes);
    free(jpeg);
    write_text(folder, "classes.txt", "cat\ndog\n");
    write_text(folder, name, line->text);
    path_in(path, sizeof path, folder, strcmp(name, "a.txt") == 0 ? "" : name);
    assert_ok(&t.env, load(&t.env, read, path, &set, &findings));
    if (line->rule == DET_RULE_COUNT && findings.errors + findings.warnings > 0)
        fail_msg("%s: %zu findings, expected none", line->text,
                 findings.errors + findings.warnings);
    if (line->rule != DET_RULE_COUNT &&
        (findings.counts[line->rule] == 0 || strstr(seen.text[line->rule], line->message) == NULL))
        fail_msg("%s: %zu x %s \"%s\", expected \"%s\"", line->text, findings.counts[line->rule],
                 det_rule_name(line->rule), seen.text[line->rule], line->message);
    det_annotations_free(&t.env, &set);
    test_remove_tree(folder);
    test_env_check(&t);
}

static void mistakes_in_texts_are_named_by_line(void **state)
{
    (void)state;
    static const struct lines yolo[] = {
        {"0 .5 .5 .2 .2\r\n\n1 .5 .5 .1 .1", DET_RULE_COUNT, NULL},
        {"0 .5 .5 .2", DET_RULE_UNREADABLE, "a.txt:1: 4 numbers"},
        {"0 .5 .5 .2 .2\n2 .5 .5 .2 .2", DET_RULE_CLASS_UNKNOWN,
         "a.txt:2: class 2, expected 0 to 1"},
        {"0 .5 .5 .2 x", DET_RULE_UNREADABLE, "a.txt:1: got `x`"},
        {"0 .1 .1 .2 .1 .2 .2", DET_RULE_SHAPE_BOXED, "a.txt:1: an outline"},
    };
    static const struct lines csv[] = {
        {"class,\"filename\",xmin,ymin,xmax,ymax\n\"ca\"\"t\",a.jpg,1,2,3,4\n,a.jpg,,,,\n",
         DET_RULE_COUNT, NULL},
        {"filename,class,xmin,ymin,xmax\n", DET_RULE_SOURCE, "a.csv:1: there is no column `ymax`"},
        {"", DET_RULE_SOURCE, "is empty"},
        {"filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\n\na.jpg,cat,1,2,3,four\n",
         DET_RULE_UNREADABLE, "a.csv:4 (a.jpg): ymax is `four`"},
        {"filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,3,4\na.jpg,\"cat,1,2,3,4\n",
         DET_RULE_UNREADABLE, "a.csv:3: a quote that never closes"},
        {"image_id;class_name;x_min;y_min;x_max;y_max\na;cat;1;2;3;4\n", DET_RULE_COUNT, NULL},
        {"a.jpg,1,2,3,4,cat\na.jpg,,,,,\n", DET_RULE_COUNT, NULL},
        {"filename,class,xmin,ymin,xmax,ymax\na.jpg,caf\xe9,1,2,3,4\n", DET_RULE_SOURCE,
         "a.csv:2: byte 0xe9 is no UTF-8"},
        {"filename,class,xmin,ymin,xmax,ymax\nb.jpg,cat,1,2,3,4\n", DET_RULE_IMAGE_MISSING,
         "image `b.jpg`"},
        {"filename,class,xmin,ymin,xmax,ymax\n../../../etc/passwd,cat,1,2,3,4\n",
         DET_RULE_IMAGE_MISSING, "passwd"},
        {"filename,class,xmin,ymin,xmax,ymax\na.jpg,,1,2,3,4\n", DET_RULE_CLASS_MISSING,
         "a.csv:2 (a.jpg): has no class"},
    };
    static const struct lines yaml[] = {
        {"names: [cat, 'dog, big'] # two\ntrain: .\n", DET_RULE_COUNT, NULL},
        {"path: .\nnames:\n  0: cat\n  1: dog\nval: .\nnc: 2\n", DET_RULE_COUNT, NULL},
        {"names:\n- cat\n- dog\ntrain:\n- .\n", DET_RULE_COUNT, NULL},
        {"names: ['cat',\n  \"d\\u00f6g\"]\ntrain: # none yet\n  - .\ndownload: |\n  a: b\n",
         DET_RULE_COUNT, NULL},
        {"names:\n  0: cat\n  2: dog\n", DET_RULE_SOURCE,
         "a.yaml:3: name number 2, expected 0 to 1, each once"},
        {"names: [cat\n", DET_RULE_SOURCE, "a.yaml:2: while parsing a flow sequence"},
        {"train: .\n", DET_RULE_SOURCE, "no `names:`"},
        {"names: [cat]\ntrain: nowhere\n", DET_RULE_NO_INPUT, "nowhere"},
    };
    static const struct lines coco[] = {
        {"{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}], \"categories\": [{\"id\": 7, "
         "\"name\": \"cat\"}], "
         "\"annotations\": [{\"id\": 3, \"image_id\": 2, \"category_id\": 7, \"bbox\": [1, 2, 3, "
         "4]}]}",
         DET_RULE_IMAGE_MISSING, "annotation 0 (id 3)"},
        {"{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}], \"categories\": [{\"id\": 7, "
         "\"name\": \"cat\"}], "
         "\"annotations\": [{\"id\": 3, \"image_id\": 1, \"category_id\": 8, \"bbox\": [1, 2, 3, "
         "4]}]}",
         DET_RULE_CLASS_UNKNOWN, "no category 8"},
        {"[]", DET_RULE_SOURCE, "a.json"},
    };
    static const struct lines voc[] = {
        {"<annotation><filename>a.jpg</filename><object><name>cat</name><bndbox><xmin>1</"
         "xmin><ymin>2</ymin>"
         "<xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>",
         DET_RULE_COUNT, NULL},
        {"<annotation>\n<filename>a.jpg</filename>\n<object><name>cat</name></object></annotation>",
         DET_RULE_UNREADABLE, "a.xml:3: object 0: <bndbox> lacks"},
        {"<annotation>\n<filename>a.jpg</filename><object>\n<bndbox><xmin>one</xmin></bndbox></"
         "object></annotation>",
         DET_RULE_UNREADABLE, "a.xml:3: <xmin> is `one`"},
        {"<annotation>\n<filename>a.jpg</annotation>", DET_RULE_UNREADABLE,
         "a.xml:2: mismatched tag"},
        {"<!DOCTYPE a [<!ENTITY x \"boom\">]><annotation>&x;</annotation>", DET_RULE_UNREADABLE,
         "entity `x`"},
        {"<annotations/>", DET_RULE_UNREADABLE, "--from cvat-xml"},
        {"<?xml version='1.0' "
         "encoding='gb2312'?><annotation><filename>a.jpg</filename><object><name>"
         "\xc3\xa8</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox>"
         "</object></annotation>",
         DET_RULE_COUNT, NULL},
        {"<annotation><filename>\xc3(.jpg</filename></annotation>", DET_RULE_UNREADABLE,
         "a.xml:1: byte 0xc3 is no UTF-8"},
        {"<?xml version='1.0' encoding='klingon'?><annotation>\xff</annotation>",
         DET_RULE_UNREADABLE, "the encoding `klingon` is not known"},
    };
    static const struct lines cvat[] = {
        {"<annotations><image id='0' name='a.jpg' width='40' height='30'><box label='cat' xtl='1' "
         "ytl='2' xbr='9' "
         "ybr='8'/></image></annotations>",
         DET_RULE_COUNT, NULL},
        {"<annotations>\n<image id='0' name='a.jpg' width='40' height='30'>\n<box label='cat' "
         "xtl='1' ytl='2' "
         "xbr='9'/></image></annotations>",
         DET_RULE_UNREADABLE, "a.xml:3: image `a.jpg`: ybr is `(missing)`"},
        {"<annotations><image id='0' name='a.jpg' width='40' height='30'><polygon label='cat' "
         "points='1,2;9,2;5,8'/></image></annotations>",
         DET_RULE_SHAPE_BOXED, "<polygon>"},
        {"<annotations><image id='0' name='a.jpg' width='40' height='30'><points label='cat' "
         "points='1,2'/></image></annotations>",
         DET_RULE_SHAPE_SKIPPED, "<points>"},
        {"<annotations><track task_id='1'/><track task_id='2'/></annotations>", DET_RULE_SOURCE,
         "tracks of task 1 and of task 2"},
        {"<annotation/>", DET_RULE_SOURCE, "--from voc"},
    };
#define EXPECT(reader, name, list)                              \
    for (size_t i = 0; i < sizeof(list) / sizeof(list)[0]; i++) \
        expect_finding(reader, name, &(list)[i]);
    EXPECT(det_read_yolo, "a.txt", yolo)
    EXPECT(det_read_csv, "a.csv", csv)
    if (strncmp(yaml_about(), "no ", 3) != 0)
        EXPECT(det_read_yolo, "a.yaml", yaml)
    EXPECT(det_read_coco, "a.json", coco)
    if (strncmp(xml_about(), "no ", 3) == 0) {
        print_message("skipped: XML (built without expat)\n");
        return;
    }
    EXPECT(det_read_voc, "a.xml", voc)
    EXPECT(det_read_cvat, "a.xml", cvat)
#undef EXPECT
}

static void statistics_count(void **state)
{
    (void)state;
    struct test_env t;
    struct det_annotations set;
    struct det_set_stats stats;
    struct det_text text = {0};
    char folder[256], path[300];
    test_env_init(&t);
    test_make_directory(folder, "stats");
    snprintf(path, sizeof path, "%s/a.tfrecord", folder);
    make_set(&t.env, path, &set);
    set.images[6].pixel_hash = set.images[0].pixel_hash;
    assert_ok(&t.env, det_annotations_stats(&t.env, &set, &stats));
    assert_int_equal(stats.splits[0].images, 7);
    assert_int_equal(stats.splits[0].objects, 6);
    assert_int_equal(stats.splits[0].without_objects, 3);
    assert_int_equal(stats.splits[0].difficult, 1);
    assert_int_equal(stats.splits[0].duplicates, 1);
    assert_int_equal(stats.splits[0].classes[0].objects + stats.splits[0].classes[1].objects, 6);
    assert_near(stats.splits[0].per_image.most, 2, 0);
    assert_near(stats.splits[0].per_image.mean, 6. / 7, 1e-12);
    assert_ok(&t.env, det_set_stats_table(&t.env, &set, &stats, &text));
    assert_non_null(strstr(text.data, "cat"));
    det_text_free(&t.env, &text);
    det_set_stats_free(&t.env, &stats);
    det_annotations_free(&t.env, &set);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_convert(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_gives_back_what_it_was_given),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_rule_finds_its_fault_and_repairs_mend_them),
        cmocka_unit_test(exif_orientation_is_found_and_undone),
        cmocka_unit_test(exif_rotation_is_baked_in),
        cmocka_unit_test(other_kinds_are_written),
        cmocka_unit_test(splits_are_even_and_keep_duplicates_together),
        cmocka_unit_test(classes_become_utf8),
        cmocka_unit_test(numbers_are_read_without_a_locale),
        cmocka_unit_test(mistakes_in_texts_are_named_by_line),
        cmocka_unit_test(statistics_count),
    };
    return cmocka_run_group_tests_name("convert", tests, NULL, NULL);
}
