/* det-train --data: from a data set to a model with one command, which goes on where it was
 * interrupted and refuses what would be another training. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/annotation_sets.h"
#include "support/run_tool.h"
#include "support/workspace.h"

static char out[100000];

#define SMALL                                                                   \
    "--size 64 --batch_size 2 --num_train_steps 4 --eval_every 2 --noeval_api " \
    "--set model.ssd.feature_extractor.depth_multiplier=0.1"

static bool is_there(const char *folder, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void expect(int status, const char *text, const char *command)
{
    const int got = run_tool(out, sizeof out, "%s", command);
    if (got != status || strstr(out, text) == NULL)
        fail_msg("%s: status %d, expected %d and `%s` in:\n%s", command, got, status, text, out);
}

/* A folder of a name that shells split, as COCO, with an archive's depth of folders. */
static void make_source(const struct workspace *w, char source[400])
{
    snprintf(source, 400, "%s/My pictures \xc3\xa4", w->directory);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-data convert %s/train.tfrecord --to coco --output '%s'",
                              w->directory, source),
                     0);
}

static void one_command_trains_and_goes_on(void **state)
{
    (void)state;
    struct workspace w;
    char source[400], run[400], command[1500];
    workspace_make(&w, "first_run");
    make_source(&w, source);
    snprintf(run, sizeof run, "%s/my run", w.directory);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir '%s' " SMALL, source, run);
    expect(0, "Next: det-detect '", command);
    static const char *const files[] = {"annotations/train.tfrecord",
                                        "annotations/test.tfrecord",
                                        "annotations/label_map.pbtxt",
                                        "annotations/source.json",
                                        "pipeline.config",
                                        "run.json",
                                        "results.csv",
                                        "model.det",
                                        "ckpt-4.det",
                                        "best/checkpoint"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!is_there(run, files[i]))
            fail_msg("%s is not there:\n%s", files[i], out);
    assert_false(is_there(run, "annotations.part"));
    assert_false(is_there(run, "pipeline.config.old")); /* --set is in the first one */
    /* The command that it names. */
    char *next = strstr(out, "Next: det-detect '"), *pictures = strstr(next, " PICTURES ");
    assert_non_null(pictures);
    snprintf(command, sizeof command,
             "%.*s '%s/train' %.*s --threshold 0.0001 --json '%s/found.jsonl'",
             (int)(pictures - (next + 6)), next + 6, source, (int)strcspn(pictures + 10, "\n"),
             pictures + 10, w.directory);
    expect(0, "", command);
    assert_true(is_there(run, "detected"));
    /* Again: nothing is made anew. */
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir '%s' " SMALL, source, run);
    expect(0, "schedule already finished", command);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir '%s' --num_train_steps 6",
             source, run);
    expect(0, "resumed from", command);
    snprintf(command, sizeof command, "det-train --model_dir '%s' --num_train_steps 7", run);
    expect(0, "model.det', of step ", command);
    /* A copy is the same data. */
    snprintf(command, sizeof command, "cp -r '%s' '%s/copy'", source, w.directory);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "det-train --data '%s/copy' --model_dir '%s'", w.directory,
             run);
    expect(0, "schedule already finished", command);
    workspace_remove(&w);
}

