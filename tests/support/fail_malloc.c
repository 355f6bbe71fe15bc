#include "support/fail_malloc.h"

#include <errno.h>

#include "support/test.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* glibc lets a program define these, and keeps its own under other names. */
void *__libc_malloc(size_t bytes);                     /* NOLINT */
void *__libc_calloc(size_t count, size_t bytes);       /* NOLINT */
void *__libc_realloc(void *memory, size_t bytes);      /* NOLINT */
void *__libc_memalign(size_t alignment, size_t bytes); /* NOLINT */

/* Seen by libraries although the rest of the program is hidden. */
#define SEEN __attribute__((visibility("default")))

/* Allocations of this thread until one fails; 0: none will. */
static _Thread_local long countdown;

static bool fails(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    errno = ENOMEM;
    return true;
}

SEEN void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

SEEN void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

SEEN void *realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(memory, bytes);
}

SEEN int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    void *made = fails() ? NULL : __libc_memalign(alignment, bytes);
    if (made == NULL)
        return ENOMEM;
    *memory = made;
    return 0;
}

void test_each_malloc_fails(det_status (*body)(struct det_env *env, void *argument), void *argument)
{
    for (long n = 1;; n++) {
        struct det_env env;
        det_env_default(&env);
        countdown = n;
        const det_status status = body(&env, argument);
        const bool failed = countdown == 0;
        countdown = 0;
        if (status != DET_OK && status != DET_STATUS_OUT_OF_MEMORY)
            fail_msg("allocation %ld failed and came out as \"%s\": %s", n, det_status_text(status),
                     env.error);
        if (!failed) {
            assert_int_equal(status, DET_OK);
            assert_true(n > 1);
            return;
        }
    }
}

#else

void test_each_malloc_fails(det_status (*body)(struct det_env *env, void *argument), void *argument)
{
    struct det_env env;
    det_env_default(&env);
    print_message("skipped: malloc cannot be replaced in this build\n");
    assert_ok(&env, body(&env, argument));
}

#endif
