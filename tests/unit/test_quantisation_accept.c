/* det_quantisation_settings.accept: as long as a model in 8 bits is refused, the other calibrations
 * are made, then the layers that cost most go back to float32. */
#include <math.h>

#include "base/context.h"
#include "model/model.h"
#include "support/quantise_run.h"
#include "support/workspace.h"

enum { MOST_TRIES = 64, MOST_LAYERS = 200 };

/* Who judges. */
struct judge {
    struct quantise_run run;
    det_quantisation_settings settings;
    int refusals; /* before one is accepted */
    int tries;
    det_quantisation_info infos[MOST_TRIES];
    det_quantisation_layer layers[MOST_TRIES][MOST_LAYERS];
    float *outputs[MOST_TRIES]; /* of the first picture */
    size_t output_count;
    const det_model *last;
    char *file;       /* where candidates are saved */
    bool interrupted; /* from now on */
    long fail_at;     /* the allocation behind the first refusal that fails */
};

static void look(struct judge *j, const det_model *model)
{
    det_quantisation_info *info = &j->infos[j->tries];
    *info = quantise_run_info(&j->run, model);
    assert_in_range(info->layers, 1, MOST_LAYERS);
    for (int32_t i = 0; i < info->layers; i++) {
        det_quantisation_layer *layer = &j->layers[j->tries][i];
        *layer = (det_quantisation_layer){.struct_size = sizeof *layer};
        assert_context_ok(j->run.context,
                          det_model_quantisation_layer(j->run.context, model, (size_t)i, layer));
    }
}

static int accept_after_some(void *user, const det_model *candidate)
{
    struct judge *j = user;
    assert_in_range(j->tries, 0, MOST_TRIES - 1);
    look(j, candidate);
    /* It is a whole model, and the context can be used. */
    j->output_count = quantise_run_outputs(&j->run, candidate, &j->outputs[j->tries]);
    j->last = candidate;
    return j->tries++ >= j->refusals;
}

static void start(struct judge *j)
{
    *j = (struct judge){0};
    quantise_run_start(&j->run, 2, "auto");
    quantise_run_model(&j->run, 0);
    det_quantisation_settings_default(&j->settings);
    j->settings.samples = &quantise_run_pictures;
    j->settings.images = 2;
    j->settings.accept = accept_after_some;
    j->settings.accept_user = j;
}

static void stop(struct judge *j)
{
    for (int i = 0; i < j->tries; i++)
        free(j->outputs[i]);
    quantise_run_stop(&j->run);
}

/* What nothing but layers in float32 can change. */
static void start_with_one_calibration(struct judge *j)
{
    start(j);
    j->settings.observer = DET_OBSERVER_MINMAX;
    j->settings.equalise = 0;
    j->settings.correct_biases = 0;
}

static det_status quantise(struct judge *j)
{
    return det_model_quantise(j->run.context, j->run.model, &j->settings, &j->run.quantised);
}

static double error_of(const det_quantisation_info *info)
{
    return fmax(info->score_error, info->box_error);
}

static bool is_calibration(const struct judge *j, int try)
{
    return j->infos[try].float_layers == j->infos[0].float_layers;
}

/* --- calibrations --- */

/* None twice, the nearest first, none that is far off; how many there are is returned. */
static int check_calibrations(const struct judge *j)
{
    int count = 1;
    while (count < j->tries && is_calibration(j, count))
        count++;
    const double least = fmin(error_of(&j->infos[0]), error_of(&j->infos[count > 1]));
    for (int i = 1; i < count; i++) {
        assert_true(i == 1 || error_of(&j->infos[i]) >= error_of(&j->infos[i - 1]));
        assert_true(error_of(&j->infos[i]) <= 2 * least);
        for (int k = 0; k < i; k++)
            assert_memory_not_equal(j->outputs[i], j->outputs[k],
                                    j->output_count * sizeof *j->outputs[i]);
    }
    return count;
}

