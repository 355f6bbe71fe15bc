/* Detections as JSON and as labels. */
#include <cjson/cJSON.h>
#include <locale.h>
#include <math.h>

#include "base/context.h"
#include "detect/results.h"
#include "model/model.h"
#include "support/test.h"

struct fixture {
    struct test_env t;
    det_context context;
    det_model *model;
};

static void make(struct fixture *f)
{
    static const char *const names[2] = {"car", "\"odd\\ name\n\xC3\xA9"};
    *f = (struct fixture){0};
    test_env_init(&f->t);
    f->context.env = f->t.env;
    struct det_model_spec spec;
    det_model_spec_default(&spec, 64, 2);
    assert_ok(&f->context.env, det_model_create(&f->context.env, &spec, true, names, &f->model));
}

static void drop(struct fixture *f)
{
    det_model_destroy(&f->model);
    test_env_check(&f->t);
}

static void exact_text(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const det_detection list[2] = {{1, 0.87f, 0.25f, 0.5f, 0.75f, 1},
                                   {2, 0.5f, 0, 0.1f, 0.125f, 0.2f}};
    char *json = NULL;
    assert_ok(&f.context.env, det_detections_to_json(&f.context, f.model, "dir/a \"b\".jpg", 640,
                                                     480, list, 2, &json));
    assert_string_equal(
        json, "{\"image\":\"dir/a \\\"b\\\".jpg\",\"width\":640,\"height\":480,\"detections\":["
              "{\"class_id\":1,\"class\":\"car\",\"score\":0.87,\"box_px\":[120,320,360,640],"
              "\"box\":[0.25,0.5,0.75,1]},"
              "{\"class_id\":2,\"class\":\"\\\"odd\\\\ name\\u000a\xC3\xA9\",\"score\":0.5,"
              "\"box_px\":[0,64,60,128],\"box\":[0,0.1,0.125,0.2]}]}");
    assert_null(strchr(json, '\n'));
    det_json_destroy(&f.context, &json);
    assert_null(json);
    det_json_destroy(&f.context, &json);
    assert_ok(&f.context.env, det_detections_to_json(&f.context, NULL, "", 1, 1, NULL, 0, &json));
    assert_string_equal(json, "{\"image\":\"\",\"width\":1,\"height\":1,\"detections\":[]}");
    det_json_destroy(&f.context, &json);
    drop(&f);
}

static void every_byte_of_a_name(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    char name[512], *json = NULL;
    for (int byte = 1; byte < 256; byte++) {
        snprintf(name, sizeof name, "a%cb", byte);
        assert_ok(&f.context.env,
                  det_detections_to_json(&f.context, f.model, name, 1, 1, NULL, 0, &json));
        cJSON *root = cJSON_Parse(json);
        assert_non_null(root);
        const char *image = cJSON_GetStringValue(cJSON_GetObjectItem(root, "image"));
        char wanted[16];
        snprintf(wanted, sizeof wanted, byte < 0x80 ? "a%cb" : "a%%%02Xb", byte);
        assert_string_equal(image, wanted);
        cJSON_Delete(root);
        det_json_destroy(&f.context, &json);
    }
    static const struct {
        const char *name, *wanted;
    } cases[] = {
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\x97", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\x97"},
        {"\xC3", "%C3"},               /* cut off */
        {"\xC0\x80", "%C0%80"},        /* overlong */
        {"\xED\xA0\x80", "%ED%A0%80"}, /* surrogate */
        {"\xE2\x82", "%E2%82"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(&f.context.env,
                  det_detections_to_json(&f.context, NULL, cases[i].name, 1, 1, NULL, 0, &json));
        cJSON *root = cJSON_Parse(json);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(root, "image")),
                            cases[i].wanted);
        cJSON_Delete(root);
        det_json_destroy(&f.context, &json);
    }
    drop(&f);
}

static void floats_read_back(void **state)
{
    (void)state;
    char buffer[32];
    uint32_t bits = 12345;
    for (int i = 0; i < 200000; i++) {
        bits = bits * 1664525u + 1013904223u;
        float value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        det_format_float(buffer, value);
        if (!(strtof(buffer, NULL) == value))
            fail_msg("%a became %s", (double)value, buffer);
    }
    assert_string_equal(det_format_float(buffer, 0.1f), "0.1");
    assert_string_equal(det_format_float(buffer, 1e-8f), "1e-08");
    assert_string_equal(det_format_float(buffer, 16777216.0f), "16777216");
    assert_string_equal(det_format_float(buffer, -0.0f), "-0");
}

