/* monitor/event_run.h: a run's steps rise and are there once, whatever was killed and gone on
 * from. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/context.h"
#include "eval/evaluation_summary.h"
#include "monitor/event_records.h"
#include "monitor/event_run.h"
#include "support/io.h"
#include "support/workspace.h"

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env;
    char folder[256];
};

static void open_fixture(struct fixture *f)
{
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 1);
    f->env = det_context_env(f->context);
    test_make_directory(f->folder, "run");
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->folder);
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

/* A file of one process that told of these steps, a value of `tag` each. */
static void tell(struct fixture *f, const char *tag, int64_t first, int64_t last)
{
    det_summary_writer *writer = NULL;
    assert_ok(f->env, det_summary_writer_create(f->context, f->folder, &writer));
    for (int64_t step = first; step <= last; step++)
        assert_ok(f->env, det_summary_scalar(writer, tag, step, (double)step));
    det_summary_writer_destroy(&writer);
}

static size_t count_files(struct fixture *f, const char *folder)
{
    struct det_path_list files = {0};
    assert_ok(f->env, det_event_files(f->env, folder, &files));
    const size_t count = files.count;
    det_path_list_free(f->env, &files);
    return count;
}

/* Records of all files in the order they are read in, whatever they hold. */
static size_t count_records(struct fixture *f, const char *folder)
{
    struct det_path_list files = {0};
    size_t count = 0;
    assert_ok(f->env, det_event_files(f->env, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        struct det_file_bytes contents;
        const uint8_t *data = NULL;
        size_t bytes = 0;
        assert_ok(f->env, det_file_read(f->env, files.paths[i], &contents));
        struct det_event_records records = {.contents = &contents};
        while (det_event_records_next(&records, &data, &bytes))
            count++;
        det_file_release(&contents);
    }
    det_path_list_free(f->env, &files);
    return count;
}

static int64_t last_step(struct fixture *f)
{
    int64_t step = 0;
    assert_ok(f->env, det_event_run_last_step(f->env, f->folder, &step));
    return step;
}

static void later_steps_are_taken_out(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(last_step(&f), -1);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 1));
    tell(&f, "a", 1, 4);
    tell(&f, "b", 3, 9);
    assert_int_equal(count_records(&f, f.folder), 2 + 4 + 7);
    assert_int_equal(last_step(&f), 9);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 10)); /* nothing to do */
    assert_int_equal(count_records(&f, f.folder), 2 + 4 + 7);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 4));
    assert_int_equal(count_records(&f, f.folder), 2 + 3 + 1);
    assert_int_equal(last_step(&f), 3);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 0));
    assert_int_equal(count_records(&f, f.folder), 2); /* what says which format they are */
    assert_int_equal(last_step(&f), -1);
    assert_ok(f.env, det_event_run_last_step(f.env, "build/none", &(int64_t){0}));
    close_fixture(&f);
}

/* A record that was cut short is what a kill leaves. */
static void a_torn_end_does_not_matter(void **state)
{
    (void)state;
    struct fixture f;
    struct det_path_list files = {0};
    struct stat info;
    open_fixture(&f);
    tell(&f, "a", 1, 5);
    assert_ok(f.env, det_event_files(f.env, f.folder, &files));
    assert_int_equal(stat(files.paths[0], &info), 0);
    assert_int_equal(truncate(files.paths[0], info.st_size - 3), 0);
    assert_int_equal(last_step(&f), 4);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 3));
    assert_int_equal(last_step(&f), 2);
    assert_int_equal(count_records(&f, f.folder), 1 + 2);
    det_path_list_free(f.env, &files);
    close_fixture(&f);
}

static void a_file_in_use_is_left_alone(void **state)
{
    (void)state;
    struct fixture f;
    det_summary_writer *writer = NULL;
    bool in_use = true;
    open_fixture(&f);
    assert_ok(f.env, det_event_run_in_use(f.env, f.folder, &in_use));
    assert_false(in_use);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    for (int64_t step = 1; step <= 3; step++)
        assert_ok(f.env, det_summary_scalar(writer, "a", step, 1));
    assert_ok(f.env, det_summary_flush(writer));
    assert_ok(f.env, det_event_run_in_use(f.env, f.folder, &in_use));
    assert_true(in_use);
    int writes = 0;
    int64_t last = 0;
    assert_ok(f.env, det_summary_run_state(f.context, f.folder, &writes, &last));
    assert_int_equal(writes, 1);
    assert_int_equal(last, 3);
    assert_ok(f.env, det_summary_run_state(f.context, "build/none", &writes, NULL));
    assert_int_equal(writes, 0);
    assert_ok(f.env, det_summary_run_state(f.context, "build/none", NULL, &last));
    assert_int_equal(last, -1);
    assert_ok(f.env, det_event_run_cut(f.env, f.folder, 2));
    assert_ok(f.env, det_summary_scalar(writer, "a", 4, 1));
    det_summary_writer_destroy(&writer);
    assert_int_equal(count_records(&f, f.folder), 1 + 4);
    assert_ok(f.env, det_event_run_in_use(f.env, f.folder, &in_use));
    assert_false(in_use);
    close_fixture(&f);
}

