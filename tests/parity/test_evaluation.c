/* det_evaluation_run on a checkpoint that the TF Object Detection API trained, against what its own
 * evaluation printed (goldens trained_raccoon). */
#include "support/workspace.h"

struct raccoon {
    det_context *context;
    det_pipeline_config *config;
    det_model *model;
    det_evaluation *evaluation;
};

/* Evaluates that checkpoint on its 40 images; skips the test where it is not here. */
static void evaluate(struct raccoon *r, const det_context_settings *settings,
                     const det_evaluation_settings *how)
{
    char directory[256], config_path[300], records[256], map[256];
    if (test_shared(directory, "goldens/trained_raccoon") == NULL)
        test_skip_without_shared();
    assert_non_null(test_shared(records, "data/raccoon/test.tfrecord"));
    assert_non_null(test_shared(map, "data/raccoon/label_map.pbtxt"));
    snprintf(config_path, sizeof config_path, "%s/pipeline.config", directory);
    *r = (struct raccoon){0};
    assert_int_equal(det_context_create(&r->context, settings), DET_OK);
    assert_context_ok(r->context, det_pipeline_config_load(r->context, config_path, &r->config));
    assert_context_ok(r->context, det_pipeline_config_set_eval_path(r->config, records));
    assert_context_ok(r->context, det_pipeline_config_set_label_map_path(r->config, map));
    assert_context_ok(r->context,
                      det_model_load_checkpoint(r->context, r->config, directory, &r->model));
    assert_int_equal(det_model_step(r->model), 600);
    assert_context_ok(r->context,
                      det_evaluation_run(r->context, r->config, r->model, how, &r->evaluation));
}

static void close_raccoon(struct raccoon *r)
{
    det_evaluation_destroy(&r->evaluation);
    det_model_destroy(&r->model);
    det_pipeline_config_destroy(&r->config);
    det_context_destroy(&r->context);
}

static void equals_the_apis_table(void **state)
{
    (void)state;
    static const double stats[DET_COCO_STAT_COUNT] = {0.332665, 0.841594, 0.207894, -1,
                                                      0.232195, 0.343344, 0.407143, 0.497619,
                                                      0.628571, -1.00000, 0.500000, 0.635000};
    struct raccoon r;
    evaluate(&r, NULL, NULL);
    const det_coco_result *coco = det_evaluation_coco(r.evaluation);
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        assert_near(coco->stats[i], stats[i], 0.002);
    det_evaluation_losses losses = {.struct_size = sizeof losses};
    assert_int_equal(det_evaluation_get_losses(r.evaluation, &losses), DET_OK);
    print_message("AP %.6f AP50 %.6f, losses %.6f %.6f %.6f\n", coco->stats[0], coco->stats[1],
                  losses.localization, losses.classification, losses.regularization);
    assert_near(losses.localization, 0.275501, 2e-5);
    assert_near(losses.classification, 0.279514, 2e-5);
    assert_near(losses.regularization, 2.387219, 2e-5);
    close_raccoon(&r);
}

/* Its stats as an exported model. */
static void evaluate_exported(const char *precision, double stats[DET_COCO_STAT_COUNT])
{
    struct raccoon r;
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.device = "cpu";
    settings.precision = precision;
    det_evaluation_settings how;
    det_evaluation_settings_default(&how);
    how.as_exported = 1;
    evaluate(&r, &settings, &how);
    memcpy(stats, det_evaluation_coco(r.evaluation)->stats, DET_COCO_STAT_COUNT * sizeof *stats);
    close_raccoon(&r);
}

/* What bf16 may cost: .005 of AP. */
static void bf16_keeps_the_ap(void **state)
{
    (void)state;
    double f32[DET_COCO_STAT_COUNT], bf16[DET_COCO_STAT_COUNT];
    evaluate_exported("f32", f32);
    evaluate_exported("bf16", bf16);
    print_message("f32: AP %.6f AP50 %.6f; bf16: AP %.6f AP50 %.6f\n", f32[0], f32[1], bf16[0],
                  bf16[1]);
    assert_true(f32[0] > 0.1);
    if (!(bf16[0] >= f32[0] - 0.005))
        fail_msg("AP falls from %g to %g", f32[0], bf16[0]);
}

int test_evaluation(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_apis_table),
        cmocka_unit_test(bf16_keeps_the_ap),
    };
    return cmocka_run_group_tests_name("evaluation", tests, NULL, NULL);
}
