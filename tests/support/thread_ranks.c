#include "support/thread_ranks.h"

#include <pthread.h>

#include "support/mem.h"
#include "support/test.h"

enum { MOST_RANKS = 16, MEETINGS = 1024 };

enum kind { GATHER, BROADCAST, SCATTER, COLLECT };

/* A transfer of a lane: all ranks come with the same number, and leave when all have copied. */
struct meeting {
    enum kind kind;
    int32_t came, copied;
    const void *mine[MOST_RANKS];
    void *into[MOST_RANKS];
    size_t bytes;
    size_t begins[MOST_RANKS + 1];
    bool has_copied[MOST_RANKS];
    int32_t left;
};

struct hub {
    int32_t size, most_looks;
    pthread_mutex_t mutex;
    struct meeting meetings[DET_LANES][MEETINGS];
    const char *mistake; /* of the code under test */
};

struct thread_transport {
    struct det_transport transport;
    struct hub *hub;
    uint64_t started[DET_LANES];
    struct {
        struct meeting *meeting;
        int32_t looks_left;
    } slots[DET_TRANSPORT_SLOTS];
    uint32_t random;
};

static det_status start(struct det_env *env, struct det_transport *transport, int slot,
                        enum det_lane lane, enum kind kind, const void *mine, void *into,
                        size_t bytes, const size_t *begins)
{
    struct thread_transport *t = (struct thread_transport *)transport;
    struct hub *hub = t->hub;
    const int32_t rank = transport->rank;
    const char *mistake = NULL;
    if (slot < 0 || slot >= DET_TRANSPORT_SLOTS || t->slots[slot].meeting != NULL)
        return det_fail(env, DET_STATUS_INTERNAL, "slot %d is not free", slot);
    pthread_mutex_lock(&hub->mutex);
    struct meeting *m = &hub->meetings[lane][t->started[lane]++ % MEETINGS];
    if (m->left == hub->size)
        *m = (struct meeting){0};
    if (m->came == 0) {
        m->kind = kind;
        m->bytes = bytes;
        for (int32_t r = 0; begins != NULL && r <= hub->size; r++)
            m->begins[r] = begins[r];
    } else if (m->kind != kind || m->bytes != bytes ||
               (begins != NULL &&
                memcmp(m->begins, begins, ((size_t)hub->size + 1) * sizeof *begins) != 0)) {
        mistake = "ranks started different transfers";
    }
    m->mine[rank] = mine;
    m->into[rank] = into;
    m->came++;
    t->slots[slot].meeting = m;
    t->random = t->random * 1664525u + 1013904223u;
    t->slots[slot].looks_left =
        hub->most_looks > 0 ? (int32_t)((t->random >> 8) % (uint32_t)(hub->most_looks + 1)) : 0;
    if (mistake != NULL)
        hub->mistake = mistake;
    pthread_mutex_unlock(&hub->mutex);
    return mistake == NULL ? DET_OK : det_fail(env, DET_STATUS_INTERNAL, "%s", mistake);
}

static det_status start_gather(struct det_env *env, struct det_transport *t, int slot,
                               enum det_lane lane, const void *mine, void *all, size_t bytes)
{
    return start(env, t, slot, lane, GATHER, mine, all, bytes, NULL);
}

static det_status start_broadcast(struct det_env *env, struct det_transport *t, int slot,
                                  enum det_lane lane, void *data, size_t bytes)
{
    return start(env, t, slot, lane, BROADCAST, data, data, bytes, NULL);
}

static det_status start_scatter(struct det_env *env, struct det_transport *t, int slot,
                                enum det_lane lane, const void *values, void *parts,
                                const size_t *begins)
{
    return start(env, t, slot, lane, SCATTER, values, parts, 0, begins);
}

static det_status start_collect(struct det_env *env, struct det_transport *t, int slot,
                                enum det_lane lane, void *values, const size_t *begins)
{
    return start(env, t, slot, lane, COLLECT, values, values, 0, begins);
}

/* What this rank gets. */
static void copy(const struct meeting *m, int32_t rank, int32_t size)
{
    uint8_t *into = m->into[rank];
    const size_t piece = m->begins[rank + 1] - m->begins[rank];
    for (int32_t r = 0; r < size; r++) {
        const uint8_t *from = m->mine[r];
        const size_t at = m->begins[r], bytes = m->begins[r + 1] - at;
        if (m->kind == GATHER)
            memcpy(into + (size_t)r * m->bytes, from, m->bytes);
        else if (m->kind == BROADCAST && r == 0 && rank > 0)
            memcpy(into, from, m->bytes);
        else if (m->kind == SCATTER)
            memcpy(into + (size_t)r * piece, from + m->begins[rank], piece);
        else if (m->kind == COLLECT && r != rank)
            memcpy(into + at, from + at, bytes);
    }
}