/* Byte for byte what a SessionLog START is: event.proto, SessionLog.status START = 1. */
static void a_resumed_file_begins_with_a_start(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x10, 41, 0x3a, 2, 0x08, 1};
    struct fixture f;
    det_summary_writer *writer = NULL;
    struct det_file_bytes contents;
    const uint8_t *data = NULL;
    size_t bytes = 0;
    open_fixture(&f);
    assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "is negative",
                         det_summary_writer_resume(f.context, f.folder, -1, &writer));
    /* A run that only begins needs none. */
    assert_ok(f.env, det_summary_writer_resume(f.context, f.folder, 1, &writer));
    assert_ok(f.env, det_summary_scalar(writer, "loss", 40, 1));
    assert_ok(f.env, det_summary_scalar(writer, "loss", 41, 1));
    det_summary_writer_destroy(&writer);
    assert_int_equal(count_records(&f, f.folder), 1 + 2);
    assert_ok(f.env, det_summary_writer_resume(f.context, f.folder, 41, &writer));
    assert_ok(f.env, det_file_read(f.env, det_summary_writer_path(writer), &contents));
    struct det_event_records records = {.contents = &contents};
    assert_true(det_event_records_next(&records, &data, &bytes)); /* the version */
    for (int i = 0; i < 2; i++) {
        assert_true(det_event_records_next(&records, &data, &bytes));
        assert_int_equal(bytes, 9 + sizeof expected); /* behind the time */
        assert_memory_equal(data + 9, expected, sizeof expected);
    }
    assert_false(det_event_records_next(&records, &data, &bytes));
    det_file_release(&contents);
    det_summary_writer_destroy(&writer);
    assert_int_equal(last_step(&f), 40);
    close_fixture(&f);
}

/* As TensorBoard does: also where the old file could not be changed. */
static void the_reader_honours_a_start(void **state)
{
    (void)state;
    struct fixture f;
    det_summary_writer *killed = NULL, *resumed = NULL;
    det_event_log *log = NULL;
    const det_event *e = NULL;
    open_fixture(&f);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &killed));
    for (int64_t step = 1; step <= 6; step++)
        assert_ok(f.env, det_summary_scalar(killed, "loss", step, 1));
    assert_ok(f.env, det_summary_flush(killed)); /* still open: held */
    assert_ok(f.env, det_summary_writer_resume(f.context, f.folder, 4, &resumed));
    assert_ok(f.env, det_summary_scalar(resumed, "loss", 4, 2));
    det_summary_writer_destroy(&resumed);
    assert_context_ok(f.context, det_event_log_read(f.context, f.folder, &log));
    assert_int_equal(det_event_log_find(log, "loss", &e), 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(e[i].step, i + 1);
        assert_near(e[i].values[0], i < 3 ? 1 : 2, 0);
    }
    det_event_log_destroy(&log);
    det_summary_writer_destroy(&killed);
    close_fixture(&f);
}

/* A clock that went back, or one second: the newest file is still read last. */
static void names_rise(void **state)
{
    (void)state;
    struct fixture f;
    char path[600];
    det_summary_writer *writer = NULL;
    open_fixture(&f);
    snprintf(path, sizeof path, "%s/" DET_EVENT_FILE_BEGIN "4000000000.x.1.0.v2", f.folder);
    assert_ok(f.env, det_write_file(f.env, path, "", 0));
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    assert_true(strcmp(det_summary_writer_path(writer), path) > 0);
    snprintf(path, sizeof path, "%s", det_summary_writer_path(writer));
    det_summary_writer_destroy(&writer);
    assert_ok(f.env, det_summary_writer_create(f.context, f.folder, &writer));
    assert_true(strcmp(det_summary_writer_path(writer), path) > 0);
    det_summary_writer_destroy(&writer);
    close_fixture(&f);
}

