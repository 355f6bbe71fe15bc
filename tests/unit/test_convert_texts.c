/* The readers of texts: numbers in any locale, mistakes named by line. */
#include <math.h>

#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "convert/readers.h"
#include "support/annotation_sets.h"
#include "support/records.h"

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

struct lines {
    const char *text;
    enum det_rule rule; /* DET_RULE_COUNT: no finding */
    const char *message;
};

/* One file's text and what its reader says. */
static void expect_finding(det_reader read, const char *name, const struct lines *line)
{
    struct test_env t;
    struct det_annotations set;
    static struct test_findings seen;
    struct det_findings findings = {.report = test_note_finding, .user = &seen};
    char folder[256], path[300];
    size_t bytes = 0;
    test_env_init(&t);
    test_make_directory(folder, "lines");
    unsigned char *jpeg = test_make_jpeg(40, 30, 1, &bytes);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    test_write_bytes(path, jpeg, bytes);
    free(jpeg);
    test_write_text(folder, "classes.txt", "cat\ndog\n");
    test_write_text(folder, name, line->text);
    test_path_in(path, sizeof path, folder, strcmp(name, "a.txt") == 0 ? "" : name);
    assert_ok(&t.env, test_load_set(&t.env, read, path, &set, &findings));
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
    if (det_yaml_missing() == NULL)
        EXPECT(det_read_yolo, "a.yaml", yaml)
    EXPECT(det_read_coco, "a.json", coco)
    if (det_xml_missing() != NULL) {
        print_message("skipped: XML (built without expat)\n");
        return;
    }
    EXPECT(det_read_voc, "a.xml", voc)
    EXPECT(det_read_cvat, "a.xml", cvat)
#undef EXPECT
}

int test_convert_texts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_without_a_locale),
        cmocka_unit_test(mistakes_in_texts_are_named_by_line),
    };
    return cmocka_run_group_tests_name("convert_texts", tests, NULL, NULL);
}
