/* Data sets in zip archives: read where they are, and what is refused. */
#include <stdlib.h>
#include <unistd.h>

#include "convert/files.h"
#include "convert/read/yaml.h"
#include "convert/zip.h"
#include "support/data_files.h"
#include "support/mem.h"
#include "support/records.h"
#include "support/run_tool.h"

static const struct data_file yolo[] = {
    {"data.yaml", "train: ../train/images\nval: ../valid/images\nnames: ['cat']\n"},
    {"train/images/a.jpg", NULL},
    {"train/labels/a.txt", "0 .5 .5 .4 .4\n"},
    {"valid/images/b.jpg", NULL},
    {"valid/labels/b.txt", "0 .5 .5 .4 .4\n"},
    {"README.roboflow.txt", "x"},
    {"__MACOSX/train/images/._a.jpg", "Mac OS X"},
    {"train/images/._a.jpg", "Mac OS X"},
    {NULL, NULL},
};

static const struct data_file csv[] = {
    {"a.csv", "filename,class,xmin,ymin,xmax,ymax\na.jpg,cat,1,2,30,20\n"},
    {"a.jpg", NULL},
    {NULL, NULL},
};

static bool is_without_zip(void)
{
    const bool missing = det_zip_missing() != NULL;
    if (missing)
        print_message("skipped: %s\n", det_zip_missing());
    return missing;
}

static void archives_are_read_where_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *prefix;
        enum zip_fault packing;
    } cases[] = {
        {"", ZIP_SOUND}, {"", ZIP_DEFLATED}, {"my set/", ZIP_DEFLATED}, {"a\\b\\", ZIP_SOUND}};
    static char out[100000];
    char folder[256], path[400];
    if (is_without_zip() || det_yaml_missing() != NULL)
        return;
    test_make_directory(folder, "zip");
    snprintf(path, sizeof path, "%s/set.zip", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        data_files_zip(path, cases[i].prefix, yolo, cases[i].packing);
        assert_int_equal(run_tool(out, sizeof out, "det-data check %s", path), 0);
        assert_contains(out, "2 images, 2 boxes, 1 classes, 2 splits");
        assert_contains(out, "0 errors, 0 warnings");
        assert_int_equal(
            run_tool(out, sizeof out,
                     "det-data convert %s --to tfrecord --threads 2 --output %s/out%zu", path,
                     folder, i),
            0);
        assert_contains(out, "2 images copied as they are");
        assert_int_equal(run_tool(out, sizeof out, "det-data check %s/out%zu", folder, i), 0);
        assert_contains(out, "2 images, 2 boxes, 1 classes, 2 splits");
    }
    /* Records, their label map, and images alone in an archive. */
    snprintf(path, sizeof path, "%s/out0", folder);
    assert_int_equal(run_tool(out, sizeof out, "det-data show %s --output %s/s.png", path, folder),
                     0);
    snprintf(path, sizeof path, "%s/images.zip", folder);
    data_files_zip(path, "deep/er/", csv + 1, ZIP_SOUND);
    snprintf(path, sizeof path, "%s/labels", folder);
    const struct data_file labels[] = {csv[0], {NULL, NULL}};
    data_files_write(path, labels);
    assert_int_equal(
        run_tool(out, sizeof out, "det-data check %s --images %s/images.zip", path, folder), 0);
    assert_contains(out, "1 images, 1 boxes");
    test_remove_tree(folder);
}

