#include "support/training_sets.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "support/formula.h"
#include "support/test.h"
#include "train/restore.h"

/* The table of variables or gradients that training_golden reads, from the stored JSON. */
static void table_from_json(const char *json_path, const char *to)
{
    char *text = test_read_text(json_path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, tree)
    {
        static const char *const fields[] = {"mean", "l2", "first", "last", "noise"};
        fprintf(file, "%s %.0f", item->string,
                cJSON_GetNumberValue(cJSON_GetObjectItem(item, "n")));
        for (int i = 0; i < 5; i++)
            fprintf(file, " %.9g", cJSON_GetNumberValue(cJSON_GetObjectItem(item, fields[i])));
        fputc('\n', file);
    }
    fclose(file);
    cJSON_Delete(tree);
    free(text);
}

static void steps_from_json(const char *json_path, const char *to)
{
    char *text = test_read_text(json_path);
    cJSON *tree = cJSON_Parse(text);
    assert_non_null(tree);
    FILE *file = fopen(to, "w");
    assert_non_null(file);
    const cJSON *item = NULL;
    cJSON_ArrayForEach(item, tree)
    {
        static const char *const fields[] = {"lr", "Loss/localization_loss",
                                             "Loss/classification_loss", "regularization", "total"};
        for (int i = 0; i < 5; i++)
            fprintf(file, "%.9g ", cJSON_GetNumberValue(cJSON_GetObjectItem(item, fields[i])));
        const cJSON *noise = cJSON_GetObjectItem(item, "noise");
        for (int i = 1; i < 3; i++)
            fprintf(file, "%.9g ", cJSON_GetNumberValue(cJSON_GetObjectItem(noise, fields[i])));
        fputc('\n', file);
    }
    fclose(file);
    cJSON_Delete(tree);
    free(text);
}

bool training_real_open(struct det_env *env, const char *name, enum det_class_loss loss,
                        double loss_bound, struct training_real *r)
{
    static const float boxes[2][4] = {
        {0.21103116869926453f, 0.1246153861284256f, 0.9784172773361206f, 0.8030769228935242f},
        {0.004040404222905636f, 0.2888889014720917f, 0.9858585596084595f, 0.9911110997200012f}};
    char path[256], file[128];
    *r = (struct training_real){0};
    if (test_shared(path, "goldens/train_real_focal/images.npy") == NULL)
        return false;
    size_t count = 0;
    r->images = test_npy_load_float(path, &count);
    assert_int_equal(count, 2 * 320 * 320 * 3);
    test_make_directory(r->directory, name);
    snprintf(r->steps, sizeof r->steps, "%s/steps", r->directory);
    snprintf(r->gradients, sizeof r->gradients, "%s/gradients", r->directory);
    snprintf(r->variables, sizeof r->variables, "%s/variables", r->directory);
    snprintf(file, sizeof file, "goldens/%s/steps.json", name);
    steps_from_json(test_shared(path, file), r->steps);
    snprintf(file, sizeof file, "goldens/%s/grads_step0.json", name);
    table_from_json(test_shared(path, file), r->gradients);
    snprintf(file, sizeof file, "goldens/%s/variables_after_5_steps.json", name);
    table_from_json(test_shared(path, file), r->variables);
    snprintf(file, sizeof file, "goldens/%s/grads_full.npz", name);
    assert_non_null(test_shared(r->full, file));
    assert_non_null(test_shared(r->checkpoint, "goldens/trained_raccoon/ckpt-2.index"));
    for (int i = 0; i < 2; i++)
        training_golden_add_box(env, &r->truths[i], 0, boxes[i]);
    det_model_spec_default(&r->spec, 320, 1);
    det_learner_settings_default(&r->settings);
    r->settings.batch_size = 2;
    r->settings.loss.class_loss = loss;
    r->golden = (struct training_golden){
        .name = name,
        .steps = r->steps,
        .gradients = r->gradients,
        .gradients_full = r->full,
        .variables = r->variables,
        .steps_compared = 5,
        .loss_bound = loss_bound,
        .images = r->images,
        .truths = r->truths,
    };
    return true;
}

void training_real_restore(struct det_env *env, const struct training_real *r,
                           struct det_learner *learner)
{
    struct det_restore_report report;
    assert_ok(env, det_restore_params(env, r->checkpoint, DET_RESTORE_ALL, &learner->graph, NULL,
                                      learner->params, &report));
}

void training_real_close(struct det_env *env, struct training_real *r)
{
    for (int i = 0; i < 2; i++)
        det_ground_truth_free(env, &r->truths[i]);
    free(r->images);
    test_remove_tree(r->directory);
}

void training_formula_open(struct det_env *env, enum det_class_loss loss,
                           struct training_formula *f)
{
    struct training_scene scene; /* of the same boxes */
    *f = (struct training_formula){0};
    training_scene_open(env, &scene);
    f->images = malloc(2 * 320 * 320 * 3 * sizeof *f->images);
    assert_non_null(f->images);
    for (int i = 0; i < 2; i++) {
        formula_image(i, 320, 320, f->images + i * 320 * 320 * 3);
        assert_ok(env, det_ground_truth_copy(env, &f->truths[i], &scene.truths[i]));
    }
    f->spec = scene.spec;
    f->spec.freeze_batchnorm = false;
    f->settings = scene.settings;
    f->settings.loss.class_loss = loss;
    training_scene_close(env, &scene);
}

void training_formula_close(struct det_env *env, struct training_formula *f)
{
    for (int i = 0; i < 2; i++)
        det_ground_truth_free(env, &f->truths[i]);
    free(f->images);
}

void training_formula_run(struct det_env *env, const struct training_formula *f, const char *name,
                          struct det_learner *learner)
{
    const bool focal = f->settings.loss.class_loss == DET_CLASS_LOSS_SIGMOID_FOCAL;
    /* localization, classification, regularization, total: goldens train320_*, steps.json */
    const double wanted[4] = {0.7191482782363892, focal ? 1.1464879512786865 : 18.25985336303711,
                              0.4514017701148987, focal ? 2.317038059234619 : 19.430404663085938};
    const double bound = focal ? 1e-5 : 3e-5;
    struct det_step_result result;
    formula_params(&learner->graph, learner->params);
    assert_ok(env, det_learner_push(env, learner));
    assert_ok(env, det_learner_gradients(env, learner, f->images, f->truths, &result));
    const double got[4] = {result.localization_loss, result.classification_loss,
                           result.regularization_loss, result.total_loss};
    double worst = 0;
    for (int i = 0; i < 4; i++) {
        const double error = fabs(got[i] - wanted[i]) / wanted[i];
        worst = fmax(worst, error);
        if (!(error <= bound))
            fail_msg("%s: loss %d is %.9g, TensorFlow's %.9g: relative difference %.3g, bound %.0e",
                     name, i, got[i], wanted[i], error, bound);
    }
    assert_int_equal(result.matched_anchors, 76);
    assert_true(isfinite(result.gradient_norm) && result.gradient_norm > 0);
    print_message("%s: losses of one step: worst relative difference %.3g (bound %.0e)\n", name,
                  worst, bound);
}
