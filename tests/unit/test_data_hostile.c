/* Names that lead out, collide or are no text, and faulty entries: what det-data writes then, and
 * what it keeps. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "support/data_files.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/utf8.h"

static const char *const formats[] = {"tfrecord", "coco", "yolo", "csv", "voc", "cvat-xml"};
enum { FORMATS = sizeof formats / sizeof formats[0] };

static int file_count;
static const char *outside; /* where no file may be; NULL: anywhere */
static char stray[600];

static int count_file(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)place;
    file_count += kind == FTW_F;
    if (kind == FTW_F && outside != NULL && strstr(path, outside) == NULL)
        snprintf(stray, sizeof stray, "%s", path);
    return 0;
}

/* Files below a folder; the name of one whose path lacks `inside` goes to `stray`. */
static int count_files(const char *folder, const char *inside)
{
    file_count = 0;
    outside = inside;
    stray[0] = '\0';
    nftw(folder, count_file, 16, FTW_PHYS);
    return file_count;
}

static bool can_be_read(const char *missing)
{
    return missing == NULL;
}

/* --- names that lead out --- */

#define HEAD "filename,class,xmin,ymin,xmax,ymax,split\n"

static void names_of_splits_and_images_stay_in_the_output(void **state)
{
    (void)state;
    static const char *const splits[] = {
        "../../evil", "/evil", "a/../../../evil", "..",  ".", "-x", "a\\b", "a, b: [c]", "con",
        ".git",       "a\tb",  "\xe4\xba",        "%s%n"};
    static char out[100000];
    char folder[256], text[1000], path[600];
    for (size_t s = 0; s < sizeof splits / sizeof splits[0]; s++) {
        for (size_t f = 0; f < FORMATS; f++) {
            test_make_directory(folder, "hostile");
            /* Latin-1, so that a broken sequence is a name as any. */
            snprintf(text, sizeof text, HEAD "../../x/a.jpg,cat,1,2,30,20,\"%s\"\n", splits[s]);
            const struct data_file files[] = {{"deep/in/in.csv", text},
                                              {"deep/in/a.jpg", NULL},
                                              {"deep/evil/keep.txt", "x"},
                                              {NULL, NULL}};
            data_files_write(folder, files);
            const int status = run_tool(out, sizeof out,
                                        "det-data convert %s/deep/in/in.csv --encoding ISO-8859-1 "
                                        "--to %s --output %s/deep/out/o",
                                        folder, formats[f], folder);
            if (status != 0)
                fail_msg("split `%s` to %s: %s", splits[s], formats[f], out);
            assert_true(count_files(folder, "/deep/") > 4);
            assert_string_equal(stray, "");
            snprintf(path, sizeof path, "%s/deep/evil", folder);
            assert_int_equal(count_files(path, NULL), 1);
            snprintf(path, sizeof path, "%s/deep/in", folder);
            assert_int_equal(count_files(path, NULL), 2);
            /* and det-data reads what it wrote */
            if ((f == 2 && !can_be_read(det_yaml_missing())) ||
                (f >= 4 && !can_be_read(det_xml_missing())))
                continue;
            if (run_tool(out, sizeof out, "det-data check %s/deep/out/o", folder) != 0)
                fail_msg("split `%s` from %s: %s", splits[s], formats[f], out);
            assert_contains(out, "1 images, 1 boxes, 1 classes, 1 split");
            test_remove_tree(folder);
        }
    }
}

static void splits_that_the_user_names_are_checked(void **state)
{
    (void)state;
    static char out[20000];
    char folder[256];
    static const struct data_file files[] = {
        {"a.csv", HEAD "a.jpg,cat,1,2,30,20,\n"}, {"a.jpg", NULL}, {NULL, NULL}};
    test_make_directory(folder, "hostile_user");
    data_files_write(folder, files);
    assert_int_equal(run_tool(out, sizeof out, "det-data split %s --split a=1,../b=1 --output %s/o",
                              folder, folder),
                     1);
    assert_contains(out, "--split: `../b` is no name of a file");
    assert_int_equal(count_files(folder, NULL), 2);
    test_remove_tree(folder);
}

/* --- names that collide --- */

