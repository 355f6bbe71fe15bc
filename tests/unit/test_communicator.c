/* ranks/communicator: what all ranks do together, over threads. */
#include "ranks/communicator.h"

#include <unistd.h>

#include "support/test.h"
#include "support/thread_ranks.h"

enum { RANKS = 5 };

struct seen {
    int32_t ranks[RANKS][RANKS];
    uint8_t told[RANKS][300];
    size_t lengths[RANKS][RANKS];
    bool right[RANKS];
    long fail_at;
    det_status agreed[RANKS];
    char message[RANKS][DET_ERROR_BYTES];
};

/* Rank r's bytes: r * 37 of them, each r + 1. */
static void gather_bytes(struct seen *s, struct det_env *env, det_communicator *c)
{
    const int32_t rank = det_communicator_rank(c);
    uint8_t mine[37 * RANKS];
    struct det_gathered all;
    memset(mine, rank + 1, sizeof mine);
    s->right[rank] = det_ranks_gather_bytes(env, c, mine, 37u * (size_t)rank, &all) == DET_OK;
    for (size_t r = 0; s->right[rank] && r < RANKS; r++) {
        s->lengths[rank][r] = all.begins[r + 1] - all.begins[r];
        for (size_t i = all.begins[r]; i < all.begins[r + 1]; i++)
            s->right[rank] = s->right[rank] && all.data[i] == r + 1;
    }
    det_gathered_free(env, &all);
}

static void do_all(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    (void)det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
    memset(s->told[rank], rank == 0 ? 7 : 0, sizeof s->told[rank]);
    (void)det_ranks_broadcast(env, c, s->told[rank], sizeof s->told[rank]);
    gather_bytes(s, env, c);
}

static void everybody_has_what_all_have(void **state)
{
    (void)state;
    static struct seen s;
    thread_ranks_run(&(struct thread_ranks_settings){.size = RANKS, .most_looks = 20}, do_all, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_true(s.right[r]);
        for (size_t from = 0; from < RANKS; from++) {
            assert_int_equal(s.ranks[r][from], from);
            assert_int_equal(s.lengths[r][from], 37 * from);
        }
        for (size_t i = 0; i < sizeof s.told[r]; i++)
            assert_int_equal(s.told[r][i], 7);
    }
}

static void fail_on_two(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    det_status mine = DET_OK;
    if (rank == 2 || rank == 4)
        mine = det_fail(env, rank == 2 ? DET_STATUS_NOT_FOUND : DET_STATUS_IO, "no %d", (int)rank);
    s->agreed[rank] = det_ranks_agree(env, c, mine);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
}

static void fail_everywhere(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    s->agreed[rank] = det_ranks_agree(env, c, det_fail(env, DET_STATUS_PARSE, "line 3"));
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
}

static void all_learn_of_the_first_failure(void **state)
{
    (void)state;
    static struct seen s;
    const struct thread_ranks_settings settings = {.size = RANKS};
    thread_ranks_run(&settings, fail_on_two, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_NOT_FOUND);
        assert_int_equal(strncmp(s.message[r], "rank 2 on ", 10), 0);
        assert_contains(s.message[r], ": no 2");
    }
    thread_ranks_run(&settings, fail_everywhere, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_PARSE);
        assert_string_equal(s.message[r], "line 3");
    }
}

/* Rank 3 finds something out while the others wait for it. */
static void give_up_on_three(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    if (rank == 3)
        s->agreed[rank] = det_ranks_give_up(env, c, det_fail(env, DET_STATUS_NON_FINITE, "loss"));
    else
        s->agreed[rank] = det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
    /* And it stays so. */
    if (det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank) != s->agreed[rank])
        s->agreed[rank] = DET_STATUS_INTERNAL;
}

static void program_gives_up_on_zero(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    if (rank == 0)
        det_communicator_give_up(c, DET_STATUS_CANCELLED, "no more time");
    s->agreed[rank] = det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
}

static void who_waits_is_told_who_gives_up(void **state)
{
    (void)state;
    static struct seen s;
    const struct thread_ranks_settings settings = {.size = RANKS};
    thread_ranks_run(&settings, give_up_on_three, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_NON_FINITE);
        if (r == 3)
            assert_string_equal(s.message[r], "loss");
        else
            assert_int_equal(strncmp(s.message[r], "rank 3 on ", 10), 0);
        assert_contains(s.message[r], r == 3 ? "loss" : ": loss");
    }
    thread_ranks_run(&settings, program_gives_up_on_zero, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_CANCELLED);
        assert_int_equal(strncmp(s.message[r], "rank 0 on ", 10), 0);
        assert_contains(s.message[r], ": no more time");
    }
}

