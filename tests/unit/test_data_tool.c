/* det-data as a user runs it. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static void data_sets_go_around(void **state)
{
    (void)state;
    static char out[100000];
    static const char *const formats[] = {"coco", "yolo", "csv", "voc", "cvat-xml"};
    const bool has_yaml = det_yaml_missing() == NULL;
    const size_t count = det_xml_missing() != NULL ? 3 : 5;
    struct workspace w;
    workspace_make(&w, "data_tool");
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-data convert %s/train.tfrecord --to %s --output %s/%s",
                                  w.directory, formats[i], w.directory, formats[i]),
                         0);
        assert_contains(out, "10 images, ");
        if (strcmp(formats[i], "yolo") == 0 && !has_yaml)
            continue;
        /* The format is seen from the folder. */
        assert_int_equal(
            run_tool(out, sizeof out,
                     "det-data convert %s/%s --label_map %s/label_map.pbtxt --to tfrecord --output "
                     "%s/back_%s --shards 2",
                     w.directory, formats[i], w.directory, w.directory, formats[i]),
            0);
        assert_contains(out, "10 images, ");
        char path[600];
        snprintf(path, sizeof path, "%s/back_%s/train.tfrecord-00001-of-00002", w.directory,
                 formats[i]);
        assert_int_equal(access(path, R_OK), 0);
    }
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-data split %s/train.tfrecord --split train=.8,val=.2 --output %s/s",
                 w.directory, w.directory),
        0);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data stats %s/s/*.tfrecord --json %s/stats.json", w.directory,
                              w.directory),
                     0);
    assert_contains(out, "train        8 ");
    assert_contains(out, "val          2 ");
    char path[600];
    snprintf(path, sizeof path, "%s/stats.json", w.directory);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "splits")), 2);
    cJSON_Delete(tree);
    free(text);
    assert_int_equal(
        run_tool(
            out, sizeof out,
            "det-data show %s/train.tfrecord --output %s/s.png --count 4 --columns 2 --cell 64 "
            "--augmented --pipeline_config_path %s",
            w.directory, w.directory, w.config),
        0);
    assert_contains(out, "s.png: 146 x 182 pixels");
    workspace_remove(&w);
}

static void faults_end_in_the_exit_status(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "data_check");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data check %s/train.tfrecord --pipeline_config_path %s",
                              w.directory, w.config),
                     0);
    assert_contains(out, "0 errors");
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-data check %s/train.tfrecord copy=%s/train.tfrecord --json %s/c.json",
                 w.directory, w.directory, w.directory),
        0);
    assert_contains(out, "[split-leak]");
    assert_contains(out, "10 split-leak (warning)");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data check %s/train.tfrecord copy=%s/train.tfrecord --strict",
                              w.directory, w.directory),
                     1);
    assert_int_equal(
        run_tool(out, sizeof out,
                 "det-data check %s/train.tfrecord copy=%s/train.tfrecord --fix --output %s/fixed",
                 w.directory, w.directory, w.directory),
        0);
    assert_contains(out, "fixed: 10 images dropped");
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s/fixed", w.directory), 0);
    /* Nothing is written while there are errors. */
    assert_int_equal(
        run_tool(
            out, sizeof out,
            "det-data convert %s/train.tfrecord copy=%s/train.tfrecord --strict --to csv --output "
            "%s/no",
            w.directory, w.directory, w.directory),
        1);
    assert_contains(out, "nothing was written");
    char path[600];
    snprintf(path, sizeof path, "%s/no", w.directory);
    assert_int_equal(access(path, F_OK), -1);
    /* A label map with a fault, by line. */
    snprintf(path, sizeof path, "%s/bad.pbtxt", w.directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("item {\n  id: 0\n  name: 'cat'\n}\n", file);
    fclose(file);
    assert_int_equal(run_tool(out, sizeof out, "det-data check %s/train.tfrecord --label_map %s",
                              w.directory, path),
                     1);
    assert_contains(out, "bad.pbtxt:2:");
    assert_contains(out, "[label-map]");
    workspace_remove(&w);
}

/* Where findings are no output, a data set of many faults is told by some of each kind. */
static void many_findings_do_not_flood(void **state)
{
    (void)state;
    static char out[100000];
    static const char *const commands[] = {"convert --to voc --output build/test-tmp/none",
                                           "check"};
    struct workspace w;
    char path[600];
    workspace_make(&w, "flood");
    snprintf(path, sizeof path, "%s/a.csv", w.directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("filename,width,height,class,xmin,ymin,xmax,ymax\n", file);
    for (int i = 0; i < 40; i++)
        fprintf(file, "%d.png,64,48,cat,1,1,20,20\n", i);
    assert_int_equal(fclose(file), 0);
    for (size_t i = 0; i < 2; i++) {
        int told = 0;
        (void)run_tool(out, sizeof out, "det-data %s %s", commands[i], path);
        for (const char *at = out; (at = strstr(at, "[image-missing]\n")) != NULL; at++)
            told++;
        assert_int_equal(told, i == 0 ? 10 : 40);
        if (i == 0)
            assert_contains(out, "30 more [image-missing]: `det-data check` names them all");
    }
    workspace_remove(&w);
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    static char out[100000];
    assert_int_equal(run_tool(out, sizeof out, "det-data %s", ""), 2);
    assert_int_equal(run_tool(out, sizeof out, "det-data frob x"), 2);
    assert_contains(out, "`frob`");
    assert_int_equal(run_tool(out, sizeof out, "det-data convert x --to pascal --output y"), 2);
    assert_contains(out, "`pascal`");
    assert_int_equal(run_tool(out, sizeof out, "det-data convert x --to voc"), 2);
    assert_contains(out, "--output");
    assert_int_equal(run_tool(out, sizeof out, "det-data check no_such_folder"), 1);
    assert_contains(out, "no_such_folder");
    assert_int_equal(run_tool(out, sizeof out, "det-data check no_such.tfrecord"), 1);
    assert_contains(out, "no_such.tfrecord");
    assert_int_equal(run_tool(out, sizeof out, "det-data split x --split train --output y"), 1);
    assert_int_equal(run_tool(out, sizeof out, "det-data %s", "--help"), 0);
    assert_contains(out, "XML: ");
    assert_int_equal(run_tool(out, sizeof out, "det-info"), 0);
    assert_contains(out, "data sets: XML: ");
    assert_contains(out, "; zip: ");
}

int test_data_tool(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_sets_go_around),
        cmocka_unit_test(faults_end_in_the_exit_status),
        cmocka_unit_test(many_findings_do_not_flood),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests_name("data_tool", tests, NULL, NULL);
}
