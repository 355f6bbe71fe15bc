/* Everything that the library reads and writes is the same in a host program's locale as in "C". */
#include <locale.h>
#include <math.h>

#include "detect/results.h"
#include "monitor/chart.h"
#include "support/locales.h"
#include "support/number.h"
#include "support/text.h"
#include "support/workspace.h"

struct outcome {
    char *detections, *results, *coco, *table, *model, *rate, *numbers;
};

static char *keep(const char *text)
{
    char *copy = strdup(text);
    assert_non_null(copy);
    return copy;
}

static void drop(struct outcome *o)
{
    char *const texts[] = {o->detections, o->results, o->coco,   o->table,
                           o->model,      o->rate,    o->numbers};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
}

static void evaluate(det_context *context, const char *path, struct outcome *o)
{
    static const double truth[4] = {1.5, 2.25, 30.5, 40.125};
    const det_coco_result *result = NULL;
    const char *text = NULL;
    det_coco_evaluator *e = NULL;
    assert_context_ok(context, det_coco_evaluator_create(context, NULL, &e));
    assert_context_ok(context, det_coco_evaluator_add_category(e, 1, "a"));
    assert_context_ok(context, det_coco_evaluator_add_image(e, 1));
    assert_context_ok(context,
                      det_coco_evaluator_add_ground_truth(e, 1, 1, truth, (double)NAN, 0, 0));
    assert_context_ok(context, det_coco_evaluator_add_detection(e, 1, 1, truth, .7512345678));
    assert_context_ok(context, det_coco_evaluator_save_detections(e, path));
    assert_context_ok(context, det_coco_evaluator_load_detections(e, path));
    o->results = test_read_text(path);
    assert_context_ok(context, det_coco_evaluator_compute(e, &result));
    assert_context_ok(context, det_coco_evaluator_table(e, &text));
    o->table = keep(text);
    assert_context_ok(context, det_coco_evaluator_json(e, 0, &text));
    o->coco = keep(text);
    det_coco_evaluator_destroy(&e);
}

/* Every way in and out that has numbers as text. */
static void do_everything(const struct workspace *w, struct outcome *o)
{
    det_context *context = NULL;
    det_model *model = NULL, *again = NULL;
    det_pipeline_config *config = NULL;
    char path[400], number[64], *json = NULL;
    const det_detection found = {1, .123456789f, .1f, .25f, .3333333f, .987654321f};
    assert_int_equal(det_context_create(&context, NULL), DET_OK);
    assert_context_ok(context, det_pipeline_config_load(context, w->config, &config));
    snprintf(number, sizeof number, "%d",
             (int)(det_pipeline_config_learning_rate(config) * 1e6f + .5f));
    o->rate = keep(number);
    assert_context_ok(context, det_model_load(context, "data/vehicles.det", &model));
    snprintf(path, sizeof path, "%s/again.det", w->directory);
    assert_context_ok(context, det_model_export(context, model, path));
    assert_context_ok(context, det_model_load(context, path, &again));
    size_t bytes = 0;
    char *file = test_read_bytes(path, &bytes);
    o->model = keep(strstr(file + 64, "\"spec\""));
    free(file);
    assert_context_ok(context,
                      det_detections_to_json(context, model, "a.jpg", 640, 480, &found, 1, &json));
    o->detections = keep(json);
    det_json_destroy(context, &json);
    snprintf(path, sizeof path, "%s/results.json", w->directory);
    evaluate(context, path, o);
    char numbers[600] = "";
    static const double values[] = {0.1, -1234.5678, 1e-7, 12345678.9, 0};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char a[32], b[32], c[64], d[32];
        const size_t used = strlen(numbers);
        snprintf(numbers + used, sizeof numbers - used, "%s %s %s %s\n",
                 det_format_double(a, values[i]), det_format_float(b, (float)values[i]),
                 det_fixed_text(c, values[i], 3), det_chart_number(d, values[i]));
    }
    o->numbers = keep(numbers);
    det_model_destroy(&again);
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
}

static void compare(enum test_separator separator)
{
    struct workspace w;
    struct outcome plain, other;
    workspace_make(&w, "locale");
    do_everything(&w, &plain);
    assert_contains(plain.detections, "\"score\":0.12345679");
    assert_contains(plain.results, "0.7512345678");
    if (test_set_locale(separator, w.directory)) {
        char text[32];
        snprintf(text, sizeof text, "%.1f", 1.5);
        assert_string_not_equal(text, "1.5");
        do_everything(&w, &other);
        test_restore_locale();
        assert_string_equal(other.detections, plain.detections);
        assert_string_equal(other.results, plain.results);
        assert_string_equal(other.coco, plain.coco);
        assert_string_equal(other.table, plain.table);
        assert_string_equal(other.model, plain.model);
        assert_string_equal(other.rate, plain.rate);
        assert_string_equal(other.numbers, plain.numbers);
        drop(&other);
    }
    drop(&plain);
    workspace_remove(&w);
}

static void a_comma(void **state)
{
    (void)state;
    compare(TEST_COMMA);
}

static void a_separator_of_two_bytes(void **state)
{
    (void)state;
    compare(TEST_TWO_BYTES);
}

int test_locale(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_comma),
        cmocka_unit_test(a_separator_of_two_bytes),
    };
    return cmocka_run_group_tests_name("locale", tests, NULL, NULL);
}
