/* eval/evaluation over ranks: all have the figures of one process, bit for bit, the files come
 * from rank 0, and what goes wrong on one rank ends the evaluation on all. */
#include <dirent.h>
#include <unistd.h>

#include "base/context.h"
#include "eval/coco_eval.h"
#include "support/rank_trial.h"
#include "support/records.h"

/* More images than a round of two ranks. */
enum { MOST = RANK_TRIAL_MOST, IMAGES = 70 };

struct trial {
    struct rank_trial all;
    det_evaluation_settings settings[MOST];
    det_evaluation *evaluations[MOST];
};

static det_status evaluate(struct rank_trial *all, int32_t rank, det_communicator *communicator)
{
    struct trial *trial = (struct trial *)all;
    struct rank_model *r = &all->ranks[rank];
    det_evaluation_settings settings = trial->settings[rank];
    settings.communicator = communicator;
    settings.progress = rank_trial_note;
    settings.progress_user = &all->seen[rank];
    return det_evaluation_run(r->context, r->config, r->model, &settings,
                              &trial->evaluations[rank]);
}

static void begin_trial(struct trial *trial, struct rank_model *ranks, int32_t size,
                        const det_evaluation_settings *settings)
{
    *trial = (struct trial){.all = {.size = size, .ranks = ranks, .part = evaluate}};
    for (int32_t r = 0; r < MOST; r++)
        trial->settings[r] = *settings;
}

static void end_trial(struct trial *trial)
{
    for (int32_t r = 0; r < MOST; r++)
        det_evaluation_destroy(&trial->evaluations[r]);
}

/* No result besides. */
static void assert_all_fail(const struct trial *trial, det_status status, const char *text)
{
    rank_trial_assert_fails(&trial->all, status, text);
    for (int32_t r = 0; r < trial->all.size; r++)
        assert_null(trial->evaluations[r]);
}

static void assert_same_detections(struct det_env *env, const struct det_coco_eval *a,
                                   const struct det_coco_eval *b)
{
    struct det_coco_detection_list lists[2];
    assert_ok(env, det_coco_eval_to_detections(env, a, &lists[0]));
    assert_ok(env, det_coco_eval_to_detections(env, b, &lists[1]));
    assert_true(lists[0].count > 100);
    assert_int_equal(lists[0].count, lists[1].count);
    assert_memory_equal(lists[0].items, lists[1].items, lists[0].count * sizeof *lists[0].items);
    det_coco_detection_list_free(env, &lists[0]);
    det_coco_detection_list_free(env, &lists[1]);
}

static void assert_same_objects(struct det_env *env, const struct det_coco_eval *a,
                                const struct det_coco_eval *b)
{
    struct det_coco_dataset sets[2];
    assert_ok(env, det_coco_eval_to_dataset(env, a, &sets[0]));
    assert_ok(env, det_coco_eval_to_dataset(env, b, &sets[1]));
    assert_int_equal(sets[0].image_count, sets[1].image_count);
    for (size_t i = 0; i < sets[0].image_count; i++)
        assert_int_equal(sets[0].images[i].id, sets[1].images[i].id);
    assert_true(sets[0].annotation_count > 1);
    assert_int_equal(sets[0].annotation_count, sets[1].annotation_count);
    for (size_t i = 0; i < sets[0].annotation_count; i++) {
        const struct det_coco_annotation *x = &sets[0].annotations[i], *y = &sets[1].annotations[i];
        assert_int_equal(x->image_id, y->image_id);
        assert_int_equal(x->category_id, y->category_id);
        assert_memory_equal(x->box_px, y->box_px, sizeof x->box_px);
        assert_memory_equal(&x->area_px2, &y->area_px2, sizeof x->area_px2);
        assert_int_equal(x->is_crowd, y->is_crowd);
        assert_int_equal(x->ignore, y->ignore);
        assert_int_equal(x->is_group_of, y->is_group_of);
    }
    det_coco_dataset_free(env, &sets[0]);
    det_coco_dataset_free(env, &sets[1]);
}

