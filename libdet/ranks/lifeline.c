#include "ranks/lifeline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/forks.h"
#include "ranks/lifeline_call.h"
#include "ranks/lifeline_reach.h"
#include "ranks/lifeline_watch.h"
#include "support/clock.h"
#include "support/mem.h"

#define NS_PER_S 1000000000
/* For the words of a rank that gives up to be on their way. */
#define SAYING_NS 2000000000
/* 12 days. */
#define MOST_SECONDS 1e6

/* --- beginning --- */

static det_status make_lock(struct det_env *env, struct det_lifeline *l)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* det_clock_ns()'s */
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return l->wake >= 0 ? DET_OK : det_fail_errno(env, errno, "lifeline of the ranks");
}

static det_status make_paces(struct det_env *env, struct det_lifeline *l)
{
    const int32_t size = l->settings.rank == 0 ? l->settings.size : 0;
    DET_TRY_RETURN(
        det_alloc(env, &l->paces, (size_t)size, sizeof *l->paces, "what ranks wait for"));
    for (int32_t r = 0; r < size; r++)
        l->paces[r].over = DET_LIFELINE_WORKS;
    atomic_init(&l->over, DET_LIFELINE_WORKS);
    return DET_OK;
}

static det_status make_peers(struct det_env *env, struct det_lifeline *l)
{
    const int32_t size = l->settings.size;
    const size_t count = l->settings.rank > 0 ? 1 : size > 1 ? (size_t)size - 1 : 0;
    DET_TRY_RETURN(det_alloc(env, &l->peers, count, sizeof *l->peers, "connections of ranks"));
    l->peer_count = (int32_t)count;
    l->missing = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        l->peers[i].link.fd = -1;
    return DET_OK;
}

static det_status check_seconds(struct det_env *env, const char *name, double seconds)
{
    if (seconds > 0 && seconds <= MOST_SECONDS)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: got %g, expected more than 0, at most %g", name, seconds, MOST_SECONDS);
}

static det_status make(struct det_env *env, const struct det_lifeline_settings *settings,
                       struct det_lifeline **out)
{
    struct det_lifeline *l = NULL;
    const size_t size = (size_t)settings->size;
    *out = NULL;
    DET_TRY_RETURN(check_seconds(env, "silence_seconds", settings->silence_seconds));
    DET_TRY_RETURN(check_seconds(env, "standstill_seconds", settings->standstill_seconds));
    DET_TRY_RETURN(det_forks_watch(env));
    DET_TRY_RETURN(det_alloc(env, &l, 1, sizeof *l, "lifeline of the ranks"));
    *out = l;
    l->settings = *settings;
    l->forks = det_forks();
    l->wake = l->door.listener = -1;
    const double beat_seconds = settings->silence_seconds < 4 ? settings->silence_seconds / 4 : 1;
    l->beat_ns = (uint64_t)(beat_seconds * 1e9);
    DET_TRY_RETURN(make_lock(env, l));
    DET_TRY_RETURN(make_peers(env, l));
    DET_TRY_RETURN(make_paces(env, l));
    DET_TRY_RETURN(det_alloc(env, &l->hosts, size, sizeof *l->hosts, "names of hosts"));
    memcpy(l->hosts, settings->hosts, size * sizeof *l->hosts);
    for (size_t r = 0; r < size; r++)
        l->hosts[r][DET_HOST_BYTES - 1] = '\0';
    l->settings.hosts = NULL;
    return DET_OK;
}

/* Signals are the program's threads'. */
static det_status start(struct det_env *env, struct det_lifeline *l)
{
    sigset_t all, before;
    /* beside peers and guests: the eventfd, the listener */
    DET_TRY_RETURN(det_polls_make(env, &l->polls, (size_t)l->peer_count + l->door.room + 2));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&l->thread, NULL, det_lifeline_watch, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->is_running = error == 0;
    return error == 0 ? DET_OK : det_fail_errno(env, error, "thread of the ranks' lifeline");
}

det_status det_lifeline_listen(struct det_env *env, const struct det_lifeline_settings *settings,
                               uint8_t call_bytes[DET_LIFELINE_CALL_BYTES],
                               struct det_lifeline **lifeline)
{
    struct det_call call;
    det_status status = DET_OK;
    memset(call_bytes, 0, DET_LIFELINE_CALL_BYTES);
    DET_TRY(make(env, settings, lifeline));
    DET_TRY(det_door_open(env, &(*lifeline)->door, settings->size, &call));
    memcpy(call_bytes, &call, sizeof call);
    DET_TRY(start(env, *lifeline));
    return DET_OK;
fail:
    det_lifeline_close(env, lifeline, false);
    return status;
}

