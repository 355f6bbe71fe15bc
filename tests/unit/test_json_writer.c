/* base/json_writer: whatever is written, another parser reads it, and finds what was meant. */
#include <math.h>

#include "support/json_writer.h"
#include "support/locales.h"
#include "support/parsed.h"

static void layout_is_as_asked(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    struct det_json_writer json;
    const double numbers[] = {1, .5};
    test_env_init(&t);
    for (int style = DET_JSON_SPACED; style <= DET_JSON_COMPACT; style++) {
        text.length = 0;
        det_json_begin(&json, &t.env, &text, (enum det_json_style)style);
        det_json_open_object(&json, NULL);
        det_json_put_string(&json, "s", "x");
        det_json_put_int(&json, "i", INT64_MIN);
        det_json_put_size(&json, "u", SIZE_MAX);
        det_json_line(&json, 2);
        det_json_put_doubles(&json, "d", numbers, 2);
        det_json_open_list(&json, "empty");
        det_json_close_list(&json);
        det_json_open_object(&json, "o");
        det_json_line(&json, 1);
        det_json_put_bool(&json, "yes", true);
        det_json_line(&json, 0);
        det_json_close_object(&json);
        det_json_put_made(&json, "made", "[ ]");
        det_json_put_string(&json, "none", NULL);
        det_json_close_object(&json);
        det_json_line(&json, 0);
        assert_ok(&t.env, det_json_end(&json));
        assert_string_equal(
            text.data,
            style == DET_JSON_SPACED
                ? "{\"s\": \"x\", \"i\": -9223372036854775808, \"u\": 18446744073709551615,\n"
                  "  \"d\": [1, 0.5], \"empty\": [], \"o\": {\n \"yes\": true\n}, \"made\": [ ], "
                  "\"none\": null}\n"
                : "{\"s\":\"x\",\"i\":-9223372036854775808,\"u\":18446744073709551615,\n"
                  "  \"d\":[1,0.5],\"empty\":[],\"o\":{\n \"yes\":true\n},\"made\":[ ],"
                  "\"none\":null}\n");
        cJSON_Delete(parsed_json(text.data, "layout"));
    }
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

/* What is there may be taken away at any time: the document goes on. */
static void a_document_in_pieces(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0}, all = {0};
    struct det_json_writer json;
    test_env_init(&t);
    det_json_begin(&json, &t.env, &text, DET_JSON_COMPACT);
    det_json_open_list(&json, NULL);
    for (int i = 0; i < 3; i++) {
        det_json_line(&json, 0);
        det_json_put_int(&json, NULL, i);
        assert_ok(&t.env, det_text_append(&t.env, &all, text.data, text.length));
        text.length = 0;
    }
    det_json_close_list(&json);
    assert_ok(&t.env, det_json_end(&json));
    assert_ok(&t.env, det_text_append(&t.env, &all, text.data, text.length));
    assert_string_equal(all.data, "[\n0,\n1,\n2]");
    det_text_free(&t.env, &text);
    det_text_free(&t.env, &all);
    test_env_check(&t);
}

