/* support/utf8.h and what text.h makes of it: names from outside in messages, tables, JSON and
 * XML. */
#include <string.h>

#include "support/mem.h"
#include "support/test.h"
#include "support/text.h"
#include "support/utf8.h"

static void characters_are_told_from_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        uint32_t code;
    } cases[] = {
        {"", 0, 0},
        {"a", 1, 'a'},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800},
        {"\xef\xbf\xbf", 3, 0xffff},
        {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
        /* continuation alone, overlong, surrogate, too large, cut off */
        {"\x80", 0, 0},
        {"\xc0\x80", 0, 0},
        {"\xc1\xbf", 0, 0},
        {"\xe0\x9f\xbf", 0, 0},
        {"\xf0\x8f\xbf\xbf", 0, 0},
        {"\xed\xa0\x80", 0, 0},
        {"\xed\xbf\xbf", 0, 0},
        {"\xf4\x90\x80\x80", 0, 0},
        {"\xf5\x80\x80\x80", 0, 0},
        {"\xff", 0, 0},
        {"\xe2\x82", 0, 0},
        {"\xe2z\x82", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t code = 0;
        const size_t bytes = det_utf8_next(cases[i].text, &code);
        if (bytes != cases[i].bytes || (bytes > 0 && code != cases[i].code))
            fail_msg("case %zu: %zu bytes, U+%04X", i, bytes, (unsigned)code);
    }
    assert_true(det_utf8_valid("\xc3\xa9t\xc3\xa9"));
    assert_false(det_utf8_valid("\xc3\xa9t\xe9"));
}

static void what_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain \xc3\xa9\xe7\x8c\xab\xf0\x9f\x90\x88",
         "plain \xc3\xa9\xe7\x8c\xab\xf0\x9f\x90\x88"},
        {"\x1b]0;title\x07", "\\x1b]0;title\\x07"},
        {"a\r\nerror: b\t\x7f", "a\\r\\nerror: b\\t\\x7f"},
        {"\xc2\x9b"
         "2J \xc2\x85 \xc2\xa0",
         "\\u009b2J \\u0085 \xc2\xa0"},
        {"\xe2\x80\xae"
         "gpj\xe2\x81\xa6",
         "\\u202egpj\\u2066"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
        {"\xd8\xb9\xd8\xb1\xd8\xa8\xd9\x8a", "\xd8\xb9\xd8\xb1\xd8\xa8\xd9\x8a"},
        {"caf\xe9 \xff\xfe", "caf\\xe9 \\xff\\xfe"},
        {"C:\\data\\x1b", "C:\\data\\x1b"},
    };
    char out[200], again[200];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t length = det_utf8_shown(out, sizeof out, cases[i].text, false);
        assert_string_equal(out, cases[i].shown);
        assert_int_equal(length, strlen(out));
        det_utf8_shown(again, sizeof again, out, false);
        assert_string_equal(again, out);
    }
    det_utf8_shown(out, sizeof out, "a\n\tb\r\x1b", true);
    assert_string_equal(out, "a\n\tb\\r\\x1b");
    /* Cut between characters, never within an escape. */
    assert_int_equal(det_utf8_shown(out, 5,
                                    "ab\x1b"
                                    "c",
                                    false),
                     2);
    assert_string_equal(out, "ab");
    assert_int_equal(det_utf8_shown(out, 4, "ab\xc3\xa9", false), 2);
    assert_int_equal(det_utf8_shown(out, 5, "ab\xc3\xa9", false), 4);
    assert_int_equal(det_utf8_shown(out, 1, "x", false), 0);
    assert_int_equal(det_utf8_shown_length("a\xc3\xa9\x1b\xff"), 2 + 4 + 4);
}

/* All 256 single bytes and all pairs of bytes that matter, as a class or file might be called. */
static void messages_are_one_line(void **state)
{
    (void)state;
    struct det_env env;
    det_env_default(&env);
    for (int first = 1; first < 256; first++)
        for (int second = 1; second < 256; second++) {
            const char name[] = {(char)first, (char)second, '\0'};
            det_fail(&env, DET_STATUS_NOT_FOUND, "%s: is missing", name);
            if (!det_utf8_valid(env.error) || strpbrk(env.error, "\n\r\t\x1b\x07\x7f") != NULL)
                fail_msg("bytes %02x %02x: %s", (unsigned)first, (unsigned)second, env.error);
        }
    det_fail(&env, DET_STATUS_NOT_FOUND, "x\xe9\x1b[2J");
    det_fail_prefix(&env, DET_STATUS_NOT_FOUND, "in \x1b");
    assert_string_equal(env.error, "in \\x1b: x\\xe9\\x1b[2J");
    /* A long one is cut between characters. */
    char long_name[3000];
    for (size_t i = 0; i + 1 < sizeof long_name; i += 2)
        memcpy(long_name + i, "\xc3\xa9", 2);
    long_name[sizeof long_name - 2] = '\0';
    det_fail(&env, DET_STATUS_NOT_FOUND, "%s", long_name);
    assert_true(det_utf8_valid(env.error));
    assert_int_equal(strlen(env.error), DET_ERROR_BYTES - 2);
}

static void keep_message(void *user, det_log_level level, const char *message)
{
    (void)level;
    snprintf(user, 200, "%s", message);
}

