#include "support/training_golden.h"

#include <math.h>

#include "support/test.h"

/* One line of a table of variables or gradients. */
struct row {
    char key[256];
    size_t count;
    double mean, l2, first, last, noise;
};

static bool next_row(char **text, struct row *row)
{
    char *line = strsep(text, "\n");
    return line != NULL && sscanf(line, "%255s %zu %lf %lf %lf %lf %lf", row->key, &row->count,
                                  &row->mean, &row->l2, &row->first, &row->last, &row->noise) == 7;
}

static void check_loss(const char *name, int step, const char *what, double ours, double theirs,
                       double bound, double *worst)
{
    const double error = fabs(ours - theirs) / fmax(fabs(theirs), 1e-12);
    if (!(error <= *worst))
        *worst = error;
    if (!(error <= bound))
        fail_msg("%s: step %d: %s is %.9g, TensorFlow's %.9g: relative difference %.3g, bound %.3g",
                 name, step, what, ours, theirs, error, bound);
}

/* Gradients whose every value is stored: relative l2; all of them: the stored norm. */
static void check_gradients(const struct training_golden *golden, const struct det_learner *l)
{
    char *text = test_read_text(golden->gradients), *at = text;
    struct row row;
    double difference = 0, norm = 0, worst_ratio = 0;
    int full = 0, rows = 0;
    while (next_row(&at, &row)) {
        const int32_t p = det_graph_find_param(&l->graph, row.key);
        if (p < 0)
            fail_msg("%s: no parameter %s", golden->name, row.key);
        const struct det_param *param = &l->graph.params[p];
        const float *ours = l->gradients + param->offset;
        assert_int_equal(param->count, row.count);
        const double bound = fmax(5 * row.noise, 1e-4);
        double squares = 0;
        for (size_t i = 0; i < row.count; i++)
            squares += (double)ours[i] * (double)ours[i];
        const double l2_error = fabs(sqrt(squares) - row.l2) / fmax(row.l2, 1e-30);
        if (!(l2_error <= bound))
            fail_msg("%s: |gradient| of %s is %.6g, TensorFlow's %.6g (bound %.3g relative)",
                     golden->name, row.key, sqrt(squares), row.l2, bound);
        if (l2_error / bound > worst_ratio)
            worst_ratio = l2_error / bound;
        char member[256];
        snprintf(member, sizeof member, "%s", row.key);
        for (char *c = member; *c != '\0'; c++)
            *c = *c == '/' ? '|' : *c;
        struct test_npy stored = test_npz_load(golden->gradients_full, member);
        if (stored.data != NULL) {
            assert_int_equal(stored.count, row.count);
            const float *theirs = stored.data;
            const double error = test_relative_l2(ours, theirs, row.count);
            if (!(error <= bound))
                fail_msg("%s: gradient of %s: relative l2 %.3g, bound %.3g", golden->name, row.key,
                         error, bound);
            for (size_t i = 0; i < row.count; i++) {
                const double d = (double)ours[i] - (double)theirs[i];
                difference += d * d;
                norm += (double)theirs[i] * (double)theirs[i];
            }
            full++;
        }
        test_npy_free(&stored);
        rows++;
    }
    free(text);
    assert_true(rows > 200 && full > 0);
    const double together = sqrt(difference / norm);
    print_message("%s: gradients of %d variables (%d in full): together %.3g relative l2 (bound "
                  "3e-3), worst norm at %.2f of its bound\n",
                  golden->name, rows, full, together, worst_ratio);
    if (!(together <= 3e-3))
        fail_msg("%s: gradients together %.3g", golden->name, together);
}

static void check_variables(const struct training_golden *golden, const struct det_learner *l)
{
    char *text = test_read_text(golden->variables), *at = text;
    struct row row;
    double worst = 0;
    int rows = 0;
    while (next_row(&at, &row)) {
        const int32_t p = det_graph_find_param(&l->graph, row.key);
        if (p < 0)
            fail_msg("%s: no parameter %s", golden->name, row.key);
        const struct det_param *param = &l->graph.params[p];
        const float *ours = l->params + param->offset;
        double squares = 0, sum = 0;
        for (size_t i = 0; i < row.count; i++) {
            squares += (double)ours[i] * (double)ours[i];
            sum += (double)ours[i];
        }
        const double scale = fmax(row.l2, 1e-30), bound = fmax(1e-4, 5 * row.noise);
        /* What is stored of each variable: norm, mean, first and last value, against its norm. */
        const double errors[] = {
            fabs(sqrt(squares) - row.l2) / scale,
            fabs(sum / (double)row.count - row.mean) * sqrt((double)row.count) / scale,
            fabs((double)ours[0] - row.first) / scale,
            fabs((double)ours[row.count - 1] - row.last) / scale,
        };
        for (int i = 0; i < 4; i++) {
            if (errors[i] > worst)
                worst = errors[i];
            if (!(errors[i] <= bound))
                fail_msg("%s: %s after the last step: figure %d differs by %.3g, bound %.3g",
                         golden->name, row.key, i, errors[i], bound);
        }
        rows++;
    }
    free(text);
    assert_int_equal(rows, 384);
    print_message("%s: %d variables after the last step: worst relative difference %.3g\n",
                  golden->name, rows, worst);
}

