/* base/path and base/clock. */
#include "support/clock.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/test.h"

static void joined_and_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *directory, *name, *joined, *folder, *file;
    } cases[] = {
        {"a/b", "c", "a/b/c", "a/b", "c"},
        {"a/", "c.d", "a/c.d", "a", "c.d"},
        {"/", "c", "/c", "/", "c"},
        {"", "c", "c", ".", "c"},
        {"a", "/b/c", "/b/c", "/b", "c"},
        {"a", "", "a/", "a", ""},
        {"q\"\\\n\xff", "<&>", "q\"\\\n\xff/<&>", "q\"\\\n\xff", "<&>"},
    };
    struct test_env t;
    test_env_init(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *joined = NULL, *printed = NULL, *folder = NULL;
        assert_ok(&t.env, det_path_join(&t.env, &joined, cases[i].directory, cases[i].name));
        assert_ok(&t.env,
                  det_path_join_printf(&t.env, &printed, cases[i].directory, "%s", cases[i].name));
        assert_ok(&t.env, det_path_directory(&t.env, &folder, joined));
        assert_string_equal(joined, cases[i].joined);
        assert_string_equal(printed, joined);
        assert_string_equal(folder, cases[i].folder);
        assert_string_equal(det_path_name(joined), cases[i].file);
        det_free(&t.env, &joined);
        det_free(&t.env, &printed);
        det_free(&t.env, &folder);
    }
    test_env_check(&t);
}

static void parts_of_paths(void **state)
{
    (void)state;
    assert_int_equal(det_path_length("a/b//"), 3);
    assert_int_equal(det_path_length("//"), 1);
    assert_int_equal(det_path_length(""), 0);
    assert_int_equal(det_path_stem_length("a.b.jpg"), 3);
    assert_int_equal(det_path_stem_length(".hidden"), 7);
    assert_int_equal(det_path_stem_length("name"), 4);
    assert_string_equal(det_path_below("a/b/c", "a/b"), "c");
    assert_string_equal(det_path_below("a/b/c", "a/"), "b/c");
    assert_string_equal(det_path_below("/c", "/"), "c");
    assert_string_equal(det_path_below("a/b", "a/b"), "");
    assert_null(det_path_below("a/bc", "a/b"));
    assert_null(det_path_below("b", "a"));
    assert_true(det_path_stays_inside("a/..b/c.."));
    assert_true(det_path_stays_inside(""));
    static const char *const outside[] = {"/a", "..", "../a", "a/..", "a/../../b", "a//..//b"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        assert_false(det_path_stays_inside(outside[i]));
    char path[] = "a\\b/c";
    det_path_use_slashes(path);
    assert_string_equal(path, "a/b/c");
    assert_string_equal(det_path_part(path, path + 3), "b/c");
}

static void clocks_run(void **state)
{
    (void)state;
    const uint64_t before = det_clock_ns();
    const double seconds = det_clock_seconds();
    assert_true(det_clock_ns() >= before);
    assert_near(seconds, (double)before * 1e-9, 60);
    assert_near(det_clock_wall_seconds(), det_clock_wall_whole_seconds(), 60);
    assert_true(det_clock_boot_seconds() <= det_clock_wall_whole_seconds());
    char date[DET_CLOCK_DATE_BYTES];
    int year, rest[5];
    assert_int_equal(sscanf(det_clock_utc(date), "%4d-%2d-%2d %2d:%2d:%2d", &year, &rest[0],
                            &rest[1], &rest[2], &rest[3], &rest[4]),
                     6);
    assert_int_equal(strlen(date), 19);
}

int test_path(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_and_taken_apart),
        cmocka_unit_test(parts_of_paths),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
