/* test.h: what every test includes: cmocka with its own prerequisites, comparisons that fail on
 * NaN, an env whose allocator counts, guards and can be told to fail, temporary folders, and the
 * way to ../shared.
 *
 * A test file tests/<kind>/test_NAME.c defines `int test_NAME(void)`, which ends in
 * cmocka_run_group_tests_name(). */
#ifndef DET_TESTS_SUPPORT_TEST_H
#define DET_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/env.h"

/* The groups, from the test files' names. */
#define X(group) int group(void);
#include "test_groups.inc"
#undef X

/* Fails with status text and message when `expression` is not DET_OK. */
#define assert_ok(env, expression)                                                   \
    do {                                                                             \
        const det_status ok_ = (expression);                                         \
        if (ok_ != DET_OK)                                                           \
            fail_msg("%s: %s: %s", #expression, det_status_text(ok_), (env)->error); \
    } while (0)

/* The status, and a message that contains `text`. */
#define assert_fails(env, wanted, text, expression)                                              \
    do {                                                                                         \
        const det_status got_ = (expression);                                                    \
        if (got_ != (wanted))                                                                    \
            fail_msg("%s: got \"%s\" (%s), expected \"%s\"", #expression, det_status_text(got_), \
                     (env)->error, det_status_text(wanted));                                     \
        if (strstr((env)->error, (text)) == NULL)                                                \
            fail_msg("%s: message \"%s\" lacks \"%s\"", #expression, (env)->error, (text));      \
    } while (0)

#define assert_contains(text, part)                            \
    do {                                                       \
        if (strstr((text), (part)) == NULL)                    \
            fail_msg("\"%s\" is not in:\n%s", (part), (text)); \
    } while (0)

/* |a - b| <= tolerance, written so that NaN fails. */
#define assert_near(a, b, tolerance)                                                           \
    do {                                                                                       \
        const double a_ = (double)(a), b_ = (double)(b), t_ = (double)(tolerance);             \
        const double d_ = a_ > b_ ? a_ - b_ : b_ - a_;                                         \
        if (!(d_ <= t_))                                                                       \
            fail_msg("%s = %.9g, %s = %.9g: differ by %.3g, allowed %.3g", #a, a_, #b, b_, d_, \
                     t_);                                                                      \
    } while (0)

/* Largest |a[i] - b[i]|; infinity when either holds a NaN or infinity. */
double test_max_abs_error(const float *a, const float *b, size_t count);
/* ||a - b|| / max(||b||, tiny), infinity on NaN. */
double test_relative_l2(const float *a, const float *b, size_t count);

/* A counting allocator. `fail_at` = n makes the n-th allocation from now fail (0 = never). Every
 * block has guard bytes on both sides, checked on release; test_env_check() also fails on a
 * leak. */
struct test_env {
    struct det_env env; /* first: &t->env is what the library gets */
    struct test_allocator *allocator;
};
void test_env_init(struct test_env *t);
void test_env_fail_at(struct test_env *t, long n);
long test_env_allocations(const struct test_env *t);
long test_env_live(const struct test_env *t);
/* Asserts that nothing is left allocated and no guard was overwritten, and releases the
 * allocator. */
void test_env_check(struct test_env *t);
/* The hooks alone, for a det_context; they live as long as the env. */
const det_allocator *test_env_hooks(struct test_env *t);

/* Runs `body(env, argument)` with allocation 1, 2, 3, ... failing until it succeeds; asserts that
 * each failing run returns OUT_OF_MEMORY and leaks nothing. */
void test_each_allocation_fails(det_status (*body)(struct det_env *env, void *argument),
                                void *argument);

/* Deterministic uniform [-1, 1) of the goldens: u(key, i), see tests/golden/README.md. */
double test_formula(const char *key, uint64_t index);
/* Fills an array with uniform [-1, 1) from a seed. */
void test_fill(float *values, size_t count, uint32_t seed);

/* A fresh folder under build/; removed with all it holds by test_remove_tree(). Static buffer per
 * call site. */
char *test_make_directory(char buffer[256], const char *name);
void test_remove_tree(const char *path);

/* "tests/golden/NAME" in a buffer. */
const char *test_golden(char buffer[256], const char *name);
/* The path inside the shared folder beside the checkout ($DET_SHARED or ../shared), or NULL when
 * there is none. */
const char *test_shared(char buffer[256], const char *name);
/* To be called when test_shared() gave NULL: says so and skips the test. */
#define test_skip_without_shared()                                 \
    do {                                                           \
        print_message("skipped: the shared folder is not here\n"); \
        skip();                                                    \
    } while (0)

/* NumPy .npy files: little-endian C-order f4, f8, i4, i8, u1 converted to float or kept as they
 * are. */
struct test_npy {
    size_t shape[8];
    int dims;
    size_t count;
    char type[4]; /* "f4", "u1", ... */
    void *data;   /* malloc */
};
/* Asserts on any failure. */
struct test_npy test_npy_load(const char *path);
/* The same, values as float. */
float *test_npy_load_float(const char *path, size_t *count);
void test_npy_free(struct test_npy *array);
/* One member of an uncompressed or deflated .npz (zip) file; NULL data when there is no such
 * member. */
struct test_npy test_npz_load(const char *path, const char *member);

/* What was warned of: a logger's user and write. One line each. */
struct test_warnings {
    char text[4096];
    int count;
};
void test_keep_warning(void *warnings, det_log_level level, const char *message);

/* A whole text file, NUL-terminated, malloc. Asserts on failure. */
char *test_read_text(const char *path);
/* Bytes of a file, with a 0 behind them; malloc. */
char *test_read_bytes(const char *path, size_t *bytes);

#endif
