/* prototext: protobuf text format to a tree. */
#include <locale.h>
#include <math.h>

#include "formats/prototext.h"
#include "support/test.h"

static det_status parse(struct test_env *t, const char *text, struct det_prototext *document)
{
    return det_prototext_parse(&t->env, "f", text, strlen(text), document);
}

static void values_and_positions(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_prototext d;
    assert_ok(&t.env, parse(&t,
                            "\xef\xbb\xbf# comment { \" \r\n"
                            "a: -0x1f; b: 017, c: 1.5e3f\n"
                            "m { s: 'it''s' \"\\n\\x41\\101\\u00e9\" # joined\n 'end' }\n"
                            "m: < w: FAST l: [1, 2,3] e: [] > n [{x: 1}, {x: 2}]\n"
                            "[a.b.c]: true i: - inf z: \"a\\0b\"",
                            &d));
    int64_t number = 0;
    float real = 0;
    bool flag = false;
    const char *text = NULL;
    const struct det_prototext_field *a = det_prototext_find(&d.root, "a");
    assert_int_equal(a->position.line, 2);
    assert_int_equal(a->position.column, 1);
    assert_int_equal(a->value_position.column, 4);
    assert_ok(&t.env, det_prototext_int(&t.env, &d, a, -100, 100, &number));
    assert_int_equal(number, -31);
    assert_ok(&t.env,
              det_prototext_int(&t.env, &d, det_prototext_find(&d.root, "b"), 0, 100, &number));
    assert_int_equal(number, 15);
    const struct det_prototext_field *c = det_prototext_find(&d.root, "c");
    assert_ok(&t.env, det_prototext_float(&t.env, &d, c, &real));
    assert_near(real, 1500, 0);
    assert_fails(&t.env, DET_STATUS_PARSE,
                 "f:2:22: field `c`: found `1.5e3f`, expected a whole number from 0 to 9",
                 det_prototext_int(&t.env, &d, c, 0, 9, &number));
    const struct det_prototext_field *m = det_prototext_find(&d.root, "m");
    assert_ok(&t.env, det_prototext_string(&t.env, &d, m->first, &text));
    assert_string_equal(text, "its\nAA\xc3\xa9"
                              "end");
    assert_int_equal(m->next->position.line, 5);
    const struct det_prototext_field *l = det_prototext_find(m->next, "l");
    assert_string_equal(l->next->next->text, "3");
    assert_null(l->next->next->next);
    assert_string_equal(det_prototext_find(&d.root, "n")->next->first->text, "2");
    assert_ok(&t.env,
              det_prototext_bool(&t.env, &d, det_prototext_find(&d.root, "[a.b.c]"), &flag));
    assert_true(flag);
    assert_ok(&t.env, det_prototext_float(&t.env, &d, det_prototext_find(&d.root, "i"), &real));
    assert_true(isinf(real) && real < 0);
    assert_fails(&t.env, DET_STATUS_PARSE, "without a zero byte",
                 det_prototext_string(&t.env, &d, det_prototext_find(&d.root, "z"), &text));
    assert_fails(&t.env, DET_STATUS_PARSE, "f:3:3: field `m`: found a message, expected a number",
                 det_prototext_float(&t.env, &d, m, &real));
    assert_fails(&t.env, DET_STATUS_PARSE, "field `w`: found `FAST`, expected true or false",
                 det_prototext_bool(&t.env, &d, m->next->first, &flag));
    assert_null(det_prototext_find(a, "x"));
    det_prototext_free(&t.env, &d);
    assert_ok(&t.env, parse(&t, "", &d));
    assert_null(d.root.first);
    det_prototext_free(&t.env, &d);
    test_env_check(&t);
}

/* As Python's text_format reads them (checked with protobuf 4.25.3), but for \x, \u and \U without
 * their digits, which it refuses. */
