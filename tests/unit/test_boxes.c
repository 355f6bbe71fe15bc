/* det/boxes.h, det/losses.h and a model's tensors: they give what the library computes inside. */
#include <math.h>

#include "base/context.h"
#include "det/boxes.h"
#include "det/losses.h"
#include "model/losses.h"
#include "model/model.h"
#include "model/spec_anchors.h"
#include "model/targets.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/workspace.h"

enum { SIDE = 96, CLASSES = 2, COUNT = 300 };

struct fixture {
    struct test_env t;
    det_context *context;
    struct det_env *env; /* the context's */
};

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){0};
    test_env_init(&f->t);
    f->context = workspace_context(&f->t, 2);
    f->env = det_context_env(f->context);
}

static void close_fixture(struct fixture *f)
{
    det_context_destroy(&f->context);
    test_env_check(&f->t);
}

static det_model *make_model(struct fixture *f, bool folded)
{
    det_model *model = NULL;
    struct det_model_spec spec;
    formula_spec(&spec, SIDE, CLASSES);
    spec.iou_threshold = .3F;
    spec.max_total = 17;
    assert_ok(f->env, det_model_create(f->env, &spec, folded, NULL, &model));
    det_graph_init_params(&model->graph, 1, model->owned);
    return model;
}

/* Boxes of all sizes, some with corners the wrong way round, about a few places. */
static void make_boxes(float boxes[COUNT][4], uint32_t seed, bool ordered)
{
    test_fill(boxes[0], (size_t)COUNT * 4, seed);
    for (int i = 0; i < COUNT; i++)
        for (int c = 0; c < 2; c++) {
            boxes[i][c] = .3F * (float)(i % 3) + .05F * boxes[i][c];
            boxes[i][c + 2] =
                boxes[i][c] + .2F * (ordered ? fabsf(boxes[i][c + 2]) + .01F : boxes[i][c + 2]);
        }
}

static void anchors_encodings_and_overlaps_are_the_librarys(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    det_model *model = make_model(&f, false);
    float(*wanted)[4] = NULL, first[COUNT][4], second[COUNT][4], encodings[COUNT][4];
    float back[COUNT][4], one[4];
    int32_t count = 0;
    const struct det_box_coder coder = {3, 4, 5, 6};
    const float scales[] = {3, 4, 5, 6};
    assert_ok(f.env, det_spec_anchors(f.env, &model->spec, &wanted, &count));
    assert_int_equal(count, det_model_anchor_count(model));
    float *anchors = malloc((size_t)count * 4 * sizeof *anchors);
    assert_non_null(anchors);
    assert_context_ok(f.context, det_model_anchors(f.context, model, anchors));
    assert_memory_equal(anchors, wanted, (size_t)count * sizeof *wanted);

    make_boxes(first, 1, true);
    make_boxes(second, 2, true);
    for (int own = 0; own <= 1; own++) {
        const struct det_box_coder standard = DET_BOX_CODER_DEFAULT;
        const float *given = own == 1 ? scales : NULL;
        assert_context_ok(f.context, det_boxes_encode(f.context, given, first[0], second[0], COUNT,
                                                      encodings[0]));
        assert_context_ok(
            f.context, det_boxes_decode(f.context, given, encodings[0], second[0], COUNT, back[0]));
        for (int i = 0; i < COUNT; i++) {
            const struct det_box_coder *c = own == 1 ? &coder : &standard;
            det_box_encode(c, first[i], second[i], one);
            assert_memory_equal(one, encodings[i], sizeof one);
            det_box_decode(c, encodings[i], second[i], one);
            assert_memory_equal(one, back[i], sizeof one);
            for (int k = 0; k < 4; k++)
                assert_near(back[i][k], first[i][k], 1e-5);
        }
    }
    float *iou = malloc(sizeof *iou * COUNT * COUNT);
    assert_non_null(iou);
    assert_context_ok(f.context, det_boxes_iou(f.context, first[0], COUNT, second[0], COUNT, iou));
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < COUNT; k++) {
            const float same = det_box_iou(first[i], second[k]);
            assert_memory_equal(&iou[i * COUNT + k], &same, sizeof same);
        }
    free(iou);
    free(anchors);
    det_free(f.env, &wanted);
    det_model_destroy(&model);
    close_fixture(&f);
}

