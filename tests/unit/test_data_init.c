/* det-data init: from a data set to a workspace that trains, from every format; what is there
 * stays. */
#include <unistd.h>

#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "support/annotation_sets.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[100000];

static void expect_file(const char *directory, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    if (access(path, F_OK) != 0)
        fail_msg("%s is not there; the tool said:\n%s", path, out);
}

static void any_data_set_becomes_a_workspace(void **state)
{
    (void)state;
    static const char *const formats[] = {"coco", "csv", "voc", "cvat-xml", "yolo", "tfrecord"};
    struct workspace w;
    workspace_make(&w, "data_init");
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const bool is_xml = i == 2 || i == 3, is_yaml = i == 4;
        char ws[300];
        if ((is_xml && det_xml_missing() != NULL) || (is_yaml && det_yaml_missing() != NULL))
            continue;
        snprintf(ws, sizeof ws, "%s/ws_%s", w.directory, formats[i]);
        assert_int_equal(run_tool(out, sizeof out,
                                  "det-data convert %s/train.tfrecord --to %s --output %s/%s",
                                  w.directory, formats[i], w.directory, formats[i]),
                         0);
        if (run_tool(out, sizeof out,
                     "det-data init %s/%s --output %s --size 64 --batch_size 2 --steps 2",
                     w.directory, formats[i], ws) != 0)
            fail_msg("%s: %s", formats[i], out);
        assert_contains(out, "no weights to begin from");
        assert_contains(out, "64 x 64, batch 2, 2 steps");
        assert_contains(out, "Next: det-train --model_dir ");
        expect_file(ws, "annotations/label_map.pbtxt");
        expect_file(ws, "annotations/train.tfrecord");
        expect_file(ws, "annotations/test.tfrecord");
        expect_file(ws, "models/my/pipeline.config");
    }
    /* What the last line says. */
    char *next = strstr(out, "Next: det-train ");
    assert_non_null(next);
    char command[1000];
    snprintf(command, sizeof command, "%.*s", (int)strcspn(next + 6, "\n"), next + 6);
    if (run_tool(out, sizeof out, "%s --set model.ssd.feature_extractor.depth_multiplier=0.1",
                 command) != 0)
        fail_msg("%s: %s", command, out);
    expect_file(w.directory, "ws_tfrecord/models/my/ckpt-2.det");
    expect_file(w.directory, "ws_tfrecord/models/my/model.det");
    assert_contains(out, "Next: det-detect ");
    workspace_remove(&w);
}

/* The records that the config of these sources evaluates. */
static void expect_splits(const char *directory, const char *sources, const char *evaluated)
{
    char path[600];
    if (run_tool(out, sizeof out, "det-data init %s --output %s/ws --size 64", sources,
                 directory) != 0)
        fail_msg("%s: %s", sources, out);
    snprintf(path, sizeof path, "%s/ws/models/my/pipeline.config", directory);
    char *text = test_read_text(path);
    if (strstr(text, evaluated) == NULL)
        fail_msg("no `%s` in:\n%s", evaluated, text);
    free(text);
    snprintf(path, sizeof path, "%s/ws", directory);
    test_remove_tree(path);
}

static void own_splits_stay_unless_they_leak(void **state)
{
    (void)state;
    struct workspace w;
    char sources[800];
    workspace_make(&w, "data_init");
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data split %s/train.tfrecord --split train=0.5,val=0.5 --output "
                              "%s/halves",
                              w.directory, w.directory),
                     0);
    snprintf(sources, sizeof sources, "%s/halves", w.directory);
    expect_splits(w.directory, sources, "annotations/val.tfrecord");
    snprintf(sources, sizeof sources, "train=%s/train.tfrecord val=%s/train.tfrecord", w.directory,
             w.directory);
    expect_splits(w.directory, sources, "annotations/test.tfrecord");
    workspace_remove(&w);
}

static void what_is_there_stays(void **state)
{
    (void)state;
    struct workspace w;
    char ws[300], path[400];
    workspace_make(&w, "data_init");
    snprintf(ws, sizeof ws, "%s/ws", w.directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s --size 64", w.directory,
                              ws),
                     0);
    snprintf(path, sizeof path, "%s/models/my/pipeline.config", ws);
    test_write_bytes(path, "mine", 4);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s --size 64", w.directory,
                              ws),
                     1);
    assert_contains(out, "is there already, and would be lost");
    char *text = test_read_text(path);
    assert_string_equal(text, "mine");
    free(text);
    unlink(path);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s --size 64", w.directory,
                              ws),
                     1);
    assert_contains(out, "annotations is there already");
    assert_int_equal(
        run_tool(out, sizeof out, "det-data init %s/train.tfrecord --size 64", w.directory), 2);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s/other --size 63",
                              w.directory, w.directory),
                     2);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data init %s/train.tfrecord --output %s/other "
                              "--fine_tune_checkpoint %s/nothing",
                              w.directory, w.directory, w.directory),
                     1);
    assert_contains(out, "nothing");
    snprintf(path, sizeof path, "%s/other/annotations", w.directory);
    assert_int_not_equal(access(path, F_OK), 0);
    workspace_remove(&w);
}

int test_data_init(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_data_set_becomes_a_workspace),
        cmocka_unit_test(own_splits_stay_unless_they_leak),
        cmocka_unit_test(what_is_there_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
