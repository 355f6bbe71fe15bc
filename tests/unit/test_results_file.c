/* eval/results_file: results.csv holds each evaluation once, says which rows another took the place
 * of, and is whole whatever happens to it or to who writes it. */
#include "eval/results_file.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/annotation_sets.h"
#include "support/disk.h"
#include "support/run_tool.h"
#include "support/workspace.h"

#define HEADER                                                                              \
    "current,time_utc,run,form,step,data,images,mAP,mAP@.50IOU,mAP@.75IOU,mAP (small),mAP " \
    "(medium),mAP (large),AR@1,AR@10,AR@100,AR@100 (small),AR@100 (medium),AR@100 (large)," \
    "localization_loss,classification_loss,regularization_loss,total_loss"
#define FIGURES "0.5,0.5,0.5,,0.5,0.5,0.5,0.5,0.5,,0.5,0.5,0.25,0.5,0,0.75"

struct fixture {
    struct test_env t;
    char folder[256], path[300];
};

static void open_fixture(struct fixture *f)
{
    test_env_init(&f->t);
    test_make_directory(f->folder, "results_file");
    snprintf(f->path, sizeof f->path, "%s/results.csv", f->folder);
}

static void close_fixture(struct fixture *f)
{
    test_remove_tree(f->folder);
    test_env_check(&f->t);
}

/* A row with these classes; what is small has no object. */
static det_status add(struct fixture *f, const char *run, int64_t step, const char *data,
                      const char *first, const char *second)
{
    det_coco_class classes[2] = {{.name = first}, {.name = second}};
    const det_coco_class *const list[2] = {&classes[0], &classes[1]};
    const det_evaluation_losses losses = {
        .localization = .25, .classification = .5, .regularization = 0, .total = .75};
    det_coco_result coco = {.images = 10, .class_count = second != NULL ? 2 : 1, .classes = list};
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        coco.stats[i] = i == DET_COCO_AP_SMALL || i == DET_COCO_AR_SMALL ? -1 : .5;
    classes[0].stats[DET_COCO_AP] = .125;
    classes[1].stats[DET_COCO_AP] = .0625;
    return det_results_add(&f->t.env, f->path,
                           &(struct det_results_row){.run = run,
                                                     .form = "api",
                                                     .data = data,
                                                     .step = step,
                                                     .coco = &coco,
                                                     .losses = &losses});
}

/* The file, with each row's time as "T". */
static void assert_file(const char *path, const char *wanted)
{
    char *text = test_read_text(path);
    char *to = text;
    for (const char *from = text; *from != '\0';) {
        const bool row = (from == text || from[-1] == '\n') && from[0] != 'c' && from[1] == ',';
        *to++ = *from++;
        if (!row || from[1] != '2' || strlen(from) < 21 || from[20] != ',')
            continue;
        *to++ = ',';
        *to++ = 'T';
        from += 20;
    }
    *to = '\0';
    assert_string_equal(text, wanted);
    free(text);
}

