#define _GNU_SOURCE /* sched_getaffinity, sched_getcpu, CPU_COUNT */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/forks.h"
#include "base/launched.h"
#include "support/control_group.h"
#include "support/mem.h"

#define SPINS 3000

struct det_worker {
    struct det_pool *pool;
    pthread_t thread;
    int32_t index;
};

/* `generation` is even while a job (or a finished one) may be looked at and odd while the next one
 * is being written. A worker says that it is `inside`, looks at the generation, and only when that
 * is even and new reads the job's fields and takes tasks; the caller makes it odd and waits until
 * nobody is inside. One of the two always sees the other, so a worker that comes late to a finished
 * job finds no task left and nothing torn. A job is done when all its tasks are, not when all
 * workers have looked at it: a small job need not wait for a sleeping thread.
 *
 * A thread that waits looks around for some 50 us before it sleeps: waking one takes about as long,
 * and a network is a few hundred jobs in a row. An idle pool sleeps. */
struct det_pool {
    int32_t threads; /* the caller included */
    int32_t started; /* threads that exist, for clean-up of a half-built pool */
    int32_t spins;   /* looks before sleeping; 0 when there are more threads than processors */
    int home;        /* the processor on which the pool was made; -1: unknown */
    unsigned forks;  /* det_forks() of the process that has the threads */
    struct det_worker *workers;

    det_task_fn function;
    void *argument;
    int32_t tasks;

    _Alignas(64) atomic_uint generation;
    _Alignas(64) atomic_int next_task;
    _Alignas(64) atomic_int finished; /* tasks of the present job that are done */
    _Alignas(64) atomic_int inside;
    atomic_bool stop;
    atomic_int sleepers;       /* workers asleep on `wake` */
    atomic_bool caller_asleep; /* on `done` */
    pthread_mutex_t mutex;     /* for the two conditions */
    pthread_cond_t wake, done;
};

