/* bench/gpu_profile.sh without a GPU: a pretended ncu writes the table, the rows are read. */
#include <cjson/cJSON.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/shell.h"
#include "support/test.h"

/* The script with an ncu that writes `table` into its log; its exit status, rows as an array. */
static int profile(const char *directory, const char *table, cJSON **rows)
{
    char path[400];
    snprintf(path, sizeof path, "%s/ncu", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "#!/bin/sh\nwhile [ \"$1\" != --log-file ]; do shift; done\n"
            "cat > \"$2\" <<'END'\n%sEND\n",
            table);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
    const int status = shell("PATH=$PWD/%s:$PATH; bench/gpu_profile.sh bench_cuda %s/of "
                             "> %s/rows 2> %s/said",
                             directory, directory, directory, directory);
    assert_int_equal(
        shell("{ echo '['; sed '$!s/$/,/' %s/rows; echo ']'; } > %s/array", directory, directory),
        0);
    snprintf(path, sizeof path, "%s/array", directory);
    char *text = test_read_text(path);
    *rows = cJSON_Parse(text);
    if (*rows == NULL)
        fail_msg("no JSON: %s", text);
    free(text);
    return status;
}

static const char *text_of(const cJSON *rows, int index, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, index), key));
}

static double number_at(const cJSON *rows, int index, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(cJSON_GetArrayItem(rows, index), key));
}

#define HEAD                                                                      \
    "==PROF== counted\n"                                                          \
    "\"ID\",\"Kernel Name\",\"gpu__time_duration.sum\",\"dram__bytes_read.sum\"," \
    "\"dram__bytes_write.sum\",\"smsp__inst_executed.sum\"\n"                     \
    "\"\",\"\",\"ns\",\"byte\",\"Kbyte\",\"inst\"\n"
#define ROW(name) "\"0\",\"" name "\",\"1,500\",\"2,000\",\"3\",\"40\"\n"

/* The kernels of the first job alone, those of one name together. */
static void kernels(void **state)
{
    (void)state;
    char directory[256];
    cJSON *rows = NULL;
    test_make_directory(directory, "gpu-profile");
    assert_int_equal(
        profile(directory,
                HEAD ROW("detk_chosen(int)") ROW("void detk_pictures_input<float, 4>(int, T1 *)")
                    ROW("void <unnamed>::detk_again<8>(int)") ROW("detk_preprocess_image(int)")
                        ROW("void <unnamed>::detk_again<8>(int)") ROW(
                            "void detk_pictures_input<float, 4>(int, T1 *)") ROW("detk_later(int)"),
                &rows),
        0);
    assert_int_equal(cJSON_GetArraySize(rows), 7);
    assert_string_equal(text_of(rows, 0, "name"), "detk_pictures_input<float, 4>");
    assert_string_equal(text_of(rows, 0, "job"), "training");
    assert_string_equal(text_of(rows, 1, "kind"), "kernel");
    assert_string_equal(text_of(rows, 1, "name"), "detk_again<8>");
    assert_near(number_at(rows, 1, "launches"), 2, 0);
    assert_near(number_at(rows, 1, "sum_us"), 3, 1e-9);
    assert_near(number_at(rows, 1, "read_bytes"), 4000, 0);
    assert_near(number_at(rows, 1, "written_bytes"), 6000, 0);
    assert_near(number_at(rows, 1, "instructions"), 80, 0);
    assert_string_equal(text_of(rows, 3, "job"), "inference");
    assert_string_equal(text_of(rows, 3, "name"), "detk_preprocess_image");
    assert_int_equal(shell("cd %s && test -s of-training.csv -a -s of-inference.csv && "
                           "grep -q '^training: 4 launches, the whole job' said && "
                           "grep -q '^inference: 4 launches, which may not be all' said",
                           directory),
                     0);
    cJSON_Delete(rows);
    test_remove_tree(directory);
}

/* Counters that one may not read. */
static void none(void **state)
{
    (void)state;
    char directory[256];
    cJSON *rows = NULL;
    test_make_directory(directory, "gpu-profile");
    assert_int_equal(profile(directory, "==ERROR== no right\n", &rows), 1);
    assert_int_equal(cJSON_GetArraySize(rows), 0);
    assert_int_equal(shell("tail -n 1 %s/said | grep -q '^==ERROR== no right'", directory), 0);
    cJSON_Delete(rows);
    test_remove_tree(directory);
}

int test_gpu_profile(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels),
        cmocka_unit_test(none),
    };
    return cmocka_run_group_tests_name("gpu_profile", tests, NULL, NULL);
}
