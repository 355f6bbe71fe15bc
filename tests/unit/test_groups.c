/* The runner's groups side by side (tests/support/groups.h): what is printed, what is failed. */
#include <signal.h>
#include <unistd.h>

#include "support/groups.h"
#include "support/test.h"

static int passes(void)
{
    printf("passes: one\n");
    fflush(stdout);
    usleep(20000); /* the others print now */
    fprintf(stderr, "passes: two\n");
    printf("passes: three\n"); /* is still to be written when the group ends */
    return 0;
}

static int fails(void)
{
    printf("fails: one\n");
    return 3;
}

static int is_killed(void)
{
    printf("is killed: one\n");
    fflush(stdout);
    raise(SIGKILL);
    return 0;
}

static int ends_by_itself(void)
{
    printf("ends by itself: one\n");
    exit(23); /* as the leak checker does */
}

/* What all of them printed; malloc. */
static char *run(struct test_group *groups, size_t count, size_t jobs)
{
    char folder[256], path[300];
    test_make_directory(folder, "groups");
    snprintf(path, sizeof path, "%s/out", folder);
    fflush(stdout);
    const int before = dup(STDOUT_FILENO);
    assert_true(before >= 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(dup2(fileno(file), STDOUT_FILENO) >= 0);
    test_groups_run_side_by_side(groups, count, jobs);
    fflush(stdout);
    dup2(before, STDOUT_FILENO);
    close(before);
    fclose(file);
    char *text = test_read_text(path);
    test_remove_tree(folder);
    return text;
}

static void a_group_fails_alone(void **state)
{
    (void)state;
    for (size_t jobs = 1; jobs <= 6; jobs++) {
        struct test_group groups[] = {{.name = "test_a", .run = passes},
                                      {.name = "test_b", .run = fails},
                                      {.name = "test_c", .run = is_killed},
                                      {.name = "test_d", .run = ends_by_itself},
                                      {.name = "test_e", .run = passes}};
        char *text = run(groups, 5, jobs);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(groups[i].failed, i >= 1 && i <= 3);
            assert_true(groups[i].seconds > 0 && groups[i].seconds < 1000);
        }
        assert_contains(text, "fails: one\nFAILED GROUP test_b: exit status 1\n");
        assert_contains(text, "is killed: one\nFAILED GROUP test_c: ended by signal 9 (");
        assert_contains(text, "ends by itself: one\nFAILED GROUP test_d: exit status 23\n");
        const char *all = "passes: one\npasses: two\npasses: three\n";
        const char *first = strstr(text, all);
        assert_non_null(first);
        assert_non_null(strstr(first + strlen(all), all));
        free(text);
    }
}

int test_groups(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_fails_alone)};
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