static void other_calibrations_come_first(void **state)
{
    (void)state;
    static struct judge j;
    start(&j);
    j.refusals = MOST_TRIES;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted", quantise(&j));
    assert_null(j.run.quantised);
    const int calibrations = check_calibrations(&j);
    assert_in_range(calibrations, 4, 16);
    assert_true(j.tries > calibrations);
    for (int i = calibrations; i < j.tries; i++) {
        assert_false(is_calibration(&j, i));
        assert_int_equal(j.infos[i].observer, j.infos[0].observer);
        assert_int_equal(j.infos[i].equalised, j.infos[0].equalised);
        assert_int_equal(j.infos[i].biases_corrected, j.infos[0].biases_corrected);
    }
    stop(&j);
}

/* Of one picture the means of the ends are the ends. */
static void equal_ones_are_shown_once(void **state)
{
    (void)state;
    static struct judge j;
    start(&j);
    j.refusals = MOST_TRIES;
    j.settings.images = 1;
    j.settings.floats = DET_QUANTISATION_FLOATS_NONE;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted", quantise(&j));
    assert_in_range(check_calibrations(&j), 2, 12);
    for (int i = 0; i < j.tries; i++)
        assert_int_not_equal(j.infos[i].observer, DET_OBSERVER_AVERAGE);
    stop(&j);
}

/* Where one picture of four holds anything the means of the ends cut most of that off. */
static void far_ones_are_left_out(void **state)
{
    (void)state;
    enum { COUNT = 4, BYTES = QUANTISE_RUN_SIDE * QUANTISE_RUN_SIDE * 3 };
    static uint8_t pixels[COUNT][BYTES];
    static struct judge j;
    struct exports_squares squares = {pixels[0], QUANTISE_RUN_SIDE};
    const det_sample_source source = {.struct_size = sizeof source,
                                      .user = &squares,
                                      .count = COUNT,
                                      .fill = exports_fill_square};
    start(&j);
    memset(pixels, 128, sizeof pixels);
    for (int i = 0; i < BYTES; i++)
        pixels[COUNT - 1][i] = quantise_run_view().pixels[i];
    j.settings.samples = &source;
    j.settings.images = COUNT;
    j.settings.floats = DET_QUANTISATION_FLOATS_NONE;
    j.refusals = MOST_TRIES;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted", quantise(&j));
    assert_in_range(check_calibrations(&j), 3, 12);
    for (int i = 0; i < j.tries; i++)
        assert_int_not_equal(j.infos[i].observer, DET_OBSERVER_AVERAGE);
    j.settings.accept = NULL;
    j.settings.observer = DET_OBSERVER_AVERAGE;
    assert_context_ok(j.run.context, quantise(&j));
    const det_quantisation_info far = quantise_run_info(&j.run, j.run.quantised);
    assert_true(error_of(&far) > 2 * error_of(&j.infos[0]));
    stop(&j);
}

/* What is shown is what one gets who asks for it by name. */
static void a_calibration_is_what_its_name_makes(void **state)
{
    (void)state;
    static struct judge j;
    int compared = 0;
    start(&j);
    j.refusals = MOST_TRIES;
    j.settings.floats = DET_QUANTISATION_FLOATS_NONE;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted", quantise(&j));
    j.settings.accept = NULL;
    for (int i = 0; i < j.tries; i += 3) {
        float *outputs = NULL;
        j.settings.observer = j.infos[i].observer;
        j.settings.equalise = j.infos[i].equalised;
        j.settings.correct_biases = j.infos[i].biases_corrected;
        assert_context_ok(j.run.context, quantise(&j));
        const det_quantisation_info named = quantise_run_info(&j.run, j.run.quantised);
        if (named.equalised == j.infos[i].equalised) { /* else it was no better so */
            assert_memory_equal(&named, &j.infos[i], sizeof named);
            assert_int_equal(quantise_run_outputs(&j.run, j.run.quantised, &outputs),
                             j.output_count);
            assert_memory_equal(outputs, j.outputs[i], j.output_count * sizeof *outputs);
            free(outputs);
            compared++;
        }
        det_model_destroy(&j.run.quantised);
    }
    assert_true(compared >= 3);
    stop(&j);
}