static void strings_with_backslashes(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"annotations\\label_map.pbtxt", "annotations\\label_map.pbtxt"},
        {"annotations\\\\train", "annotations\\train"},
        {"annotations\\train", "annotations\train"},
        {"a\\q\\8\\?", "a\\q\\8?"},
        {"C:\\Users\\me\\x", "C:\\Users\\me\\x"},
        {"\\101\\x42\\u0043", "ABC"},
        {"\\777", "\\777"},
        {"\\U00110000", "\\U00110000"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_prototext d;
        char text[100];
        const char *read = NULL;
        snprintf(text, sizeof text, "a: \"%s\"", cases[i][0]);
        assert_ok(&t.env, parse(&t, text, &d));
        assert_ok(&t.env, det_prototext_string(&t.env, &d, d.root.first, &read));
        assert_string_equal(read, cases[i][1]);
        det_prototext_free(&t.env, &d);
    }
    test_env_check(&t);
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "0.07999999821186066",
                                        "3.9999998989515007e-05",
                                        "9.99999993922529e-09",
                                        "-4.599999904632568",
                                        "1e22",
                                        "1.7976931348623157e308",
                                        "123456789012345678901234567890",
                                        "4.9e-30",
                                        ".5",
                                        "5.",
                                        "0.0001"};
    setlocale(LC_ALL, "C");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double value = 0;
        assert_true(det_parse_double(texts[i], &value));
        const double wanted = strtod(texts[i], NULL);
        assert_near(value, wanted, fabs(wanted) * 2.3e-16);
        assert_true((float)value == (float)wanted);
    }
    double value = 0;
    assert_true(det_parse_double("1e999", &value) && isinf(value));
    assert_true(det_parse_double("1e-999", &value) && value == 0);
    assert_true(det_parse_double("nan", &value) && isnan(value));
    assert_true(det_parse_double("Infinity", &value) && isinf(value));
    static const char *const bad[] = {"",   "-",   ".",   "1.2.3", "1e",  "0x",   "09",
                                      "1x", "1ff", "1,5", "e5",    "--1", "0xfg", "1e+-2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(det_parse_double(bad[i], &value));
}

static void errors_name_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a: 1\n b 2", "f:2:4: found `2`, expected `:` or `{`"},
        {"a: }", "f:1:4: found `}`, expected a value"},
        {"a {\n b: 1", "f:2:6: the file ends here, expected `}` for the message opened in line 1"},
        {"a < b: 1 }", "f:1:10: found `}`, expected a field name or the end of the message"},
        {"}", "f:1:1: found `}`, expected a field name"},
        {"a: \"x\ny\"", "f:1:4: the string that starts here is not closed on its line"},
        {"a: 'x", "f:1:4: the string that starts here is not closed on its line"},
        {"a: 'C:\\work\\'",
         "f:1:4: the string that starts here is not closed on its line: a backslash "
         "before a quote takes it in"},
        {"a: '\\", "f:1:4: the string that starts here is not closed on its line"},
        {"a: 1.2.3", "f:1:4: found `1.2.3`, which is not a number"},
        {"\xff\xfe:", "f: is UTF-16"},
        {"a: -b", "f:1:5: found `b`, expected a number after `-`"},
        {"a: [1 2]", "f:1:7: found `2`, expected `,` or `]`"},
        {"a: [1, ", "f:1:8: the file ends here, expected a value"},
        {"[a b]: 1", "f:1:1: found `[`, expected a field name or [package.extension]"},
        {"a: \x01", "f:1:4: found the byte 0x01, expected a value"},
        {"a:", "f:1:3: the file ends here, expected a value"},
        {"12: 1", "f:1:1: found `12`, expected a field name"},
    };
    struct test_env t;
    test_env_init(&t);
    struct det_prototext d;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_fails(&t.env, DET_STATUS_PARSE, cases[i].message, parse(&t, cases[i].text, &d));
    char deep[400] = "";
    for (int i = 0; i < 65; i++)
        strcat(deep, "a{");
    assert_fails(&t.env, DET_STATUS_PARSE, "f:1:130: messages are nested more than 64 deep",
                 parse(&t, deep, &d));
    deep[128] = '\0';
    for (int i = 0; i < 64; i++)
        strcat(deep, "}");
    assert_ok(&t.env, parse(&t, deep, &d));
    det_prototext_free(&t.env, &d);
    test_env_check(&t);
}

static det_status parse_all(struct det_env *env, void *argument)
{
    (void)argument;
    static const char text[] = "a { b: 'x' c: -1 [d]: [1, 2] }";
    struct det_prototext d;
    const det_status status = det_prototext_parse(env, "f", text, sizeof text - 1, &d);
    det_prototext_free(env, &d);
    return status;
}

static void failed_allocations(void **state)
{
    (void)state;
    test_each_allocation_fails(parse_all, NULL);
}

int test_prototext(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_positions),
        cmocka_unit_test(strings_with_backslashes),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(errors_name_line_and_column),
        cmocka_unit_test(failed_allocations),
    };
    return cmocka_run_group_tests_name("prototext", tests, NULL, NULL);
}
