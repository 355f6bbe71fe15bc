/* rank-transfers: each transfer of MPI's transport, alone and many under way at once, and what the
 * communicator makes of them. Every rank of an mpirun checks what it got; a mistake is a line on
 * standard error and exit status 1. tests/unit/test_mpi.c starts it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "ranks/communicator.h"

enum kind { GATHER, GATHER_IN_PLACE, BROADCAST, SCATTER, COLLECT, KINDS };
static const char *const kinds[KINDS] = {"gather", "gather in place", "broadcast", "scatter",
                                         "collect"};

/* One rank's view of the whole. */
struct world {
    det_context *context;
    struct det_env *env;
    det_communicator *communicator;
    struct det_transport *transport;
    size_t rank, size;
    uint32_t random; /* differs between ranks */
    int mistakes;
};

struct transfer {
    enum kind kind;
    enum det_lane lane;
    int slot;
    size_t bytes; /* of one rank; cut in pieces by scatter and collect */
    uint8_t *mine, *into;
    size_t *begins; /* [size + 1] */
};

static void mistake(struct world *w, const char *what, const char *detail)
{
    fprintf(stderr, "rank %zu of %zu: %s: %s\n", w->rank, w->size, what, detail);
    w->mistakes++;
}

static bool went_well(struct world *w, det_status status, const char *what)
{
    if (status != DET_OK)
        mistake(w, what, w->env->error);
    return status == DET_OK;
}

static void *room(size_t bytes)
{
    void *data = calloc(bytes + 1, 1);
    if (data == NULL) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    return data;
}

/* Byte `i` of what a rank has for a transfer. */
static uint8_t value(const struct transfer *x, size_t rank, size_t i)
{
    const size_t mixed = (i + 1) * 2654435761u + rank * 40503u + (size_t)x->slot * 977u;
    return (uint8_t)(mixed >> 13 ^ mixed >> 3);
}

static void fill(const struct transfer *x, uint8_t *to, size_t rank, size_t from, size_t end)
{
    for (size_t i = from; i < end; i++)
        to[i - from] = value(x, rank, i);
}

/* Pieces that grow with the rank, empty ones where there are few bytes. */
static void make(struct world *w, struct transfer *x)
{
    const size_t n = w->size, all = x->bytes * n;
    x->begins = room((n + 1) * sizeof *x->begins);
    for (size_t r = 0; r <= n; r++)
        x->begins[r] = x->bytes * r * r / (n * n);
    const size_t at = x->begins[w->rank], end = x->begins[w->rank + 1];
    x->mine = room(x->bytes);
    x->into = room(all > (end - at) * n ? all : (end - at) * n);
    fill(x, x->mine, w->rank, 0, x->bytes);
    if (x->kind == GATHER_IN_PLACE)
        memcpy(x->into + w->rank * x->bytes, x->mine, x->bytes);
    else if (x->kind == BROADCAST && w->rank == 0)
        memcpy(x->into, x->mine, x->bytes);
    else if (x->kind == COLLECT)
        memcpy(x->into + at, x->mine + at, end - at);
}

static void release(struct transfer *x)
{
    free(x->mine);
    free(x->into);
    free(x->begins);
}

static det_status start(struct world *w, struct transfer *x)
{
    const struct det_transport_functions *does = w->transport->does;
    const uint8_t *own = x->into + w->rank * x->bytes;
    switch (x->kind) {
    case GATHER:
    case GATHER_IN_PLACE:
        return does->start_gather(w->env, w->transport, x->slot, x->lane,
                                  x->kind == GATHER ? x->mine : own, x->into, x->bytes);
    case BROADCAST:
        return does->start_broadcast(w->env, w->transport, x->slot, x->lane, x->into, x->bytes);
    case SCATTER:
        return does->start_scatter(w->env, w->transport, x->slot, x->lane, x->mine, x->into,
                                   x->begins);
    default:
        return does->start_collect(w->env, w->transport, x->slot, x->lane, x->into, x->begins);
    }
}

