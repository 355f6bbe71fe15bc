/* ranks/reduction: the bits of one process that adds the ranks' values in their order. */
#include "ranks/reduction.h"

#include <math.h>

#include "support/test.h"
#include "support/thread_ranks.h"

enum { MOST_RANKS = 8, VECTORS = 6, ROUNDS = 3, UPDATES = 2, MOST = 1001 };

/* Below, at and above what is cut, and nothing. */
static const size_t counts[VECTORS] = {MOST, 1, 16, 129, 0, 63};
/* The last one is a moving average. */
static float rates[63];

struct seen {
    bool bf16;
    float values[MOST_RANKS][UPDATES][VECTORS][MOST];
    det_status status[MOST_RANKS];
};

static float value_of(int32_t rank, int update, int round, int vector, size_t i)
{
    const uint64_t number =
        (((uint64_t)rank * 7 + (uint64_t)update) * 11 + (uint64_t)round) * 13 + (uint64_t)vector;
    return (float)test_formula("reduction", number * MOST + i);
}

static float moving_of(int update, size_t i)
{
    return (float)test_formula("moving", (uint64_t)update * MOST + i);
}

static det_status run_update(struct seen *s, struct det_env *env, struct det_reduction *r,
                             int32_t rank, int32_t size, int update)
{
    float moving[63];
    for (size_t i = 0; i < 63; i++)
        moving[i] = moving_of(update, i);
    for (int round = 0; round < ROUNDS; round++) {
        det_reduction_begin(r, (struct det_round){round == 0, round == ROUNDS - 1,
                                                  (float)(1.0 / (ROUNDS * (double)size))});
        for (int v = 0; v < VECTORS; v++) {
            for (size_t i = 0; i < counts[v]; i++)
                det_reduction_values(r, v)[i] = value_of(rank, update, round, v, i);
            DET_TRY_RETURN(det_reduction_start(env, r, v, moving));
            DET_TRY_RETURN(det_reduction_progress(env, r));
        }
        DET_TRY_RETURN(det_reduction_wait(env, r));
    }
    for (int v = 0; v < VECTORS; v++)
        if (counts[v] > 0)
            memcpy(s->values[rank][update][v], det_reduction_values(r, v),
                   counts[v] * sizeof(float));
    return DET_OK;
}

static void reduce(void *user, struct det_env *env, det_communicator *c)
{
    struct seen *s = user;
    const int32_t rank = det_communicator_rank(c);
    struct det_vector vectors[VECTORS];
    struct det_reduction *r = NULL;
    for (int v = 0; v < VECTORS; v++)
        vectors[v] = (struct det_vector){counts[v], v == VECTORS - 1 ? rates : NULL};
    s->status[rank] = det_reduction_create(env, c, vectors, VECTORS, s->bf16, &r);
    for (int u = 0; u < UPDATES && s->status[rank] == DET_OK; u++)
        s->status[rank] = run_update(s, env, r, rank, det_communicator_size(c), u);
    det_reduction_destroy(env, &r);
}

/* What one process comes to. */
static float expected(int32_t size, int update, int v, size_t i)
{
    float sum = v == VECTORS - 1 ? moving_of(update, i) : 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int32_t rank = 0; rank < size; rank++) {
            const float x = value_of(rank, update, round, v, i);
            if (v == VECTORS - 1)
                sum -= (sum - x) * rates[i];
            else if (round == 0 && rank == 0)
                sum = x;
            else
                sum += x;
        }
    }
    return v == VECTORS - 1 ? sum : sum * (float)(1.0 / (ROUNDS * (double)size));
}

static void check(const struct seen *s, int32_t size)
{
    for (int32_t rank = 0; rank < size; rank++) {
        assert_int_equal(s->status[rank], DET_OK);
        for (int u = 0; u < UPDATES; u++)
            for (int v = 0; v < VECTORS; v++)
                for (size_t i = 0; i < counts[v]; i++) {
                    const float got = s->values[rank][u][v][i], want = expected(size, u, v, i);
                    assert_true(s->values[0][u][v][i] == got);
                    if (s->bf16 && v < VECTORS - 1)
                        assert_near(got, want, .02);
                    else
                        assert_true(got == want);
                }
    }
}

static void sums_are_those_of_one_process(void **state)
{
    (void)state;
    static struct seen s;
    for (size_t i = 0; i < 63; i++)
        rates[i] = i % 2 == 0 ? 1.0f - .97f : .25f;
    for (int32_t size = 1; size <= MOST_RANKS; size++) {
        memset(&s, 0, sizeof s);
        thread_ranks_run(&(struct thread_ranks_settings){.size = size, .most_looks = size * 3},
                         reduce, &s);
        check(&s, size);
    }
}

static void bf16_on_the_wire_is_the_same_for_all(void **state)
{
    (void)state;
    static struct seen s;
    s.bf16 = true;
    thread_ranks_run(&(struct thread_ranks_settings){.size = 4, .most_looks = 7}, reduce, &s);
    check(&s, 4);
    /* what has come that way has eight bits */
    uint32_t bits;
    memcpy(&bits, &s.values[2][0][0][5], sizeof bits);
    assert_int_equal(bits & 0xffffu, 0);
}

int test_reduction(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_one_process),
        cmocka_unit_test(bf16_on_the_wire_is_the_same_for_all),
    };
    return cmocka_run_group_tests_name("reduction", tests, NULL, NULL);
}