static void curves_of_another_training_are_kept(void **state)
{
    (void)state;
    struct fixture f;
    char place[300], other[300];
    open_fixture(&f);
    assert_ok(f.env, det_event_run_set_aside(f.env, f.folder));
    snprintf(place, sizeof place, "%s.old", f.folder);
    assert_false(det_file_exists(place));
    tell(&f, "a", 1, 2);
    snprintf(other, sizeof other, "%s/mine.txt", f.folder);
    assert_ok(f.env, det_write_file(f.env, other, "x", 1));
    assert_ok(f.env, det_event_run_set_aside(f.env, f.folder));
    assert_int_equal(count_files(&f, f.folder), 1); /* by name; what it held is elsewhere */
    assert_int_equal(count_records(&f, f.folder), 1);
    assert_ok(f.env, det_event_run_set_aside(f.env, f.folder));
    assert_int_equal(count_records(&f, place), 3);
    assert_true(det_file_exists(other));
    tell(&f, "a", 1, 3);
    assert_ok(f.env, det_event_run_set_aside(f.env, f.folder));
    assert_int_equal(count_records(&f, place), 3);
    test_remove_tree(place);
    snprintf(place, sizeof place, "%s.old-2", f.folder);
    assert_int_equal(count_records(&f, place), 1 + 4);
    test_remove_tree(place);
    close_fixture(&f);
}

static void names_of_runs(void **state)
{
    (void)state;
    static const int32_t dets[] = {1, 10, 300};
    struct fixture f;
    char name[128];
    det_evaluation_settings s;
    open_fixture(&f);
    det_evaluation_settings_default(&s);
    assert_ok(f.env, det_evaluation_run_name(f.context, NULL, name, sizeof name));
    assert_string_equal(name, "eval");
    s.as_exported = s.honour_ignore = 1;
    s.max_images = 20;
    s.max_dets = dets;
    s.max_det_count = 3;
    static const char whole[] = "eval_exported_honour_ignore_max_images_20_max_dets_1_10_300";
    assert_ok(f.env, det_evaluation_run_name(f.context, &s, name, sizeof name));
    assert_string_equal(name, whole);
    assert_ok(f.env, det_evaluation_run_name(f.context, &s, name, sizeof whole));
    assert_fails(f.env, DET_STATUS_INVALID_ARGUMENT, "takes 60 bytes, there is room for 59",
                 det_evaluation_run_name(f.context, &s, name, sizeof whole - 1));
    assert_string_equal(name, "");
    close_fixture(&f);
}

/* --- a training that is killed --- */

static det_status open_trainer(struct fixture *f, det_pipeline_config *config,
                               const char *model_dir, det_trainer **trainer)
{
    det_trainer_settings settings;
    det_trainer_settings_default(&settings);
    settings.model_dir = model_dir;
    settings.num_steps = 9;
    settings.checkpoint_every_steps = 4;
    settings.checkpoint_every_seconds = 0;
    settings.eval_every_steps = 2;
    det_evaluation_settings evaluating;
    det_evaluation_settings_default(&evaluating);
    evaluating.max_images = 2;
    settings.evaluation = &evaluating;
    settings.summary_every_steps = 1;
    settings.picture_every_steps = 3;
    return det_trainer_create(f->context, config, &settings, trainer);
}

/* Each step of each tag once, in all files as they are: what TensorBoard's EventAccumulator makes
 * of them too. */