static void assert_same(const struct trial *one, const struct trial *many)
{
    struct det_env *env = &one->all.ranks[0].context->env;
    det_evaluation_losses a = {.struct_size = sizeof a}, b = {.struct_size = sizeof b};
    det_evaluation *expected = one->evaluations[0];
    const det_coco_result *x = det_evaluation_coco(expected);
    assert_int_equal(det_evaluation_get_losses(expected, &a), DET_OK);
    rank_trial_assert_ok(&many->all);
    for (int32_t r = 0; r < many->all.size; r++) {
        const struct rank_seen *seen = &many->all.seen[r];
        const det_coco_result *y = det_evaluation_coco(many->evaluations[r]);
        assert_int_equal(det_evaluation_get_losses(many->evaluations[r], &b), DET_OK);
        assert_memory_equal(&a, &b, sizeof a);
        assert_memory_equal(x->stats, y->stats, sizeof x->stats);
        assert_int_equal(x->images, y->images);
        assert_int_equal(x->detections, y->detections);
        const struct det_coco_eval *own =
            det_coco_evaluator_eval(det_evaluation_evaluator(many->evaluations[r]));
        assert_same_detections(env, det_coco_evaluator_eval(det_evaluation_evaluator(expected)),
                               own);
        assert_same_objects(env, det_coco_evaluator_eval(det_evaluation_evaluator(expected)), own);
        assert_false(seen->fell);
        assert_true(seen->calls == 0 || seen->total == one->all.seen[0].total);
    }
    assert_int_equal(many->all.seen[0].last, many->all.seen[0].total);
}

/* Evaluations by 1, 2, ... ranks, as far as `sizes` go, and by one process. */
static void assert_one_result(struct rank_model *ranks, const det_evaluation_settings *settings,
                              const int32_t *sizes, int count)
{
    struct trial one, many;
    begin_trial(&one, ranks, 0, settings);
    rank_trial_run(&one.all);
    rank_trial_assert_ok(&one.all);
    for (int i = 0; i < count; i++) {
        begin_trial(&many, ranks, sizes[i], settings);
        rank_trial_run(&many.all);
        assert_same(&one, &many);
        end_trial(&many);
    }
    end_trial(&one);
}

/* --- the images --- */

/* Two objects in most images, of which some are difficult, a crowd or a group; the file of image
 * `broken` is cut off. */
static void write_images(const struct workspace *w, int images, int broken)
{
    struct det_env env;
    struct det_writer writer;
    char path[500];
    det_env_default(&env);
    snprintf(path, sizeof path, "%s/test.tfrecord", w->directory);
    assert_ok(&env, det_writer_open(&env, path, &writer));
    for (int i = 0; i < images; i++) {
        const int width = 50 + i % 17, height = 40 + i % 5;
        size_t bytes = 0;
        unsigned char *jpeg = test_make_jpeg(width, height, (unsigned)i, &bytes);
        float ymin[2] = {.1F, .25F}, xmin[2] = {.2F, .01F * (float)(i % 50)};
        float ymax[2] = {.6F, .75F}, xmax[2] = {.7F, 1};
        float area[2] = {(float)(i * 3 % 11), 0};
        int64_t difficult[2] = {i % 4 == 0, 0}, crowd[2] = {0, i % 5 == 0};
        int64_t group[2] = {i % 6 == 1, i % 7 == 2};
        struct det_bytes texts[2] = {test_text(i % 2 ? "cat" : "dog"), test_text("cat")};
        const struct det_example example = {
            .encoded = {jpeg, i == broken ? bytes / 2 : bytes},
            .format = test_text("jpeg"),
            .height = height,
            .width = width,
            .box_count = i % 3 == 0 ? 0 : 2,
            .ymin = ymin,
            .xmin = xmin,
            .ymax = ymax,
            .xmax = xmax,
            .area = area,
            .difficult = difficult,
            .is_crowd = crowd,
            .group_of = group,
            .class_text = texts,
        };
        test_write_example(&env, &writer, &example);
        free(jpeg);
    }
    assert_ok(&env, det_writer_commit(&env, &writer));
}

/* One trained network for all tests. */
static struct workspace space;
static char checkpoint[400];

static int make_space(void **state)
{
    (void)state;
    workspace_make(&space, "evaluation_ranks");
    rank_models_train(&space, checkpoint);
    return 0;
}

