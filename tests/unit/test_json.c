/* support/json.h and support/number.h: what is JSON and what is not, values and where messages
 * point, numbers that are exact in any locale. */
#include <float.h>
#include <math.h>

#include "base/rng.h"
#include "support/json.h"
#include "support/mem.h"
#include "support/number.h"
#include "support/test.h"
#include "support/text.h"

static det_status parse(struct test_env *t, const char *text, struct det_json *root)
{
    return det_json_parse(&t->env, "x.json", text, strlen(text), root);
}

static void check_number(const char *text)
{
    double value = 0;
    assert_true(det_parse_decimal(text, strlen(text), &value));
    const double wanted = strtod(text, NULL);
    if (memcmp(&value, &wanted, sizeof value) != 0)
        fail_msg("%s became %a, expected %a", text, value, wanted);
}

static void numbers_are_exact(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "0.0", "1", "-1", "0.1", "1e22", "1e23", "123456789012345678",
        "9007199254740993", "9007199254740992.5", "0.1e-6", "1e-400", "4.9406564584124654e-324",
        "2.4703282292062328e-324", "2.4703282292062327e-324", "1.7976931348623157e308",
        "1.7976931348623159e308", "1e309", "-1e999999999999999999999", "1e-999999999999999999999",
        "000000000000000000000000000001", "0.000000000000000000000000000000000000001",
        "100000000000000000000000000000000000000000",
        /* exactly between two doubles, and a little more */
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203126",
        "1.00000000000000033306690738754696212708950042724609375"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_number(texts[i]);
    struct det_rng rng;
    det_rng_init(&rng, 1, 2, 3);
    for (int i = 0; i < 200000; i++) {
        const uint64_t bits = (uint64_t)det_rng_u32(&rng) << 32 | det_rng_u32(&rng);
        double value;
        char text[64];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        snprintf(text, sizeof text, i % 3 == 0 ? "%.17g" : i % 3 == 1 ? "%.9g" : "%.25e", value);
        check_number(text);
        snprintf(text, sizeof text, "%.*f", i % 8, (double)(det_rng_u32(&rng) % 1000000) / 997);
        check_number(text);
    }
}

/* The last of a thousand digits still breaks a tie. */
static void no_digit_is_lost(void **state)
{
    (void)state;
    char text[1200] = "1.00000000000000011102230246251565404236316680908203125";
    const size_t length = strlen(text);
    memset(text + length, '0', 1000);
    check_number(text);
    text[length + 999] = '1';
    check_number(text);
    double value = 0;
    assert_true(det_parse_decimal(text, strlen(text), &value));
    assert_true(value > 1 + DBL_EPSILON / 2);
}

static void what_is_no_number(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   "-",  "+1",    ".5",  "1.",   "1,5",
                                        "e5", "1e", "1e+",   "0x1", "inf",  "nan",
                                        "1 ", " 1", "1.5.2", "--1", "1e5.", "1f"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double value = 1;
        if (det_parse_decimal(texts[i], strlen(texts[i]), &value) || value != 0)
            fail_msg("`%s` is no number, but became %g", texts[i], value);
    }
}

static void any_separator_becomes_a_point(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"1,5", "1.5"},
                                           {"-0\xd9\xab"
                                            "12",
                                            "-0.12"},
                                           {"1\xd9\xab"
                                            "5e-08",
                                            "1.5e-08"},
                                           {"12", "12"},
                                           {"1e+20", "1e+20"},
                                           {"nan", "nan"},
                                           {"-inf", "-inf"},
                                           {"12k", "12k"},
                                           {"1,25M", "1.25M"},
                                           {"", ""},
                                           {"1.5", "1.5"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", pairs[i][0]);
        assert_string_equal(det_use_point(text), pairs[i][1]);
    }
}