static void equal_names_are_numbered_in_every_format(void **state)
{
    (void)state;
    static const struct data_file files[] = {
        {"in.csv", HEAD "a/x.jpg,cat,1,2,30,20,Train\nb/x.jpg,cat,1,2,30,21,Train\n"
                        "b/X.png,cat,1,2,30,22,Train\nc/x_2.jpg,cat,1,2,30,23,train\n"
                        "classes.jpg,cat,1,2,30,24,Train\n"},
        {"a/x.jpg", NULL},
        {"b/x.jpg", NULL},
        {"b/X.png", NULL},
        {"c/x_2.jpg", NULL},
        {"classes.jpg", NULL},
        {NULL, NULL}};
    static char out[100000];
    char folder[256];
    for (size_t f = 0; f < FORMATS; f++) {
        test_make_directory(folder, "collide");
        data_files_write(folder, files);
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-data convert %s/in.csv --to %s --output %s/o", folder,
                                  formats[f], folder),
                         0);
        assert_contains(out, "5 images, 5 boxes");
        assert_contains(out, "split `train` is called `train_2`");
        if (f > 0)
            assert_contains(out, "images have another name than in the source");
        if ((f == 2 && !can_be_read(det_yaml_missing())) ||
            (f >= 4 && !can_be_read(det_xml_missing())))
            continue;
        if (run_tool(out, sizeof out, "det-data check %s/o", folder) != 0)
            fail_msg("%s: %s", formats[f], out);
        /* YOLO has one split for all that is no val or test. */
        assert_contains(out, f == 2 ? "5 images, 5 boxes, 1 classes, 1 split"
                                    : "5 images, 5 boxes, 1 classes, 2 splits");
        test_remove_tree(folder);
    }
}

/* Annotations alone call the images as the source does, so that they are found again. */
static void annotations_without_images_keep_their_names(void **state)
{
    (void)state;
    static const struct data_file files[] = {
        {"in.csv", HEAD "a/x.jpg,cat,1,2,30,20,\nb/x.jpg,cat,1,2,30,21,\n"},
        {"a/x.jpg", NULL},
        {"b/x.jpg", NULL},
        {NULL, NULL}};
    static const char *const kept[] = {"coco", "csv", "cvat-xml"};
    static char out[100000];
    char folder[256];
    test_make_directory(folder, "annotations");
    data_files_write(folder, files);
    for (size_t f = 0; f < 3; f++) {
        assert_int_equal(
            run_tool(out, sizeof out,
                     "det-data convert %s/in.csv --nocopy_images --to %s --output %s/%s", folder,
                     kept[f], folder, kept[f]),
            0);
        if (f == 2 && !can_be_read(det_xml_missing()))
            continue;
        assert_int_equal(
            run_tool(out, sizeof out, "det-data check %s/%s --images %s", folder, kept[f], folder),
            0);
        assert_contains(out, "0 errors, 0 warnings in 2 images with 2 boxes");
    }
    test_remove_tree(folder);
}

/* --- names that are no text --- */

static void files_are_valid_whatever_the_names(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[600];
    static const struct data_file files[] = {{"obj.names", "=1+1\nb\n"},
                                             {"obj.data", "names = obj.names\ntrain = pics\n"},
                                             {"pics/caf\xe9\x01.jpg", NULL},
                                             {"pics/caf\xe9\x01.txt", "0 .5 .5 .4 .4\n"},
                                             {NULL, NULL}};
    for (size_t f = 0; f < FORMATS; f++) {
        test_make_directory(folder, "no_text");
        data_files_write(folder, files);
        assert_int_equal(run_tool(out, sizeof out, "det-data convert %s --to %s --output %s/o",
                                  folder, formats[f], folder),
                         0);
        assert_contains(out, "was not UTF-8");
        if ((f == 2 && !can_be_read(det_yaml_missing())) ||
            (f >= 4 && !can_be_read(det_xml_missing())))
            continue;
        assert_int_equal(run_tool(out, sizeof out, "det-data check %s/o", folder), 0);
        assert_contains(out, "1 images, 1 boxes, ");
        snprintf(path, sizeof path, "%s/o/%s", folder,
                 f == 1   ? "annotations/instances_train.json"
                 : f == 2 ? "data.yaml"
                 : f == 3 ? "train.csv"
                 : f == 4 ? "Annotations/caf%E9_.xml"
                 : f == 5 ? "annotations.xml"
                          : "label_map.pbtxt");
        char *text = test_read_text(path);
        assert_true(det_utf8_valid(text));
        if (f == 3) /* a name that a spreadsheet would run */
            assert_contains(text, ",'=1+1,");
        if (f == 1) {
            cJSON *tree = cJSON_Parse(text);
            assert_non_null(tree);
            cJSON_Delete(tree);
        }
        free(text);
        test_remove_tree(folder);
    }
}