static det_status no_way_out(struct det_env *env, struct det_transport *transport, int slot,
                             enum det_lane lane, const void *mine, void *all, size_t bytes)
{
    (void)transport;
    (void)slot;
    (void)lane;
    (void)mine;
    (void)all;
    (void)bytes;
    return det_fail(env, DET_STATUS_DEVICE, "no way out");
}

/* The transport of rank 2 fails, which it says before it ends. */
static void leave_on_two(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    struct det_transport *transport = det_ranks_transport(c);
    static struct det_transport_functions functions;
    if (rank == 2) {
        functions = *transport->does;
        functions.start_gather = no_way_out;
        transport->does = &functions;
    }
    s->agreed[rank] = det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
}

static void who_waits_is_told_whose_transport_failed(void **state)
{
    (void)state;
    static struct seen s;
    thread_ranks_run(&(struct thread_ranks_settings){.size = RANKS}, leave_on_two, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_DEVICE);
        if (r != 2)
            assert_int_equal(strncmp(s.message[r], "rank 2 on ", 10), 0);
        assert_contains(s.message[r], "no way out");
    }
}

/* --- nothing comes --- */

static det_status never_over(struct det_env *env, struct det_transport *transport, int slot,
                             bool *done)
{
    (void)env;
    (void)transport;
    (void)slot;
    *done = false;
    return DET_OK;
}

/* As where the link between two is cut: all are there, and wait. */
static void lose_all_bytes(void *user, struct det_env *env, det_communicator *c)
{
    static struct det_transport_functions functions[RANKS];
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    struct det_transport *transport = det_ranks_transport(c);
    functions[rank] = *transport->does;
    functions[rank].test = never_over;
    transport->does = &functions[rank];
    s->agreed[rank] = det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
}

static void who_waits_for_what_never_comes_is_told(void **state)
{
    (void)state;
    static struct seen s;
    thread_ranks_run(&(struct thread_ranks_settings){.size = RANKS, .standstill_seconds = .5},
                     lose_all_bytes, &s);
    for (size_t r = 0; r < RANKS; r++) {
        assert_int_equal(s.agreed[r], DET_STATUS_RANK_LOST);
        assert_contains(s.message[r], "nothing has moved between the ranks for 0.5 seconds");
    }
}

static void work_on_two(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    if (rank == 2)
        sleep(3);
    s->agreed[rank] = det_ranks_gather(env, c, &rank, s->ranks[rank], sizeof rank);
}

static void a_rank_may_be_busy_for_as_long_as_it_likes(void **state)
{
    (void)state;
    static struct seen s;
    thread_ranks_run(&(struct thread_ranks_settings){.size = RANKS, .standstill_seconds = .5},
                     work_on_two, &s);
    for (size_t r = 0; r < RANKS; r++)
        assert_int_equal(s.agreed[r], DET_OK);
}

/* Rank 2 lacks memory for what it is to get once; the others hear of it, and all can go on. */
static void gather_without_memory(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    struct test_env *t = (struct test_env *)env;
    const uint8_t mine[3] = {1, 2, 3};
    struct det_gathered all;
    if (rank == 2)
        test_env_fail_at(t, s->fail_at);
    s->agreed[rank] = det_ranks_gather_bytes(env, c, mine, sizeof mine, &all);
    det_gathered_free(env, &all);
    if (rank == 2)
        test_env_fail_at(t, 0);
    memcpy(s->message[rank], env->error, sizeof s->message[rank]);
    gather_bytes(s, env, c);
}

static void a_rank_without_memory_can_say_so(void **state)
{
    (void)state;
    static struct seen s;
    for (s.fail_at = 1; s.fail_at <= 5; s.fail_at++) {
        thread_ranks_run(&(struct thread_ranks_settings){.size = RANKS}, gather_without_memory, &s);
        for (size_t r = 0; r < RANKS; r++) {
            assert_true(s.right[r]);
            assert_int_equal(s.agreed[r], s.fail_at == 5 ? DET_OK : DET_STATUS_OUT_OF_MEMORY);
            if (s.fail_at < 5)
                assert_int_equal(strncmp(s.message[r], "rank 2 on ", 10), 0);
        }
    }
}

int test_communicator(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_has_what_all_have),
        cmocka_unit_test(all_learn_of_the_first_failure),
        cmocka_unit_test(who_waits_is_told_who_gives_up),
        cmocka_unit_test(who_waits_is_told_whose_transport_failed),
        cmocka_unit_test(who_waits_for_what_never_comes_is_told),
        cmocka_unit_test(a_rank_may_be_busy_for_as_long_as_it_likes),
        cmocka_unit_test(a_rank_without_memory_can_say_so),
    };
    return cmocka_run_group_tests_name("communicator", tests, NULL, NULL);
}
