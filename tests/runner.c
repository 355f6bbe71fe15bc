/* The one test runner: every group, or those whose name contains one of the arguments; =NAME is the
 * group of exactly that name, --list prints all names. Ends with 'N passed, N failed' over all
 * groups; cmocka prints each group's own totals. */
#include <stdio.h>
#include <string.h>

#include "support/test.h"

static const struct {
    const char *name;
    int (*run)(void);
} groups[] = {
#define X(group) {#group, group},
#include "test_groups.inc"
#undef X
};

static int selected(const char *name, int count, char **words)
{
    for (int i = 0; i < count; i++) {
        if (words[i][0] == '=' ? strcmp(name, words[i] + 1) == 0 : strstr(name, words[i]) != NULL)
            return 1;
    }
    return count == 0;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
            puts(groups[i].name);
        return 0;
    }
    /* What "auto" means must not depend on the machine's GPU; tests of CUDA name their device. */
    setenv("DET_DEVICE", "cpu", 0);
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (!selected(groups[i].name, argc - 1, argv + 1))
            continue;
        const int failures = groups[i].run();
        if (failures != 0)
            fprintf(stderr, "FAILED GROUP %s: %d\n", groups[i].name, failures);
        passed += failures == 0;
        failed += failures != 0;
    }
    printf("test groups: %d passed, %d failed\n", passed, failed);
    return passed == 0 || failed != 0;
}
