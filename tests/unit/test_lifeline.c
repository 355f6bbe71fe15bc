/* ranks/lifeline: all ranks in this process, over real connections. */
#include <math.h>
#include <time.h>

#include "ranks/lifeline_standstill.h"
#include "support/crew.h"

/* --- together --- */

static void all_are_there_and_leave_in_any_order(void **state)
{
    (void)state;
    static const int32_t sizes[] = {1, 2, 5, 9};
    for (size_t s = 0; s < 4; s++)
        for (int32_t order = 0; order < 3; order++) {
            struct crew crew;
            const int32_t size = sizes[s];
            crew_make(&crew, size);
            for (int32_t i = 0; i < size; i++) {
                const int32_t shuffled = i * 4 % size; /* no size has a factor of two beside 2 */
                const int32_t leaves = order == 0 ? i : order == 1 ? size - 1 - i : shuffled;
                if (crew.lifelines[leaves] == NULL)
                    continue; /* of two */
                crew_close(&crew, leaves, true);
                for (int32_t r = 0; r < size; r++)
                    if (crew.lifelines[r] != NULL)
                        assert_ok(&crew.t.env, det_lifeline_check(&crew.t.env, crew.lifelines[r]));
            }
            for (int32_t r = 0; r < size; r++)
                assert_int_equal(atomic_load(&crew.lost[r].calls), 0);
            crew_end(&crew);
        }
}

static void who_leaves_without_a_word_is_lost(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 5);
    crew_close(&crew, 3, false);
    for (int32_t r = 0; r < 5; r++)
        if (r != 3) {
            crew_await(&crew, r, DET_STATUS_RANK_LOST,
                       "rank 3 on node-3 is gone: its process ended");
            crew_await_call(&crew, r, r == 0, "rank 3 on node-3 is gone");
        }
    /* What is found first stays. */
    crew_close(&crew, 0, false);
    for (int32_t r = 1; r < 5; r++)
        if (r != 3)
            crew_await(&crew, r, DET_STATUS_RANK_LOST,
                       "rank 3 on node-3 is gone: its process ended");
    crew_end(&crew);
    crew_make(&crew, 5);
    crew_close(&crew, 0, false);
    for (int32_t r = 1; r < 5; r++) {
        crew_await(&crew, r, DET_STATUS_RANK_LOST, "rank 0 on node-0 is gone: its process ended");
        crew_await_call(&crew, r, 1, "rank 0 on node-0 is gone");
    }
    crew_end(&crew);
}

/* --- giving up --- */

static void all_are_told_who_gives_up_and_why(void **state)
{
    (void)state;
    for (int32_t tells = 0; tells < 5; tells += 2) {
        struct crew crew;
        char said[64];
        snprintf(said, sizeof said, "rank %d on node-%d: pipeline.config: line 3", (int)tells,
                 (int)tells);
        crew_make(&crew, 5);
        det_lifeline_give_up(crew.lifelines[tells], DET_STATUS_PARSE, "pipeline.config: line 3");
        det_lifeline_give_up(crew.lifelines[tells], DET_STATUS_IO, "what comes of it");
        for (int32_t r = 0; r < 5; r++) {
            crew_await(&crew, r, DET_STATUS_PARSE, said);
            assert_string_equal(crew.t.env.error, said);
            if (r != tells)
                crew_await_call(&crew, r, 0, said);
        }
        crew_close(&crew, tells, false);
        for (int32_t r = 0; r < 5; r++)
            if (r != tells)
                crew_await(&crew, r, DET_STATUS_PARSE, said);
        assert_int_equal(atomic_load(&crew.lost[tells].calls), 0);
        crew_end(&crew);
    }
}

static void a_message_of_any_length_arrives(void **state)
{
    (void)state;
    for (size_t length = DET_ERROR_BYTES - 30; length < DET_ERROR_BYTES; length += 7) {
        struct crew crew;
        char message[DET_ERROR_BYTES];
        memset(message, 'x', length);
        message[length] = '\0';
        crew_make(&crew, 3);
        det_lifeline_give_up(crew.lifelines[2], DET_STATUS_NO_SPACE, message);
        crew_await(&crew, 2, DET_STATUS_NO_SPACE, "rank 2 on node-2: xxx");
        memcpy(message, crew.t.env.error, sizeof message);
        crew_await(&crew, 1, DET_STATUS_NO_SPACE, message);
        crew_end(&crew);
    }
}