/* Sorts all and looks at every pair. */
static size_t plain_suppress(const float boxes[COUNT][4], const float *scores,
                             float score_threshold, float iou_threshold, int32_t limit,
                             int32_t *kept)
{
    bool looked_at[COUNT] = {false};
    size_t count = 0;
    for (;;) {
        int best = -1;
        for (int i = 0; i < COUNT; i++)
            if (!looked_at[i] && scores[i] > score_threshold &&
                (best < 0 || scores[i] > scores[best]))
                best = i;
        if (best < 0 || count == (size_t)limit)
            return count;
        looked_at[best] = true;
        bool stays = true;
        double b[4], o[4];
        for (int c = 0; c < 4; c++)
            stays = stays && isfinite(boxes[best][c]);
        for (int c = 0; c < 2; c++) {
            b[c] = fmin((double)boxes[best][c], (double)boxes[best][c + 2]);
            b[c + 2] = fmax((double)boxes[best][c], (double)boxes[best][c + 2]);
        }
        for (size_t k = 0; k < count && stays; k++) {
            const float *other = boxes[kept[k]];
            for (int c = 0; c < 2; c++) {
                o[c] = fmin((double)other[c], (double)other[c + 2]);
                o[c + 2] = fmax((double)other[c], (double)other[c + 2]);
            }
            const double shared = fmax(fmin(b[2], o[2]) - fmax(b[0], o[0]), 0) *
                                  fmax(fmin(b[3], o[3]) - fmax(b[1], o[1]), 0);
            const double all = (b[2] - b[0]) * (b[3] - b[1]) + (o[2] - o[0]) * (o[3] - o[1]);
            stays = !(all > shared && shared / (all - shared) > (double)iou_threshold);
        }
        if (stays)
            kept[count++] = best;
    }
}

static void suppression_keeps_the_surest(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    static const struct {
        float score, iou;
        int32_t limit;
    } cases[] = {{0, .5F, COUNT}, {.4F, .3F, COUNT}, {0, .6F, 5}, {0, 0, 1000}, {2, .5F, 5}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        float boxes[COUNT][4], scores[COUNT];
        int32_t wanted[COUNT], got[COUNT];
        size_t count = 77;
        make_boxes(boxes, 10 + (uint32_t)c, false);
        test_fill(scores, COUNT, 20 + (uint32_t)c);
        for (int i = 0; i < COUNT; i++) {
            scores[i] = c % 2 == 0 ? scores[i] : roundf(8 * scores[i]) / 8; /* ties */
            if (i % 17 == 0)
                boxes[i][i % 4] = i % 2 ? NAN : INFINITY;
            if (i % 19 == 0)
                scores[i] = i % 2 ? NAN : -INFINITY;
        }
        const size_t expected = plain_suppress((const float(*)[4])boxes, scores, cases[c].score,
                                               cases[c].iou, cases[c].limit, wanted);
        assert_context_ok(f.context,
                          det_boxes_suppress(f.context, boxes[0], scores, COUNT, cases[c].score,
                                             cases[c].iou, cases[c].limit, got, &count));
        assert_int_equal(count, expected);
        assert_memory_equal(got, wanted, count * sizeof *got);
    }
    close_fixture(&f);
}