static void values_are_found(void **state)
{
    (void)state;
    struct test_env t;
    struct det_json root;
    test_env_init(&t);
    assert_ok(&t.env, parse(&t,
                            "\xef\xbb\xbf \t{\"a\": [1, -2.5e1, true, null, \"x\"], \"b\" :{}, "
                            "\"c\":[],\"a\\u0062\": false, \"b\": {\"deep\": {\"er\": 7}}}\r\n",
                            &root));
    assert_int_equal(det_json_kind(root), DET_JSON_OBJECT);
    assert_int_equal(det_json_count(root), 5);
    const struct det_json list = det_json_get(root, "a");
    static const enum det_json_kind kinds[] = {DET_JSON_NUMBER, DET_JSON_NUMBER, DET_JSON_BOOL,
                                               DET_JSON_NULL, DET_JSON_STRING};
    struct det_json_entry entry;
    double number = 0;
    int i = 0;
    for (bool more = det_json_first(list, &entry); more; more = det_json_next(&entry), i++) {
        assert_int_equal(det_json_kind(entry.value), kinds[i]);
        assert_int_equal(det_json_kind(entry.key), DET_JSON_NONE);
        assert_int_equal(det_json_number(entry.value, &number), i < 2);
        assert_near(number, i == 0 ? 1 : i == 1 ? -25 : 0, 0);
        assert_int_equal(det_json_is_true(entry.value), i == 2);
        assert_int_equal(det_json_equals(entry.value, "x"), i == 4);
    }
    assert_int_equal(i, 5);
    assert_int_equal(det_json_count(det_json_get(root, "c")), 0);
    assert_false(det_json_is_true(det_json_get(root, "ab")));
    assert_int_equal(det_json_kind(det_json_get(root, "ab")), DET_JSON_BOOL);
    assert_int_equal(det_json_kind(det_json_get(root, "abc")), DET_JSON_NONE);
    assert_int_equal(det_json_kind(det_json_get(list, "a")), DET_JSON_NONE);
    /* The last of equal keys. */
    const struct det_json last = det_json_get(root, "b");
    assert_true(det_json_number(det_json_get(det_json_get(last, "deep"), "er"), &number) &&
                number == 7);
    size_t bytes = 0;
    assert_memory_equal(det_json_source(last, &bytes), "{\"deep\": {\"er\": 7}}", 19);
    assert_int_equal(bytes, 19);
    /* A number that ends with the text. */
    static const char five[] = {'5'};
    assert_ok(&t.env, det_json_parse(&t.env, "x", five, 1, &root));
    assert_true(det_json_number(root, &number) && number == 5);
    test_env_check(&t);
}

static void strings_are_decoded(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
                               "A"},
        {"\"\\ude00\"", "\xef\xbf\xbd"},
        {"\"a\\u0000b\"", "a\xef\xbf\xbd"
                          "b"},
        {"\"\xff\xc3\xa9\"", "\xff\xc3\xa9"}};
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct det_json root;
        char *text = NULL;
        assert_ok(&t.env, parse(&t, pairs[i][0], &root));
        assert_ok(&t.env, det_json_string(&t.env, root, &text));
        assert_string_equal(text, pairs[i][1]);
        assert_true(det_json_equals(root, text));
        assert_false(det_json_equals(root, "plai"));
        assert_false(det_json_equals(root, "plain1"));
        det_free(&t.env, &text);
    }
    test_env_check(&t);
}

