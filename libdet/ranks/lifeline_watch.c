#include "ranks/lifeline_watch.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "support/clock.h"

#define NS_PER_MS 1000000
/* For others to take what was said, and to say so. Where somebody is lost, more of those that are
 * waited for may be, and the process has to end soon. */
#define FINISH_NS         2000000000
#define FINISH_AT_ONCE_NS 1000000000
/* A rank that ends because of another may come here before that one's end does. */
#define LAST_LOOK_NS 100000000
/* What rank 0 has for a checkpoint when all were asked to stop, and when something failed. */
#define SAVING_SECONDS  60.0
#define FAILING_SECONDS 5.0
/* The signs of life of many come one by one: to look at some at a time costs a tenth. */
#define MANY_PEERS 100
#define NAP_NS     10000000
/* Of messages from one peer that has more and more to say. */
#define MOST_FILLS 16

/* peers[i]'s */
static int32_t rank_of(const struct det_lifeline *l, int32_t i)
{
    return l->settings.rank == 0 ? i + 1 : 0;
}

static void set_state(struct det_lifeline *l, struct det_peer *peer, enum det_peer_state state)
{
    pthread_mutex_lock(&l->mutex);
    peer->state = state;
    pthread_mutex_unlock(&l->mutex);
}

/* --- the finding --- */

bool det_lifeline_claim(struct det_lifeline *l, det_status status, const char *message, bool own)
{
    pthread_mutex_lock(&l->mutex);
    const bool is_first = !l->is_claimed;
    if (is_first) {
        /* As messages are: one line, fit to be shown, not cut within a character. */
        struct det_env shown;
        det_env_default(&shown);
        l->status = det_fail(&shown, status, "%s", message);
        memcpy(l->message, shown.error, sizeof l->message);
        l->is_claimed = true;
        l->is_own = own;
    }
    pthread_mutex_unlock(&l->mutex);
    return is_first;
}

void det_lifeline_publish(struct det_lifeline *l)
{
    pthread_mutex_lock(&l->mutex);
    atomic_store(&l->found, true);
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

static void tell(struct det_lifeline *l, struct det_peer *peer)
{
    (void)det_link_put(&peer->link, DET_LINK_NEWS, (int32_t)l->status, l->message,
                       strlen(l->message));
    det_link_flush(&peer->link);
}

static void tell_all(struct det_lifeline *l)
{
    for (int32_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].state != DET_PEER_ABSENT)
            tell(l, &l->peers[i]);
    l->has_told = true;
}

/* What the thread found or was told. */
static void find(struct det_lifeline *l, det_status status, const char *message, bool first_hand)
{
    if (!det_lifeline_claim(l, status, message, false))
        return;
    if (l->settings.rank == 0)
        tell_all(l);
    det_lifeline_publish(l);
    if (l->settings.lost != NULL && !l->is_leaving)
        l->settings.lost(l->settings.lost_user, l->status, l->message, first_hand);
}

static bool all_sent(const struct det_lifeline *l)
{
    for (int32_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].link.fd >= 0 && l->peers[i].link.out_bytes > 0)
            return false;
    return true;
}