/* What must be in `into` from one rank, and where. */
static bool is_right(const struct world *w, const struct transfer *x)
{
    const size_t own = x->begins[w->rank], piece = x->begins[w->rank + 1] - own;
    uint8_t *wanted = room(x->bytes);
    bool right = true;
    for (size_t r = 0; right && r < w->size; r++) {
        const size_t begin = x->begins[r], end = x->begins[r + 1];
        fill(x, wanted, r, 0, x->bytes);
        if (x->kind == GATHER || x->kind == GATHER_IN_PLACE)
            right = memcmp(x->into + r * x->bytes, wanted, x->bytes) == 0;
        else if (x->kind == BROADCAST)
            right = r > 0 || memcmp(x->into, wanted, x->bytes) == 0;
        else if (x->kind == SCATTER)
            right = memcmp(x->into + r * piece, wanted + own, piece) == 0;
        else
            right = memcmp(x->into + begin, wanted + begin, end - begin) == 0;
    }
    free(wanted);
    return right;
}

static void check(struct world *w, const struct transfer *x, const char *when)
{
    char detail[120];
    snprintf(detail, sizeof detail, "%s of %zu bytes in lane %d came out wrong", kinds[x->kind],
             x->bytes, (int)x->lane);
    if (!is_right(w, x))
        mistake(w, when, detail);
}

/* --- the parts of the test --- */

static void each_alone(struct world *w)
{
    static const size_t sizes[] = {0, 1, 2, 3, 7, 4097, 65536, 3000001};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct transfer x = {.kind = (enum kind)kind,
                                 .lane = (enum det_lane)(kind % DET_LANES),
                                 .slot = DET_TRANSPORT_SLOTS - 1,
                                 .bytes = sizes[i]};
            make(w, &x);
            if (went_well(w, start(w, &x), kinds[kind]) &&
                went_well(w, det_ranks_wait(w->env, w->communicator, x.slot), kinds[kind]))
                check(w, &x, "alone");
            release(&x);
        }
}

static uint32_t next_random(struct world *w)
{
    w->random = w->random * 1664525u + 1013904223u;
    return w->random >> 8;
}

enum { EACH_LANE = 25, AT_ONCE = EACH_LANE * DET_LANES };

/* Lanes in each rank's own order. */
static bool start_all(struct world *w, struct transfer *all)
{
    int started[DET_LANES] = {0};
    for (int i = 0; i < AT_ONCE; i++) {
        int lane = (int)(next_random(w) % DET_LANES);
        while (started[lane] == EACH_LANE)
            lane = (lane + 1) % DET_LANES;
        struct transfer *x = &all[lane * EACH_LANE + started[lane]++];
        bool done;
        if (!went_well(w, start(w, x), "start of many"))
            return false;
        if (next_random(w) % 4 == 0 &&
            !went_well(w, det_ranks_test(w->env, w->communicator, x->slot, &done), "test of one"))
            return false;
    }
    return true;
}

static void many_at_once(struct world *w)
{
    static const size_t sizes[] = {1000, 0, 40001, 1, 300000, 5, 3000001, 64};
    struct transfer *all = room(AT_ONCE * sizeof *all);
    for (int i = 0; i < AT_ONCE; i++) {
        /* A gather has all ranks' bytes: the largest would be too much of it. */
        const enum kind kind = (enum kind)(i % KINDS);
        const size_t bytes = sizes[(size_t)i % 8];
        const bool is_gather = kind == GATHER || kind == GATHER_IN_PLACE;
        all[i] = (struct transfer){.kind = kind,
                                   .lane = (enum det_lane)(i / EACH_LANE),
                                   .slot = 1 + i * 3,
                                   .bytes = is_gather && bytes > 1000 ? 1000 : bytes};
        make(w, &all[i]);
    }
    if (start_all(w, all)) {
        for (int i = AT_ONCE - 1; i >= 0; i--)
            if (went_well(w, det_ranks_wait(w->env, w->communicator, all[i].slot), "many"))
                check(w, &all[i], "many at once");
    }
    for (int i = 0; i < AT_ONCE; i++)
        release(&all[i]);
    free(all);
}

static void refuses(struct world *w, det_status got, const char *text)
{
    if (got != DET_STATUS_INTERNAL || strstr(w->env->error, text) == NULL)
        mistake(w, text, got == DET_OK ? "was not refused" : w->env->error);
}

