#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/mem.h"

struct det_worker {
    struct det_pool *pool;
    pthread_t thread;
    int32_t index;
};

struct det_pool {
    int32_t threads;       /* the caller included */
    int32_t started;       /* threads that exist, for clean-up of a half-built pool */
    pthread_mutex_t mutex; /* guards everything below but next_task */
    pthread_cond_t wake;   /* a new job, or stop */
    pthread_cond_t done;   /* `busy` reached zero */
    uint64_t generation;   /* counts jobs */
    int32_t busy;          /* workers that have not finished the present job */
    bool stop;
    det_task_fn function;
    void *argument;
    int32_t tasks;
    atomic_int next_task;
    struct det_worker *workers;
};

int det_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

static void run_tasks(struct det_pool *pool, int32_t worker)
{
    for (;;) {
        const int32_t task = atomic_fetch_add_explicit(&pool->next_task, 1, memory_order_relaxed);
        if (task >= pool->tasks)
            return;
        pool->function(pool->argument, task, worker);
    }
}

static void *worker_main(void *argument)
{
    struct det_worker *self = argument;
    struct det_pool *pool = self->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (!pool->stop && pool->generation == seen)
            pthread_cond_wait(&pool->wake, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->generation;
        pthread_mutex_unlock(&pool->mutex);
        run_tasks(pool, self->index);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->busy == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

det_status det_pool_create(struct det_env *env, int threads, struct det_pool **out)
{
    *out = NULL;
    if (threads < 0 || threads > 1024)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "threads: got %d, expected 0 to 1024",
                        threads);
    if (threads == 0)
        threads = det_processors();
    struct det_pool *pool = NULL;
    DET_TRY_RETURN(det_alloc(env, &pool, 1, sizeof *pool, "thread pool"));
    const det_status status =
        det_alloc(env, &pool->workers, (size_t)threads, sizeof *pool->workers, "thread pool");
    if (status != DET_OK) {
        det_free(env, &pool);
        return status;
    }
    pool->threads = threads;
    pool->started = 1;
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

void det_pool_destroy(struct det_env *env, struct det_pool **out)
{
    struct det_pool *pool = *out;
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->mutex);
    pool->stop = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int32_t i = 1; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    det_free(env, &pool->workers);
    det_free(env, out);
}

int det_pool_threads(const struct det_pool *pool)
{
    return pool == NULL ? 1 : pool->threads;
}

void det_pool_run(struct det_pool *pool, int32_t tasks, det_task_fn function, void *argument)
{
    if (pool == NULL || pool->threads == 1 || tasks <= 1) {
        for (int32_t task = 0; task < tasks; task++)
            function(argument, task, 0);
        return;
    }
    pthread_mutex_lock(&pool->mutex);
    pool->function = function;
    pool->argument = argument;
    pool->tasks = tasks;
    atomic_store_explicit(&pool->next_task, 0, memory_order_relaxed);
    pool->busy = pool->threads - 1;
    pool->generation++;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    run_tasks(pool, 0);
    pthread_mutex_lock(&pool->mutex);
    while (pool->busy > 0)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}