static void a_decimal_comma_changes_nothing(void **state)
{
    (void)state;
    char old[64];
    snprintf(old, sizeof old, "%s", setlocale(LC_NUMERIC, NULL));
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "de_DE@euro"};
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !found; i++)
        found = setlocale(LC_NUMERIC, names[i]) != NULL;
    char buffer[32];
    det_format_float(buffer, 0.87f);
    setlocale(LC_NUMERIC, old);
    if (!found)
        print_message("no locale with a decimal comma is installed here\n");
    assert_string_equal(buffer, "0.87");
}

static void what_is_no_number_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int field = 0; field < 5; field++)
        for (int i = 0; i < 3; i++) {
            det_detection list[2] = {{1, 1, 0, 0, 1, 1}, {1, 1, 0, 0, 1, 1}};
            float *const fields[5] = {&list[1].score, &list[1].ymin, &list[1].xmin, &list[1].ymax,
                                      &list[1].xmax};
            *fields[field] = bad[i];
            char *json = (char *)list;
            assert_fails(
                &f.context.env, DET_STATUS_NON_FINITE, "x.png: detection 1",
                det_detections_to_json(&f.context, f.model, "x.png", 1, 1, list, 2, &json));
            assert_null(json);
        }
    const det_detection large = {1, 1, 0, 0, 3e38f, 1};
    char *json = (char *)&large;
    assert_fails(&f.context.env, DET_STATUS_NON_FINITE, "x.png: detection 0",
                 det_detections_to_json(&f.context, f.model, "x.png", 1, 2, &large, 1, &json));
    assert_null(json);
    assert_fails(&f.context.env, DET_STATUS_INVALID_ARGUMENT, "NULL",
                 det_detections_to_json(&f.context, f.model, NULL, 1, 1, NULL, 0, &json));
    assert_fails(&f.context.env, DET_STATUS_INVALID_ARGUMENT, "NULL",
                 det_detections_to_json(&f.context, f.model, "a", 1, 1, NULL, 1, &json));
    assert_int_equal(det_detections_to_json(NULL, f.model, "a", 1, 1, NULL, 0, &json),
                     DET_STATUS_INVALID_ARGUMENT);
    drop(&f);
}

static void labels(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    const struct {
        det_detection detection;
        const char *wanted;
    } cases[] = {
        {{.class_id = 1, .score = 0.87f}, "car 87%"},
        {{.class_id = 1, .score = 1}, "car 100%"},
        {{.class_id = 1, .score = 0}, "car 0%"},
        {{.class_id = 3, .score = 0.005f}, "class 3 1%"},
        {{.class_id = 1, .score = NAN}, "car"},
        {{.class_id = -1, .score = 2}, "class -1"},
    };
    char buffer[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(
            det_detection_label(f.model, &cases[i].detection, buffer, sizeof buffer),
            cases[i].wanted);
    }
    const det_detection odd = {.class_id = 2, .score = 0.5f};
    det_detection_label(f.model, &odd, buffer, 17); /* in the middle of the last character */
    assert_string_equal(buffer, "\"odd\\ name\n 50%");
    det_detection_label(f.model, &odd, buffer, 18);
    assert_string_equal(buffer, "\"odd\\ name\n\xC3\xA9 50%");
    assert_string_equal(det_detection_label(f.model, &odd, buffer, 3), " 5");
    assert_string_equal(det_detection_label(f.model, &odd, buffer, 1), "");
    drop(&f);
}

/* --- documents --- */

static const det_detection found[2] = {{1, 0.87f, 0.25f, 0.5f, 0.75f, 1},
                                       {3, 0.5f, 0, 0.1f, 0.125f, 0.2f}};

static det_results_frame frame_of(const char *name, int32_t of_video)
{
    return (det_results_frame){.struct_size = sizeof(det_results_frame),
                               .name = name,
                               .number = 3,
                               .time_s = .12,
                               .width = 640,
                               .height = 480,
                               .of_video = of_video};
}