static void wrong_calls_are_refused(struct world *w)
{
    const struct det_transport_functions *does = w->transport->does;
    struct det_transport *t = w->transport;
    uint8_t byte = 0;
    bool done;
    size_t *begins = room((w->size + 1) * sizeof *begins);
    begins[0] = 1;
    refuses(w, does->start_scatter(w->env, t, 1, DET_LANE_PARTS, &byte, &byte, begins),
            "ends before it begins");
    refuses(w, does->start_broadcast(w->env, t, 1, DET_LANE_PARTS, &byte, (size_t)INT_MAX + 1),
            "expected at most");
    refuses(w, does->start_broadcast(w->env, t, DET_TRANSPORT_SLOTS, DET_LANE_PARTS, &byte, 1),
            "is not free");
    refuses(w, does->test(w->env, t, -1, &done), "there is no slot");
    for (size_t r = 1; r <= w->size; r++)
        begins[r] = INT_MAX;
    begins[0] = 0;
    if (w->rank == 0 && w->size > 1)
        refuses(w, does->start_scatter(w->env, t, 1, DET_LANE_PARTS, &byte, &byte, begins),
                "are too much");
    if (does->test(w->env, t, 1, &done) != DET_OK || !done)
        mistake(w, "a slot of nothing", "is not done");
    free(begins);
}

/* What is started twice in one slot; the first goes on. */
static void a_slot_holds_one(struct world *w)
{
    struct transfer x = {.kind = GATHER, .lane = DET_LANE_WHOLES, .slot = 9, .bytes = 100000};
    make(w, &x);
    if (went_well(w, start(w, &x), "slot 9")) {
        if (w->size > 1)
            refuses(w, start(w, &x), "slot 9 is not free");
        if (went_well(w, det_ranks_wait(w->env, w->communicator, x.slot), "slot 9"))
            check(w, &x, "of a slot in use");
    }
    release(&x);
}

static void the_communicator_goes(struct world *w)
{
    char told[100] = "", mine[8];
    struct det_gathered all;
    const det_status own =
        w->rank + 1 == w->size ? det_fail(w->env, DET_STATUS_NOT_FOUND, "no %zu", w->rank) : DET_OK;
    const det_status agreed = det_ranks_agree(w->env, w->communicator, own);
    if (agreed != DET_STATUS_NOT_FOUND || strstr(w->env->error, "no ") == NULL)
        mistake(w, "agreement", w->env->error);
    if (w->rank == 0)
        snprintf(told, sizeof told, "rank 0's");
    if (went_well(w, det_ranks_broadcast(w->env, w->communicator, told, sizeof told), "told") &&
        strcmp(told, "rank 0's") != 0)
        mistake(w, "broadcast", told);
    memset(mine, (int)w->rank, sizeof mine);
    if (went_well(
            w, det_ranks_gather_bytes(w->env, w->communicator, mine, w->rank % sizeof mine, &all),
            "gathered")) {
        for (size_t r = 0; r < w->size; r++)
            for (size_t i = all.begins[r]; i < all.begins[r + 1]; i++)
                if (all.data[i] != r || all.begins[r + 1] - all.begins[r] != r % sizeof mine)
                    mistake(w, "gathered bytes", "differ");
        det_gathered_free(w->env, &all);
    }
}

/* Closed by all, and MPI with it, as nobody but libdet had begun it. */
static void close_and_open_again(struct world *w)
{
    det_communicator_close(&w->communicator);
    const det_status again = det_communicator_open_mpi(w->context, NULL, &w->communicator);
    if (again != DET_STATUS_INVALID_ARGUMENT || strstr(w->env->error, "finalised") == NULL)
        mistake(w, "opened again", w->env->error);
}

int main(void)
{
    struct world w = {0};
    if (det_context_create(&w.context, NULL) != DET_OK)
        return 1;
    w.env = det_context_env(w.context);
    if (det_communicator_open_mpi(w.context, NULL, &w.communicator) != DET_OK) {
        fprintf(stderr, "%s\n", w.env->error);
        return 1;
    }
    w.transport = det_ranks_transport(w.communicator);
    w.rank = (size_t)det_communicator_rank(w.communicator);
    w.size = (size_t)det_communicator_size(w.communicator);
    w.random = (uint32_t)w.rank + 1;
    if (w.size != (size_t)det_launched_ranks())
        mistake(&w, "det_launched_ranks", "is not MPI's number");
    if (w.rank == 0)
        printf("%zu ranks over %s, %d here\n", w.size, w.transport->name,
               (int)det_ranks_here(w.communicator));
    each_alone(&w);
    wrong_calls_are_refused(&w);
    a_slot_holds_one(&w);
    many_at_once(&w);
    the_communicator_goes(&w);
    close_and_open_again(&w);
    det_context_destroy(&w.context);
    return w.mistakes > 0;
}