static void messages_point_at_the_fault(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "x.json:1:1: the text ends, expected a JSON value"},
        {"nope", "x.json:1:1: found `nope`, expected a JSON value"},
        {"{\"a\": 1,\n \"b\": NaN}", "x.json:2:7: found `NaN`, expected a finite number"},
        {"[-Infinity]", "x.json:1:2: found `-Infinity`, expected a finite number"},
        {"{\"a\" 1}", "x.json:1:6: found `1`, expected `:`"},
        {"{a: 1}", "x.json:1:2: found `a:`, expected a key in quotes"},
        {"{\"a\": 1,}", "x.json:1:9: found `}`, expected a key in quotes"},
        {"[1,]", "x.json:1:4: found `]`, expected a JSON value"},
        {"[1 2]", "x.json:1:4: found `2`, expected `,` or `]`"},
        {"{\"a\": 1 \"b\"}", "x.json:1:9: found `\"b\"`, expected `,` or `}`"},
        {"[01]", "x.json:1:2: found `01`, expected a number"},
        {"[1.]", "x.json:1:2: found `1.`, expected a number"},
        {"[-]", "x.json:1:2: found `-`, expected a number"},
        {"[1e]", "x.json:1:2: found `1e`, expected a number"},
        {"[\"a\nb\"]", "x.json:1:4: found the byte 0x0a, expected `\"`"},
        {"[\"a", "x.json:1:4: the text ends, expected `\"`"},
        {"[\"\\x\"]", "x.json:1:3: found `\\x\"`, expected an escape"},
        {"[\"\\u12g4\"]", "x.json:1:3: found `\\u12g4\"`, expected \\u and four"},
        {"1 2", "x.json:1:3: found `2`, expected nothing behind the JSON value"},
        {"'a'", "x.json:1:1: found `'a'`, expected a JSON value"},
    };
    struct test_env t;
    struct det_json root;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(&t.env, DET_STATUS_PARSE, cases[i][1], parse(&t, cases[i][0], &root));
        assert_int_equal(det_json_kind(root), DET_JSON_NONE);
    }
    assert_fails(&t.env, DET_STATUS_PARSE, "found the byte 0x00",
                 det_json_parse(&t.env, "x", "[1\0]", 4, &root));
    test_env_check(&t);
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    enum { MOST = DET_JSON_MOST_DEPTH };
    struct test_env t;
    struct det_json root;
    char text[2 * MOST + 3];
    test_env_init(&t);
    for (int more = 0; more < 2; more++) {
        const size_t depth = MOST + (size_t)more;
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        const det_status status = det_json_parse(&t.env, "x", text, 2 * depth, &root);
        assert_int_equal(status, more ? DET_STATUS_PARSE : DET_OK);
    }
    char *const long_text = malloc(1 << 20);
    assert_non_null(long_text);
    memset(long_text, '[', 1 << 20);
    assert_fails(&t.env, DET_STATUS_PARSE, "more than 512",
                 det_json_parse(&t.env, "x", long_text, 1 << 20, &root));
    free(long_text);
    test_env_check(&t);
}

/* Looks at everything that there is. */
static size_t walk(struct test_env *t, struct det_json value)
{
    struct det_json_entry entry;
    size_t seen = 1;
    double number = 0;
    char *text = NULL;
    det_json_number(value, &number);
    assert_ok(&t->env, det_json_string(&t->env, value, &text));
    det_free(&t->env, &text);
    for (bool more = det_json_first(value, &entry); more; more = det_json_next(&entry))
        seen += walk(t, entry.key) + walk(t, entry.value);
    return seen;
}

/* Every byte set to each of these, every length: an error, or values that can be walked. The text
 * is in memory of just its size, for AddressSanitizer. */
static void damage_never_reads_outside(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,-2.5e+1,true,{\"b\\u00e9\":null,\"c\":\"\\ud83d\\ude00\"}]}";
    static const char bytes[] = "\"\\{}[],:0e-. tnu\n";
    struct test_env t;
    struct det_json root;
    test_env_init(&t);
    for (size_t length = 0; length <= strlen(text); length++) {
        char *copy = malloc(length + (length == 0));
        assert_non_null(copy);
        memcpy(copy, text, length);
        const det_status status = det_json_parse(&t.env, "x", copy, length, &root);
        assert_int_equal(status, length == strlen(text) ? DET_OK : DET_STATUS_PARSE);
        for (size_t at = 0; at < length; at++)
            for (size_t b = 0; b < sizeof bytes; b++) {
                copy[at] = bytes[b];
                if (det_json_parse(&t.env, "x", copy, length, &root) == DET_OK)
                    assert_true(walk(&t, root) > 0);
                copy[at] = text[at];
            }
        free(copy);
    }
    test_env_check(&t);
}

int test_json(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(no_digit_is_lost),
        cmocka_unit_test(what_is_no_number),
        cmocka_unit_test(any_separator_becomes_a_point),
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(messages_point_at_the_fault),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(damage_never_reads_outside),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
