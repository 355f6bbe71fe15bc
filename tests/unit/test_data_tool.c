/* det-data as a user runs it. */
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "data/xml.h"
#include "support/records.h"
#include "support/workspace.h"

/* Runs a command line in the shell, output into `out`; returns the exit status. */
static int run(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int run(char *out, size_t size, const char *format, ...)
{
    char command[2000], line[2600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    const char *folder = getenv("DET_BIN_DIR");
    snprintf(line, sizeof line, "%s/det-data %s 2>&1",
             folder != NULL ? folder : "build/release/bin", command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    const size_t got = fread(out, 1, size - 1, pipe);
    out[got] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *out, const char *text)
{
    if (strstr(out, text) == NULL)
        fail_msg("\"%s\" is not in:\n%s", text, out);
}

static void data_sets_go_around(void **state)
{
    (void)state;
    static char out[100000];
    static const char *const formats[] = {"coco", "yolo", "csv", "voc", "cvat-xml"};
    const size_t count = strncmp(xml_about(), "no XML", 6) == 0 ? 3 : 5;
    struct workspace w;
    workspace_make(&w, "data_tool");
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(run(out, sizeof out, "convert %s/train.tfrecord --to %s --output %s/%s",
                             w.directory, formats[i], w.directory, formats[i]),
                         0);
        expect(out, "10 images, ");
        /* The format is seen from the folder. */
        assert_int_equal(run(out, sizeof out,
                             "convert %s/%s --label_map %s/label_map.pbtxt --to tfrecord --output "
                             "%s/back_%s --shards 2",
                             w.directory, formats[i], w.directory, w.directory, formats[i]),
                         0);
        expect(out, "10 images, ");
        char path[600];
        snprintf(path, sizeof path, "%s/back_%s/train.tfrecord-00001-of-00002", w.directory,
                 formats[i]);
        assert_int_equal(access(path, R_OK), 0);
    }
    assert_int_equal(run(out, sizeof out,
                         "split %s/train.tfrecord --split train=.8,val=.2 --output %s/s",
                         w.directory, w.directory),
                     0);
    assert_int_equal(run(out, sizeof out, "stats %s/s/*.tfrecord --json %s/stats.json", w.directory,
                         w.directory),
                     0);
    expect(out, "train        8 ");
    expect(out, "val          2 ");
    char path[600];
    snprintf(path, sizeof path, "%s/stats.json", w.directory);
    char *text = test_read_text(path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(tree, "splits")), 2);
    cJSON_Delete(tree);
    free(text);
    assert_int_equal(run(out, sizeof out,
                         "show %s/train.tfrecord --output %s/s.png --count 4 --columns 2 --cell 64 "
                         "--augmented --pipeline_config_path %s",
                         w.directory, w.directory, w.config),
                     0);
    expect(out, "s.png: 146 x 182 pixels");
    workspace_remove(&w);
}

static void faults_end_in_the_exit_status(void **state)
{
    (void)state;
    static char out[100000];
    struct workspace w;
    workspace_make(&w, "data_check");
    assert_int_equal(run(out, sizeof out, "check %s/train.tfrecord --pipeline_config_path %s",
                         w.directory, w.config),
                     0);
    expect(out, "0 errors");
    assert_int_equal(run(out, sizeof out,
                         "check %s/train.tfrecord copy=%s/train.tfrecord --json %s/c.json",
                         w.directory, w.directory, w.directory),
                     1);
    expect(out, "[split-leak]");
    expect(out, "10 split-leak (error)");
    assert_int_equal(run(out, sizeof out,
                         "check %s/train.tfrecord copy=%s/train.tfrecord --fix --output %s/fixed",
                         w.directory, w.directory, w.directory),
                     0);
    expect(out, "fixed: 10 images dropped");
    assert_int_equal(run(out, sizeof out, "check %s/fixed", w.directory), 0);
    /* Nothing is written while there are errors. */
    assert_int_equal(run(out, sizeof out,
                         "convert %s/train.tfrecord copy=%s/train.tfrecord --to csv --output %s/no",
                         w.directory, w.directory, w.directory),
                     1);
    expect(out, "nothing was written");
    char path[600];
    snprintf(path, sizeof path, "%s/no", w.directory);
    assert_int_equal(access(path, F_OK), -1);
    /* A label map with a fault, by line. */
    snprintf(path, sizeof path, "%s/bad.pbtxt", w.directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("item {\n  id: 0\n  name: 'cat'\n}\n", file);
    fclose(file);
    assert_int_equal(
        run(out, sizeof out, "check %s/train.tfrecord --label_map %s", w.directory, path), 1);
    expect(out, "bad.pbtxt:2:");
    expect(out, "[label-map]");
    workspace_remove(&w);
}

static void mistakes_are_answered(void **state)
{
    (void)state;
    static char out[100000];
    assert_int_equal(run(out, sizeof out, "%s", ""), 2);
    assert_int_equal(run(out, sizeof out, "frob x"), 2);
    expect(out, "`frob`");
    assert_int_equal(run(out, sizeof out, "convert x --to pascal --output y"), 2);
    expect(out, "`pascal`");
    assert_int_equal(run(out, sizeof out, "convert x --to voc"), 2);
    expect(out, "--output");
    assert_int_equal(run(out, sizeof out, "check no_such_folder"), 1);
    expect(out, "no_such_folder");
    assert_int_equal(run(out, sizeof out, "check no_such.tfrecord"), 1);
    expect(out, "no_such.tfrecord");
    assert_int_equal(run(out, sizeof out, "split x --split train --output y"), 1);
    assert_int_equal(run(out, sizeof out, "%s", "--help"), 0);
    expect(out, "XML: ");
}

int test_data_tool(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_sets_go_around),
        cmocka_unit_test(faults_end_in_the_exit_status),
        cmocka_unit_test(mistakes_are_answered),
    };
    return cmocka_run_group_tests_name("data_tool", tests, NULL, NULL);
}