static int remove_space(void **state)
{
    (void)state;
    workspace_remove(&space);
    return 0;
}

/* --- the same result --- */

static void any_number_of_ranks_is_one_process(void **state)
{
    static const int32_t sizes[] = {1, 2, 3, 5};
    struct rank_model ranks[MOST];
    det_evaluation_settings settings;
    (void)state;
    write_images(&space, IMAGES, -1);
    rank_models_open(ranks, MOST, &space, checkpoint);
    assert_int_equal(det_evaluation_forms_differ(ranks[0].model), 1);
    for (int form = 0; form < 2; form++) {
        det_evaluation_settings_default(&settings);
        settings.as_exported = form;
        settings.honour_ignore = form;
        assert_one_result(ranks, &settings, sizes, 4);
    }
    rank_models_close(ranks, MOST);
}

static void ranks_may_have_no_image(void **state)
{
    static const int32_t sizes[] = {3, 4, 5};
    struct rank_model ranks[MOST];
    det_evaluation_settings settings;
    (void)state;
    write_images(&space, IMAGES, -1);
    rank_models_open(ranks, MOST, &space, checkpoint);
    det_evaluation_settings_default(&settings);
    settings.max_images = 3;
    assert_one_result(ranks, &settings, sizes, 3);
    rank_models_close(ranks, MOST);
}

static void tiles_and_exported_files_too(void **state)
{
    static const int32_t sizes[] = {2, 3};
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    det_tile_settings tiles;
    det_export_settings exporting;
    det_export *exported = NULL;
    (void)state;
    write_images(&space, IMAGES, -1);
    rank_models_open(ranks, 3, &space, checkpoint);
    det_evaluation_settings_default(&settings);
    det_tile_settings_default(&tiles);
    tiles.height = tiles.width = 32;
    settings.tiles = &tiles;
    settings.max_images = 5;
    assert_one_result(ranks, &settings, sizes, 2);
    settings.tiles = NULL;
    det_export_settings_default(&exporting);
    exporting.outputs = DET_EXPORT_OUTPUTS_RAW;
    assert_context_ok(ranks[0].context, det_export_create(ranks[0].context, ranks[0].model, "onnx",
                                                          &exporting, &exported));
    settings.exported = exported;
    assert_one_result(ranks, &settings, sizes, 2);
    det_export_destroy(&exported);
    rank_models_close(ranks, 3);
}

/* The objects' boxes come out of a padded frame. */
static void pictures_that_keep_their_aspect_too(void **state)
{
    static const int32_t sizes[] = {2, 3};
    struct workspace w;
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    char path[400];
    (void)state;
    workspace_make(&w, "evaluation_aspect");
    workspace_edit_config(&w, "fixed_shape_resizer { height: 96 width: 96 }",
                          "keep_aspect_ratio_resizer { min_dimension: 96 max_dimension: 96 "
                          "pad_to_max_dimension: true }");
    write_images(&w, 7, -1);
    rank_models_train(&w, path);
    rank_models_open(ranks, 3, &w, path);
    det_evaluation_settings_default(&settings);
    assert_one_result(ranks, &settings, sizes, 2);
    rank_models_close(ranks, 3);
    workspace_remove(&w);
}

static void models_in_8_bits_too(void **state)
{
    static const int32_t sizes[] = {2, 3};
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    det_quantisation_settings rounding;
    det_model *rounded = NULL;
    char path[400];
    char records[400];
    const char *pattern = records;
    (void)state;
    write_images(&space, 9, -1);
    rank_models_open(ranks, 1, &space, checkpoint);
    det_quantisation_settings_default(&rounding);
    snprintf(records, sizeof records, "%s/train.tfrecord", space.directory);
    rounding.records = &pattern;
    rounding.record_count = 1;
    rounding.observer = DET_OBSERVER_MINMAX;
    rounding.floats = DET_QUANTISATION_FLOATS_NONE;
    assert_context_ok(ranks[0].context,
                      det_model_quantise(ranks[0].context, ranks[0].model, &rounding, &rounded));
    snprintf(path, sizeof path, "%s/q8.det", space.directory);
    assert_context_ok(ranks[0].context, det_model_export(ranks[0].context, rounded, path));
    det_model_destroy(&rounded);
    rank_models_close(ranks, 1);
    rank_models_open(ranks, 3, &space, path);
    det_evaluation_settings_default(&settings);
    assert_one_result(ranks, &settings, sizes, 2);
    rank_models_close(ranks, 3);
}