/* All at once: each keeps one of them, and it is whole. */
static void several_may_give_up(void **state)
{
    (void)state;
    struct crew crew;
    crew_make(&crew, 9);
    for (int32_t r = 8; r >= 0; r--)
        det_lifeline_give_up(crew.lifelines[r], DET_STATUS_IO, "no picture");
    for (int32_t r = 0; r < 9; r++)
        crew_await(&crew, r, DET_STATUS_IO, ": no picture");
    crew_end(&crew);
}

/* --- not coming --- */

static void who_does_not_come_is_named(void **state)
{
    (void)state;
    struct crew crew;
    crew_begin(&crew, 5);
    crew.meet_seconds = 2;
    crew_listen(&crew);
    crew.meet_seconds = CREW_PATIENCE_SECONDS;
    crew_join(&crew, 1);
    crew_join(&crew, 3);
    assert_fails(&crew.t.env, DET_STATUS_IO,
                 "rank 2 on node-2 and 1 more did not connect to rank 0 on node-0 within 2 s",
                 det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
    crew_await(&crew, 1, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    crew_await(&crew, 3, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    /* Who comes too late is told, too. */
    crew_join(&crew, 4);
    crew_await(&crew, 4, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    crew_end(&crew);
}

static void what_was_tried_is_named(void **state)
{
    (void)state;
    struct crew crew;
    crew_begin(&crew, 2);
    crew_listen(&crew);
    crew_close(&crew, 0, false);
    crew.meet_seconds = .4;
    const struct det_lifeline_settings settings = crew_settings(&crew, 1);
    assert_fails(&crew.t.env, DET_STATUS_IO, "127.0.0.1 port",
                 det_lifeline_join(&crew.t.env, &settings, crew.call_bytes, &crew.lifelines[1]));
    assert_contains(crew.t.env.error, "rank 0 can not be reached: ");
    assert_null(crew.lifelines[1]);
    memset(crew.call_bytes, 0, sizeof crew.call_bytes);
    assert_fails(&crew.t.env, DET_STATUS_CORRUPT, "0 addresses",
                 det_lifeline_join(&crew.t.env, &settings, crew.call_bytes, &crew.lifelines[1]));
    memset(crew.call_bytes, 0xFF, sizeof crew.call_bytes);
    assert_fails(&crew.t.env, DET_STATUS_CORRUPT, "65535 addresses",
                 det_lifeline_join(&crew.t.env, &settings, crew.call_bytes, &crew.lifelines[1]));
    crew_end(&crew);
}

static void assert_no_time(struct crew *crew, const char *name)
{
    const struct det_lifeline_settings settings = crew_settings(crew, 0);
    assert_fails(
        &crew->t.env, DET_STATUS_INVALID_ARGUMENT, name,
        det_lifeline_listen(&crew->t.env, &settings, crew->call_bytes, &crew->lifelines[0]));
    assert_null(crew->lifelines[0]);
}

static void a_silence_is_a_time(void **state)
{
    (void)state;
    static const double wrong[] = {0, -1, NAN, INFINITY};
    struct crew crew;
    crew_begin(&crew, 2);
    for (size_t i = 0; i < 4; i++) {
        crew.silence_seconds = wrong[i];
        assert_no_time(&crew, "silence_seconds: ");
        crew.silence_seconds = 30;
        crew.standstill_seconds = wrong[i];
        assert_no_time(&crew, "standstill_seconds: ");
        crew.standstill_seconds = 1000;
    }
    crew_end(&crew);
}

/* --- nothing moves --- */

static void nap(double seconds)
{
    const time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){whole, (long)((seconds - (double)whole) * 1e9)}, NULL);
}

static void begin_short_of_patience(struct crew *crew, int32_t size, double seconds)
{
    crew_begin(crew, size);
    crew->standstill_seconds = seconds;
    crew_listen(crew);
    for (int32_t r = 1; r < size; r++)
        crew_join(crew, r);
    for (int32_t r = 0; r < size; r++)
        assert_ok(&crew->t.env, det_lifeline_gather(&crew->t.env, crew->lifelines[r]));
}

static void assert_all_go_on(struct crew *crew)
{
    for (int32_t r = 0; r < crew->size; r++)
        assert_ok(&crew->t.env, det_lifeline_check(&crew->t.env, crew->lifelines[r]));
}

/* All wait but one, whichever it is, and then all: the two whose link is cut have come less far. */
static void where_all_wait_and_nothing_moves_all_are_told(void **state)
{
    (void)state;
    for (int32_t works = 0; works < 4; works += 2) {
        struct crew crew;
        begin_short_of_patience(&crew, 5, .5);
        for (int32_t r = 0; r < 5; r++)
            if (r != works)
                det_lifeline_note(crew.lifelines[r], r == 1 || r == 3 ? 70 : 71 + r);
        nap(2.5); /* two signs of life of each rank */
        assert_all_go_on(&crew);
        det_lifeline_note(crew.lifelines[works], 71);
        for (int32_t r = 0; r < 5; r++) {
            crew_await(&crew, r, DET_STATUS_RANK_LOST,
                       "nothing has moved between the ranks for 0.5 seconds");
            assert_contains(crew.t.env.error,
                            "(furthest behind: rank 1 on node-0 and rank 3 on node-3)");
            crew_await_call(&crew, r, r == 0, "nothing has moved");
        }
        crew_end(&crew);
    }
}

static void who_is_behind_is_named_as_far_as_there_is_room(void **state)
{
    (void)state;
    static const struct {
        int32_t size, behind;
        const char *words;
    } cases[] = {
        {2, 0, "(furthest behind: all alike)"},
        {9, 1, "(furthest behind: rank 0 on node-0)"},
        {9, 8,
         "(furthest behind: rank 0 on node-0, rank 1 on node-0, rank 2 on node-2, rank 3 on node-3 "
         "and 4 more)"},
    };
    struct crew crew;
    crew_begin(&crew, CREW_MOST);
    for (size_t i = 0; i < 3; i++) {
        struct det_pace paces[CREW_MOST] = {{0}};
        for (int32_t r = 0; r < CREW_MOST; r++)
            paces[r].over = r < cases[i].behind ? 3 : 4;
        assert_fails(&crew.t.env, DET_STATUS_RANK_LOST, cases[i].words,
                     det_standstill_tell(&crew.t.env, paces, cases[i].size,
                                         (const char(*)[DET_HOST_BYTES])crew.hosts, 60));
    }
    test_env_check(&crew.t);
}

/* One by one their transfers end, each within the time. */
static void what_moves_however_slowly_goes_on(void **state)
{
    (void)state;
    struct crew crew;
    begin_short_of_patience(&crew, 3, 4);
    for (int32_t over = 0; over < 20; over++) {
        for (int32_t r = 0; r < 3; r++)
            det_lifeline_note(crew.lifelines[r], (over + r) / 3);
        nap(.3);
        assert_all_go_on(&crew);
    }
    for (int32_t r = 0; r < 3; r++)
        assert_int_equal(atomic_load(&crew.lost[r].calls), 0);
    crew_end(&crew);
}

/* --- memory --- */

static det_status live_a_little(struct det_env *env, void *argument)
{
    struct crew *crew = argument;
    struct det_lifeline *zero = NULL, *one = NULL;
    det_status status = DET_OK;
    const struct det_lifeline_settings as_zero = crew_settings(crew, 0),
                                       as_one = crew_settings(crew, 1);
    DET_TRY(det_lifeline_listen(env, &as_zero, crew->call_bytes, &zero));
    DET_TRY(det_lifeline_join(env, &as_one, crew->call_bytes, &one));
    DET_TRY(det_lifeline_gather(env, zero));
    DET_TRY(det_lifeline_check(env, one));
fail:
    det_lifeline_close(env, &one, true);
    det_lifeline_close(env, &zero, true);
    return status;
}

static void memory_may_end(void **state)
{
    (void)state;
    struct crew crew;
    crew_begin(&crew, 2);
    test_each_allocation_fails(live_a_little, &crew);
    crew_end(&crew);
}

int test_lifeline(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_there_and_leave_in_any_order),
        cmocka_unit_test(who_leaves_without_a_word_is_lost),
        cmocka_unit_test(all_are_told_who_gives_up_and_why),
        cmocka_unit_test(a_message_of_any_length_arrives),
        cmocka_unit_test(several_may_give_up),
        cmocka_unit_test(who_does_not_come_is_named),
        cmocka_unit_test(what_was_tried_is_named),
        cmocka_unit_test(a_silence_is_a_time),
        cmocka_unit_test(where_all_wait_and_nothing_moves_all_are_told),
        cmocka_unit_test(who_is_behind_is_named_as_far_as_there_is_room),
        cmocka_unit_test(what_moves_however_slowly_goes_on),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests_name("lifeline", tests, NULL, NULL);
}