det_status det_lifeline_join(struct det_env *env, const struct det_lifeline_settings *settings,
                             const uint8_t call_bytes[DET_LIFELINE_CALL_BYTES],
                             struct det_lifeline **lifeline)
{
    struct det_call call;
    det_status status = DET_OK;
    memcpy(&call, call_bytes, sizeof call);
    DET_TRY(make(env, settings, lifeline));
    struct det_lifeline *l = *lifeline;
    const bool same_host = strcmp(l->hosts[settings->rank], l->hosts[0]) == 0;
    /* Before rank 0 stops waiting. */
    DET_TRY(det_reach(env, &call, settings->rank, same_host, settings->meet_seconds / 2,
                      &l->peers[0].link));
    l->peers[0].state = DET_PEER_THERE;
    l->peers[0].heard_ns = det_clock_ns();
    l->missing = 0;
    DET_TRY(start(env, l));
    return DET_OK;
fail:
    det_lifeline_close(env, lifeline, false);
    return status;
}

static void wake(const struct det_lifeline *l)
{
    (void)eventfd_write(l->wake, 1); /* it fails when 2^64 - 1 such wait, which wakes as well */
}

/* Under the mutex; false: the time is over. */
static bool wait_for_change(struct det_lifeline *l, uint64_t end_ns)
{
    const struct timespec end = {.tv_sec = (time_t)(end_ns / NS_PER_S),
                                 .tv_nsec = (long)(end_ns % NS_PER_S)};
    return pthread_cond_timedwait(&l->changed, &l->mutex, &end) == 0;
}

/* Tells all the finding of this rank's program, unless there is one; it is published then. */
static void say(struct det_lifeline *l, det_status status, const char *message)
{
    const uint64_t end_ns = det_clock_ns() + SAYING_NS;
    if (!l->is_running)
        return;
    const bool is_first = det_lifeline_claim(l, status, message, true);
    wake(l);
    pthread_mutex_lock(&l->mutex);
    while ((is_first ? l->is_own : !atomic_load(&l->found)) && wait_for_change(l, end_ns))
        continue;
    pthread_mutex_unlock(&l->mutex);
    if (is_first)
        det_lifeline_publish(l);
}

/* Under the mutex. */
static det_status tell_missing(struct det_env *env, const struct det_lifeline *l)
{
    int32_t first = 0;
    char others[32] = "", why[96] = "";
    while (l->peers[first].state != DET_PEER_ABSENT)
        first++;
    if (l->missing > 1)
        snprintf(others, sizeof others, " and %d more", (int)l->missing - 1);
    if (l->door_error == EMFILE || l->door_error == ENFILE)
        snprintf(why, sizeof why, ": rank 0 can open no more files (ulimit -n)");
    else if (l->door_error != 0)
        snprintf(why, sizeof why, ": the system of rank 0 has no memory for connections");
    return det_fail(
        env, DET_STATUS_IO, "rank %d on %s%s did not connect to rank 0 on %s within %g seconds%s",
        (int)first + 1, l->hosts[first + 1], others, l->hosts[0], l->settings.meet_seconds, why);
}

det_status det_lifeline_gather(struct det_env *env, struct det_lifeline *l)
{
    const uint64_t end_ns = det_clock_ns() + (uint64_t)(l->settings.meet_seconds * 1e9);
    det_status status = DET_OK;
    pthread_mutex_lock(&l->mutex);
    while (l->missing > 0 && !atomic_load(&l->found) && wait_for_change(l, end_ns))
        continue;
    if (l->missing > 0 && !atomic_load(&l->found))
        status = tell_missing(env, l);
    pthread_mutex_unlock(&l->mutex);
    if (status != DET_OK)
        say(l, status, env->error);
    return det_lifeline_check(env, l);
}

/* --- in between --- */

det_status det_lifeline_check(struct det_env *env, const struct det_lifeline *l)
{
    /* What is published does not change any more. */
    return atomic_load(&l->found) ? det_fail(env, l->status, "%s", l->message) : DET_OK;
}

void det_lifeline_note(struct det_lifeline *l, int32_t over)
{
    atomic_store_explicit(&l->over, over, memory_order_relaxed);
}

void det_lifeline_give_up(struct det_lifeline *l, det_status status, const char *message)
{
    struct det_env text;
    if (l == NULL || l->forks != det_forks())
        return;
    det_env_default(&text);
    say(l,
        det_fail(&text, status, "rank %d on %s: %s", (int)l->settings.rank,
                 l->hosts[l->settings.rank], message),
        text.error);
}

/* --- the end --- */

static void stop(struct det_lifeline *l, bool orderly)
{
    if (l->is_running) {
        pthread_mutex_lock(&l->mutex);
        l->closing = orderly ? DET_CLOSING_ORDERLY : DET_CLOSING_AT_ONCE;
        pthread_mutex_unlock(&l->mutex);
        wake(l);
        pthread_join(l->thread, NULL);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
}

void det_lifeline_close(struct det_env *env, struct det_lifeline **lifeline, bool orderly)
{
    struct det_lifeline *l = *lifeline;
    if (l == NULL)
        return;
    /* A fork's child has no thread to stop; it only lets go of the descriptors. */
    if (l->forks == det_forks())
        stop(l, orderly);
    for (int32_t i = 0; i < l->peer_count; i++)
        det_link_close(&l->peers[i].link);
    det_door_free(env, &l->door);
    det_polls_free(env, &l->polls);
    if (l->wake >= 0)
        close(l->wake);
    det_free(env, &l->peers);
    det_free(env, &l->paces);
    det_free(env, &l->hosts);
    det_free(env, lifeline);
}