static void each_format(void **state)
{
    (void)state;
    static const int64_t ids[] = {7, 0};
    struct fixture f;
    det_results *results = NULL;
    const char *text = NULL;
    make(&f);
    struct det_env *env = &f.context.env;
    det_results_frame frame = frame_of("a <b>.mp4", 1);
    frame.track_ids = ids;
    assert_ok(env, det_results_create(&f.context, f.model, &results));
    assert_ok(env, det_results_head(results, DET_RESULTS_JSON, &text));
    assert_string_equal(text, "");
    assert_ok(env, det_results_text(results, DET_RESULTS_JSON, &frame, found, 2, &text));
    assert_string_equal(
        text, "{\"video\":\"a <b>.mp4\",\"frame\":3,\"time_s\":0.12,\"width\":640,\"height\":480,"
              "\"detections\":[{\"track_id\":7,\"class_id\":1,\"class\":\"car\",\"score\":0.87,"
              "\"box_px\":[120,320,360,640],\"box\":[0.25,0.5,0.75,1]},"
              "{\"class_id\":3,\"class\":\"class 3\",\"score\":0.5,\"box_px\":[0,64,60,128],"
              "\"box\":[0,0.1,0.125,0.2]}]}\n");
    assert_ok(env, det_results_tail(results, DET_RESULTS_YOLO, &text));
    assert_string_equal(text, "");
    frame.name = NULL; /* not needed for it */
    assert_ok(env, det_results_text(results, DET_RESULTS_YOLO, &frame, found, 2, &text));
    assert_string_equal(text, "0 0.75 0.5 0.5 0.5\n2 0.15 0.0625 0.1 0.125\n");
    assert_ok(env, det_results_text(results, DET_RESULTS_YOLO, &frame, NULL, 0, &text));
    assert_string_equal(text, "");
    frame.name = "a <b>.mp4";
    for (int document = 0; document < 2; document++) {
        assert_ok(env, det_results_head(results, DET_RESULTS_CVAT, &text));
        assert_contains(text, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>");
        assert_contains(text, "<name>car</name>");
        assert_ok(env, det_results_text(results, DET_RESULTS_CVAT, &frame, found, 2, &text));
        assert_contains(text, "<image id=\"3\" name=\"a &lt;b&gt;.mp4\" width=\"640\"");
        assert_contains(text, "label=\"class 3\"");
        assert_contains(text, "xtl=\"320\" ytl=\"120\" xbr=\"640\" ybr=\"360\"");
        assert_ok(env, det_results_tail(results, DET_RESULTS_CVAT, &text));
        assert_string_equal(text, "</annotations>\n");
    }
    det_results_destroy(&results);
    drop(&f);
}

static void what_is_no_document(void **state)
{
    (void)state;
    struct fixture f;
    det_results *results = NULL;
    const char *text = "x";
    make(&f);
    struct det_env *env = &f.context.env;
    det_results_frame frame = frame_of("a.jpg", 0);
    det_detection bad = found[0];
    bad.xmax = NAN;
    assert_ok(env, det_results_create(&f.context, NULL, &results));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "begins with its head",
                 det_results_text(results, DET_RESULTS_CVAT, &frame, found, 1, &text));
    assert_null(text);
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "begins with its head",
                 det_results_tail(results, DET_RESULTS_CVAT, &text));
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "format is 3",
                 det_results_head(results, (det_results_format)3, &text));
    assert_ok(env, det_results_head(results, DET_RESULTS_CVAT, &text));
    for (int format = DET_RESULTS_JSON; format <= DET_RESULTS_YOLO; format++)
        assert_fails(env, DET_STATUS_NON_FINITE, "a.jpg: detection 0",
                     det_results_text(results, (det_results_format)format, &frame, &bad, 1, &text));
    frame.name = NULL;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "name is NULL",
                 det_results_text(results, DET_RESULTS_JSON, &frame, found, 1, &text));
    frame = frame_of("a.jpg", 0);
    frame.width = -1;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "-1 x 480",
                 det_results_text(results, DET_RESULTS_JSON, &frame, found, 1, &text));
    frame = frame_of("a.jpg", 0);
    frame.reserved = 1;
    assert_fails(env, DET_STATUS_INVALID_ARGUMENT, "reserved",
                 det_results_text(results, DET_RESULTS_JSON, &frame, found, 1, &text));
    det_results_destroy(&results);
    drop(&f);
}

static det_status make_documents(struct det_env *env, void *argument)
{
    det_context context = {.env = *env};
    det_results *results = NULL;
    const char *text = NULL;
    const det_results_frame frame = frame_of("a.jpg", 0);
    det_status status = det_results_create(&context, argument, &results);
    for (int format = DET_RESULTS_JSON; format <= DET_RESULTS_YOLO && status == DET_OK; format++) {
        const det_results_format kind = (det_results_format)format;
        status = det_results_head(results, kind, &text);
        if (status == DET_OK)
            status = det_results_text(results, kind, &frame, found, 2, &text);
        if (status == DET_OK)
            status = det_results_tail(results, kind, &text);
    }
    det_results_destroy(&results);
    det_env_adopt_error(env, &context.env);
    return status;
}

static void each_allocation_of_documents_fails(void **state)
{
    (void)state;
    struct fixture f;
    make(&f);
    test_each_allocation_fails(make_documents, f.model);
    drop(&f);
}

int test_results(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_text),
        cmocka_unit_test(every_byte_of_a_name),
        cmocka_unit_test(floats_read_back),
        cmocka_unit_test(a_decimal_comma_changes_nothing),
        cmocka_unit_test(what_is_no_number_is_an_error),
        cmocka_unit_test(labels),
        cmocka_unit_test(each_format),
        cmocka_unit_test(what_is_no_document),
        cmocka_unit_test(each_allocation_of_documents_fails),
    };
    return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
