#include "base/forks.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint forks;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int watch_error;

static void count(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch(void)
{
    watch_error = pthread_atfork(NULL, NULL, count);
}

det_status det_forks_watch(struct det_env *env)
{
    pthread_once(&once, watch);
    return watch_error == 0 ? DET_OK : det_fail_errno(env, watch_error, "cannot watch for forks");
}

unsigned det_forks(void)
{
    return atomic_load(&forks);
}