/* As the gradient of the losses that training sums, where nothing is weighted. */
static void losses_are_those_of_training(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    static const struct {
        float gamma, alpha, delta;
    } cases[] = {{2, .25F, 1}, {2, -1, .5F}, {0, -1, 1}, {1.5F, .75F, .1F}};
    static float anchors[COUNT][4], logits[COUNT * (CLASSES + 1)], encodings[COUNT][4];
    static float losses[COUNT * (CLASSES + 1)], gradients[COUNT * (CLASSES + 1)];
    static float box_losses[COUNT], box_gradients[COUNT][4];
    static float wanted[COUNT * (CLASSES + 1)], box_wanted[COUNT][4];
    static uint8_t positive[COUNT * (CLASSES + 1)];
    make_boxes(anchors, 1, true);
    test_fill(logits, COUNT * (CLASSES + 1), 2);
    test_fill(encodings[0], (size_t)COUNT * 4, 3);
    for (int i = 0; i < COUNT * (CLASSES + 1); i++)
        logits[i] *= i % 7 == 0 ? 200 : 9;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct det_targets *targets = NULL;
        struct det_losses *summed = NULL;
        struct det_target_settings matching;
        struct det_loss_settings settings;
        struct det_loss_values values;
        det_target_settings_default(&matching);
        det_loss_settings_default(&settings);
        settings.normalize_loss_by_num_matches = settings.normalize_loc_loss_by_codesize = false;
        settings.class_loss =
            cases[c].gamma == 0 ? DET_CLASS_LOSS_SIGMOID : DET_CLASS_LOSS_SIGMOID_FOCAL;
        settings.focal_gamma = cases[c].gamma;
        settings.focal_has_alpha = cases[c].alpha >= 0;
        settings.focal_alpha = cases[c].alpha;
        settings.huber_delta = cases[c].delta;
        assert_ok(f.env, det_targets_create(f.env, &matching, (const float(*)[4])anchors, COUNT,
                                            CLASSES, 1, &targets));
        assert_ok(f.env, det_losses_create(f.env, &settings, 1, COUNT, CLASSES, &summed));
        targets->images = 1;
        test_fill(targets->encodings[0], (size_t)COUNT * 4, 4);
        memset(positive, 0, sizeof positive);
        for (int i = 0; i < COUNT; i++) {
            targets->class_index[i] = i % 5 == 0 ? i % CLASSES : -1;
            targets->class_weight[i] = targets->box_weight[i] = 1;
            if (i % 5 == 0)
                positive[i * (CLASSES + 1) + i % CLASSES + 1] = 1;
            if (i % 11 == 0)
                targets->encodings[i][2] = NAN;
        }
        assert_ok(f.env, det_losses_compute(f.env, summed, NULL, targets, logits, encodings[0],
                                            &values, wanted, box_wanted[0]));
        assert_context_ok(
            f.context, det_loss_sigmoid_focal(f.context, cases[c].gamma, cases[c].alpha, logits,
                                              positive, COUNT * (CLASSES + 1), losses, gradients));
        assert_context_ok(f.context, det_loss_smooth_l1(f.context, cases[c].delta, encodings[0],
                                                        targets->encodings[0], COUNT, box_losses,
                                                        box_gradients[0]));
        double sum = 0, box_sum = 0;
        for (int i = 0; i < COUNT * (CLASSES + 1); i++) {
            assert_memory_equal(&gradients[i], &wanted[i], sizeof wanted[i]);
            sum += (double)losses[i];
        }
        for (int i = 0; i < COUNT; i++) {
            assert_memory_equal(box_gradients[i], box_wanted[i], sizeof box_wanted[i]);
            box_sum += (double)box_losses[i];
        }
        assert_near(sum, values.classification, 1e-12 * sum);
        assert_near(box_sum, values.localization, 1e-12 * box_sum);
        /* Gradients may be left out. */
        const float before = losses[4];
        assert_context_ok(f.context,
                          det_loss_sigmoid_focal(f.context, cases[c].gamma, cases[c].alpha, logits,
                                                 positive, 5, losses, NULL));
        assert_memory_equal(&losses[4], &before, sizeof before);
        assert_context_ok(f.context,
                          det_loss_smooth_l1(f.context, cases[c].delta, encodings[0],
                                             targets->encodings[0], COUNT, box_losses, NULL));
        det_losses_destroy(f.env, &summed);
        det_targets_destroy(f.env, &targets);
    }
    close_fixture(&f);
}

