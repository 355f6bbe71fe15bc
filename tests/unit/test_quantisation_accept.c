/* det_quantisation_settings.accept: as long as a model in 8 bits is refused, the layers that cost
 * most go back to float32. */
#include <math.h>

#include "base/context.h"
#include "det/det.h"
#include "model/model.h"
#include "support/exports.h"
#include "support/workspace.h"

enum { PICTURES = 5, SIDE = 70, MOST_TRIES = 64, MOST_LAYERS = 200 };

static uint8_t pictures[PICTURES][SIDE * SIDE * 3];

static struct exports_squares squares = {pictures[0], SIDE};

static const det_sample_source source = {.struct_size = sizeof(det_sample_source),
                                         .user = &squares,
                                         .count = PICTURES,
                                         .fill = exports_fill_square};

struct run {
    struct test_env t;
    det_context *context;
    det_model *model, *quantised;
    /* who judges */
    int refusals; /* before one is accepted */
    int tries;
    det_quantisation_info infos[MOST_TRIES];
    det_quantisation_layer layers[MOST_TRIES][MOST_LAYERS];
    const det_model *last;
};

static void start(struct run *r)
{
    struct det_model_spec spec;
    det_context_settings settings;
    *r = (struct run){0};
    test_env_init(&r->t);
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = 2;
    settings.device = "cpu";
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    exports_spec(&spec, 96, 64, 2);
    assert_ok(det_context_env(r->context),
              exports_model(det_context_env(r->context), &spec, NULL, &r->model));
    for (int p = 0; p < PICTURES; p++) {
        for (int i = 0; i < SIDE * SIDE * 3; i++)
            pictures[p][i] = (uint8_t)(127.5f + 120 * sinf((float)(i / 3 % SIDE * (p + 1)) * .1f +
                                                           (float)(i / 3 / SIDE) * .07f));
    }
}

static void stop(struct run *r)
{
    det_model_destroy(&r->model);
    det_model_destroy(&r->quantised);
    det_context_destroy(&r->context);
    test_env_check(&r->t);
}

static det_status judge_with(struct run *r, det_quantisation_floats floats,
                             int (*accept)(void *user, const det_model *candidate))
{
    det_quantisation_settings s;
    det_quantisation_settings_default(&s);
    s.samples = &source;
    s.observer = DET_OBSERVER_MINMAX;
    s.equalise = 0;
    s.floats = floats;
    s.accept = accept;
    s.accept_user = r;
    return det_model_quantise(r->context, r->model, &s, &r->quantised);
}

static void look(struct run *r, const det_model *model, det_quantisation_info *info,
                 det_quantisation_layer *layers)
{
    *info = (det_quantisation_info){.struct_size = sizeof *info};
    assert_context_ok(r->context, det_model_quantisation(r->context, model, info));
    assert_in_range(info->layers, 1, MOST_LAYERS);
    for (int32_t i = 0; i < info->layers; i++) {
        layers[i] = (det_quantisation_layer){.struct_size = sizeof *layers};
        assert_context_ok(r->context,
                          det_model_quantisation_layer(r->context, model, (size_t)i, &layers[i]));
    }
}

static int accept_after_some(void *user, const det_model *candidate)
{
    struct run *r = user;
    det_detector *detector = NULL;
    const det_detection *found = NULL;
    size_t count = 0;
    assert_in_range(r->tries, 0, MOST_TRIES - 1);
    look(r, candidate, &r->infos[r->tries], r->layers[r->tries]);
    /* It is a whole model, and the context can be used. */
    assert_context_ok(r->context, det_detector_create(r->context, candidate, NULL, &detector));
    const det_image_view view = {.pixels = pictures[0], .width = SIDE, .height = SIDE};
    assert_context_ok(r->context, det_detector_run(detector, &view, &found, &count));
    det_detector_destroy(&detector);
    r->last = candidate;
    return r->tries++ >= r->refusals;
}

static double error_of(const det_quantisation_info *info)
{
    return fmax(info->score_error, info->box_error);
}

/* --- tests --- */

static void the_worst_layers_go_back_first(void **state)
{
    (void)state;
    static struct run r;
    start(&r);
    assert_int_equal(exports_spoil(r.model, false), 1);
    r.refusals = 1;
    assert_context_ok(r.context, judge_with(&r, DET_QUANTISATION_FLOATS_AUTO, accept_after_some));
    assert_int_equal(r.tries, 2);
    assert_ptr_equal(r.last, r.quantised);
    assert_true(error_of(&r.infos[1]) < .5 * error_of(&r.infos[0]));
    assert_true(r.infos[1].float_share > r.infos[0].float_share);
    assert_true(r.infos[1].float_layers > r.infos[0].float_layers);
    /* What writes the bad channel, and what reads it. */
    int32_t bad = 0;
    for (int32_t i = 0; i < r.infos[0].layers; i++) {
        const det_quantisation_layer *before = &r.layers[0][i], *after = &r.layers[1][i];
        assert_true(after->is_float >= before->is_float && after->error == before->error);
        if (before->error > .1) {
            assert_true(!before->is_float && after->is_float);
            bad++;
        }
    }
    assert_int_equal(bad, 2);
    stop(&r);
}

static void a_quarter_of_the_work_is_the_most(void **state)
{
    (void)state;
    static struct run r;
    start(&r);
    r.refusals = MOST_TRIES;
    assert_context_fails(r.context, DET_STATUS_MISMATCH, "no model was accepted",
                         judge_with(&r, DET_QUANTISATION_FLOATS_AUTO, accept_after_some));
    assert_null(r.quantised);
    assert_true(r.tries > 1);
    for (int i = 0; i < r.tries; i++) {
        assert_true(r.infos[i].float_share <= DET_QUANTISATION_MOST_FLOAT);
        assert_true(i == 0 || r.infos[i].float_share > r.infos[i - 1].float_share);
        assert_true(i == 0 || r.infos[i].float_layers > r.infos[i - 1].float_layers);
    }
    stop(&r);
}

static void all_in_8_bits_stays_so(void **state)
{
    (void)state;
    static struct run r;
    start(&r);
    r.refusals = 1;
    assert_context_fails(r.context, DET_STATUS_MISMATCH, "no model was accepted: 1 made",
                         judge_with(&r, DET_QUANTISATION_FLOATS_NONE, accept_after_some));
    assert_int_equal(r.tries, 1);
    assert_int_equal(r.infos[0].float_layers, 0);
    assert_true(r.infos[0].float_share == 0);
    assert_null(r.quantised);
    stop(&r);
}

static int stop_at_once(void *user, const det_model *candidate)
{
    struct run *r = user;
    assert_non_null(candidate);
    r->tries++;
    return -1;
}

static void who_judges_can_stop_it(void **state)
{
    (void)state;
    static struct run r;
    start(&r);
    assert_context_fails(r.context, DET_STATUS_CANCELLED, "stopped",
                         judge_with(&r, DET_QUANTISATION_FLOATS_AUTO, stop_at_once));
    assert_int_equal(r.tries, 1);
    assert_null(r.quantised);
    stop(&r);
}

int test_quantisation_accept(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worst_layers_go_back_first),
        cmocka_unit_test(a_quarter_of_the_work_is_the_most),
        cmocka_unit_test(all_in_8_bits_stays_so),
        cmocka_unit_test(who_judges_can_stop_it),
    };
    return cmocka_run_group_tests_name("quantisation_accept", tests, NULL, NULL);
}
