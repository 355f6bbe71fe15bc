#include "ranks/lifeline_reach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/mem.h"

#define NS_PER_MS 1000000
/* Until the next address is tried beside those that have not answered yet. */
#define NEXT_MS 250
/* Until one that was refused is tried again. */
#define AGAIN_MS 500

struct attempt {
    struct det_link link;
    bool begun;
    int error; /* why it ended the last time; 0: it has not; EPROTO: somebody else is there */
    uint64_t again_ns;
};

struct search {
    const struct det_call *call;
    int32_t rank;
    size_t first;             /* address */
    struct attempt *attempts; /* [call->count] */
    struct det_polls polls;
    uint64_t next_ns; /* the next may begin */
};

static void end_attempt(struct attempt *a, int error)
{
    det_link_close(&a->link);
    a->error = error;
    a->again_ns = det_clock_ns() + (uint64_t)AGAIN_MS * NS_PER_MS;
}

static void begin_attempt(struct search *s, size_t index)
{
    struct attempt *a = &s->attempts[index];
    struct sockaddr_storage address;
    const socklen_t bytes = det_call_socket_address(s->call, index, &address);
    const int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    a->begun = true;
    if (fd < 0) {
        end_attempt(a, errno);
        return;
    }
    det_link_open(&a->link, fd);
    a->link.connecting = true;
    (void)det_link_put(&a->link, DET_LINK_HELLO, s->rank, s->call->hello, sizeof s->call->hello);
    /* EINTR: it goes on all the same. */
    if (connect(fd, (const struct sockaddr *)&address, bytes) != 0 && errno != EINPROGRESS &&
        errno != EINTR)
        end_attempt(a, errno);
}

static bool any_open(const struct search *s)
{
    for (size_t i = 0; i < s->call->count; i++)
        if (s->attempts[i].link.fd >= 0)
            return true;
    return false;
}

/* The first that is due. */
static void begin_next(struct search *s, uint64_t now_ns)
{
    if (now_ns < s->next_ns && any_open(s))
        return;
    for (size_t i = 0; i < s->call->count; i++) {
        const size_t index = (s->first + i) % s->call->count;
        const struct attempt *a = &s->attempts[index];
        if (a->link.fd >= 0 || now_ns < a->again_ns)
            continue;
        begin_attempt(s, index);
        s->next_ns = now_ns + (uint64_t)NEXT_MS * NS_PER_MS;
        if (a->link.fd >= 0)
            return;
    }
}

static void finish_connecting(struct attempt *a)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(a->link.fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
        error = errno;
    a->link.connecting = false;
    if (error != 0)
        end_attempt(a, error);
}

/* Whether it was welcomed. */
static bool go_on(const struct search *s, struct attempt *a)
{
    struct det_message said;
    if (a->link.connecting)
        finish_connecting(a);
    det_link_flush(&a->link);
    (void)det_link_fill(&a->link);
    const enum det_link_got got = det_link_next(&a->link, &said);
    if (got == DET_LINK_MESSAGE && said.kind == DET_LINK_WELCOME &&
        det_call_is_same(said.data, said.bytes, s->call->welcome))
        return true;
    if (got != DET_LINK_NOTHING)
        end_attempt(a, EPROTO);
    else if (a->link.ended)
        end_attempt(a, a->link.error != 0 ? a->link.error : EPROTO);
    return false;
}

/* NULL: none was welcomed in time. */
static struct attempt *search(struct search *s, double most_seconds)
{
    const uint64_t end_ns = det_clock_ns() + (uint64_t)(most_seconds * 1e9);
    for (;;) {
        const uint64_t now_ns = det_clock_ns();
        if (now_ns >= end_ns)
            return NULL;
        begin_next(s, now_ns);
        for (size_t i = 0; i < s->call->count; i++)
            det_polls_add(&s->polls, &s->attempts[i].link);
        det_polls_wait(&s->polls, NEXT_MS / 5);
        for (size_t i = 0; i < s->call->count; i++)
            if (s->attempts[i].link.fd >= 0 && s->attempts[i].link.polled != 0 &&
                go_on(s, &s->attempts[i]))
                return &s->attempts[i];
    }
}

/* "10.0.0.7 port 4711: Connection refused; ..." as far as there is room. */
static void tell_attempts(const struct search *s, char *text, size_t bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < s->call->count && at < bytes; i++) {
        const size_t index = (s->first + i) % s->call->count;
        const struct attempt *a = &s->attempts[index];
        char address[DET_CALL_TEXT_BYTES], error[96] = "no answer";
        det_call_text(s->call, index, address);
        if (!a->begun)
            snprintf(error, sizeof error, "not tried");
        else if (a->error == EPROTO)
            snprintf(error, sizeof error, "somebody else is there");
        else if (a->error != 0 && strerror_r(a->error, error, sizeof error) != 0)
            snprintf(error, sizeof error, "error %d", a->error);
        const int length =
            snprintf(text + at, bytes - at, "%s%s: %s", i > 0 ? "; " : "", address, error);
        at += length > 0 ? (size_t)length : 0;
    }
}

det_status det_reach(struct det_env *env, const struct det_call *call, int32_t rank, bool same_host,
                     double most_seconds, struct det_link *link)
{
    struct search s = {.call = call, .rank = rank};
    char tried[DET_ERROR_BYTES / 2];
    det_status status = DET_OK;
    if (call->count < 1 || call->count > DET_CALL_ADDRESSES)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "call of rank 0: got %d addresses, expected 1 to %d", (int)call->count,
                        DET_CALL_ADDRESSES);
    while (same_host && s.first < call->count && !call->addresses[s.first].is_loopback)
        s.first++;
    s.first %= call->count;
    DET_TRY(det_alloc(env, &s.attempts, call->count, sizeof *s.attempts, "addresses of rank 0"));
    for (size_t i = 0; i < call->count; i++)
        s.attempts[i].link.fd = -1;
    DET_TRY(det_polls_make(env, &s.polls, call->count));
    struct attempt *welcomed = search(&s, most_seconds);
    if (welcomed == NULL) {
        tell_attempts(&s, tried, sizeof tried);
        DET_TRY(det_fail(env, DET_STATUS_IO, "rank 0 can not be reached: %s", tried));
    }
    (void)det_link_put(&welcomed->link, DET_LINK_ALIVE, 0, NULL, 0);
    det_link_flush(&welcomed->link);
    *link = welcomed->link;
    welcomed->link.fd = -1;
fail:
    for (size_t i = 0; s.attempts != NULL && i < call->count; i++)
        det_link_close(&s.attempts[i].link);
    det_polls_free(env, &s.polls);
    det_free(env, &s.attempts);
    return status;
}
