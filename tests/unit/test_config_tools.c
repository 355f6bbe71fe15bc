/* Workspaces as people have them, run by the tools as people run them: label maps with gaps and
 * unlisted classes, patterns of evaluation records, classes in another order. */
#include <unistd.h>

#include <cjson/cJSON.h>

#include "support/io.h"
#include "support/records.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[100000];

static void write_text(const struct workspace *w, const char *name, const char *text)
{
    struct det_env env;
    char path[400];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    assert_ok(&env, det_write_file(&env, path, text, strlen(text)));
}

static char *read_file(const struct workspace *w, const char *name)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", w->directory, name);
    return test_read_text(path);
}

static void write_picture(const struct workspace *w)
{
    struct det_env env;
    char path[400];
    size_t bytes = 0;
    unsigned char *jpeg = test_make_jpeg(120, 90, 3, &bytes);
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/picture.jpg", w->directory);
    assert_ok(&env, det_write_file(&env, path, jpeg, bytes));
    free(jpeg);
}

static void train_to(const struct workspace *w, int steps, int expected, const char *options)
{
    const int status = run_tool(out, sizeof out,
                                "det-train --pipeline_config_path %s --model_dir %s "
                                "--num_train_steps %d %s",
                                w->config, w->model_dir, steps, options);
    if (status != expected)
        fail_msg("det-train ended with %d:\n%s", status, out);
}

/* COCO's own map has 80 items for ids up to 90: no list shows a class that is none. */
static void ids_without_a_class_are_in_no_list(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "tool_gaps");
    write_text(&w, "label_map.pbtxt",
               "item { id: 2 name: 'cat' } item { id: 4 name: '/m/1' display_name: 'dog' }");
    workspace_edit_config(&w, "num_classes: 2", "num_classes: 5");
    train_to(&w, 12, 0, "");
    assert_contains(out, "num_classes is 5, but ");
    assert_contains(out, "boxes by class: cat 5, dog 4\n");
    assert_null(strstr(out, "no boxes of class"));
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once "
                              "--report_dir %s/report",
                              w.config, w.model_dir, w.directory),
                     0);
    assert_null(strstr(out, "class 1"));
    assert_null(strstr(out, "class 3"));
    char *text = read_file(&w, "report/ground_truth.json");
    cJSON *tree = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "categories")), 2);
    cJSON_Delete(tree);
    free(text);
    text = read_file(&w, "report/thresholds.json");
    assert_null(strstr(text, "class "));
    free(text);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                              "--output_directory %s/exported --recalibrate %s/train.tfrecord",
                              w.config, w.model_dir, w.directory, w.directory),
                     0);
    assert_contains(out, ": 2 classes, 96 x 96");
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/exported/model.det", w.directory), 0);
    assert_contains(out, "  2 classes of 5 ids: 2 cat, 4 dog\n");
    write_picture(&w);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s/exported/model.det %s/picture.jpg --threshold 0 --max "
                              "100 --coco %s/found.json --cvat %s/found.xml",
                              w.directory, w.directory, w.directory, w.directory),
                     0);
    text = read_file(&w, "found.json");
    tree = cJSON_Parse(text);
    assert_non_null(tree);
    const cJSON *categories = cJSON_GetObjectItem(tree, "categories");
    assert_int_equal(cJSON_GetArraySize(categories), 2);
    assert_int_equal(
        cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(categories, 1), "id")), 4);
    const cJSON *found = NULL;
    int count = 0;
    cJSON_ArrayForEach(found, cJSON_GetObjectItem(tree, "annotations"))
    {
        const double id = cJSON_GetNumberValue(cJSON_GetObjectItem(found, "category_id"));
        assert_true(id == 2 || id == 4);
        count++;
    }
    assert_true(count > 0);
    cJSON_Delete(tree);
    free(text);
    text = read_file(&w, "found.xml");
    assert_contains(text, "<name>dog</name>");
    assert_null(strstr(text, "class 1"));
    free(text);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s/exported/model.det %s/picture.jpg --classes 3",
                              w.directory, w.directory),
                     1);
    assert_contains(out, "\"3\" is no class of the model; it has: cat, dog");
    /* Thresholds that leave a class as it is say so. */
    write_text(&w, "some.json", "{\"cat\": 0.5}");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect %s/exported/model.det %s/picture.jpg --threshold_file "
                              "%s/some.json",
                              w.directory, w.directory, w.directory),
                     0);
    assert_contains(out, "some.json has no threshold for dog");
    workspace_remove(&w);
}

