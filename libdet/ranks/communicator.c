#define _GNU_SOURCE /* gethostname in every libc */
#include "ranks/communicator_parts.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arguments.h"
#include "base/build.h"
#include "support/clock.h"
#include "support/mem.h"

enum { OWN_SLOT = 0 };

/* What a transport is given at once: little enough that something is over now and then on a slow
 * link, too, which else would look like one that is cut. */
#define MOST_BYTES ((size_t)4 << 20)
#define LOOKING_NS 200000
#define NAP_NS     50000
/* For the lifeline to hear why a transfer failed. */
#define CAUSE_NS 1000000000
/* Until there is a lifeline nobody says that a rank has ended. */
#define ALONE_NS ((uint64_t)300000000000)
/* For the ranks to find each other beside the transport. */
#define MEET_SECONDS 20

/* Each rank's, gathered before anything else: its size and its beginning are those of every version
 * to come, so that different ones can tell each other so. */
struct card {
    char magic[16];
    char build[112];
    char host[DET_HOST_BYTES];
    char reserved[64];
};
static const char card_magic[16] = "libdet ranks 1";

/* --- what it knows --- */

int32_t det_communicator_rank(const det_communicator *c)
{
    return c == NULL ? 0 : c->transport->rank;
}

int32_t det_communicator_size(const det_communicator *c)
{
    return c == NULL ? 1 : c->transport->size;
}

bool det_ranks_are_many(const det_communicator *c)
{
    return det_communicator_size(c) > 1;
}

const char *det_communicator_host(const det_communicator *c, int32_t rank)
{
    return c == NULL || rank < 0 || rank >= c->transport->size ? "" : c->hosts[rank];
}

struct det_transport *det_ranks_transport(det_communicator *c)
{
    return c->transport;
}

/* --- waiting --- */

static det_status broke(det_communicator *c, det_status status)
{
    c->broken = true;
    return status;
}

static det_status why_broken(struct det_env *env, const det_communicator *c)
{
    if (c->lifeline != NULL)
        DET_TRY_RETURN(det_lifeline_check(env, c->lifeline));
    return det_fail(env, DET_STATUS_CANCELLED, "rank %d has given up before",
                    (int)c->transport->rank);
}

/* What goes wrong in a transfer has a cause: a rank that is lost, of which the lifeline may have
 * yet to hear, or this one's own trouble, of which the others are told then. */