static void what_was_asked_for_is_kept(void **state)
{
    (void)state;
    static const struct {
        det_quantisation_observer observer;
        int32_t equalise, correct_biases;
    } asked[] = {{DET_OBSERVER_PERCENTILE, 1, 1},
                 {DET_OBSERVER_AUTO, 0, 1},
                 {DET_OBSERVER_AUTO, 1, 0},
                 {DET_OBSERVER_SQUARES, 0, 1},
                 {DET_OBSERVER_AVERAGE, 0, 0}};
    for (size_t c = 0; c < sizeof asked / sizeof asked[0]; c++) {
        static struct judge j;
        start(&j);
        j.refusals = MOST_TRIES;
        j.settings.floats = DET_QUANTISATION_FLOATS_NONE;
        j.settings.observer = asked[c].observer;
        j.settings.equalise = asked[c].equalise;
        j.settings.correct_biases = asked[c].correct_biases;
        assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted",
                             quantise(&j));
        const bool open = asked[c].observer == DET_OBSERVER_AUTO || asked[c].equalise != 0 ||
                          asked[c].correct_biases != 0;
        assert_true(open ? j.tries > 1 : j.tries == 1);
        for (int i = 0; i < j.tries; i++) {
            assert_true(asked[c].observer == DET_OBSERVER_AUTO ||
                        j.infos[i].observer == asked[c].observer);
            assert_true(j.infos[i].equalised <= asked[c].equalise);
            assert_true(j.infos[i].biases_corrected <= asked[c].correct_biases);
            assert_int_equal(j.infos[i].float_layers, 0);
        }
        stop(&j);
    }
}

/* --- layers in float32 --- */

static void the_worst_layers_go_back_first(void **state)
{
    (void)state;
    static struct judge j;
    start_with_one_calibration(&j);
    assert_int_equal(exports_spoil(j.run.model, EXPORTS_SPOILT, false), 1);
    j.refusals = 1;
    assert_context_ok(j.run.context, quantise(&j));
    assert_int_equal(j.tries, 2);
    assert_ptr_equal(j.last, j.run.quantised);
    assert_true(error_of(&j.infos[1]) < .5 * error_of(&j.infos[0]));
    assert_true(j.infos[1].float_share > j.infos[0].float_share);
    assert_true(j.infos[1].float_layers > j.infos[0].float_layers);
    /* What writes the bad channel, and what reads it. */
    int32_t bad = 0;
    for (int32_t i = 0; i < j.infos[0].layers; i++) {
        const det_quantisation_layer *before = &j.layers[0][i], *after = &j.layers[1][i];
        assert_true(after->is_float >= before->is_float && after->error == before->error);
        if (before->error > .1) {
            assert_true(!before->is_float && after->is_float);
            bad++;
        }
    }
    assert_int_equal(bad, 2);
    stop(&j);
}

static void a_quarter_of_the_work_is_the_most(void **state)
{
    (void)state;
    static struct judge j;
    start_with_one_calibration(&j);
    j.refusals = MOST_TRIES;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted", quantise(&j));
    assert_null(j.run.quantised);
    assert_true(j.tries > 1);
    for (int i = 0; i < j.tries; i++) {
        assert_true(j.infos[i].float_share <= DET_QUANTISATION_MOST_FLOAT);
        assert_true(i == 0 || j.infos[i].float_share > j.infos[i - 1].float_share);
        assert_true(i == 0 || j.infos[i].float_layers > j.infos[i - 1].float_layers);
    }
    stop(&j);
}

static void all_in_8_bits_stays_so(void **state)
{
    (void)state;
    static struct judge j;
    start_with_one_calibration(&j);
    j.refusals = 1;
    j.settings.floats = DET_QUANTISATION_FLOATS_NONE;
    assert_context_fails(j.run.context, DET_STATUS_MISMATCH, "no model was accepted: 1 made",
                         quantise(&j));
    assert_int_equal(j.tries, 1);
    assert_int_equal(j.infos[0].float_layers, 0);
    assert_true(j.infos[0].float_share == 0);
    assert_null(j.run.quantised);
    stop(&j);
}

/* --- the end --- */

static int save_until_the_third(void *user, const det_model *candidate)
{
    struct judge *j = user;
    assert_context_ok(j->run.context, det_model_save(j->run.context, candidate, j->file));
    return ++j->tries == 3;
}

static bool is_first(struct judge *j, const det_model *candidate)
{
    const det_quantisation_info info = quantise_run_info(&j->run, candidate);
    if (j->tries == 0)
        j->infos[0] = info;
    return info.float_layers == j->infos[0].float_layers;
}