static void tensors_are_found_by_name(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    for (int folded = 0; folded <= 1; folded++) {
        det_model *model = make_model(&f, folded == 1);
        det_model_tensor at = {.struct_size = sizeof at}, found = {.struct_size = sizeof found};
        int64_t numbers = 0;
        const size_t count = det_model_tensor_count(model);
        assert_true(count > 50);
        for (size_t i = 0; i < count; i++) {
            assert_context_ok(f.context, det_model_tensor_at(f.context, model, i, &at));
            assert_context_ok(f.context, det_model_tensor_find(f.context, model, at.name, &found));
            assert_memory_equal(&at, &found, sizeof at);
            int64_t product = 1;
            for (int32_t d = 0; d < 4; d++)
                product *= d < at.dims ? at.shape[d] : 1;
            assert_true(at.dims >= 1 && at.dims <= 4 && product == (int64_t)at.count);
            const int32_t param = det_graph_find_param(&model->graph, at.name);
            assert_ptr_equal(at.values, model->params + model->graph.params[param].offset);
            if (folded == 0 && strstr(at.name, "moving_") != NULL)
                assert_int_equal(at.trainable, 0);
            numbers += (int64_t)at.count;
        }
        assert_int_equal(numbers, det_model_parameter_count(model));
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "is asked for",
                             det_model_tensor_at(f.context, model, count, &at));
        assert_null(at.values);
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "is asked for",
                             det_model_tensor_at(f.context, model, SIZE_MAX, &at));
        static const char *const nobody[] = {"", "no/such", "moving_mean"};
        for (int i = 0; i < 3; i++) {
            assert_context_fails(f.context, DET_STATUS_NOT_FOUND, nobody[i],
                                 det_model_tensor_find(f.context, model, nobody[i], &found));
            assert_null(found.name);
        }
        det_model_destroy(&model);
    }
    close_fixture(&f);
}