/* Roboflow's TFRecords: a record file and a label map in a folder for each split. */
static void archives_of_records_are_read(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[400], records[2][400];
    struct test_env t;
    if (is_without_zip())
        return;
    test_env_init(&t);
    test_make_directory(folder, "zip_records");
    for (int i = 0; i < 2; i++) {
        snprintf(records[i], sizeof records[i], "@%s/%d.tfrecord", folder, i);
        test_write_records(&t.env, records[i] + 1, 3 + i);
    }
    static const char map[] = "item { id: 1 name: 'dog' } item { id: 2 name: 'cat' }";
    const struct data_file files[] = {{"train/Pets.tfrecord", records[0]},
                                      {"train/Pets_label_map.pbtxt", map},
                                      {"valid/Pets.tfrecord", records[1]},
                                      {"valid/Pets_label_map.pbtxt", map},
                                      {NULL, NULL}};
    snprintf(path, sizeof path, "%s/set.zip", folder);
    data_files_zip(path, "", files, ZIP_DEFLATED);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s", path), 0);
    assert_contains(out, "classes from ");
    assert_contains(out, "set.zip/train/Pets_label_map.pbtxt");
    assert_contains(out, "7 images, 6 boxes, 2 classes, 2 splits");
    assert_contains(out, "set.zip/valid/Pets.tfrecord: record 0 (0.jpg)"); /* a leak between them */
    test_remove_tree(folder);
    test_env_check(&t);
}

static void what_is_no_sound_archive_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *says;
        enum zip_fault fault;
    } cases[] = {
        {"", "is encrypted: unpack the archive first", ZIP_ENCRYPTED},
        {"", "is packed by method 77", ZIP_UNKNOWN_METHOD},
        {"", "CRC error", ZIP_WRONG_CRC},
        {"", "set.zip", ZIP_TOO_SHORT},
        {"", "claims to inflate from", ZIP_BOMB},
        {"", "they overlap", ZIP_OVERLAPPING},
        {"", "Not a zip archive", ZIP_CUT},
        {"../", "entry `../a.csv` leads out of the archive", ZIP_SOUND},
        {"/etc/", "entry `/etc/a.csv` leads out of the archive", ZIP_SOUND},
        {"x/../../", "leads out of the archive", ZIP_SOUND},
        {"..\\", "leads out of the archive", ZIP_SOUND},
    };
    static char out[100000];
    char folder[256], path[400];
    if (is_without_zip())
        return;
    test_make_directory(folder, "zip_hostile");
    snprintf(path, sizeof path, "%s/set.zip", folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        data_files_zip(path, cases[i].prefix, csv, cases[i].fault);
        const int status =
            run_tool(out, sizeof out, "det-data convert %s --to csv --output %s/out", path, folder);
        if (status != 1 || strstr(out, cases[i].says) == NULL)
            fail_msg("case %zu: status %d, \"%s\" is not in:\n%s", i, status, cases[i].says, out);
    }
    /* Each entry claims no more than may be, all of them do. */
    struct data_file many[21] = {{NULL, NULL}};
    char names[20][16];
    for (int i = 0; i < 20; i++) {
        snprintf(names[i], sizeof names[i], "%d.txt", i);
        many[i] = (struct data_file){names[i], "x"};
    }
    data_files_zip(path, "", many, ZIP_BOMBS);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s", path), 1);
    assert_contains(out, "bytes claim to inflate to 1258291200: refused");
    /* Two entries with one name. */
    const struct data_file twice[] = {csv[0], csv[1], csv[1], {NULL, NULL}};
    data_files_zip(path, "", twice, ZIP_SOUND);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s", path), 1);
    assert_contains(out, "two entries are called `a.jpg`");
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s/none.zip", folder), 1);
    assert_contains(out, "none.zip: there is no such file");
    test_remove_tree(folder);
}

/* Paths out of an archive, a list with the paths of the machine: nothing outside is read. */
static void nothing_outside_an_archive_is_reached(void **state)
{
    (void)state;
    static char out[100000];
    char folder[256], path[400], list[600], whole[512];
    if (is_without_zip() || det_yaml_missing() != NULL)
        return;
    test_make_directory(folder, "zip_outside");
    data_files_write(folder, csv); /* a.jpg beside the archive */
    assert_non_null(getcwd(whole, sizeof whole));
    snprintf(list, sizeof list, "%.300s/%.200s/a.jpg\n../a.jpg\n", whole, folder);
    const struct data_file files[] = {{"data.yaml", "path: /\ntrain: list.txt\nnames: [cat]\n"},
                                      {"list.txt", list},
                                      {"a.txt", "0 .5 .5 .4 .4\n"},
                                      {NULL, NULL}};
    snprintf(path, sizeof path, "%s/set.zip", folder);
    data_files_zip(path, "", files, ZIP_SOUND);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s", path), 1);
    assert_contains(out, "2 image-missing (error)");
    test_remove_tree(folder);
}