static void rows_are_added_and_repeated_ones_say_so(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_ok(&f.t.env, add(&f, "eval", 100, "a/test.tfrecord", "cat", "dog"));
    assert_file(f.path, HEADER ",mAP/cat,mAP/dog\n"
                               "1,T,eval,api,100,a/test.tfrecord,10," FIGURES ",0.125,0.0625\n");
    assert_ok(&f.t.env, add(&f, "eval", 200, "a/test.tfrecord", "cat", "dog"));
    assert_ok(&f.t.env, add(&f, "eval_exported", 200, "a/test.tfrecord", "cat", "dog"));
    assert_ok(&f.t.env, add(&f, "eval", 200, "other, \"data\"", "cat", "dog"));
    /* The same again: the row of step 200 of that run and data. */
    assert_ok(&f.t.env, add(&f, "eval", 200, "a/test.tfrecord", "cat", "dog"));
    assert_ok(&f.t.env, add(&f, "eval", 200, "other, \"data\"", "cat", "dog"));
    static const char all[] =
        HEADER ",mAP/cat,mAP/dog\n"
               "1,T,eval,api,100,a/test.tfrecord,10," FIGURES ",0.125,0.0625\n"
               "0,T,eval,api,200,a/test.tfrecord,10," FIGURES ",0.125,0.0625\n"
               "1,T,eval_exported,api,200,a/test.tfrecord,10," FIGURES ",0.125,0.0625\n"
               "0,T,eval,api,200,\"other, \"\"data\"\"\",10," FIGURES ",0.125,0.0625\n"
               "1,T,eval,api,200,a/test.tfrecord,10," FIGURES ",0.125,0.0625\n"
               "1,T,eval,api,200,\"other, \"\"data\"\"\",10," FIGURES ",0.125,0.0625\n";
    assert_file(f.path, all);
    /* Nothing to cut: the very file stays. */
    struct stat before, after;
    assert_int_equal(stat(f.path, &before), 0);
    assert_ok(&f.t.env, det_results_cut(&f.t.env, f.path, 201));
    assert_int_equal(stat(f.path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_ok(&f.t.env, det_results_cut(&f.t.env, f.path, 101));
    char *text = test_read_text(f.path);
    assert_non_null(strstr(text, "\n1,2")); /* step 100 */
    assert_null(strstr(strstr(text, "\n1,2") + 1, "\n1,"));
    free(text);
    close_fixture(&f);
}

static void classes_that_come_later_get_columns(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
    assert_ok(&f.t.env, add(&f, "eval", 2, "", "dog, \"wild\"", "cat"));
    assert_ok(&f.t.env, add(&f, "eval", 3, "", "caf\xe9", "=1+1"));
    assert_file(f.path, HEADER ",mAP/cat,\"mAP/dog, \"\"wild\"\"\",mAP/caf%E9,mAP/=1+1\n"
                               "1,T,eval,api,1,,10," FIGURES ",0.125,,,\n"
                               "1,T,eval,api,2,,10," FIGURES ",0.0625,0.125,,\n"
                               "1,T,eval,api,3,,10," FIGURES ",,,0.125,0.0625\n");
    close_fixture(&f);
}

/* What spreadsheets, editors and people leave. */
static void files_of_others(void **state)
{
    (void)state;
    struct fixture f;
    static const char *const foreign[] = {"current;time_utc;run\n1;x;y\n", "my notes",
                                          HEADER "x,y\n", "\xef\xbb\xbf" HEADER "\n"};
    char old[400];
    open_fixture(&f);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        test_write_text(f.folder, "results.csv", foreign[i]);
        assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
        assert_file(f.path, HEADER ",mAP/cat\n1,T,eval,api,1,,10," FIGURES ",0.125\n");
        snprintf(old, sizeof old, i == 0 ? "%s/results.old.csv" : "%s/results.old-%zu.csv",
                 f.folder, i + 1);
        char *kept = test_read_text(old);
        assert_string_equal(kept, foreign[i]);
        free(kept);
    }
    test_write_bytes(f.path, HEADER "\n\0x", sizeof HEADER + 2);
    assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
    snprintf(old, sizeof old, "%s/results.old-5.csv", f.folder);
    size_t bytes = 0;
    free(test_read_bytes(old, &bytes));
    assert_int_equal(bytes, sizeof HEADER + 2);
    /* Line ends of Windows, no line end at the end, an empty line, a short row, a column of notes:
     * taken as they are. */
    test_write_text(f.folder, "results.csv",
                    HEADER ",notes\r\n1,T,eval,api,1,,10\r\n\r\n1,T,eval,api,2,,10,\"a\nb\"\r\nx");
    assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
    assert_file(f.path, HEADER ",notes,mAP/cat\n"
                               "0,T,eval,api,1,,10,,,,,,,,,,,,,,,,,,\n"
                               "1,T,eval,api,2,,10,\"a\nb\",,,,,,,,,,,,,,,,,\n"
                               "x,,,,,,,,,,,,,,,,,,,,,,,,\n"
                               "1,T,eval,api,1,,10," FIGURES ",,0.125\n");
    /* Empty, or not there at all. */
    test_write_text(f.folder, "results.csv", "");
    assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
    assert_file(f.path, HEADER ",mAP/cat\n1,T,eval,api,1,,10," FIGURES ",0.125\n");
    assert_ok(&f.t.env, det_results_set_aside(&f.t.env, f.path));
    assert_ok(&f.t.env, det_results_set_aside(&f.t.env, f.path));
    assert_ok(&f.t.env, det_results_cut(&f.t.env, f.path, 0));
    snprintf(old, sizeof old, "%s/results.old-6.csv", f.folder);
    assert_file(old, HEADER ",mAP/cat\n1,T,eval,api,1,,10," FIGURES ",0.125\n");
    assert_int_equal(access(f.path, F_OK), -1);
    close_fixture(&f);
}

/* The old file stands through any failure, or the new one is there whole (where syncing the folder
 * was what failed). */
static void failures_leave_a_whole_file(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_ok(&f.t.env, add(&f, "eval", 1, "", "cat", NULL));
    char *old = test_read_text(f.path);
    bool done = false;
    long stood = 0;
    for (long n = 1; !done; n++) {
        test_write_text(f.folder, "results.csv", old);
        test_env_fail_at(&f.t, n);
        const det_status status = add(&f, "eval", 1, "", "dog", "cat");
        test_env_fail_at(&f.t, 0);
        done = status == DET_OK;
        if (!done)
            assert_int_equal(status, DET_STATUS_OUT_OF_MEMORY);
        char *text = test_read_text(f.path);
        const bool stands = strcmp(text, old) == 0;
        stood += stands;
        free(text);
        if (!stands)
            assert_file(f.path, HEADER ",mAP/cat,mAP/dog\n"
                                       "0,T,eval,api,1,,10," FIGURES ",0.125,\n"
                                       "1,T,eval,api,1,,10," FIGURES ",0.0625,0.125\n");
    }
    assert_true(stood > 10);
    test_write_text(f.folder, "results.csv", old);
    disk_watch(f.folder, NULL, NULL);
    disk_set_full(true);
    const det_status status = add(&f, "eval", 1, "", "dog", "cat");
    disk_set_full(false);
    disk_unwatch();
    assert_int_equal(status, DET_STATUS_NO_SPACE);
    char *text = test_read_text(f.path);
    assert_string_equal(text, old);
    free(text);
    free(old);
    close_fixture(&f);
}

enum { WRITERS = 4, ROWS = 25 };

static void writers_wait_for_one_another(void **state)
{
    (void)state;
    struct fixture f;
    pid_t children[WRITERS];
    open_fixture(&f);
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] > 0)
            continue;
        char run[32];
        int failed = 0;
        snprintf(run, sizeof run, "eval_%d", i);
        for (int step = 0; step < ROWS; step++)
            failed |= add(&f, run, step, "", "cat", NULL) != DET_OK;
        _exit(failed);
    }
    for (int i = 0; i < WRITERS; i++) {
        int result = -1;
        assert_int_equal(waitpid(children[i], &result, 0), children[i]);
        assert_int_equal(result, 0);
    }
    char *text = test_read_text(f.path);
    for (int i = 0; i < WRITERS; i++)
        for (int step = 0; step < ROWS; step++) {
            char row[64];
            snprintf(row, sizeof row, ",eval_%d,api,%d,,", i, step);
            assert_contains(text, row);
        }
    free(text);
    close_fixture(&f);
}