static void another_training_is_refused(void **state)
{
    (void)state;
    struct workspace w;
    char source[400], run[400], command[1500], path[700];
    workspace_make(&w, "first_run_refused");
    make_source(&w, source);
    snprintf(run, sizeof run, "%s/run", w.directory);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s " SMALL, source, run);
    expect(0, "Next: ", command);
    snprintf(command, sizeof command, "det-train --data %s/test.tfrecord --model_dir %s",
             w.directory, run);
    expect(1, "test.tfrecord (1 files, ", command);
    assert_contains(out, "leave --data out to go on with it, or choose another --model_dir");
    snprintf(command, sizeof command, "det-train --data train='%s' --model_dir %s", source, run);
    expect(1, "is for another split", command);
    snprintf(command, sizeof command,
             "det-train --data '%s' --data %s/test.tfrecord --model_dir %s", source, w.directory,
             run);
    expect(1, "of another number of sources", command);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s --size 96", source,
             run);
    expect(1, "run was made with --size 64, not with --size 96", command);
    /* A label that was changed, of the same size. */
    snprintf(path, sizeof path, "%s/annotations/instances_train.json", source);
    char *text = test_read_text(path), *name = strstr(text, "\"cat\"");
    assert_non_null(name);
    memcpy(name, "\"cow\"", 5);
    test_write_bytes(path, text, strlen(text));
    free(text);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s", source, run);
    expect(1, "is not what that was then", command);
    /* Folders with something else in them. */
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir '%s'", source, source);
    expect(1, "is --model_dir too", command);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s", source, w.directory);
    expect(1, "pipeline.config is there already, and was not made by --data", command);
    snprintf(path, sizeof path, "%s/other", w.directory);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(command, sizeof command, "det-train --model_dir %s", path);
    expect(1, "other/pipeline.config: there is no such file to go on with", command);
    snprintf(path, sizeof path, "%s/ckpt-4.det", run);
    char *there = NULL;
    size_t bytes = 0;
    there = test_read_bytes(path, &bytes);
    snprintf(path, sizeof path, "%s/other/ckpt-4.det", w.directory);
    test_write_bytes(path, there, bytes);
    free(there);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s/other", source,
             w.directory);
    expect(1, "holds checkpoints of another training", command);
    expect(2, "--model_dir is needed", "det-train --data x");
    expect(2, "are for --data", "det-train --model_dir x --size 64");
    expect(2, "goes without --pipeline_config_path",
           "det-train --data x --model_dir y --pipeline_config_path z");
    workspace_remove(&w);
}

/* What a kill in the middle of it leaves behind. */
static void an_interrupted_start_begins_anew(void **state)
{
    (void)state;
    struct workspace w;
    char source[400], run[400], part[450], command[1500], path[700];
    workspace_make(&w, "first_run_interrupted");
    make_source(&w, source);
    snprintf(run, sizeof run, "%s/run", w.directory);
    snprintf(part, sizeof part, "%s/annotations.part", run);
    snprintf(command, sizeof command, "mkdir -p %s", part);
    assert_int_equal(system(command), 0);
    test_write_text(part, "source.json", "{");
    test_write_text(part, "train.tfrecord", "x");
    test_write_text(part, ".test.tfrecord.tmp-0123456789abcdef", "y");
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s " SMALL, source, run);
    expect(0, "was interrupted before: begun anew", command);
    assert_false(is_there(run, "annotations.part"));
    /* In the last step: the config stands beside the records. */
    snprintf(command, sizeof command, "cd %s && mv pipeline.config annotations/ && rm ckpt-*", run);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s --eval_every 0", source,
             run);
    expect(0, "Next: ", command);
    assert_true(is_there(run, "pipeline.config"));
    assert_false(is_there(run, "annotations/pipeline.config"));
    /* What somebody put there stays. */
    test_remove_tree(run);
    snprintf(command, sizeof command, "mkdir -p %s", part);
    assert_int_equal(system(command), 0);
    test_write_text(part, "mine.txt", "x");
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s " SMALL, source, run);
    expect(1, "annotations.part/mine.txt: is in the place of what is being made", command);
    snprintf(path, sizeof path, "%s/mine.txt", part);
    assert_int_equal(access(path, F_OK), 0);
    workspace_remove(&w);
}

/* The decay that is written fits the steps, and what is exported has statistics taken anew. */
static void the_exported_form_is_looked_after(void **state)
{
    (void)state;
    struct workspace w;
    char command[1500], path[700];
    workspace_make(&w, "first_run_decay");
    snprintf(command, sizeof command,
             "det-data init %s/train.tfrecord --output %s/ws --size 64 --batch_size 2 --steps 60 "
             "--set model.ssd.feature_extractor.depth_multiplier=0.1",
             w.directory, w.directory);
    expect(0, "Next: det-train --model_dir ", command);
    snprintf(path, sizeof path, "%s/ws/models/my/pipeline.config", w.directory);
    char *text = test_read_text(path);
    assert_contains(text, "decay: 0.926 ");
    assert_contains(text, "depth_multiplier: 0.1");
    free(text);
    snprintf(command, sizeof command, "det-train --model_dir %s/ws/models/my", w.directory);
    expect(0, "model.det, of step ", command);
    assert_null(strstr(out, "batch_norm { decay"));
    snprintf(command, sizeof command, "det-info %s/ws/models/my/model.det", w.directory);
    expect(0, "batch norm statistics taken anew over ", command);
    /* Where it does not fit that is told. */
    snprintf(command, sizeof command,
             "det-train --pipeline_config_path %s --model_dir %s/other --num_train_steps 10", path,
             w.directory);
    expect(0, "batch_norm { decay", command);
    workspace_remove(&w);
}