static void what_cannot_be_is_told(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    det_context *c = f.context;
    const det_status bad = DET_STATUS_INVALID_ARGUMENT;
    const float box[] = {0, 0, 1, 1}, reversed[] = {1, 0, 0, 1}, nan_box[] = {0, NAN, 1, 1};
    const float wrong[][4] = {{10, 10, 5, 0}, {10, -1, 5, 5}, {NAN, 1, 1, 1}, {1, 1, INFINITY, 1}};
    const float logits[] = {0, 1, 2}, nan_logits[] = {NAN, 1, 2};
    const uint8_t two = 2;
    float out[4];
    int32_t kept = 0;
    size_t count = 5;
    det_detection found[100];
    det_nms_settings s;
    for (int i = 0; i < 4; i++) {
        assert_context_fails(c, bad, "scale", det_boxes_encode(c, wrong[i], box, box, 1, out));
        assert_context_fails(c, bad, "scale", det_boxes_decode(c, wrong[i], box, box, 1, out));
    }
    assert_context_fails(c, bad, "score_threshold",
                         det_boxes_suppress(c, box, box, 1, NAN, .5F, 1, &kept, &count));
    assert_context_fails(c, bad, "score_threshold",
                         det_boxes_suppress(c, box, box, 1, -1, .5F, 1, &kept, &count));
    assert_context_fails(c, bad, "iou_threshold",
                         det_boxes_suppress(c, box, box, 1, 0, 1.5F, 1, &kept, &count));
    assert_context_fails(c, bad, "limit",
                         det_boxes_suppress(c, box, box, 1, 0, .5F, 0, &kept, &count));
    assert_context_fails(c, bad, "at most",
                         det_boxes_suppress(c, box, box, SIZE_MAX, 0, .5F, 1, &kept, &count));
    assert_int_equal(count, 0);
    /* Nothing is no mistake. */
    assert_context_ok(c, det_boxes_suppress(c, NULL, NULL, 0, 0, .5F, 1, NULL, &count));
    assert_context_ok(c, det_boxes_iou(c, NULL, 0, box, 1, NULL));
    assert_context_ok(c, det_boxes_encode(c, NULL, NULL, NULL, 0, NULL));
    assert_context_ok(c, det_loss_sigmoid_focal(c, 2, .25F, NULL, NULL, 0, NULL, NULL));
    assert_context_ok(c, det_loss_smooth_l1(c, 1, NULL, NULL, 0, NULL, NULL));

    assert_context_fails(c, bad, "gamma",
                         det_loss_sigmoid_focal(c, NAN, .25F, logits, &two, 1, out, NULL));
    assert_context_fails(c, bad, "alpha",
                         det_loss_sigmoid_focal(c, 2, NAN, logits, &two, 1, out, NULL));
    assert_context_fails(c, bad, "target 0 is 2",
                         det_loss_sigmoid_focal(c, 2, .25F, logits, &two, 1, out, NULL));
    assert_context_fails(c, bad, "gamma inf",
                         det_loss_sigmoid_focal(c, INFINITY, .25F, logits, &two, 1, out, NULL));
    assert_context_fails(c, bad, "delta", det_loss_smooth_l1(c, 0, box, box, 1, out, NULL));
    assert_context_fails(c, bad, "delta inf",
                         det_loss_smooth_l1(c, INFINITY, box, box, 1, out, NULL));

    det_nms_settings_default(&s);
#define POSTPROCESS(logits, encodings, anchors, anchor_count, classes, window)                     \
    det_boxes_postprocess(c, &s, logits, encodings, anchors, anchor_count, classes, window, found, \
                          &count)
    assert_context_ok(c, POSTPROCESS(logits, box, box, 1, 2, NULL));
    assert_int_equal(count, 2);
    assert_context_fails(c, DET_STATUS_NON_FINITE, "logit",
                         POSTPROCESS(nan_logits, box, box, 1, 2, NULL));
    assert_int_equal(count, 0);
    assert_context_fails(c, DET_STATUS_NON_FINITE, "encoding",
                         POSTPROCESS(logits, nan_box, box, 1, 2, NULL));
    assert_context_fails(c, bad, "anchor 0", POSTPROCESS(logits, box, nan_box, 1, 2, NULL));
    assert_context_fails(c, bad, "anchor 0", POSTPROCESS(logits, box, reversed, 1, 2, NULL));
    assert_context_fails(c, bad, "window", POSTPROCESS(logits, box, box, 1, 2, reversed));
    assert_context_fails(c, bad, "0 anchors", POSTPROCESS(logits, box, box, 0, 2, NULL));
    assert_context_fails(c, bad, "-1 anchors", POSTPROCESS(logits, box, box, -1, 2, NULL));
    assert_context_fails(c, bad, "0 classes", POSTPROCESS(logits, box, box, 1, 0, NULL));
    s.max_per_class = 0;
    assert_context_fails(c, bad, "max_detections_per_class",
                         POSTPROCESS(logits, box, box, 1, 2, NULL));
    close_fixture(&f);
}

static det_status use_workspace(struct det_env *env, void *argument)
{
    (void)argument;
    static const float boxes[8] = {0, 0, 1, 1, 0, 0, .5F, .5F}, scores[2] = {.5F, .6F};
    static const float logits[4] = {0, 1, 0, 2}, encodings[8];
    det_context_settings settings;
    det_context_settings_default(&settings);
    settings.allocator = &env->allocator;
    settings.threads = 1;
    det_context *context = NULL;
    int32_t kept[2];
    size_t count = 0;
    det_detection found[100];
    det_status status = DET_OK;
    DET_TRY(det_context_create(&context, &settings));
    DET_TRY(det_boxes_suppress(context, boxes, scores, 2, 0, .5F, 2, kept, &count));
    DET_TRY(
        det_boxes_postprocess(context, NULL, logits, encodings, boxes, 2, 1, NULL, found, &count));
fail:
    det_context_destroy(&context);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(use_workspace, NULL);
}

