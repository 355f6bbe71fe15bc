/* fail_malloc.h: the C library's own malloc told to fail, for what allocates without the hooks:
 * zlib, libjpeg, glob, ... */
#ifndef DET_TESTS_SUPPORT_FAIL_MALLOC_H
#define DET_TESTS_SUPPORT_FAIL_MALLOC_H

#include "support/env.h"

/* Runs `body(env, argument)` with the calling thread's 1st, 2nd, 3rd, ... allocation of any kind
 * failing until none does. Asserts that each run gives OUT_OF_MEMORY, or DET_OK where one could do
 * without, and that the last gives DET_OK. Says "skipped" and does it once where malloc cannot be
 * replaced (sanitizers, other C libraries). */
void test_each_malloc_fails(det_status (*body)(struct det_env *env, void *argument),
                            void *argument);

#endif
