/* What det-detect takes for its images. */
#include "support/data_files.h"
#include "support/run_tool.h"

static void lists_of_windows_and_folders_of_macos(void **state)
{
    (void)state;
    static char out[20000];
    char folder[256], list[700];
    test_make_directory(folder, "inputs");
    snprintf(list, sizeof list, "\xef\xbb\xbf%s/a.jpg\r\n\r\n%s/b.jpg\r\n", folder, folder);
    const struct data_file files[] = {{"a.jpg", NULL},
                                      {"b.jpg", NULL},
                                      {"._a.jpg", "Mac OS X"},
                                      {"list.txt", list},
                                      {NULL, NULL}};
    data_files_write(folder, files);
    assert_int_equal(
        run_tool(
            out, sizeof out,
            "det-detect data/vehicles.det --list %s/list.txt --quiet 2>/dev/null | grep -c image",
            folder),
        0);
    assert_int_equal(atoi(out), 2);
    assert_int_equal(run_tool(out, sizeof out,
                              "det-detect data/vehicles.det %s --quiet 2>/dev/null | grep -c image",
                              folder),
                     0);
    assert_int_equal(atoi(out), 2);
    test_remove_tree(folder);
}

static void lists_in_utf16(void **state)
{
    (void)state;
    static char out[20000];
    char folder[256], list[700], path[300];
    test_make_directory(folder, "inputs");
    snprintf(list, sizeof list, "%s/a.jpg\r\n%s/b.jpg\r\n", folder, folder);
    snprintf(path, sizeof path, "%s/list.txt", folder);
    const struct data_file files[] = {{"a.jpg", NULL}, {"b.jpg", NULL}, {NULL, NULL}};
    data_files_write(folder, files);
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        data_file_write_utf16(path, list, big_endian);
        assert_int_equal(
            run_tool(out, sizeof out,
                     "det-detect data/vehicles.det --list - --quiet < %s | grep -c '\"image\"'",
                     path),
            0);
        assert_int_equal(atoi(out), 2);
    }
    test_remove_tree(folder);
}

int test_detect_inputs(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_windows_and_folders_of_macos),
        cmocka_unit_test(lists_in_utf16),
    };
    return cmocka_run_group_tests_name("detect_inputs", tests, NULL, NULL);
}
