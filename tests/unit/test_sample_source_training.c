/* det/sample_source.h: training, evaluation and recalibration on a program's own images and boxes
 * are those on records of the same content. */
#include <math.h>
#include <unistd.h>

#include "support/sample_program.h"

/* The run stays open. */
static det_status train(struct workspace_run *r, const struct workspace *w,
                        const struct sample_program *p, int threads, int64_t steps,
                        int64_t eval_every)
{
    det_trainer_settings settings;
    det_evaluation_settings evaluating;
    det_trainer_settings_default(&settings);
    det_evaluation_settings_default(&evaluating);
    settings.model_dir = w->model_dir;
    settings.num_steps = steps;
    settings.checkpoint_every_steps = 0;
    settings.summary_every_steps = 0;
    settings.eval_every_steps = eval_every;
    settings.evaluation = &evaluating;
    if (p != NULL)
        settings.samples = evaluating.samples = &p->source;
    DET_TRY_RETURN(workspace_run_open(r, w, &settings, threads));
    return det_trainer_run(r->trainer, NULL, NULL);
}

/* To step `steps`; the last checkpoint's bytes (malloc). */
static char *train_to(const struct workspace *w, const struct sample_program *p, int threads,
                      int64_t steps, int64_t eval_every, size_t *bytes)
{
    struct workspace_run r;
    char path[400];
    assert_context_ok(r.context, train(&r, w, p, threads, steps, eval_every));
    workspace_run_close(&r);
    snprintf(path, sizeof path, "%s/ckpt-%lld.det", w->model_dir, (long long)steps);
    return test_read_bytes(path, bytes);
}

/* A workspace without a record: its config names none, or one that is not there. */
static void take_records_away(const struct workspace *w)
{
    char path[400];
    snprintf(path, sizeof path, "%s/train.tfrecord", w->directory);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/test.tfrecord", w->directory);
    assert_int_equal(unlink(path), 0);
    workspace_edit_config(w, "tf_record_input_reader { input_path: 'train.tfrecord' }", "");
}

static void training_is_that_of_records_with_resume(void **state)
{
    (void)state;
    struct workspace w;
    struct sample_program p;
    size_t whole_bytes = 0, parts_bytes = 0;
    workspace_make(&w, "source_train");
    char *whole = train_to(&w, NULL, 1, 9, 3, &whole_bytes);
    test_remove_tree(w.model_dir);
    take_records_away(&w);
    sample_program_open(&p);
    p.lazy = true;
    free(train_to(&w, &p, 2, 2, 3, &parts_bytes));
    p.decoded = true;
    free(train_to(&w, &p, 3, 5, 3, &parts_bytes));
    p.decoded = p.lazy = false;
    char *parts = train_to(&w, &p, 2, 9, 3, &parts_bytes);
    assert_int_equal(whole_bytes, parts_bytes);
    assert_memory_equal(whole, parts, whole_bytes);
    free(whole);
    free(parts);
    sample_program_close(&p);
    workspace_remove(&w);
}

CHANGE(another_class, box->class_name = "cat")
CHANGE(nan_box, box->box[1] = NAN)

/* The program's function fails when its sample's turn comes: the step says so, and what was saved
 * stands. */
static void a_failing_sample_ends_a_step(void **state)
{
    (void)state;
    struct workspace w;
    struct sample_program p;
    struct workspace_run r;
    size_t bytes = 0;
    workspace_make(&w, "source_fails");
    sample_program_open(&p);
    free(train_to(&w, &p, 1, 2, 0, &bytes));
    p.change = sample_program_fails;
    p.only_loading = true;
    assert_context_fails(r.context, DET_STATUS_IO,
                         "sample 4 (4.jpg): the program could not fill it in (7)",
                         train(&r, &w, &p, 2, 9, 0));
    workspace_run_close(&r);
    p.change = another_class;
    assert_context_fails(r.context, DET_STATUS_CORRUPT, "its objects are others",
                         train(&r, &w, &p, 2, 9, 0));
    workspace_run_close(&r);
    p.only_loading = false;
    p.change = nan_box;
    assert_context_fails(r.context, DET_STATUS_CORRUPT, "sample 4 (4.jpg): object 0: box ymin",
                         train(&r, &w, &p, 2, 9, 0));
    assert_null(r.trainer);
    workspace_run_close(&r);
    p.change = NULL;
    free(train_to(&w, &p, 1, 9, 0, &bytes));
    sample_program_close(&p);
    workspace_remove(&w);
}

static void figures_and_statistics_are_those_of_records(void **state)
{
    (void)state;
    struct workspace w;
    struct sample_program p;
    struct workspace_run r;
    char path[400], *exported[2];
    size_t bytes[2];
    double stats[2][DET_COCO_STAT_COUNT];
    det_model *model = NULL;
    det_evaluation_settings evaluating;
    det_recalibration_settings recalibrating;
    workspace_make(&w, "source_figures");
    sample_program_open(&p);
    free(train_to(&w, NULL, 1, 4, 0, &bytes[0]));
    assert_context_ok(r.context, workspace_run_open(&r, &w, NULL, 2));
    det_evaluation_settings_default(&evaluating);
    det_recalibration_settings_default(&recalibrating);
    snprintf(path, sizeof path, "%s/ckpt-4.det", w.model_dir);
    assert_context_ok(r.context, det_model_load(r.context, path, &model));
    snprintf(path, sizeof path, "%s/model.det", w.directory);
    for (int i = 0; i < 2; i++) {
        det_evaluation *evaluation = NULL;
        det_model *recalibrated = NULL;
        assert_context_ok(r.context, det_evaluation_check(r.context, r.config, &evaluating));
        assert_context_ok(r.context,
                          det_evaluation_run(r.context, r.config, model, &evaluating, &evaluation));
        assert_int_equal(det_evaluation_coco(evaluation)->images, SAMPLE_IMAGES);
        memcpy(stats[i], det_evaluation_coco(evaluation)->stats, sizeof stats[i]);
        assert_context_ok(r.context, det_model_recalibrate(r.context, r.config, model,
                                                           &recalibrating, &recalibrated));
        assert_context_ok(r.context, det_model_export(r.context, recalibrated, path));
        exported[i] = test_read_bytes(path, &bytes[i]);
        det_model_destroy(&recalibrated);
        det_evaluation_destroy(&evaluation);
        if (i == 0)
            take_records_away(&w);
        evaluating.samples = recalibrating.samples = &p.source;
    }
    assert_memory_equal(stats[0], stats[1], sizeof stats[0]);
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(exported[0], exported[1], bytes[0]);
    for (int i = 0; i < 2; i++)
        free(exported[i]);
    det_model_destroy(&model);
    workspace_run_close(&r);
    sample_program_close(&p);
    workspace_remove(&w);
}

int test_sample_source_training(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_is_that_of_records_with_resume),
        cmocka_unit_test(a_failing_sample_ends_a_step),
        cmocka_unit_test(figures_and_statistics_are_those_of_records),
    };
    return cmocka_run_group_tests_name("sample_source_training", tests, NULL, NULL);
}