/* --- failures --- */

static void a_broken_image_ends_all(void **state)
{
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    struct trial trial;
    (void)state;
    det_evaluation_settings_default(&settings);
    for (int second_round = 0; second_round < 2; second_round++) {
        /* Of three ranks rank 1 has it, of two rank 1 in the first round, rank 0 in the second. */
        const int broken = second_round == 0 ? 13 : 64;
        char record[30];
        snprintf(record, sizeof record, "record %d: truncated JPEG", broken);
        write_images(&space, IMAGES, broken);
        rank_models_open(ranks, 3, &space, checkpoint);
        for (int32_t size = 1; size <= 3; size++) {
            begin_trial(&trial, ranks, size, &settings);
            rank_trial_run(&trial.all);
            assert_all_fail(&trial, DET_STATUS_CORRUPT, record);
            if (size > 1) {
                char who[20];
                snprintf(who, sizeof who, "rank %d on ", (int)(broken % size));
                assert_contains(trial.all.seen[0].message, who);
            }
        }
        rank_models_close(ranks, 3);
    }
}

static void one_rank_stops_all(void **state)
{
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    struct trial trial;
    (void)state;
    write_images(&space, IMAGES, -1);
    rank_models_open(ranks, 3, &space, checkpoint);
    det_evaluation_settings_default(&settings);
    begin_trial(&trial, ranks, 3, &settings);
    trial.all.seen[1].stop_at = 2;
    rank_trial_run(&trial.all);
    assert_all_fail(&trial, DET_STATUS_CANCELLED, "stopped after 6 of 70 images");
    assert_contains(trial.all.seen[0].message, "rank 1 on ");
    assert_int_equal(trial.all.seen[1].calls, 2);
    assert_int_equal(trial.all.seen[2].last, 69);
    /* Alone, and with a communicator of one. */
    for (int32_t size = 0; size < 2; size++) {
        begin_trial(&trial, ranks, size, &settings);
        trial.all.seen[0].stop_at = 50; /* in the second round */
        rank_trial_run(&trial.all);
        assert_int_equal(trial.all.seen[0].status, DET_STATUS_CANCELLED);
        assert_string_equal(trial.all.seen[0].message, "stopped after 50 of 70 images");
    }
    rank_models_close(ranks, 3);
}

static void what_cannot_begin_ends_all(void **state)
{
    struct workspace other;
    struct rank_model ranks[2];
    det_evaluation_settings settings;
    struct trial trial;
    (void)state;
    write_images(&space, 9, -1);
    rank_models_open(ranks, 1, &space, checkpoint);
    workspace_make(&other, "evaluation_other");
    workspace_edit_config(&other, "'test.tfrecord'", "'none.tfrecord'");
    rank_models_open(ranks + 1, 1, &other, checkpoint);
    det_evaluation_settings_default(&settings);
    begin_trial(&trial, ranks, 2, &settings);
    rank_trial_run(&trial.all);
    assert_all_fail(&trial, DET_STATUS_NOT_FOUND, "none.tfrecord");
    rank_models_close(ranks, 2);
    /* Other images on another machine. */
    rank_models_open(ranks, 2, &space, checkpoint);
    begin_trial(&trial, ranks, 2, &settings);
    trial.settings[1].max_images = 4;
    rank_trial_run(&trial.all);
    assert_all_fail(&trial, DET_STATUS_MISMATCH, " has 4 images to evaluate, rank 0 on ");
    rank_models_close(ranks, 2);
    workspace_remove(&other);
}