/* What the program found. */
static void tell_own(struct det_lifeline *l)
{
    pthread_mutex_lock(&l->mutex);
    const bool is_own = l->is_own;
    pthread_mutex_unlock(&l->mutex);
    if (!is_own)
        return;
    if (!l->has_told)
        tell_all(l);
    if (!all_sent(l))
        return;
    pthread_mutex_lock(&l->mutex);
    l->is_own = false;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

/* --- hearing --- */

static void hear_news(struct det_lifeline *l, struct det_peer *peer, const struct det_message *said)
{
    char text[DET_ERROR_BYTES];
    if (said->number <= (int32_t)DET_OK || said->number >= (int32_t)DET_STATUS_COUNT_ ||
        said->bytes >= sizeof text) {
        peer->is_corrupt = true;
        return;
    }
    memcpy(text, said->data, said->bytes);
    text[said->bytes] = '\0';
    find(l, (det_status)said->number, text, false);
}

static void hear_message(struct det_lifeline *l, struct det_peer *peer,
                         const struct det_message *said)
{
    if (said->kind == DET_LINK_NEWS) {
        hear_news(l, peer, said);
    } else if (said->kind == DET_LINK_FAREWELL) {
        if (peer->state == DET_PEER_THERE)
            set_state(l, peer, DET_PEER_LEFT);
        (void)det_link_put(&peer->link, DET_LINK_FAREWELL, 0, NULL, 0);
        det_link_finish(&peer->link);
    } else if (said->kind != DET_LINK_ALIVE) {
        peer->is_corrupt = true;
    } else if (l->settings.rank == 0) {
        det_pace_hear(&l->paces[peer - l->peers + 1], said->number, peer->heard_ns);
    }
}

static void hear(struct det_lifeline *l, struct det_peer *peer, uint64_t now_ns)
{
    struct det_message said;
    for (int fills = 0; fills < MOST_FILLS && !peer->is_corrupt; fills++) {
        enum det_link_got got = DET_LINK_NOTHING;
        const bool more = peer->link.polled != 0 && det_link_fill(&peer->link);
        if (more)
            peer->heard_ns = now_ns;
        while (!peer->is_corrupt && (got = det_link_next(&peer->link, &said)) == DET_LINK_MESSAGE)
            hear_message(l, peer, &said);
        if (got == DET_LINK_CORRUPT)
            peer->is_corrupt = true;
        if (!more)
            return;
    }
}

/* --- who is lost --- */

static void lose(struct det_lifeline *l, int32_t i, const char *why)
{
    const int32_t rank = rank_of(l, i);
    struct det_env text;
    det_env_default(&text);
    set_state(l, &l->peers[i], DET_PEER_GONE);
    find(l,
         det_fail(&text, DET_STATUS_RANK_LOST, "rank %d on %s is gone: %s", (int)rank,
                  l->hosts[rank], why),
         text.error, true);
}

static void lose_silent(struct det_lifeline *l, int32_t i)
{
    const int32_t rank = rank_of(l, i);
    struct det_env text;
    det_env_default(&text);
    set_state(l, &l->peers[i], DET_PEER_GONE);
    find(l,
         det_fail(&text, DET_STATUS_RANK_LOST, "nothing was heard of rank %d on %s for %g seconds",
                  (int)rank, l->hosts[rank], l->settings.silence_seconds),
         text.error, true);
}

static void lose_broken(struct det_lifeline *l, int32_t i, int error)
{
    struct det_env text;
    det_env_default(&text);
    (void)det_fail_errno(&text, error, "its connection broke");
    lose(l, i, text.error);
}

static void judge(struct det_lifeline *l, int32_t i, uint64_t now_ns)
{
    struct det_peer *peer = &l->peers[i];
    const bool was_there = peer->state == DET_PEER_THERE;
    const bool has_ended = peer->link.ended || peer->is_corrupt;
    const int error = peer->link.error;
    if (has_ended)
        det_link_close(&peer->link);
    if (!was_there)
        return;
    if (peer->is_corrupt)
        lose(l, i, "it sent what no rank sends");
    else if (has_ended && (error == 0 || error == ECONNRESET || error == EPIPE))
        lose(l, i, "its process ended");
    else if (has_ended)
        lose_broken(l, i, error);
    else if ((double)(now_ns - peer->heard_ns) > l->settings.silence_seconds * 1e9)
        lose_silent(l, i);
}

/* Rank 0 looks after all others. */
static void look_for_standstill(struct det_lifeline *l, uint64_t now_ns)
{
    const char(*hosts)[DET_HOST_BYTES] = (const char(*)[DET_HOST_BYTES])l->hosts;
    const double most_seconds = l->settings.standstill_seconds;
    struct det_env text;
    if (l->settings.rank > 0)
        return;
    det_pace_hear(&l->paces[0], atomic_load_explicit(&l->over, memory_order_relaxed), now_ns);
    if (!det_standstill_is_there(l->paces, l->settings.size, most_seconds))
        return;
    det_env_default(&text);
    find(l, det_standstill_tell(&text, l->paces, l->settings.size, hosts, most_seconds), text.error,
         true);
}

/* --- a round --- */

static void wait_for_something(struct det_lifeline *l, uint64_t most_ns)
{
    eventfd_t count;
    det_polls_add_fd(&l->polls, l->wake);
    det_door_add_polls(&l->door, &l->polls, det_clock_ns());
    for (int32_t i = 0; i < l->peer_count; i++)
        det_polls_add(&l->polls, &l->peers[i].link);
    det_polls_wait(&l->polls, (int)(most_ns / NS_PER_MS) + 1);
    (void)eventfd_read(l->wake, &count); /* nothing there is no failure: it only wakes */
}

static void take_guests(struct det_lifeline *l, uint64_t now_ns)
{
    int32_t rank;
    struct det_link link;
    det_door_serve(&l->door, now_ns);
    while (det_door_take(&l->door, &rank, &link)) {
        struct det_peer *peer = &l->peers[rank - 1];
        if (peer->state != DET_PEER_ABSENT) {
            det_link_close(&link);
            continue;
        }
        peer->link = link;
        peer->heard_ns = now_ns;
        pthread_mutex_lock(&l->mutex);
        peer->state = DET_PEER_THERE;
        l->missing--;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->mutex);
        if (l->has_told)
            tell(l, peer);
    }
    pthread_mutex_lock(&l->mutex);
    l->door_error = l->door.error;
    const bool all_came = l->missing == 0;
    pthread_mutex_unlock(&l->mutex);
    if (all_came)
        det_door_close(&l->door);
}