static det_status mount_and_list(struct det_env *env, void *argument)
{
    struct det_files files = {0};
    struct det_path_list list = {0};
    struct det_source_bytes source = {0};
    const char *path = argument;
    char *folder = NULL, *found = NULL;
    det_status status = DET_OK;
    DET_TRY(det_files_mount(env, &files, path));
    DET_TRY(det_files_list(env, &files, path, &list));
    DET_TRY(det_format(env, &folder, "%s/train/images", path));
    DET_TRY(det_files_find_stem(env, &files, folder, "a", &found));
    DET_TRY(det_files_open(env, &files, found, &source));
fail:
    det_source_bytes_close(env, &source);
    det_free(env, &found);
    det_free(env, &folder);
    det_path_list_free(env, &list);
    det_files_close(env, &files);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char folder[256], path[400];
    if (is_without_zip())
        return;
    test_make_directory(folder, "zip_memory");
    snprintf(path, sizeof path, "%s/set.zip", folder);
    data_files_zip(path, "", yolo, ZIP_DEFLATED);
    test_each_allocation_fails(mount_and_list, path);
    test_remove_tree(folder);
}

/* Every byte of a small archive: told or read, never more than that. */
static void damaged_archives_are_survived(void **state)
{
    (void)state;
    char folder[256], path[400];
    struct test_env t;
    struct det_file_bytes contents;
    if (is_without_zip())
        return;
    test_env_init(&t);
    test_make_directory(folder, "zip_damage");
    snprintf(path, sizeof path, "%s/set.zip", folder);
    const struct data_file text[] = {csv[0], {"b/c.txt", "hello hello hello hello"}, {NULL, NULL}};
    data_files_zip(path, "", text, ZIP_DEFLATED);
    assert_ok(&t.env, det_file_read(&t.env, path, &contents));
    uint8_t *data = malloc(contents.bytes);
    assert_non_null(data);
    memcpy(data, contents.data, contents.bytes);
    const size_t bytes = contents.bytes;
    det_file_release(&contents);
    size_t bad = 0;
    for (size_t trial = 0; trial < 2 * bytes; trial++) {
        const size_t at = trial / 2;
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        data[at] ^= 0x81;
        fwrite(data, 1, trial % 2 == 0 ? bytes : at, file);
        data[at] ^= 0x81;
        fclose(file);
        struct det_files files = {0};
        det_status status = det_files_mount(&t.env, &files, path);
        for (size_t i = 0; i < 2 && status == DET_OK; i++) {
            struct det_source_bytes source = {0};
            char inner[500];
            snprintf(inner, sizeof inner, "%s/%s", path, text[i].path);
            status = det_files_open(&t.env, &files, inner, &source);
            if (status == DET_OK)
                assert_int_equal(source.bytes, strlen(text[i].text));
            det_source_bytes_close(&t.env, &source);
        }
        bad += status != DET_OK;
        det_files_close(&t.env, &files);
    }
    assert_true(bad > bytes);
    free(data);
    test_remove_tree(folder);
    test_env_check(&t);
}

int test_data_zip(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archives_are_read_where_they_are),
        cmocka_unit_test(archives_of_records_are_read),
        cmocka_unit_test(what_is_no_sound_archive_is_refused),
        cmocka_unit_test(nothing_outside_an_archive_is_reached),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(damaged_archives_are_survived),
    };
    return cmocka_run_group_tests_name("data_zip", tests, NULL, NULL);
}