static void any_string_is_read_back(void **state)
{
    (void)state;
    static const struct {
        const char *given, *read;
    } cases[] = {
        {"", ""},
        {"a\"b\\c/d", "a\"b\\c/d"},
        {"\x01\b\t\n\r\x1b[31m\x1f\x7f", "\x01\b\t\n\r\x1b[31m\x1f\x7f"},
        {"\xc3\xa9\xf0\x9f\x9a\x97\xe2\x80\xa8\xef\xbf\xbf",
         "\xc3\xa9\xf0\x9f\x9a\x97\xe2\x80\xa8\xef\xbf\xbf"},
        {"caf\xe9", "caf%E9"},
        {"\xff\xc3", "%FF%C3"},
        {"\xed\xa0\x80", "%ED%A0%80"}, /* half a surrogate pair */
        {"\xc0\xaf", "%C0%AF"},        /* overlong */
        {"</script>", "</script>"},
        {"%s%n\\u0000", "%s%n\\u0000"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_text text = {0};
        struct det_json_writer json;
        det_json_begin(&json, &t.env, &text, DET_JSON_COMPACT);
        det_json_open_object(&json, NULL);
        det_json_put_string(&json, "value", cases[i].given);
        det_json_put_int(&json, cases[i].given, 7);
        det_json_close_object(&json);
        assert_ok(&t.env, det_json_end(&json));
        cJSON *read = parsed_json(text.data, cases[i].read);
        assert_string_equal(parsed_string(read, "value"), cases[i].read);
        assert_string_equal(read->child->next->string, cases[i].read);
        cJSON_Delete(read);
        det_text_free(&t.env, &text);
    }
    test_env_check(&t);
}

static void write_numbers(struct det_env *env, struct det_text *text)
{
    static const double values[] = {
        0,        -0.0,      .1,          1e300,     5e-324, 1.0 / 3, 123456789012345678.,
        HUGE_VAL, -HUGE_VAL, (double)NAN, -1234.5678};
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_list(&json, NULL);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        det_json_put_double(&json, NULL, values[i]);
        det_json_put_float(&json, NULL, (float)values[i]);
        det_json_put_fixed(&json, NULL, values[i], 3);
    }
    det_json_close_list(&json);
    assert_ok(env, det_json_end(&json));
    cJSON *read = parsed_json(text->data, "numbers");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const cJSON *exact = cJSON_GetArrayItem(read, (int)(3 * i)), *single = exact->next,
                    *fixed = single->next;
        assert_int_equal(cJSON_IsNull(exact), !isfinite(values[i]));
        assert_int_equal(cJSON_IsNull(single), !isfinite((float)values[i]));
        assert_int_equal(cJSON_IsNull(fixed), !isfinite(values[i]));
        if (cJSON_IsNumber(exact))
            assert_true(exact->valuedouble == values[i]);
        if (cJSON_IsNumber(single))
            assert_true((float)single->valuedouble == (float)values[i]);
        if (cJSON_IsNumber(fixed))
            assert_near(fixed->valuedouble, values[i], fabs(values[i]) * 1e-15 + .0005);
    }
    cJSON_Delete(read);
}

static void numbers_are_exact_in_any_locale(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text plain = {0}, other = {0};
    char folder[256];
    test_env_init(&t);
    test_make_directory(folder, "json_locale");
    write_numbers(&t.env, &plain);
    assert_contains(plain.data, "0.1,0.1,0.100,");
    assert_contains(plain.data, "null,null,null");
    if (test_set_locale(TEST_COMMA, folder)) {
        write_numbers(&t.env, &other);
        test_restore_locale();
        assert_string_equal(other.data, plain.data);
    }
    test_remove_tree(folder);
    det_text_free(&t.env, &plain);
    det_text_free(&t.env, &other);
    test_env_check(&t);
}

static det_status write_some(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_text text = {0};
    struct det_json_writer json;
    det_json_begin(&json, env, &text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    for (int i = 0; i < 50; i++)
        det_json_put_string(&json, "a key", "and a \"value\" that needs room");
    det_json_close_object(&json);
    const det_status status = det_json_end(&json);
    det_text_free(env, &text);
    return status;
}

static void a_failure_is_kept(void **state)
{
    (void)state;
    test_each_allocation_fails(write_some, NULL);
}

/* What was a float is as short as one; other doubles keep all they have. */
static void values_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{(double)0.7F, "0.7"},
                 {0.7, "0.7"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1, "1"},
                 {-0.25, "-0.25"},
                 {(double)1e-7F, "1e-07"},
                 {1e300, "1e+300"},
                 {16777217, "16777217"},
                 {NAN, "null"},
                 {-INFINITY, "null"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char buffer[32];
        assert_string_equal(det_format_value(buffer, cases[i].value), cases[i].text);
        if (isfinite(cases[i].value))
            assert_true((float)strtod(buffer, NULL) == (float)cases[i].value);
    }
}

int test_json_writer(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_as_asked),
        cmocka_unit_test(values_are_short),
        cmocka_unit_test(a_document_in_pieces),
        cmocka_unit_test(any_string_is_read_back),
        cmocka_unit_test(numbers_are_exact_in_any_locale),
        cmocka_unit_test(a_failure_is_kept),
    };
    return cmocka_run_group_tests_name("json_writer", tests, NULL, NULL);
}