static void models_are_copied_with_changes(void **state)
{
    (void)state;
    struct fixture f;
    char directory[256];
    test_make_directory(directory, "copies");
    open_fixture(&f);
    for (int folded = 0; folded <= 1; folded++) {
        det_model *model = make_model(&f, folded == 1), *copy = NULL;
        det_model_tensor was = {.struct_size = sizeof was}, is = {.struct_size = sizeof is};
        float values[4096];
        const size_t count = det_model_tensor_count(model);
        model->step = 7;
        assert_context_ok(f.context, det_model_tensor_at(f.context, model, 3, &was));
        assert_true(was.count <= 4096);
        test_fill(values, was.count, 5);
        const float before = was.values[0];
        const det_tensor_values changed[] = {{sizeof changed[0], was.name, values, was.count},
                                             {sizeof changed[0], "no/such", values, 1}};
        assert_context_ok(f.context, det_model_copy(f.context, model, changed, 1, &copy));
        assert_int_equal(det_model_step(copy), 7);
        assert_int_equal(det_model_is_folded(copy), folded);
        assert_string_equal(det_model_class_name(copy, 2), det_model_class_name(model, 2));
        for (size_t i = 0; i < count; i++) {
            assert_context_ok(f.context, det_model_tensor_at(f.context, model, i, &was));
            assert_context_ok(f.context, det_model_tensor_at(f.context, copy, i, &is));
            assert_string_equal(is.name, was.name);
            assert_memory_equal(is.values, i == 3 ? values : was.values,
                                is.count * sizeof *is.values);
        }
        /* As it stands in a file. */
        det_model *loaded = NULL;
        char path[300];
        snprintf(path, sizeof path, "%s/copy.det", directory);
        assert_context_ok(f.context, det_model_save(f.context, copy, path));
        det_model_destroy(&copy);
        assert_context_ok(f.context, det_model_load(f.context, path, &loaded));
        assert_int_equal(det_model_is_folded(loaded), folded);
        assert_context_ok(f.context, det_model_tensor_at(f.context, loaded, 3, &is));
        assert_memory_equal(is.values, values, is.count * sizeof *is.values);
        det_model_destroy(&loaded);
        /* The original is what it was; a plain copy is the same. */
        assert_context_ok(f.context, det_model_copy(f.context, model, NULL, 0, &copy));
        assert_context_ok(f.context, det_model_tensor_at(f.context, copy, 3, &is));
        assert_memory_equal(&is.values[0], &before, sizeof before);
        det_model_destroy(&copy);
        assert_context_fails(f.context, DET_STATUS_NOT_FOUND, "no/such",
                             det_model_copy(f.context, model, changed, 2, &copy));
        assert_null(copy);
        const det_tensor_values twice[] = {changed[0], changed[0]};
        assert_context_fails(f.context, DET_STATUS_INVALID_ARGUMENT, "two values",
                             det_model_copy(f.context, model, twice, 2, &copy));
        det_tensor_values bad = changed[0];
        bad.count--;
        assert_context_fails(f.context, DET_STATUS_MISMATCH, "values for tensor",
                             det_model_copy(f.context, model, &bad, 1, &copy));
        values[1] = NAN;
        assert_context_fails(f.context, DET_STATUS_NON_FINITE, changed[0].name,
                             det_model_copy(f.context, model, changed, 1, &copy));
        assert_null(copy);
        det_model_destroy(&model);
    }
    close_fixture(&f);
}

int test_boxes(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_encodings_and_overlaps_are_the_librarys),
        cmocka_unit_test(suppression_keeps_the_surest),
        cmocka_unit_test(losses_are_those_of_training),
        cmocka_unit_test(tensors_are_found_by_name),
        cmocka_unit_test(models_are_copied_with_changes),
        cmocka_unit_test(what_cannot_be_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("boxes", tests, NULL, NULL);
}