static int in_mask(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int det_processors(void)
{
    int count = in_mask();
    const int quota = det_group_processors("");
    if (quota > 0 && quota < count)
        count = quota;
    return count > 0 ? count : 1;
}

/* mpirun may have given each rank processors of its own, or left all to all: a mask of some of the
 * machine's processors is that of so many ranks as it takes to fill them. A quota is for all. */
int det_default_threads(void)
{
    const int processors = det_processors(), mask = in_mask();
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    const int here = det_launched_as().here;
    if (here == 1 || online < 1)
        return processors;
    const long wanted = (long)here * mask;
    const int sharing = processors < mask ? here : (int)((wanted + online - 1) / online);
    return processors > sharing ? processors / sharing : 1;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* takes about as long; most processors do not wait at a "yield" */
#endif
}

static void run_tasks(struct det_pool *pool, int32_t worker)
{
    int32_t done = 0;
    for (;;) {
        const int32_t task = atomic_fetch_add(&pool->next_task, 1);
        if (task >= pool->tasks)
            break;
        pool->function(pool->argument, task, worker);
        done++;
    }
    if (done > 0 && atomic_fetch_add(&pool->finished, done) + done == pool->tasks &&
        atomic_load(&pool->caller_asleep)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static bool is_new(struct det_pool *pool, unsigned seen)
{
    const unsigned generation = atomic_load(&pool->generation);
    return generation != seen && generation % 2 == 0;
}

/* Returns when there is a job after `seen`, or the pool stops. */
static void wait_for_job(struct det_pool *pool, unsigned seen)
{
    for (int32_t i = 0; i < pool->spins; i++) {
        if (is_new(pool, seen) || atomic_load(&pool->stop))
            return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (!is_new(pool, seen) && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

/* With as many threads as processors each worker stays on one, not the caller's. Else waking it may
 * put it beside the caller for some milliseconds, which is several networks: the scheduler of a
 * virtual machine takes a processor that sleeps for one that is busy elsewhere. */
static void stay_apart(const struct det_worker *self)
{
    cpu_set_t all, own;
    CPU_ZERO(&all);
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) != self->pool->threads ||
        self->pool->home < 0)
        return;
    size_t cpu = (size_t)self->pool->home;
    for (int32_t left = self->index; left > 0; left -= CPU_ISSET(cpu, &all) ? 1 : 0)
        cpu = (cpu + 1) % CPU_SETSIZE;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    (void)sched_setaffinity(0, sizeof own, &own); /* a favour: without it all is the same, slower */
}

static void *worker_main(void *argument)
{
    struct det_worker *self = argument;
    struct det_pool *pool = self->pool;
    stay_apart(self);
    unsigned seen = 0;
    for (;;) {
        wait_for_job(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        atomic_fetch_add(&pool->inside, 1);
        const unsigned generation = atomic_load(&pool->generation);
        if (generation != seen && generation % 2 == 0) {
            seen = generation;
            run_tasks(pool, self->index);
        }
        atomic_fetch_sub(&pool->inside, 1);
    }
}

det_status det_pool_create(struct det_env *env, int threads, struct det_pool **out)
{
    *out = NULL;
    if (threads < 0 || threads > 1024)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "threads: got %d, expected 0 to 1024",
                        threads);
    const int processors = det_processors();
    if (threads == 0)
        threads = det_default_threads();
    struct det_pool *pool = NULL;
    DET_TRY_RETURN(det_forks_watch(env));
    DET_TRY_RETURN(det_alloc(env, &pool, 1, sizeof *pool, "thread pool"));
    const det_status status =
        det_alloc(env, &pool->workers, (size_t)threads, sizeof *pool->workers, "thread pool");
    if (status != DET_OK) {
        det_free(env, &pool);
        return status;
    }
    pool->threads = threads;
    pool->started = 1;
    pool->forks = det_forks();
    pool->home = sched_getcpu();
    pool->spins = threads > processors ? 0 : SPINS;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    for (int32_t i = 1; i < threads; i++) {
        struct det_worker *worker = &pool->workers[i];
        worker->pool = pool;
        worker->index = i;
        const int error = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (error != 0) {
            det_pool_destroy(env, &pool);
            return det_fail_errno(env, error, "cannot start worker thread %d of %d", i, threads);
        }
        pool->started++;
    }
    *out = pool;
    return DET_OK;
}

static void stop_workers(struct det_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int32_t i = 1; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
}

void det_pool_destroy(struct det_env *env, struct det_pool **out)
{
    struct det_pool *pool = *out;
    if (pool == NULL)
        return;
    /* A fork's child has neither the threads nor, if one of them held it, ever the mutex. */
    if (pool->forks == det_forks())
        stop_workers(pool);
    det_free(env, &pool->workers);
    det_free(env, out);
}

int det_pool_threads(const struct det_pool *pool)
{
    return pool == NULL ? 1 : pool->threads;
}

void det_pool_run(struct det_pool *pool, int32_t tasks, det_task_fn function, void *argument)
{
    if (pool == NULL || pool->threads == 1 || tasks <= 1 || pool->forks != det_forks()) {
        for (int32_t task = 0; task < tasks; task++)
            function(argument, task, 0);
        return;
    }
    atomic_fetch_add(&pool->generation, 1);
    while (atomic_load(&pool->inside) != 0) /* stragglers of the last job, on their way out */
        relax();
    pool->function = function;
    pool->argument = argument;
    pool->tasks = tasks;
    atomic_store(&pool->finished, 0);
    atomic_store(&pool->next_task, 0);
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
    run_tasks(pool, 0);
    for (int32_t i = 0; i < pool->spins; i++) {
        if (atomic_load(&pool->finished) == tasks)
            return;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_asleep, true);
    while (atomic_load(&pool->finished) != tasks)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_asleep, false);
    pthread_mutex_unlock(&pool->mutex);
}