/* The thread was not running for so long that the others may have been as quiet, for the same
 * reason: what was not heard meanwhile says nothing. */
static void count_anew_after_a_stop(struct det_lifeline *l, uint64_t now_ns)
{
    const bool was_stopped = (double)(now_ns - l->awake_ns) > l->settings.silence_seconds * 1e9 / 2;
    l->awake_ns = now_ns;
    for (int32_t i = 0; i < l->peer_count && was_stopped; i++) {
        l->peers[i].heard_ns = now_ns;
        if (l->settings.rank == 0)
            l->paces[i + 1].over = DET_LIFELINE_WORKS;
    }
}

static void beat(struct det_lifeline *l, uint64_t now_ns)
{
    const bool is_due = now_ns >= l->next_beat_ns;
    const int32_t over = atomic_load_explicit(&l->over, memory_order_relaxed);
    if (is_due)
        l->next_beat_ns = now_ns + l->beat_ns;
    for (int32_t i = 0; i < l->peer_count; i++) {
        struct det_link *link = &l->peers[i].link;
        if (is_due && link->out_bytes == 0 && l->peers[i].state == DET_PEER_THERE)
            (void)det_link_put(link, DET_LINK_ALIVE, over, NULL, 0);
        det_link_flush(link);
    }
}

static void go_round(struct det_lifeline *l, uint64_t most_ns)
{
    wait_for_something(l, most_ns);
    const uint64_t now_ns = det_clock_ns();
    count_anew_after_a_stop(l, now_ns);
    if (l->door.listener >= 0)
        take_guests(l, now_ns);
    /* All words before all ends: a rank that says why it ends may be behind one that was ended for
     * it. */
    for (int32_t i = 0; i < l->peer_count; i++)
        hear(l, &l->peers[i], now_ns);
    for (int32_t i = 0; i < l->peer_count; i++)
        judge(l, i, now_ns);
    look_for_standstill(l, now_ns);
    beat(l, now_ns);
    tell_own(l);
}

/* --- the end --- */

static enum det_lifeline_closing closing(struct det_lifeline *l, bool *is_claimed)
{
    pthread_mutex_lock(&l->mutex);
    const enum det_lifeline_closing closing = l->closing;
    *is_claimed = l->is_claimed;
    pthread_mutex_unlock(&l->mutex);
    return closing;
}