static det_status transfer_failed(struct det_env *env, det_communicator *c, det_status status)
{
    const uint64_t begin_ns = det_clock_ns();
    if (c->lifeline == NULL || c->broken)
        return broke(c, status);
    while (det_clock_ns() - begin_ns < CAUSE_NS) {
        struct det_env forked;
        det_env_fork(&forked, env);
        const det_status cause = det_lifeline_check(&forked, c->lifeline);
        if (cause != DET_OK) {
            det_env_adopt_error(env, &forked);
            return broke(c, cause);
        }
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    det_lifeline_give_up(c->lifeline, status, env->error);
    return broke(c, status);
}

det_status det_ranks_started(struct det_env *env, det_communicator *c, det_status status)
{
    return status == DET_OK ? DET_OK : transfer_failed(env, c, status);
}

static void note(det_communicator *c)
{
    if (c->lifeline != NULL)
        det_lifeline_note(c->lifeline, c->waits ? c->over : DET_LIFELINE_WORKS);
}

static void note_one_over(det_communicator *c)
{
    c->over = c->over < INT32_MAX ? c->over + 1 : 0;
    note(c);
}

void det_ranks_begin_wait(det_communicator *c)
{
    c->waits = true;
    note(c);
}

void det_ranks_end_wait(det_communicator *c)
{
    c->waits = false;
    note_one_over(c);
}

det_status det_ranks_test(struct det_env *env, det_communicator *c, int slot, bool *done)
{
    *done = false;
    const det_status status = c->transport->does->test(env, c->transport, slot, done);
    if (status != DET_OK)
        return transfer_failed(env, c, status);
    if (*done)
        note_one_over(c);
    if (*done || c->lifeline == NULL)
        return DET_OK;
    const det_status there = det_lifeline_check(env, c->lifeline);
    return there == DET_OK ? DET_OK : broke(c, there);
}

void det_ranks_pause(uint64_t begin_ns)
{
    if (det_clock_ns() - begin_ns < LOOKING_NS)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

static det_status wait_for(struct det_env *env, det_communicator *c, int slot)
{
    const uint64_t begin_ns = det_clock_ns();
    for (;;) {
        bool done;
        DET_TRY_RETURN(det_ranks_test(env, c, slot, &done));
        if (done)
            return DET_OK;
        if (c->lifeline == NULL && det_clock_ns() - begin_ns > ALONE_NS)
            return broke(c, det_fail(env, DET_STATUS_IO,
                                     "nothing was heard of the other ranks for %d seconds",
                                     (int)(ALONE_NS / 1000000000)));
        det_ranks_pause(begin_ns);
    }
}

det_status det_ranks_wait(struct det_env *env, det_communicator *c, int slot)
{
    det_ranks_begin_wait(c);
    const det_status status = wait_for(env, c, slot);
    det_ranks_end_wait(c);
    return status;
}

/* --- collective --- */

det_status det_ranks_gather(struct det_env *env, det_communicator *c, const void *mine, void *all,
                            size_t bytes)
{
    if (!det_ranks_are_many(c)) {
        memcpy(all, mine, bytes);
        return DET_OK;
    }
    if (c->broken)
        return why_broken(env, c);
    c->agreed = false;
    DET_TRY_RETURN(
        det_ranks_started(env, c,
                          c->transport->does->start_gather(env, c->transport, OWN_SLOT,
                                                           DET_LANE_ORDERS, mine, all, bytes)));
    return det_ranks_wait(env, c, OWN_SLOT);
}

det_status det_ranks_broadcast(struct det_env *env, det_communicator *c, void *data, size_t bytes)
{
    uint8_t *at = data;
    if (!det_ranks_are_many(c))
        return DET_OK;
    if (c->broken)
        return why_broken(env, c);
    c->agreed = false;
    while (bytes > 0) {
        const size_t now = bytes < MOST_BYTES ? bytes : MOST_BYTES;
        DET_TRY_RETURN(
            det_ranks_started(env, c,
                              c->transport->does->start_broadcast(env, c->transport, OWN_SLOT,
                                                                  DET_LANE_ORDERS, at, now)));
        DET_TRY_RETURN(det_ranks_wait(env, c, OWN_SLOT));
        at += now;
        bytes -= now;
    }
    return DET_OK;
}

void det_gathered_free(struct det_env *env, struct det_gathered *all)
{
    det_free(env, &all->data);
    det_free(env, &all->begins);
}

/* What is gathered in rounds, a piece of each rank at a time. */
struct pieces {
    size_t most, piece; /* bytes: of a rank, of a piece */
    uint8_t *sent, *got;
};

static void free_pieces(struct det_env *env, struct pieces *pieces)
{
    det_free(env, &pieces->sent);
    det_free(env, &pieces->got);
}

/* Where each rank's bytes begin, and room for all of them. */
static det_status make_room(struct det_env *env, size_t size, const int64_t *sizes,
                            struct det_gathered *all, struct pieces *pieces)
{
    const size_t room = MOST_BYTES / size > 4096 ? MOST_BYTES / size : 4096;
    DET_TRY_RETURN(det_alloc(env, &all->begins, size + 1, sizeof *all->begins, "gathered sizes"));
    for (size_t r = 0; r < size; r++) {
        const size_t bytes = (size_t)sizes[r];
        if (!det_size_add(all->begins[r], bytes, &all->begins[r + 1]))
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "gathered bytes: too many");
        if (bytes > pieces->most)
            pieces->most = bytes;
    }
    pieces->piece = pieces->most < room ? pieces->most : room;
    DET_TRY_RETURN(det_alloc_raw(env, &all->data, all->begins[size], 1, "gathered bytes"));
    DET_TRY_RETURN(det_alloc(env, &pieces->sent, pieces->piece, 1, "bytes to gather"));
    return det_alloc_raw(env, &pieces->got, size, pieces->piece, "gathered bytes");
}

static det_status gather_pieces(struct det_env *env, det_communicator *c, const uint8_t *mine,
                                size_t bytes, const struct pieces *p, struct det_gathered *all)
{
    const size_t size = (size_t)det_communicator_size(c);
    for (size_t at = 0; at < p->most; at += p->piece) {
        const size_t left = at < bytes ? bytes - at : 0;
        if (left > 0)
            memcpy(p->sent, mine + at, left < p->piece ? left : p->piece);
        DET_TRY_RETURN(det_ranks_gather(env, c, p->sent, p->got, p->piece));
        for (size_t r = 0; r < size; r++) {
            const size_t has = all->begins[r + 1] - all->begins[r];
            const size_t now = at >= has ? 0 : has - at < p->piece ? has - at : p->piece;
            if (now > 0)
                memcpy(all->data + all->begins[r] + at, p->got + r * p->piece, now);
        }
    }
    return DET_OK;
}

det_status det_ranks_gather_bytes(struct det_env *env, det_communicator *c, const void *mine,
                                  size_t bytes, struct det_gathered *all)
{
    const int64_t own = (int64_t)bytes, *sizes = &own;
    struct pieces pieces = {0};
    det_status status = DET_OK;
    *all = (struct det_gathered){0};
    if (det_ranks_are_many(c)) {
        DET_TRY_RETURN(det_ranks_gather(env, c, &own, c->numbers, sizeof own));
        sizes = c->numbers;
    }
    status = make_room(env, (size_t)det_communicator_size(c), sizes, all, &pieces);
    DET_TRY(det_ranks_agree(env, c, status));
    DET_TRY(gather_pieces(env, c, mine, bytes, &pieces, all));
fail:
    free_pieces(env, &pieces);
    if (status != DET_OK)
        det_gathered_free(env, all);
    return status;
}

/* --- who is there --- */

det_status det_ranks_check(struct det_env *env, det_communicator *c)
{
    if (!det_ranks_are_many(c))
        return DET_OK;
    const det_status status = det_lifeline_check(env, c->lifeline);
    return status == DET_OK ? DET_OK : broke(c, status);
}

int32_t det_ranks_here(const det_communicator *c)
{
    int32_t here = 0;
    for (int32_t r = 0; r < det_communicator_size(c); r++)
        if (strcmp(det_communicator_host(c, r),
                   det_communicator_host(c, det_communicator_rank(c))) == 0)
            here++;
    return here;
}

det_status det_ranks_give_up(struct det_env *env, det_communicator *c, det_status status)
{
    if (status == DET_OK || !det_ranks_are_many(c) || c->agreed)
        return status;
    if (!c->broken)
        det_lifeline_give_up(c->lifeline, status, env->error);
    c->broken = true;
    return status;
}

/* --- life --- */

void det_communicator_settings_init(det_communicator_settings *settings, size_t struct_size)
{
    static const det_communicator_settings defaults = {.silence_seconds = 8,
                                                       .standstill_seconds = 60};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

/* The own card is in its place then. */
static det_status exchange_cards(struct det_env *env, det_communicator *c, struct card *cards)
{
    const struct det_transport *t = c->transport;
    struct card own = {{0}, {0}, {0}, {0}};
    memcpy(own.magic, card_magic, sizeof own.magic);
    snprintf(own.build, sizeof own.build, "%s", det_build);
    if (gethostname(own.host, sizeof own.host - 1) != 0)
        snprintf(own.host, sizeof own.host, "host of rank %d", (int)t->rank);
    DET_TRY_RETURN(det_ranks_gather(env, c, &own, cards, sizeof own));
    for (int32_t r = 0; r < t->size; r++) {
        cards[r].build[sizeof cards[r].build - 1] = cards[r].host[DET_HOST_BYTES - 1] = '\0';
        memcpy(c->hosts[r], cards[r].host, DET_HOST_BYTES);
    }
    return DET_OK;
}

/* All ranks compare with rank 0 and so come to the same. */
static det_status compare_builds(struct det_env *env, const det_communicator *c,
                                 const struct card *cards)
{
    for (int32_t r = 0; r < det_communicator_size(c); r++) {
        if (memcmp(cards[r].magic, card_magic, sizeof card_magic) == 0 &&
            strcmp(cards[r].build, cards[0].build) == 0)
            continue;
        return det_fail(env, DET_STATUS_MISMATCH,
                        "rank %d on %s is libdet %s, rank 0 on %s is libdet %s: all have to be of "
                        "one build",
                        (int)r, c->hosts[r], cards[r].build, c->hosts[0], cards[0].build);
    }
    return DET_OK;
}

static det_status greet(struct det_env *env, det_communicator *c)
{
    struct card *cards = NULL;
    det_status status = DET_OK;
    const size_t size = (size_t)c->transport->size;
    DET_TRY(det_alloc(env, &c->hosts, size, sizeof *c->hosts, "names of hosts"));
    DET_TRY(det_alloc(env, &c->numbers, size, sizeof *c->numbers, "numbers of the ranks"));
    DET_TRY(det_alloc(env, &c->outcomes, size, sizeof *c->outcomes, "outcomes of the ranks"));
    DET_TRY(det_alloc(env, &cards, size, sizeof *cards, "cards of the ranks"));
    DET_TRY(exchange_cards(env, c, cards));
    DET_TRY(compare_builds(env, c, cards));
fail:
    det_free(env, &cards);
    return status;
}

/* A rank that can not join ends by itself: rank 0 misses it and tells the others. */
static det_status join_lifeline(struct det_env *env, det_communicator *c,
                                const struct det_lifeline_settings *settings,
                                const uint8_t call[DET_LIFELINE_CALL_BYTES])
{
    if (settings->rank > 0)
        DET_TRY_RETURN(det_lifeline_join(env, settings, call, &c->lifeline));
    DET_TRY_RETURN(det_lifeline_gather(env, c->lifeline));
    return det_ranks_agree(env, c, DET_OK);
}

static det_status tie_lifeline(struct det_env *env, det_communicator *c,
                               const det_communicator_settings *s)
{
    const struct det_lifeline_settings settings = {
        .rank = c->transport->rank,
        .size = c->transport->size,
        .hosts = (const char(*)[DET_HOST_BYTES])c->hosts,
        .silence_seconds = s->silence_seconds,
        .standstill_seconds = s->standstill_seconds,
        .meet_seconds = MEET_SECONDS,
        .lost = s->lost,
        .lost_user = s->lost_user,
    };
    uint8_t call[DET_LIFELINE_CALL_BYTES] = {0};
    det_status status = DET_OK;
    if (settings.rank == 0)
        status = det_lifeline_listen(env, &settings, call, &c->lifeline);
    DET_TRY_RETURN(det_ranks_agree(env, c, status));
    DET_TRY_RETURN(det_ranks_broadcast(env, c, call, sizeof call));
    return join_lifeline(env, c, &settings, call);
}

det_status det_communicator_create(struct det_env *env, struct det_transport *transport,
                                   const det_communicator_settings *settings,
                                   det_communicator **out)
{
    struct det_communicator *c = NULL;
    det_status status = DET_OK;
    *out = NULL;
    status = det_alloc(env, &c, 1, sizeof *c, "communicator");
    if (status != DET_OK) {
        transport->does->close(env, &transport, false);
        return status;
    }
    c->env = env;
    c->transport = transport;
    c->failed_rank = -1;
    DET_TRY(greet(env, c));
    if (transport->size > 1)
        DET_TRY(tie_lifeline(env, c, settings));
    *out = c;
    return DET_OK;
fail:
    c->broken = true;
    det_communicator_close(&c);
    return status;
}

void det_communicator_close(det_communicator **out)
{
    struct det_communicator *c;
    struct det_env forked;
    if (out == NULL || *out == NULL)
        return;
    c = *out;
    /* What is said here is nobody's message. */
    det_env_fork(&forked, c->env);
    const bool orderly = !c->broken && det_ranks_agree(&forked, c, DET_OK) == DET_OK;
    det_lifeline_close(c->env, &c->lifeline, orderly);
    c->transport->does->close(&forked, &c->transport, orderly);
    det_free(c->env, &c->hosts);
    det_free(c->env, &c->numbers);
    det_free(c->env, &c->outcomes);
    det_free(c->env, out);
}

det_status det_communicator_agree(det_communicator *communicator, det_status status,
                                  const char *message)
{
    DET_NEED(NULL, communicator);
    if (status != DET_OK)
        det_fail(communicator->env, status, "%s", message != NULL ? message : "");
    return det_ranks_agree(communicator->env, communicator, status);
}

void det_communicator_give_up(det_communicator *communicator, det_status status,
                              const char *message)
{
    if (communicator == NULL || message == NULL || status == DET_OK ||
        !det_ranks_are_many(communicator) || communicator->broken)
        return;
    det_lifeline_give_up(communicator->lifeline, status, message);
    communicator->broken = true;
}