static det_status test_slot(struct det_env *env, struct det_transport *transport, int slot,
                            bool *done)
{
    struct thread_transport *t = (struct thread_transport *)transport;
    struct meeting *m = t->slots[slot].meeting;
    const int32_t rank = transport->rank;
    (void)env;
    *done = m == NULL;
    if (m == NULL || t->slots[slot].looks_left-- > 0)
        return DET_OK;
    pthread_mutex_lock(&t->hub->mutex);
    if (m->came == t->hub->size && !m->has_copied[rank]) {
        copy(m, rank, t->hub->size);
        m->has_copied[rank] = true;
        m->copied++;
    }
    *done = m->copied == t->hub->size;
    if (*done) {
        m->left++;
        t->slots[slot].meeting = NULL;
    }
    pthread_mutex_unlock(&t->hub->mutex);
    return DET_OK;
}

static void close_transport(struct det_env *env, struct det_transport **transport, bool orderly)
{
    (void)orderly;
    det_free(env, transport);
}

static const struct det_transport_functions functions = {
    start_gather, start_broadcast, start_scatter, start_collect, test_slot, close_transport,
};

/* --- the ranks --- */

struct member {
    struct hub *hub;
    int32_t rank;
    const struct thread_ranks_settings *settings;
    thread_rank_fn run;
    void *user;
    pthread_t thread;
    struct test_env t;
    bool made;
};

static void *member_main(void *argument)
{
    struct member *m = argument;
    struct det_env *env = &m->t.env;
    struct thread_transport *transport = NULL;
    det_communicator *communicator = NULL;
    det_communicator_settings settings;
    det_communicator_settings_default(&settings);
    if (m->settings->silence_seconds > 0)
        settings.silence_seconds = m->settings->silence_seconds;
    if (m->settings->standstill_seconds > 0)
        settings.standstill_seconds = m->settings->standstill_seconds;
    if (det_alloc(env, &transport, 1, sizeof *transport, "thread transport") != DET_OK)
        return NULL;
    transport->transport = (struct det_transport){&functions, m->rank, m->hub->size, "threads"};
    transport->hub = m->hub;
    transport->random = (uint32_t)m->rank + 1;
    m->made =
        det_communicator_create(env, &transport->transport, &settings, &communicator) == DET_OK;
    if (m->made)
        m->run(m->user, env, communicator);
    det_communicator_close(&communicator);
    return NULL;
}

void thread_ranks_run(const struct thread_ranks_settings *settings, thread_rank_fn run, void *user)
{
    static struct member members[MOST_RANKS];
    struct hub *hub = calloc(1, sizeof *hub);
    assert_non_null(hub);
    assert_in_range(settings->size, 1, MOST_RANKS);
    hub->size = settings->size;
    hub->most_looks = settings->most_looks;
    pthread_mutex_init(&hub->mutex, NULL);
    for (int32_t r = 0; r < settings->size; r++) {
        members[r] =
            (struct member){.hub = hub, .rank = r, .settings = settings, .run = run, .user = user};
        test_env_init(&members[r].t);
    }
    for (int32_t r = 0; r < settings->size; r++)
        assert_int_equal(pthread_create(&members[r].thread, NULL, member_main, &members[r]), 0);
    for (int32_t r = 0; r < settings->size; r++)
        pthread_join(members[r].thread, NULL);
    for (int32_t r = 0; r < settings->size; r++) {
        if (!members[r].made)
            fail_msg("rank %d has no communicator: %s", (int)r, members[r].t.env.error);
        test_env_check(&members[r].t);
    }
    if (hub->mistake != NULL)
        fail_msg("%s", hub->mistake);
    pthread_mutex_destroy(&hub->mutex);
    free(hub);
}

det_communicator *thread_ranks_one(struct det_env *env)
{
    struct det_transport *transport = NULL;
    det_communicator *communicator = NULL;
    det_communicator_settings settings;
    det_communicator_settings_default(&settings);
    assert_ok(env, det_alloc(env, &transport, 1, sizeof *transport, "transport of one rank"));
    *transport = (struct det_transport){&functions, 0, 1, "one"};
    assert_ok(env, det_communicator_create(env, transport, &settings, &communicator));
    return communicator;
}