static void unlisted_classes_are_left_out(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "tool_unlisted");
    write_text(&w, "label_map.pbtxt", "item { id: 1 name: 'cat' } item { id: 2 name: 'Dog' }");
    train_to(&w, 1, 0, "--eval_every 1");
    assert_contains(out,
                    "warning: train: 4 of 9 objects are left out, as TensorFlow does, because ");
    assert_contains(out, "label_map.pbtxt does not list their class: \"dog\" (did you mean "
                         "\"Dog\"?) 4; it lists: cat, Dog");
    const char *once = strstr(out, "warning: eval: 4 of 9 objects are left out");
    assert_non_null(once);
    assert_null(strstr(once + 1, "warning: eval: ")); /* each evaluation says it no more */
    train_to(&w, 2, 1, "--strict");
    assert_contains(out, "object 0: class \"dog\" (did you mean \"Dog\"?) is not in the label map");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once "
                              "--strict",
                              w.config, w.model_dir),
                     1);
    assert_contains(out, "is not in the label map");
    workspace_remove(&w);
}

static void evaluation_reads_patterns(void **state)
{
    (void)state;
    static const char *const patterns[] = {"test.record-????\?-of-00002", "test.record-*-of-00002",
                                           "test.record@2", "te\\\\st.record@2"};
    struct det_env env;
    char path[400];
    det_env_default(&env);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct workspace w;
        char edit[100];
        workspace_make(&w, "tool_patterns");
        for (int part = 0; part < 2; part++) {
            snprintf(path, sizeof path, "%s/test.record-%05d-of-00002", w.directory, part);
            test_write_records(&env, path, 6);
        }
        snprintf(edit, sizeof edit, "input_path: '%s'", patterns[i]);
        workspace_edit_config(&w, "input_path: 'test.tfrecord'", edit);
        train_to(&w, 1, 0, "--eval_every 1");
        assert_contains(out, "eval: 12 images, ");
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-eval --pipeline_config_path %s --checkpoint_dir %s --once",
                                  w.config, w.model_dir),
                         0);
        assert_contains(out, "12 images");
        workspace_remove(&w);
    }
}

static void another_order_is_an_error(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "tool_order");
    train_to(&w, 2, 0, "");
    write_text(&w, "label_map.pbtxt", "item { id: 1 name: 'dog' } item { id: 2 name: 'cat' }");
    train_to(&w, 3, 1, "");
    assert_contains(out, "its classes are not those of");
    static const char export[] = "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
                                 "--output_directory %s/exported %s";
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory, ""), 1);
    assert_contains(out, "id 1 is \"cat\" there and \"dog\" here");
    assert_int_equal(run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory,
                              "--remap_classes --rename_classes"),
                     2);
    assert_contains(out, "exclude each other");
    assert_int_equal(
        run_tool(out, sizeof out, export, w.config, w.model_dir, w.directory, "--remap_classes"),
        0);
    assert_int_equal(run_tool(out, sizeof out, "det-info %s/exported/model.det", w.directory), 0);
    assert_contains(out, "1 dog, 2 cat");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once",
                              w.config, w.model_dir),
                     1);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-eval --pipeline_config_path %s --checkpoint_dir %s --once "
                              "--remap_classes",
                              w.config, w.model_dir),
                     0);
    workspace_remove(&w);
}

static void missing_files_come_before_data(void **state)
{
    (void)state;
    struct workspace w;
    workspace_make(&w, "tool_missing");
    workspace_edit_config(&w, "train_input_reader { label_map_path: 'label_map.pbtxt'",
                          "train_input_reader { label_map_path: 'PATH_TO_BE_CONFIGURED'");
    workspace_edit_config(&w, "input_path: 'train.tfrecord'",
                          "input_path: 'D:\\\\data\\\\gone.tfrecord'");
    train_to(&w, 1, 1, "");
    assert_contains(out, "2 files do not exist");
    assert_contains(out,
                    "label_map_path \"PATH_TO_BE_CONFIGURED\", which is still to be filled in");
    assert_contains(out, "\"D:\\data\\gone.tfrecord\"; `\\` separates no folders here");
    assert_int_equal(access(w.model_dir, F_OK), -1);
    workspace_remove(&w);
}

int test_config_tools(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_without_a_class_are_in_no_list),
        cmocka_unit_test(unlisted_classes_are_left_out),
        cmocka_unit_test(evaluation_reads_patterns),
        cmocka_unit_test(another_order_is_an_error),
        cmocka_unit_test(missing_files_come_before_data),
    };
    return cmocka_run_group_tests_name("config_tools", tests, NULL, NULL);
}