static void assert_each_step_once(struct fixture *f, const char *folder, const char *tag,
                                  const char *wanted)
{
    char steps[200] = "";
    struct det_path_list files = {0};
    assert_ok(f->env, det_event_files(f->env, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        char one[400];
        const det_event *e = NULL;
        det_event_log *log = NULL;
        /* Of one file alone, so that nothing is put together. */
        snprintf(one, sizeof one, "%s.one", folder);
        assert_int_equal(mkdir(one, 0777), 0);
        char to[900];
        snprintf(to, sizeof to, "%s/%s", one, det_path_name(files.paths[i]));
        assert_int_equal(link(files.paths[i], to), 0);
        assert_context_ok(f->context, det_event_log_read(f->context, one, &log));
        const size_t count = det_event_log_find(log, tag, &e);
        for (size_t k = 0; k < count; k++)
            snprintf(steps + strlen(steps), sizeof steps - strlen(steps), "%lld ",
                     (long long)e[k].step);
        det_event_log_destroy(&log);
        test_remove_tree(one);
    }
    det_path_list_free(f->env, &files);
    assert_string_equal(steps, wanted);
}

/* TensorBoard itself, where it is installed. */
static void assert_tensorboard_finds(const char *folder, const char *tag, const char *wanted)
{
    char command[1000], line[200];
    int lines = 0;
    snprintf(command, sizeof command, "python3 tests/parity/read_run.py '%s' '%s' 2>/dev/null",
             folder, tag);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (; fgets(line, sizeof line, pipe) != NULL; lines++) {
        line[strcspn(line, "\n")] = '\0';
        assert_string_equal(line, wanted);
    }
    if (pclose(pipe) != 0)
        print_message("not compared: the Python package tensorboard is not installed\n");
    else
        assert_int_equal(lines, 2);
}

static void a_killed_training_tells_each_step_once(void **state)
{
    (void)state;
    struct fixture f;
    struct workspace w;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_step_report report = {.struct_size = sizeof report};
    char train[400], eval[400];
    open_fixture(&f);
    workspace_make(&w, "told_once");
    snprintf(train, sizeof train, "%s/train", w.model_dir);
    snprintf(eval, sizeof eval, "%s/eval_max_images_2", w.model_dir);
    assert_context_ok(f.context, det_pipeline_config_load(f.context, w.config, &config));
    static const int killed_after[] = {7, 3, 1};
    for (size_t i = 0; i < sizeof killed_after / sizeof killed_after[0]; i++) {
        assert_context_ok(f.context, open_trainer(&f, config, w.model_dir, &trainer));
        for (int k = 0; k < killed_after[i]; k++)
            assert_context_ok(f.context, det_trainer_step(trainer, &report));
        det_trainer_destroy(&trainer); /* without a checkpoint, as a kill */
    }
    assert_context_ok(f.context, open_trainer(&f, config, w.model_dir, &trainer));
    assert_context_ok(f.context, det_trainer_run(trainer, NULL, NULL));
    det_trainer_destroy(&trainer);
    assert_each_step_once(&f, train, "Loss/total_loss", "1 2 3 4 5 6 7 8 9 ");
    assert_each_step_once(&f, eval, "DetectionBoxes_Precision/mAP", "2 4 6 8 9 ");
    assert_tensorboard_finds(train, "Loss/total_loss", "1 2 3 4 5 6 7 8 9 ");
    assert_tensorboard_finds(eval, "DetectionBoxes_Precision/mAP", "2 4 6 8 9 ");
    /* Begun anew: the curves are another training's. */
    char path[500];
    static const char *const checkpoints[] = {"ckpt-4.det", "ckpt-8.det", "ckpt-9.det",
                                              "checkpoint"};
    for (size_t i = 0; i < sizeof checkpoints / sizeof checkpoints[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", w.model_dir, checkpoints[i]);
        assert_int_equal(unlink(path), 0);
    }
    assert_context_ok(f.context, open_trainer(&f, config, w.model_dir, &trainer));
    assert_context_ok(f.context, det_trainer_step(trainer, &report));
    det_trainer_destroy(&trainer);
    assert_each_step_once(&f, train, "Loss/total_loss", "1 ");
    snprintf(path, sizeof path, "%s.old", train);
    assert_each_step_once(&f, path, "Loss/total_loss", "1 2 3 4 5 6 7 8 9 ");
    snprintf(path, sizeof path, "%s.old", eval);
    assert_each_step_once(&f, path, "DetectionBoxes_Precision/mAP", "2 4 6 8 9 ");
    det_pipeline_config_destroy(&config);
    workspace_remove(&w);
    close_fixture(&f);
}

int test_event_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_steps_are_taken_out),
        cmocka_unit_test(a_torn_end_does_not_matter),
        cmocka_unit_test(a_file_in_use_is_left_alone),
        cmocka_unit_test(a_resumed_file_begins_with_a_start),
        cmocka_unit_test(the_reader_honours_a_start),
        cmocka_unit_test(names_rise),
        cmocka_unit_test(curves_of_another_training_are_kept),
        cmocka_unit_test(names_of_runs),
        cmocka_unit_test(a_killed_training_tells_each_step_once),
    };
    return cmocka_run_group_tests_name("event_run", tests, NULL, NULL);
}