static void look_once_more(struct det_lifeline *l)
{
    const uint64_t end_ns = det_clock_ns() + LAST_LOOK_NS;
    bool is_claimed = false;
    (void)closing(l, &is_claimed);
    while (!is_claimed && det_clock_ns() < end_ns) {
        go_round(l, LAST_LOOK_NS / 10);
        (void)closing(l, &is_claimed);
    }
}

/* Who started the ranks may end all of them as soon as one has ended, and rank 0 saves what there
 * is: the others stay until it has left. */
static void stay_for_first(struct det_lifeline *l)
{
    const double most_seconds =
        l->status == DET_STATUS_CANCELLED ? SAVING_SECONDS : FAILING_SECONDS;
    const uint64_t end_ns = det_clock_ns() + (uint64_t)(most_seconds * 1e9);
    while (l->settings.rank > 0 && l->peers[0].state == DET_PEER_THERE && det_clock_ns() < end_ns)
        go_round(l, LAST_LOOK_NS);
}

/* Ranks that are still on their way are to learn why it ends, not that nobody is there. */
static void tell_the_late(struct det_lifeline *l)
{
    const uint64_t end_ns = det_clock_ns() + FINISH_AT_ONCE_NS;
    while (l->has_told && l->door.listener >= 0 && det_clock_ns() < end_ns)
        go_round(l, LAST_LOOK_NS / 10);
}

/* Sends what waits and looks for the end of the other side; false: it is closed. */
static bool finish_one(struct det_peer *peer)
{
    struct det_link *link = &peer->link;
    det_link_flush(link);
    link->in_bytes = 0; /* whatever it was, it comes too late */
    (void)det_link_fill(link);
    if (link->ended || peer->state == DET_PEER_GONE)
        det_link_close(link);
    return link->fd >= 0;
}

/* Waits until the others have taken what was said. */
static void finish(struct det_lifeline *l, bool orderly)
{
    const uint64_t end_ns = det_clock_ns() + (orderly ? FINISH_NS : FINISH_AT_ONCE_NS);
    bool any_open = true;
    for (int32_t i = 0; i < l->peer_count; i++) {
        if (orderly)
            (void)det_link_put(&l->peers[i].link, DET_LINK_FAREWELL, 0, NULL, 0);
        det_link_finish(&l->peers[i].link);
    }
    while (any_open && det_clock_ns() < end_ns) {
        any_open = false;
        for (int32_t i = 0; i < l->peer_count; i++)
            any_open = finish_one(&l->peers[i]) || any_open;
        if (any_open)
            wait_for_something(l, LAST_LOOK_NS);
    }
    for (int32_t i = 0; i < l->peer_count; i++)
        det_link_close(&l->peers[i].link);
}

/* To the next sign of life, or when the next that is silent is lost. */
static uint64_t until_next(const struct det_lifeline *l)
{
    const uint64_t silence_ns = (uint64_t)(l->settings.silence_seconds * 1e9);
    const uint64_t now_ns = det_clock_ns();
    uint64_t next_ns = l->next_beat_ns;
    for (int32_t i = 0; i < l->peer_count; i++)
        if (l->peers[i].state == DET_PEER_THERE && l->peers[i].heard_ns + silence_ns < next_ns)
            next_ns = l->peers[i].heard_ns + silence_ns;
    return next_ns > now_ns ? next_ns - now_ns : 0;
}

void *det_lifeline_watch(void *argument)
{
    struct det_lifeline *l = argument;
    enum det_lifeline_closing how;
    bool is_claimed = false;
    l->awake_ns = det_clock_ns();
    while ((how = closing(l, &is_claimed)) == DET_CLOSING_NOT) {
        go_round(l, until_next(l));
        if (l->peer_count > MANY_PEERS && l->door.listener < 0)
            nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    l->is_leaving = true;
    if (how == DET_CLOSING_AT_ONCE) {
        look_once_more(l);
        tell_the_late(l);
        (void)closing(l, &is_claimed);
        if (is_claimed)
            stay_for_first(l);
    }
    det_door_close(&l->door);
    finish(l, how == DET_CLOSING_ORDERLY);
    return NULL;
}
