/* groups.h: runs groups of tests, one after the other in this process or side by side, each in a
 * process of its own.
 *
 * Side by side, what a group prints comes whole when it has ended; one that crashes fails alone;
 * a sanitizer's or leak checker's exit status is the group's. One after the other is for debuggers,
 * and for a group that runs by itself anyway. */
#ifndef DET_TESTS_SUPPORT_GROUPS_H
#define DET_TESTS_SUPPORT_GROUPS_H

#include <stddef.h>

struct test_group {
    const char *name;
    int (*run)(void); /* returns how many tests failed */
    double seconds;   /* how long it took */
    int failed;
};

/* Both print the name of each group that failed, and set `seconds` and `failed` of all. */
void test_groups_run(struct test_group *groups, size_t count);
/* As many at once as `jobs`, at least 1, in the order they are in. */
void test_groups_run_side_by_side(struct test_group *groups, size_t count, size_t jobs);

#endif
