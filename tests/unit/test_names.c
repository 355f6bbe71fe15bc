/* Names that come from data: as UTF-8, as names of files, as cells of a table. */
#include "support/mem.h"
#include "support/safe_name.h"
#include "support/test.h"
#include "support/text.h"
#include "support/utf8.h"

static void utf8_is_what_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t code; /* 0: none */
    } cases[] = {
        {"a", 'a'},
        {"\xc2\x80", 0x80},
        {"\xdf\xbf", 0x7ff},
        {"\xe0\xa0\x80", 0x800},
        {"\xef\xbf\xbf", 0xffff},
        {"\xf0\x90\x80\x80", 0x10000},
        {"\xf4\x8f\xbf\xbf", 0x10ffff},
        {"\x80", 0},             /* no beginning */
        {"\xc1\xbf", 0},         /* longer than need be */
        {"\xe0\x9f\xbf", 0},     /* the same */
        {"\xf0\x8f\xbf\xbf", 0}, /* the same */
        {"\xed\xa0\x80", 0},     /* half of a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond the last */
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
        {"\xc3", 0}, /* cut off */
        {"\xe2\x82", 0},
        {"\xe2\x28\xa1", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t code = 0;
        const size_t bytes = det_utf8_next(cases[i].text, &code);
        if (bytes != (cases[i].code != 0 ? strlen(cases[i].text) : 0) ||
            (bytes > 0 && code != cases[i].code))
            fail_msg("case %zu: %zu bytes, code %x", i, bytes, code);
        assert_int_equal(det_utf8_valid(cases[i].text), cases[i].code != 0);
    }
}

static void what_is_no_utf8_is_written_as_digits(void **state)
{
    (void)state;
    struct test_env t;
    struct det_text text = {0};
    test_env_init(&t);
    assert_ok(&t.env, det_text_utf8(&t.env, &text, "caf\xe9 \xc3\xa9 \xe2\x82"));
    assert_string_equal(text.data, "caf%E9 \xc3\xa9 %E2%82");
    text.length = 0;
    assert_ok(&t.env, det_text_utf8(&t.env, &text, ""));
    assert_string_equal(text.data, "");
    det_text_free(&t.env, &text);
    test_env_check(&t);
}

static void names_of_files_lead_nowhere(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"train", "train"},
        {"a b.c", "a b.c"},
        {"2020-01-01T10:00:00", "2020-01-01T10:00:00"},
        {"\xe4\xba\xba", "\xe4\xba\xba"},
        {"", "_"},
        {".", "_"},
        {"..", "__"},
        {"../../x", "_._.._x"},
        {"/etc/passwd", "_etc_passwd"},
        {"a\\..\\b", "a_.._b"},
        {"a\nb\x7f\x1b[2J\xc2\x9b", "a_b__[2J_"},
        {"caf\xe9", "caf%E9"},
        {".hidden", "_hidden"},
        {"-rf", "_rf"},
        {"a.", "a_"},
        {"a ", "a_"},
        {" ", "_"},
        {"con", "_con"},
        {"NUL.txt", "_NUL.txt"},
        {"com1", "_com1"},
        {"com10", "com10"},
        {"console", "console"},
    };
    struct test_env t;
    char *safe = NULL;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(&t.env, det_safe_name(&t.env, cases[i][0], &safe));
        assert_string_equal(safe, cases[i][1]);
        /* A safe name stays as it is. */
        char *again = NULL;
        assert_ok(&t.env, det_safe_name(&t.env, safe, &again));
        assert_string_equal(safe, again);
        det_free(&t.env, &again);
        det_free(&t.env, &safe);
    }
    test_env_check(&t);
}