/* What could not be made leaves nothing behind; two processes do not make one. */
static void a_failed_start_leaves_nothing(void **state)
{
    (void)state;
    struct workspace w;
    char command[1500], path[700];
    workspace_make(&w, "first_run_failed");
    snprintf(command, sizeof command, "det-train --data %s/nothing.zip --model_dir %s/run",
             w.directory, w.directory);
    expect(1, "nothing.zip: there is no such file", command);
    assert_false(is_there(w.directory, "run"));
    snprintf(command, sizeof command,
             "det-train --data %s/train.tfrecord --model_dir %s/run --set nope=1", w.directory,
             w.directory);
    expect(1, "unknown field `nope`", command);
    assert_false(is_there(w.directory, "run"));
    snprintf(path, sizeof path, "%s/mine", w.directory);
    assert_int_equal(mkdir(path, 0777), 0);
    snprintf(command, sizeof command, "det-train --data %s/nothing.zip --model_dir %s/mine",
             w.directory, w.directory);
    expect(1, "nothing.zip: there is no such file", command);
    assert_true(is_there(w.directory, "mine"));
    snprintf(path, sizeof path, "%s/mine/annotations.part", w.directory);
    assert_int_equal(mkdir(path, 0777), 0);
    const int folder = open(path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(folder, LOCK_EX), 0);
    snprintf(command, sizeof command, "det-train --data %s/train.tfrecord --model_dir %s/mine",
             w.directory, w.directory);
    expect(1, "mine: another process is making it", command);
    close(folder);
    workspace_remove(&w);
}

/* One picture; classes that are one, but for a slip. */
static void odd_data_is_told_and_trained(void **state)
{
    (void)state;
    static const char json[] =
        "{\"images\": [{\"id\": 0, \"file_name\": \"0.jpg\", \"width\": 40, \"height\": 30}], "
        "\"categories\": [{\"id\": 1, \"name\": \"Cat\"}, {\"id\": 2, \"name\": \"cat\"}], "
        "\"annotations\": [{\"id\": 0, \"image_id\": 0, \"category_id\": 1, \"bbox\": [2, 3, 20, "
        "15]}, "
        "{\"id\": 1, \"image_id\": 0, \"category_id\": 2, \"bbox\": [10, 3, 20, 15]}]}";
    struct workspace w;
    char source[400], command[1500], path[700];
    workspace_make(&w, "first_run_odd");
    make_source(&w, source);
    snprintf(path, sizeof path, "%s/annotations", source);
    test_write_text(path, "instances_train.json", json);
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s/run " SMALL, source,
             w.directory);
    expect(0, "classes 1 \"Cat\" and 2 \"cat\" differ in capitals alone", command);
    assert_contains(out, "too few pictures to keep some for a test");
    workspace_remove(&w);
}

/* Killed after a while that grows, again and again, the same command comes to its end. */
static void killed_at_any_time_it_comes_to_its_end(void **state)
{
    (void)state;
    struct workspace w;
    char source[400], run[400], command[1500];
    workspace_make(&w, "first_run_killed");
    make_source(&w, source);
    snprintf(run, sizeof run, "%s/run", w.directory);
    for (int i = 0; i < 12; i++) {
        snprintf(command, sizeof command,
                 "det-train --data '%s' --model_dir %s --checkpoint_every_n 1 " SMALL
                 " > /dev/null 2>&1 & pid=$!; sleep %d.%03d; kill -%d $pid 2> /dev/null; wait $pid",
                 source, run, i * 20 / 1000, i * 20 % 1000, i % 2 == 0 ? SIGKILL : SIGINT);
        (void)run_tool(out, sizeof out, "%s", command);
    }
    snprintf(command, sizeof command, "det-train --data '%s' --model_dir %s " SMALL, source, run);
    expect(0, "Next: ", command);
    assert_true(is_there(run, "model.det"));
    workspace_remove(&w);
}

int test_first_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_command_trains_and_goes_on),
        cmocka_unit_test(another_training_is_refused),
        cmocka_unit_test(an_interrupted_start_begins_anew),
        cmocka_unit_test(the_exported_form_is_looked_after),
        cmocka_unit_test(a_failed_start_leaves_nothing),
        cmocka_unit_test(odd_data_is_told_and_trained),
        cmocka_unit_test(killed_at_any_time_it_comes_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
