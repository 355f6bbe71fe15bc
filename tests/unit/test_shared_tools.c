/* The tools on the shared library, as `make test` links them: all that they take of libdet is what
 * its public headers declare, so what they do here they do by these alone. */
#include <unistd.h>

#include "support/io.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static const char *folder(void)
{
    const char *shared = getenv("DET_SHARED_TOOLS_DIR");
    return shared != NULL && access(shared, X_OK) == 0 ? shared : NULL;
}

static char shared_out[200000], usual_out[200000];

/* Both kinds of a tool with the same arguments: the same exit status. */
static void run_both(const char *format, va_list arguments)
{
    const char *usual = getenv("DET_BIN_DIR");
    char before[600], command[2000];
    vsnprintf(command, sizeof command, format, arguments);
    snprintf(before, sizeof before, "%s", usual != NULL ? usual : "build/release/bin");
    const int status = run_tool(usual_out, sizeof usual_out, "%s", command);
    setenv("DET_BIN_DIR", folder(), 1);
    assert_int_equal(run_tool(shared_out, sizeof shared_out, "%s", command), status);
    setenv("DET_BIN_DIR", before, 1);
}

static void expect(const char *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    run_both(format, arguments);
    va_end(arguments);
    if (strstr(shared_out, text) == NULL)
        fail_msg("%s: no \"%s\" in \"%s\"", format, text, shared_out);
}

static void expect_the_same(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    run_both(format, arguments);
    va_end(arguments);
    assert_string_equal(shared_out, usual_out);
}

static void the_job_of_each(void **state)
{
    (void)state;
    struct workspace w;
    if (folder() == NULL) {
        print_message("skipped: make test links the tools that it is about\n");
        return;
    }
    workspace_make(&w, "shared_tools");
    const char *d = w.directory;
    expect("ckpt-2.det", "det-train --pipeline_config_path %s --model_dir %s --num_train_steps 2",
           w.config, w.model_dir);
    expect("Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = ",
           "det-eval --pipeline_config_path %s --checkpoint_dir %s --once --json %s/eval.json "
           "--report_dir %s/report",
           w.config, w.model_dir, d, d);
    expect("exported/model.det (",
           "det-export --pipeline_config_path %s --trained_checkpoint_dir %s "
           "--output_directory %s/exported",
           w.config, w.model_dir, d);
    expect("report.html", "det-plot %s", w.model_dir);
    expect_the_same("det-info %s/exported/model.det", d);
    expect_the_same("det-info --threads 1");
    expect("voc: ", "det-data convert %s/train.tfrecord --to voc --output %s/voc", d, d);
    expect_the_same("det-detect %s/exported/model.det '%s/voc/JPEGImages/*' --threshold 0 --max 5 "
                    "--quiet --track --count_line 0,.5,1,.5 --output %s/seen --json - --csv "
                    "%s/a.csv --coco %s/a.json --cvat %s/a.xml --yolo %s/yolo --threads 2",
                    d, d, d, d, d, d, d);
    assert_contains(shared_out, "{\"image\":\"");
    expect_the_same("det-detect %s/exported/model.det %s/missing.mp4 --quiet", d, d);
    expect("drawn JPEG, 1280 x 720",
           "det-bench %s/exported/model.det --repeat 1 --threads 1 --json %s/bench.json", d, d);
    workspace_remove(&w);
}

/* And no other library of the machine that is libdet's to know. */
static void what_they_are_linked_with(void **state)
{
    (void)state;
    char line[700], needed[4000];
    if (folder() == NULL) {
        print_message("skipped: make test links the tools that it is about\n");
        return;
    }
    snprintf(line, sizeof line, "objdump -p %s/det-* 2>/dev/null | grep NEEDED", folder());
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    needed[fread(needed, 1, sizeof needed - 1, pipe)] = '\0';
    pclose(pipe);
    assert_contains(needed, "libdet.so.");
    assert_null(strstr(needed, "libjpeg"));
    assert_null(strstr(needed, "libpng"));
}

int test_shared_tools(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_job_of_each),
        cmocka_unit_test(what_they_are_linked_with),
    };
    return cmocka_run_group_tests_name("shared_tools", tests, NULL, NULL);
}