static void long_names_are_cut_between_characters(void **state)
{
    (void)state;
    struct test_env t;
    char name[1000], *safe = NULL;
    test_env_init(&t);
    for (size_t length = DET_SAFE_NAME_BYTES - 3; length < DET_SAFE_NAME_BYTES + 9; length++) {
        for (size_t start = 0; start < 3; start++) { /* a cut in each byte of a character */
            memset(name, 'x', sizeof name);
            for (size_t i = start; i + 3 <= length; i += 3)
                memcpy(name + i, "\xe4\xba\xba", 3);
            memcpy(name + length, ".jpeg", 6);
            assert_ok(&t.env, det_safe_name(&t.env, name, &safe));
            assert_true(strlen(safe) <= DET_SAFE_NAME_BYTES && det_utf8_valid(safe));
            assert_string_equal(safe + strlen(safe) - 5, ".jpeg");
            if (length + 5 <= DET_SAFE_NAME_BYTES)
                assert_string_equal(safe, name);
            else
                assert_true(strlen(safe) > DET_SAFE_NAME_BYTES - 3);
            det_free(&t.env, &safe);
        }
    }
    test_env_check(&t);
}

static void equal_names_are_numbered(void **state)
{
    (void)state;
    static const struct {
        uint64_t scope;
        const char *name, *unique;
    } cases[] = {
        {0, "a", "a"}, {0, "a", "a_2"},     {0, "A", "A_3"}, {0, "a_3", "a_3_2"}, {0, "a", "a_4"},
        {1, "a", "a"}, {0, "a_2", "a_2_2"}, {0, "b", "b"},   {1, "A_2", "A_2"},   {1, "a", "a_3"},
    };
    struct test_env t;
    struct det_name_set set = {0};
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *unique = NULL;
        assert_ok(&t.env,
                  det_name_set_unique(&t.env, &set, cases[i].scope, cases[i].name, &unique));
        assert_string_equal(unique, cases[i].unique);
        det_free(&t.env, &unique);
    }
    det_name_set_free(&t.env, &set);
    test_env_check(&t);
}

static void cells_are_no_formulas_and_come_back(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"cat", "cat"},
        {" cat", "\" cat\""},
        {"cat\t", "\"cat\t\""},
        {"", ""},
        {"a,b", "\"a,b\""},
        {"say \"a\"\n", "\"say \"\"a\"\"\n\""},
        {"=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"},
        {"+1", "'+1"},
        {"-1", "'-1"},
        {"@x", "'@x"},
        {"\tx", "'\tx"},
        {"\rx", "\"'\rx\""},
        {"\nx", "\"'\nx\""},
        {"'=1", "''=1"},
        {"''+", "'''+"},
        {"'quoted'", "'quoted'"},
        {"a=b", "a=b"},
        {"'", "'"},
        {"=a,b", "\"'=a,b\""},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"caf\xe9", "caf%E9"}, /* readers of tables want UTF-8 */
        {"caf\xe9,\"", "\"caf%E9,\"\"\""},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct det_text text = {0};
        assert_ok(&t.env, det_text_csv(&t.env, &text, cases[i][0]));
        assert_string_equal(text.data, cases[i][1]);
        if (strpbrk(text.data, "\"%") == NULL)
            assert_string_equal(det_csv_value(text.data), cases[i][0]);
        det_text_free(&t.env, &text);
    }
    test_env_check(&t);
}

static det_status name_things(struct det_env *env, void *argument)
{
    struct det_name_set set = {0};
    struct det_text text = {0};
    char *safe = NULL, *unique = NULL;
    det_status status = DET_OK;
    (void)argument;
    for (int i = 0; i < 12; i++) {
        DET_TRY(det_text_utf8(env, &text, "caf\xe9"));
        DET_TRY(det_text_csv(env, &text, "=a,b"));
        DET_TRY(det_safe_name(env, "con/../x", &safe));
        DET_TRY(det_name_set_unique(env, &set, 0, safe, &unique));
        det_free(env, &safe);
        det_free(env, &unique);
    }
fail:
    det_text_free(env, &text);
    det_free(env, &safe);
    det_free(env, &unique);
    det_name_set_free(env, &set);
    return status;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    test_each_allocation_fails(name_things, NULL);
}

int test_names(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_what_the_standard_says),
        cmocka_unit_test(what_is_no_utf8_is_written_as_digits),
        cmocka_unit_test(names_of_files_lead_nowhere),
        cmocka_unit_test(long_names_are_cut_between_characters),
        cmocka_unit_test(equal_names_are_numbered),
        cmocka_unit_test(cells_are_no_formulas_and_come_back),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