/* --- faults --- */

struct faults {
    const char *name;
    const char *says[4]; /* of convert --fix */
    size_t images, boxes;
    struct data_file files[8];
};

#define OBJECT(x, name)                                                                    \
    "<object><name>" name "</name><bndbox><xmin>" x "</xmin><ymin>3</ymin><xmax>20</xmax>" \
    "<ymax>21</ymax></bndbox></object>"
#define CVAT_IMAGE(name, x)                                                                     \
    "<image id='0' name='" name "' width='40' height='30'><box label='cat' xtl='" x "' ytl='2'" \
    " xbr='30' ybr='20'/></image>\n"
#define COCO_BOX(image, box)                                                                    \
    "{\"id\": 1, \"image_id\": " image ", \"category_id\": 1, \"bbox\": " box ", \"iscrowd\": " \
    "null}"

/* In each the second image has lost its only box, the third one of two. */
static const struct faults csv_faults = {
    "CSV",
    {":3 (b.jpg): xmin is `x`", ":5 (c.jpg): ymax is `y`",
     "1 images dropped whose boxes all had faults", "1 images kept that lost some of their boxes"},
    2,
    2,
    {{"in.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,30,20\nb.jpg,cat,x,2,30,20\n"
                "c.jpg,cat,1,2,30,20\nc.jpg,cat,1,2,30,y\n"},
     {"a.jpg", NULL},
     {"b.jpg", NULL},
     {"c.jpg", NULL}}};
static const struct faults yolo_faults = {"YOLO",
                                          {"b.txt:1: got `x`", "c.txt:2: 3 numbers",
                                           "1 images dropped whose boxes all had faults",
                                           "1 images kept that lost some of their boxes"},
                                          2,
                                          2,
                                          {{"classes.txt", "cat\n"},
                                           {"a.jpg", NULL},
                                           {"a.txt", "0 .5 .5 .4 .4\n"},
                                           {"b.jpg", NULL},
                                           {"b.txt", "0 x .5 .4 .4\n"},
                                           {"c.jpg", NULL},
                                           {"c.txt", "0 .5 .5 .4 .4\n0 .5 .5\n"}}};
static const struct faults coco_faults = {
    "COCO",
    {"annotations[1]: no `bbox`, and no outline in `segmentation` (image `b.jpg`)",
     "annotations[3]: `bbox` has 3 numbers, expected 4 (image `c.jpg`)",
     "1 images dropped whose boxes all had faults", "1 images kept that lost some of their boxes"},
    2,
    2,
    {{"in.json",
      "{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}, {\"id\": 2, \"file_name\": "
      "\"b.jpg\"}, {\"id\": 3, \"file_name\": \"c.jpg\"}], \"categories\": [{\"id\": 1, "
      "\"name\": \"cat\"}], \"annotations\": [" COCO_BOX("1", "[1, 2, 3, 4]") ", " COCO_BOX(
          "2", "null") ", " COCO_BOX("3", "[1, 2, 3, 4]") ", " COCO_BOX("3", "[1, 2, 3]") "]}"},
     {"a.jpg", NULL},
     {"b.jpg", NULL},
     {"c.jpg", NULL}}};
static const struct faults voc_faults = {
    "VOC",
    {"b.xml:1: <xmin> is `x`", "c.xml:1: object 1: <bndbox> lacks", "d.xml:1: mismatched tag",
     "1 images dropped whose boxes all had faults"},
    2,
    2,
    {{"a.xml", "<annotation><filename>a.jpg</filename>" OBJECT("1", "cat") "</annotation>"},
     {"b.xml", "<annotation><filename>b.jpg</filename>" OBJECT("x", "cat") "</annotation>"},
     {"c.xml",
      "<annotation><filename>c.jpg</filename>" OBJECT("1", "cat") "<object/></annotation>"},
     {"d.xml", "<annotation><filename>a.jpg</annotation>"},
     {"a.jpg", NULL},
     {"b.jpg", NULL},
     {"c.jpg", NULL}}};