/* --- by the tools --- */

static char out[200000];

/* How many rows begin with `current` and hold `part`. */
static size_t count_rows(const struct workspace *w, const char *current, const char *part)
{
    char path[400];
    size_t count = 0;
    snprintf(path, sizeof path, "%s/results.csv", w->model_dir);
    char *text = test_read_text(path);
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        count += strncmp(line, current, strlen(current)) == 0 && strstr(line, part) != NULL;
    free(text);
    return count;
}

static void train(const struct workspace *w, const char *options)
{
    if (run_tool(out, sizeof out,
                 "det-train --pipeline_config_path %s --model_dir %s --eval_every 6 "
                 "--checkpoint_every_n 6 --recalibrate_images 0 %s",
                 w->config, w->model_dir, options) != 0)
        fail_msg("%s", out);
}

static void evaluate(const struct workspace *w, const char *options)
{
    if (run_tool(out, sizeof out, "det-eval --pipeline_config_path %s --checkpoint_dir %s %s",
                 w->config, w->model_dir, options) != 0)
        fail_msg("%s", out);
}

static void training_and_evaluation_share_a_table(void **state)
{
    (void)state;
    struct workspace w;
    char path[400];
    workspace_make(&w, "results");
    train(&w, "");
    assert_int_equal(count_rows(&w, "current,", "mAP/cat,mAP/dog"), 1);
    assert_int_equal(count_rows(&w, "1,", ",eval,api,6,"), 1);
    assert_int_equal(count_rows(&w, "1,", ",eval,api,12,"), 1);
    assert_int_equal(count_rows(&w, "1,", ",eval_exported,exported,12,"), 1);
    evaluate(&w, "--once");
    assert_int_equal(count_rows(&w, "0,", ",api,12,"), 1);
    assert_int_equal(count_rows(&w, "1,", ",api,12,"), 1);
    assert_int_equal(count_rows(&w, "0,", ",exported,12,"), 1);
    evaluate(&w, "--once --max_images 3 --form exported");
    assert_int_equal(count_rows(&w, "1,", ",eval_exported_max_images_3,exported,12,"), 1);
    assert_int_equal(count_rows(&w, "", ""), 1 + 4 + 2 + 1);
    assert_int_equal(count_rows(&w, "1,", ""), 2 + 2 + 1);
    /* From step 6 again: what came later is of a training that is not gone on with. */
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    assert_int_equal(unlink(path), 0);
    train(&w, "");
    assert_int_equal(count_rows(&w, "1,", ",12,"), 2);
    assert_int_equal(count_rows(&w, "0,", ",12,"), 2 + 2 + 1);
    assert_int_equal(count_rows(&w, "1,", ",6,"), 2);
    /* Anew. */
    snprintf(path, sizeof path, "%s/ckpt-6.det", w.model_dir);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/ckpt-12.det", w.model_dir);
    assert_int_equal(unlink(path), 0);
    train(&w, "");
    assert_int_equal(count_rows(&w, "", ""), 1 + 4);
    snprintf(path, sizeof path, "%s/results.old.csv", w.model_dir);
    assert_int_equal(access(path, F_OK), 0);
    /* A folder of that name: the training goes on, and says so. */
    snprintf(path, sizeof path, "%s/results.csv", w.model_dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0777), 0);
    train(&w, "--num_train_steps 15");
    assert_contains(out, "; its rows stay as they are");
    assert_contains(out, "; the results have no row of this evaluation");
    assert_int_equal(rmdir(path), 0);
    train(&w, "--num_train_steps 16");
    /* None of it. */
    snprintf(path, sizeof path, "%s/results.csv", w.model_dir);
    assert_int_equal(unlink(path), 0);
    train(&w, "--num_train_steps 18 --nosummaries");
    assert_int_equal(access(path, F_OK), -1);
    workspace_remove(&w);
}

int test_results_file(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_added_and_repeated_ones_say_so),
        cmocka_unit_test(classes_that_come_later_get_columns),
        cmocka_unit_test(files_of_others),
        cmocka_unit_test(failures_leave_a_whole_file),
        cmocka_unit_test(writers_wait_for_one_another),
        cmocka_unit_test(training_and_evaluation_share_a_table),
    };
    return cmocka_run_group_tests_name("results_file", tests, NULL, NULL);
}