static void log_lines_are_one_line(void **state)
{
    (void)state;
    struct det_env env;
    char line[200] = "";
    det_env_default(&env);
    env.logger = (det_logger){.user = line, .write = keep_message};
    det_log(&env, DET_LOG_WARNING, "class \"%s\"", "a\nerror: forged\x1b[31m");
    assert_string_equal(line, "class \"a\\nerror: forged\\x1b[31m\"");
}

/* XML 1.0 [2] Char, for what is one byte or in the test below. */
static bool is_xml_text(const char *text)
{
    uint32_t code = 0;
    for (size_t bytes = 0; *text != '\0'; text += bytes) {
        bytes = det_utf8_next(text, &code);
        if (bytes == 0 || code < 0x20 || code == 0xfffe || code == 0xffff || code == '<' ||
            code == '>' || code == '"' || code == '\'')
            return false;
        if (code == '&' && strncmp(text, "&amp;", 5) != 0 && strncmp(text, "&lt;", 4) != 0 &&
            strncmp(text, "&gt;", 4) != 0 && strncmp(text, "&quot;", 6) != 0 &&
            strncmp(text, "&apos;", 6) != 0)
            return false;
    }
    return true;
}

static void markup_is_well_formed(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_text text = {0};
    for (int first = 1; first < 256; first++)
        for (int second = 1; second < 256; second++) {
            const char name[] = {(char)first, (char)second, '\xbf', '\0'};
            text.length = 0;
            assert_ok(&t.env, det_text_xml(&t.env, &text, name));
            if (!is_xml_text(text.data))
                fail_msg("bytes %02x %02x: %s", (unsigned)first, (unsigned)second, text.data);
            text.length = 0;
            assert_ok(&t.env, det_text_xml_shown(&t.env, &text, name));
            if (!is_xml_text(text.data))
                fail_msg("bytes %02x %02x: %s", (unsigned)first, (unsigned)second, text.data);
        }
    text.length = 0;
    assert_ok(&t.env, det_text_xml(&t.env, &text, "\xef\xbf\xbe\xef\xbf\xbf\xef\xbf\xbd\xe9"));
    assert_string_equal(text.data, "??\xef\xbf\xbd%E9");
    text.length = 0;
    assert_ok(&t.env, det_text_xml_shown(&t.env, &text, "<\x1b>\xe9"));
    assert_string_equal(text.data, "&lt;\\x1b&gt;\\xe9");
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void columns_are_a_terminals(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_text text = {0};
    assert_ok(&t.env, det_text_column(&t.env, &text, "h\xc3\xa9t", 5));
    assert_ok(&t.env, det_text_column(&t.env, &text, "abc\xe7\x8c\xab\xe7\x8c\xab", 4));
    assert_ok(&t.env, det_text_column(&t.env, &text, "a\nb\x1b", 8));
    assert_ok(&t.env, det_text_column(&t.env, &text, "", 2));
    assert_ok(&t.env, det_text_column(&t.env, &text, "left out", 0));
    assert_ok(&t.env, det_text_column(&t.env, &text, "\xe7\x8c\xab\xe7\x8c\xab", 5));
    assert_ok(&t.env, det_text_column(&t.env, &text, "e\xcc\x81x", 2));
    /* Of a cat, which takes two columns, there is no half. */
    assert_string_equal(text.data, "h\xc3\xa9t  abc a\\nb\\x1b  \xe7\x8c\xab\xe7\x8c\xab "
                                   "e\xcc\x81x");
    assert_int_equal(det_utf8_shown_length("\xe7\x8c\xab\xf0\x9f\x90\x88"
                                           "e\xcc\x81"),
                     2 + 2 + 1);
    static const struct {
        uint32_t code;
        size_t width;
    } widths[] = {{'a', 1},     {0xe9, 1},    {0x300, 0},   {0x36f, 0},  {0x370, 1},
                  {0x10ff, 1},  {0x1100, 2},  {0x115f, 2},  {0x1160, 1}, {0x200d, 0},
                  {0xac00, 2},  {0xff21, 2},  {0xff61, 1},  {0xfe0f, 0}, {0x1f600, 2},
                  {0x2fa1d, 2}, {0x3134a, 2}, {0x10ffff, 1}};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (det_utf8_width(widths[i].code) != widths[i].width)
            fail_msg("U+%04X: %zu columns", (unsigned)widths[i].code,
                     det_utf8_width(widths[i].code));
    size_t used = 9;
    assert_int_equal(det_utf8_fit("a\xe7\x8c\xab\xe7\x8c\xab", 4, &used), 4);
    assert_int_equal(used, 3);
    assert_int_equal(det_utf8_fit("", 4, &used), 0);
    assert_int_equal(used, 0);
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static det_status append_all(struct det_env *env, void *argument)
{
    (void)argument;
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_column(env, &text, "a\x1b", 9));
    DET_TRY(det_text_xml_shown(env, &text, "<\x1b>"));
fail:
    det_text_free(env, &text);
    return status;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    test_each_allocation_fails(append_all, NULL);
}

int test_utf8(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_told_from_bytes), cmocka_unit_test(what_is_shown),
        cmocka_unit_test(messages_are_one_line),          cmocka_unit_test(log_lines_are_one_line),
        cmocka_unit_test(markup_is_well_formed),          cmocka_unit_test(columns_are_a_terminals),
        cmocka_unit_test(each_allocation_fails),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