static const struct faults cvat_faults = {
    "CVAT",
    {":2: image `b.jpg`: xtl is `nan,5`",
     ":5: mismatched tag: nothing from there on is read; 3 images",
     "fixed: 1 images dropped (missing, damaged", "1 images kept that lost some of their boxes"},
    2,
    2,
    {{"annotations.xml", "<annotations>" CVAT_IMAGE("a.jpg", "1") CVAT_IMAGE(
                             "b.jpg", "nan,5") "<image name='c.jpg'><box label='cat' xtl='1' "
                                               "ytl='2' xbr='30' ybr='20'/><polygon "
                                               "label='cat' points='1;2'/></image>\n<image "
                                               "name='d.jpg'><box label='cat' xtl='1' "
                                               "ytl='2' xbr='30' ybr='20'/>\n</annotations>"},
     {"a.jpg", NULL},
     {"b.jpg", NULL},
     {"c.jpg", NULL},
     {"d.jpg", NULL}}};

/* The framing of records is lost with one of them: --fix keeps those before, and it is said. */
static void records_before_damage_are_kept(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[400];
    struct test_env t;
    struct stat info;
    test_env_init(&t);
    test_make_directory(folder, "cut_records");
    snprintf(path, sizeof path, "%s/a.tfrecord", folder);
    test_write_records(&t.env, path, 5);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size - 100), 0);
    assert_int_equal(
        run_tool(out, sizeof out, "det-data convert %s --to csv --output %s/o", path, folder), 1);
    assert_int_equal(
        run_tool(out, sizeof out, "det-data convert %s --fix --to csv --output %s/o", path, folder),
        0);
    assert_contains(out, "nothing from there on is read; 4 records before it are");
    assert_contains(out, "4 images, 3 boxes in 2 classes");
    test_remove_tree(folder);
    test_env_check(&t);
}

static void run_faults(const struct faults *faults)
{
    static char out[100000];
    char folder[256], counts[400];
    test_make_directory(folder, "faults");
    data_files_write(folder, faults->files);
    const int strict =
        run_tool(out, sizeof out, "det-data convert %s --to csv --output %s/no", folder, folder);
    if (strict != 1 || strstr(out, "nothing was written") == NULL)
        fail_msg("%s: exit status %d:\n%s", faults->name, strict, out);
    const int status = run_tool(out, sizeof out, "det-data convert %s --fix --to csv --output %s/o",
                                folder, folder);
    snprintf(counts, sizeof counts, "%s/o: %zu images, %zu boxes", folder, faults->images,
             faults->boxes);
    if (status != 0 || strstr(out, counts) == NULL)
        fail_msg("%s: exit status %d, expected \"%s\":\n%s", faults->name, status, counts, out);
    for (size_t i = 0; i < 4; i++)
        if (strstr(out, faults->says[i]) == NULL)
            fail_msg("%s: \"%s\" is not in:\n%s", faults->name, faults->says[i], out);
    test_remove_tree(folder);
}

static void a_fault_hides_no_other_and_drops_no_other(void **state)
{
    (void)state;
    run_faults(&csv_faults);
    run_faults(&yolo_faults);
    run_faults(&coco_faults);
    if (!can_be_read(det_xml_missing())) {
        print_message("skipped: %s\n", det_xml_missing());
        return;
    }
    run_faults(&voc_faults);
    run_faults(&cvat_faults);
}

/* A file of many images that nothing was read of is no entry that --fix may drop. */
static void what_was_not_read_is_not_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        struct data_file files[4];
    } cases[] = {
        {"b.json:1:50: found `}`",
         {{"a.json",
           "{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}], \"categories\": [{\"id\": 1, "
           "\"name\": \"cat\"}], \"annotations\": [" COCO_BOX("1", "[1, 2, 3, 4]") "]}"},
          {"b.json", "{\"images\": [], \"categories\": [], \"annotations\": [}"},
          {"a.jpg", NULL}}},
        {"b.csv:1: there is no column `class`",
         {{"a.csv", HEAD "a.jpg,cat,1,2,30,20,\n"}, {"b.csv", "filename,xmin\n"}, {"a.jpg", NULL}}},
        {"label_map.pbtxt:2:",
         {{"a.csv", HEAD "a.jpg,cat,1,2,30,20,\n"},
          {"label_map.pbtxt", "item {\n  id: x }\n"},
          {"a.jpg", NULL}}},
        {"no image is left", {{"a.csv", HEAD "a.jpg,cat,x,2,30,20,\n"}, {"a.jpg", NULL}}},
    };
    static char out[100000];
    char folder[256], path[600];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_make_directory(folder, "not_read");
        data_files_write(folder, cases[i].files);
        snprintf(path, sizeof path, "%s/o", folder);
        for (int check = 0; check < 2; check++) {
            /* named one by one: in a folder what holds no boxes is not taken for a table of them */
            const char *kind = strrchr(cases[i].files[0].path, '.');
            const int status =
                run_tool(out, sizeof out, "det-data %s %s/*%s --fix --to csv --output %s",
                         check ? "check" : "convert", folder, kind, path);
            if (status != 1 || strstr(out, cases[i].says) == NULL ||
                strstr(out, "nothing was written") == NULL)
                fail_msg("case %zu: exit status %d:\n%s", i, status, out);
            assert_int_equal(count_files(path, NULL), 0);
        }
        test_remove_tree(folder);
    }
}

