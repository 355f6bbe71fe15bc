/* COCO evaluation against pycocotools 2.0.11: tests/golden/coco_eval/. */
#include <cjson/cJSON.h>

#include "base/pool.h"
#include "eval/coco_report.h"
#include "support/test.h"

static const char *const cases[] = {"mixed", "ties", "over100", "one_class"};

struct loaded {
    struct det_coco_eval *eval;
    cJSON *expected;
};

static const char *golden(char buffer[256], const char *name, const char *suffix)
{
    char file[128];
    snprintf(file, sizeof file, "coco_eval/%s.%s.json", name, suffix);
    return test_golden(buffer, file);
}

static void load(struct test_env *t, const char *name, struct loaded *c)
{
    char path[256];
    struct det_coco_dataset dataset;
    struct det_coco_detection_list list;
    assert_ok(&t->env, det_coco_eval_create(&t->env, NULL, &c->eval));
    golden(path, name, "gt");
    assert_ok(&t->env, det_coco_json_read_dataset(&t->env, path, &dataset));
    assert_ok(&t->env, det_coco_eval_add_dataset(&t->env, c->eval, path, &dataset));
    det_coco_dataset_free(&t->env, &dataset);
    golden(path, name, "dt");
    assert_ok(&t->env, det_coco_json_read_detections(&t->env, path, NULL, &list));
    assert_ok(&t->env, det_coco_eval_add_detections(&t->env, c->eval, path, &list));
    det_coco_detection_list_free(&t->env, &list);
    char *text = test_read_text(golden(path, name, "expected"));
    c->expected = cJSON_Parse(text);
    assert_non_null(c->expected);
    free(text);
}

static double number(const cJSON *list, int index)
{
    const cJSON *item = cJSON_GetArrayItem(list, index);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void check_classes(const cJSON *expected, const det_coco_result *result)
{
    const cJSON *classes = cJSON_GetObjectItem(expected, "per_class_ap_ap50");
    assert_int_equal(cJSON_GetArraySize(classes), result->class_count);
    for (int32_t k = 0; k < result->class_count; k++) {
        char id[32];
        snprintf(id, sizeof id, "%lld", (long long)result->classes[k]->id);
        const cJSON *pair = cJSON_GetObjectItem(classes, id);
        assert_near(result->classes[k]->stats[DET_COCO_AP], number(pair, 0), 1e-9);
        assert_near(result->classes[k]->stats[DET_COCO_AP50], number(pair, 1), 1e-9);
    }
}

static void figures_are_those_of_pycocotools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_env t;
        struct loaded c;
        struct det_pool *pool = NULL;
        const det_coco_result *result = NULL;
        test_env_init(&t);
        load(&t, cases[i], &c);
        assert_ok(&t.env, det_pool_create(&t.env, 2, &pool));
        assert_ok(&t.env, det_coco_eval_compute(&t.env, c.eval, pool, &result));
        const cJSON *stats = cJSON_GetObjectItem(c.expected, "stats");
        for (int s = 0; s < DET_COCO_STAT_COUNT; s++)
            assert_near(result->stats[s], number(stats, s), 1e-9);
        check_classes(c.expected, result);
        struct det_text text = {0};
        assert_ok(&t.env, det_coco_report_table(&t.env, c.eval, &text));
        assert_string_equal(text.data, cJSON_GetObjectItem(c.expected, "table")->valuestring);
        det_text_free(&t.env, &text);
        cJSON_Delete(c.expected);
        det_coco_eval_destroy(&t.env, &c.eval);
        det_pool_destroy(&t.env, &pool);
        test_env_check(&t);
    }
}

int test_coco_goldens(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_pycocotools),
    };
    return cmocka_run_group_tests_name("coco_goldens", tests, NULL, NULL);
}