void training_golden_run(struct det_env *env, const struct training_golden *golden,
                         struct det_learner *learner)
{
    char *text = test_read_text(golden->steps), *at = text;
    double worst = 0, worst_part = 0;
    assert_ok(env, det_learner_push(env, learner));
    for (int step = 0; step < golden->steps_compared; step++) {
        double lr, localization, classification, regularization, total;
        double localization_noise = 0, classification_noise = 0;
        char *line = strsep(&at, "\n");
        assert_non_null(line);
        assert_true(sscanf(line, "%lf %lf %lf %lf %lf %lf %lf", &lr, &localization, &classification,
                           &regularization, &total, &localization_noise,
                           &classification_noise) >= 5);
        struct det_step_result result;
        assert_ok(env,
                  det_learner_gradients(env, learner, golden->images, golden->truths, &result));
        const double bound = golden->loss_bound;
        check_loss(golden->name, step, "localization loss", result.localization_loss, localization,
                   fmax(bound, 5 * localization_noise), &worst_part);
        check_loss(golden->name, step, "classification loss", result.classification_loss,
                   classification, fmax(bound, 5 * classification_noise), &worst_part);
        check_loss(golden->name, step, "regularization loss", result.regularization_loss,
                   regularization, bound, &worst);
        check_loss(golden->name, step, "total loss", result.total_loss, total, bound, &worst);
        if (step == 0)
            check_gradients(golden, learner);
        assert_ok(env, det_learner_update(env, learner, (float)lr, &result));
    }
    free(text);
    print_message("%s: losses of %d steps: worst relative difference of a total %.3g (bound %.0e), "
                  "of a part %.3g\n",
                  golden->name, golden->steps_compared, worst, golden->loss_bound, worst_part);
    assert_ok(env, det_learner_pull(env, learner));
    if (golden->variables != NULL)
        check_variables(golden, learner);
}

void training_golden_add_box(struct det_env *env, struct det_ground_truth *truth,
                             int32_t class_index, const float box[4])
{
    assert_ok(env, det_ground_truth_reserve(env, truth, truth->count + 1));
    memcpy(truth->boxes[truth->count], box, 4 * sizeof *box);
    truth->class_index[truth->count] = class_index;
    truth->weight[truth->count] = 1;
    truth->count++;
}

void training_scene_open(struct det_env *env, struct training_scene *scene)
{
    static const float boxes[4][4] = {{.1f, .1f, .45f, .5f},
                                      {.5f, .3f, .95f, .8f},
                                      {.2f, .6f, .3f, .75f},
                                      {.05f, .4f, .9f, .95f}};
    static const int32_t classes[4] = {0, 1, 2, 1};
    *scene = (struct training_scene){0};
    for (int i = 0; i < 4; i++)
        training_golden_add_box(env, &scene->truths[i == 3], classes[i], boxes[i]);
    struct test_npy stored = test_npz_load("tests/golden/train_scene/images.npz", "images");
    assert_non_null(stored.data);
    assert_int_equal(stored.count, 2 * 320 * 320 * 3);
    scene->images = malloc(stored.count * sizeof *scene->images);
    assert_non_null(scene->images);
    for (size_t i = 0; i < stored.count; i++)
        scene->images[i] = (float)((const uint8_t *)stored.data)[i];
    test_npy_free(&stored);
    det_model_spec_default(&scene->spec, 320, 3);
    scene->spec.freeze_batchnorm = true;
    det_learner_settings_default(&scene->settings);
    scene->settings.batch_size = 2;
    scene->golden = (struct training_golden){
        .name = "train_scene",
        .steps = "tests/golden/train_scene/steps.txt",
        .gradients = "tests/golden/train_scene/grads_step0.txt",
        .gradients_full = "tests/golden/train_scene/grads_full.npz",
        .variables = "tests/golden/train_scene/variables_after_3_steps.txt",
        .steps_compared = 3,
        .loss_bound = 1e-5,
        .images = scene->images,
        .truths = scene->truths,
    };
}

void training_scene_close(struct det_env *env, struct training_scene *scene)
{
    for (int i = 0; i < 2; i++)
        det_ground_truth_free(env, &scene->truths[i]);
    free(scene->images);
}