/* Boxes of classes that the label map does not list are no faults: their images may be
 * background. */
static void unlisted_classes_make_background(void **state)
{
    (void)state;
    static const struct data_file files[] = {
        {"a.csv", HEAD "a.jpg,cat,1,2,30,20,\nb.jpg,dog,1,2,30,20,\n"},
        {"label_map.pbtxt", "item { id: 1 name: 'cat' }"},
        {"a.jpg", NULL},
        {"b.jpg", NULL},
        {NULL, NULL}};
    static char out[100000];
    char folder[256];
    test_make_directory(folder, "unlisted");
    data_files_write(folder, files);
    assert_int_equal(run_tool(out, sizeof out, "det-data convert %s --fix --to csv --output %s/o",
                              folder, folder),
                     0);
    assert_contains(out, "1 boxes dropped of classes that the label map lacks");
    assert_contains(out, "2 images, 1 boxes in 1 classes");
    test_remove_tree(folder);
}

/* Of one picture under several names the one with the most boxes stays. */
static void equal_pictures_keep_the_most_boxes(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], first[300];
    test_make_directory(folder, "equal");
    snprintf(first, sizeof first, "@%s/a.jpg", folder);
    const struct data_file files[] = {
        {"a.jpg", NULL},
        {"b.jpg", first},
        {"c.jpg", first},
        {"a.csv", HEAD "a.jpg,cat,1,2,30,20,\nb.jpg,cat,1,2,30,20,\nb.jpg,cat,5,5,9,9,\n"
                       "c.jpg,cat,1,2,30,20,\n"},
        {NULL, NULL}};
    data_files_write(folder, files);
    assert_int_equal(run_tool(out, sizeof out, "det-data convert %s --fix --to csv --output %s/o",
                              folder, folder),
                     0);
    assert_contains(out, "2 images dropped (missing, damaged or there twice)");
    assert_contains(out, "1 images, 2 boxes in 1 classes");
    test_remove_tree(folder);
}

/* A link to a folder above, as data sets assembled from others have them. */
static void links_lead_in_no_circle(void **state)
{
    (void)state;
    static const struct data_file files[] = {
        {"Annotations/a.xml",
         "<annotation><filename>a.jpg</filename>" OBJECT("1", "cat") "</annotation>"},
        {"JPEGImages/a.jpg", NULL},
        {NULL, NULL}};
    static char out[100000];
    char folder[256], path[300];
    if (!can_be_read(det_xml_missing()))
        return;
    test_make_directory(folder, "circle");
    data_files_write(folder, files);
    snprintf(path, sizeof path, "%s/Annotations/all", folder);
    assert_int_equal(symlink("..", path), 0);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s", folder), 0);
    assert_contains(out, "0 errors, 0 warnings in 1 images with 1 boxes");
    test_remove_tree(folder);
}

int test_data_hostile(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_splits_and_images_stay_in_the_output),
        cmocka_unit_test(splits_that_the_user_names_are_checked),
        cmocka_unit_test(equal_names_are_numbered_in_every_format),
        cmocka_unit_test(annotations_without_images_keep_their_names),
        cmocka_unit_test(files_are_valid_whatever_the_names),
        cmocka_unit_test(a_fault_hides_no_other_and_drops_no_other),
        cmocka_unit_test(records_before_damage_are_kept),
        cmocka_unit_test(what_was_not_read_is_not_dropped),
        cmocka_unit_test(unlisted_classes_make_background),
        cmocka_unit_test(equal_pictures_keep_the_most_boxes),
        cmocka_unit_test(links_lead_in_no_circle),
    };
    return cmocka_run_group_tests_name("data_hostile", tests, NULL, NULL);
}