/* Rank 1 runs out of memory; rank 0 hears of it wherever that is. */
static void each_allocation_may_fail_on_one_rank(void **state)
{
    struct rank_model ranks[2];
    det_evaluation_settings settings;
    struct trial trial;
    int failures = 0;
    (void)state;
    write_images(&space, 4, -1);
    rank_models_open(ranks, 2, &space, checkpoint);
    det_evaluation_settings_default(&settings);
    for (long n = 1;; n += 1 + n / 8, failures++) {
        begin_trial(&trial, ranks, 2, &settings);
        test_env_fail_at(&ranks[1].t, n);
        rank_trial_run(&trial.all);
        test_env_fail_at(&ranks[1].t, 0);
        assert_int_equal(trial.all.seen[0].status, trial.all.seen[1].status);
        end_trial(&trial);
        if (trial.all.seen[1].status == DET_OK)
            break;
        assert_int_equal(trial.all.seen[0].status, DET_STATUS_OUT_OF_MEMORY);
        assert_contains(trial.all.seen[0].message, "rank 1 on ");
    }
    assert_true(failures > 20);
    rank_models_close(ranks, 2);
}

/* --- files --- */

static long file_bytes(const char *folder)
{
    DIR *directory = opendir(folder);
    long bytes = 0;
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[600];
        size_t size = 0;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        free(test_read_bytes(path, &size));
        bytes += (long)size;
    }
    closedir(directory);
    return bytes;
}

/* The first row of results.csv from its third column on; the second is the time. */
static const char *behind_the_time(const char *text)
{
    const char *at = strchr(text, '\n');
    for (int commas = 0; commas < 2; commas++) {
        assert_non_null(at);
        at = strchr(at + 1, ',');
    }
    assert_non_null(at);
    assert_int_equal(strncmp(at, ",eval,api,", 10), 0);
    return at;
}

static void rank_0_writes_the_files(void **state)
{
    struct rank_model ranks[3];
    det_evaluation_settings settings;
    struct trial one, many;
    det_summary_writer *writers[4] = {NULL};
    char results[4][400], events[4][400];
    (void)state;
    write_images(&space, 40, -1);
    rank_models_open(ranks, 3, &space, checkpoint);
    det_evaluation_settings_default(&settings);
    begin_trial(&one, ranks, 0, &settings);
    begin_trial(&many, ranks, 3, &settings);
    for (int i = 0; i < 4; i++) { /* the last is of one process */
        det_evaluation_settings *s = i == 3 ? &one.settings[0] : &many.settings[i];
        snprintf(results[i], sizeof results[i], "%s/results%d.csv", space.directory, i);
        snprintf(events[i], sizeof events[i], "%s/events%d", space.directory, i);
        assert_context_ok(ranks[i % 3].context,
                          det_summary_writer_create(ranks[i % 3].context, events[i], &writers[i]));
        s->summaries = writers[i];
        s->results = results[i];
    }
    rank_trial_run(&one.all);
    rank_trial_run(&many.all);
    assert_same(&one, &many);
    for (int i = 0; i < 4; i++)
        det_summary_writer_destroy(&writers[i]);
    char *a = test_read_text(results[0]), *b = test_read_text(results[3]);
    assert_string_equal(behind_the_time(a), behind_the_time(b));
    free(a);
    free(b);
    assert_true(file_bytes(events[0]) > 10000); /* with pictures */
    assert_int_equal(file_bytes(events[0]), file_bytes(events[3]));
    for (int i = 1; i < 3; i++) {
        assert_int_not_equal(access(results[i], F_OK), 0);
        assert_in_range(file_bytes(events[i]), 0, 200); /* what a writer begins with */
    }
    end_trial(&one);
    end_trial(&many);
    rank_models_close(ranks, 3);
}

int test_evaluation_ranks(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_ranks_is_one_process),
        cmocka_unit_test(ranks_may_have_no_image),
        cmocka_unit_test(tiles_and_exported_files_too),
        cmocka_unit_test(pictures_that_keep_their_aspect_too),
        cmocka_unit_test(models_in_8_bits_too),
        cmocka_unit_test(a_broken_image_ends_all),
        cmocka_unit_test(one_rank_stops_all),
        cmocka_unit_test(what_cannot_begin_ends_all),
        cmocka_unit_test(each_allocation_may_fail_on_one_rank),
        cmocka_unit_test(rank_0_writes_the_files),
    };
    return cmocka_run_group_tests_name("evaluation_ranks", tests, make_space, remove_space);
}