static int save_until_layers_go_back(void *user, const det_model *candidate)
{
    struct judge *j = user;
    const bool good = !is_first(j, candidate);
    assert_context_ok(j->run.context, det_model_save(j->run.context, candidate, j->file));
    j->tries++;
    return good;
}

static void assert_equal_files(const char *path, const char *other)
{
    size_t bytes = 0, other_bytes = 0;
    char *a = test_read_bytes(path, &bytes), *b = test_read_bytes(other, &other_bytes);
    assert_int_equal(bytes, other_bytes);
    assert_memory_equal(a, b, bytes);
    free(a);
    free(b);
}

static void what_was_accepted_is_taken(void **state)
{
    (void)state;
    int (*const judges[])(void *, const det_model *) = {save_until_the_third,
                                                        save_until_layers_go_back};
    char folder[256], candidate[300], taken[300];
    test_make_directory(folder, "quantisation_accept");
    snprintf(candidate, sizeof candidate, "%s/candidate.det", folder);
    snprintf(taken, sizeof taken, "%s/taken.det", folder);
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        static struct judge j;
        start(&j);
        j.file = candidate;
        j.settings.accept = judges[i];
        assert_context_ok(j.run.context, quantise(&j));
        assert_context_ok(j.run.context, det_model_save(j.run.context, j.run.quantised, taken));
        assert_equal_files(taken, candidate);
        assert_true(j.tries >= 3);
        stop(&j);
    }
    test_remove_tree(folder);
}

static int stop_at_the_second(void *user, const det_model *candidate)
{
    struct judge *j = user;
    assert_non_null(candidate);
    return ++j->tries < 2 ? 0 : -1;
}

static int refuse_and_interrupt(void *user, const det_model *candidate)
{
    struct judge *j = user;
    assert_non_null(candidate);
    j->tries++;
    j->interrupted = true;
    return 0;
}

static int is_interrupted(void *user, int64_t done, int64_t total)
{
    const struct judge *j = user;
    assert_true(done <= total);
    return j->interrupted;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    static struct judge j;
    start(&j);
    j.settings.accept = stop_at_the_second;
    assert_context_fails(j.run.context, DET_STATUS_CANCELLED, "stopped", quantise(&j));
    assert_int_equal(j.tries, 2);
    assert_null(j.run.quantised);
    j.tries = 0;
    j.settings.accept = refuse_and_interrupt;
    j.settings.progress = is_interrupted;
    j.settings.progress_user = &j;
    assert_context_fails(j.run.context, DET_STATUS_CANCELLED, "stopped", quantise(&j));
    assert_int_equal(j.tries, 1);
    assert_null(j.run.quantised);
    j.tries = 0;
    stop(&j);
}

static int refuse_calibrations(void *user, const det_model *candidate)
{
    struct judge *j = user;
    const bool good = !is_first(j, candidate);
    if (j->tries++ == 0)
        test_env_fail_at(&j->run.t, j->fail_at);
    return good;
}

static void memory_may_run_out(void **state)
{
    (void)state;
    static struct judge j;
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    int failures = 0;
    start(&j);
    j.settings.accept = refuse_calibrations;
    j.settings.images = 1;
    for (long n = 1; status != DET_OK; n += 2 * n) {
        j.fail_at = n;
        j.tries = 0;
        status = quantise(&j);
        test_env_fail_at(&j.run.t, 0);
        assert_true(status == DET_OK || status == DET_STATUS_OUT_OF_MEMORY);
        assert_true((status == DET_OK) == (j.run.quantised != NULL));
        failures += status != DET_OK;
    }
    assert_true(failures > 5 && j.tries > 2);
    j.tries = 0;
    stop(&j);
}

int test_quantisation_accept(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_calibrations_come_first),
        cmocka_unit_test(equal_ones_are_shown_once),
        cmocka_unit_test(far_ones_are_left_out),
        cmocka_unit_test(a_calibration_is_what_its_name_makes),
        cmocka_unit_test(what_was_asked_for_is_kept),
        cmocka_unit_test(the_worst_layers_go_back_first),
        cmocka_unit_test(a_quarter_of_the_work_is_the_most),
        cmocka_unit_test(all_in_8_bits_stays_so),
        cmocka_unit_test(what_was_accepted_is_taken),
        cmocka_unit_test(it_can_be_stopped),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests_name("quantisation_accept", tests, NULL, NULL);
}
