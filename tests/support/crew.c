#include "support/crew.h"

#include <time.h>

#include "support/clock.h"

static void keep_lost(void *user, det_status status, const char *message, int first_hand)
{
    (void)status;
    struct crew_lost *lost = user;
    snprintf(lost->message, sizeof lost->message, "%s", message);
    lost->first_hand = first_hand;
    atomic_fetch_add(&lost->calls, 1);
}

struct det_lifeline_settings crew_settings(struct crew *crew, int32_t rank)
{
    return (struct det_lifeline_settings){
        .rank = rank,
        .size = crew->size,
        .hosts = (const char(*)[DET_HOST_BYTES])crew->hosts,
        .silence_seconds = crew->silence_seconds,
        .standstill_seconds = crew->standstill_seconds,
        .meet_seconds = crew->meet_seconds,
        .lost = keep_lost,
        .lost_user = &crew->lost[rank],
    };
}

void crew_begin(struct crew *crew, int32_t size)
{
    *crew = (struct crew){.size = size,
                          .silence_seconds = 30,
                          .standstill_seconds = 1000,
                          .meet_seconds = CREW_PATIENCE_SECONDS};
    for (int32_t r = 0; r < CREW_MOST; r++)
        snprintf(crew->hosts[r], DET_HOST_BYTES, "node-%d", r == 1 ? 0 : (int)r);
    test_env_init(&crew->t);
}

void crew_listen(struct crew *crew)
{
    const struct det_lifeline_settings settings = crew_settings(crew, 0);
    assert_ok(&crew->t.env,
              det_lifeline_listen(&crew->t.env, &settings, crew->call_bytes, &crew->lifelines[0]));
    memcpy(&crew->call, crew->call_bytes, sizeof crew->call);
}

void crew_join(struct crew *crew, int32_t rank)
{
    const struct det_lifeline_settings settings = crew_settings(crew, rank);
    assert_ok(&crew->t.env,
              det_lifeline_join(&crew->t.env, &settings, crew->call_bytes, &crew->lifelines[rank]));
}

void crew_make(struct crew *crew, int32_t size)
{
    crew_begin(crew, size);
    crew_listen(crew);
    for (int32_t r = 1; r < size; r++)
        crew_join(crew, r);
    for (int32_t r = 0; r < size; r++)
        assert_ok(&crew->t.env, det_lifeline_gather(&crew->t.env, crew->lifelines[r]));
}

void crew_close(struct crew *crew, int32_t rank, bool orderly)
{
    det_lifeline_close(&crew->t.env, &crew->lifelines[rank], orderly);
    assert_null(crew->lifelines[rank]);
}

void crew_end(struct crew *crew)
{
    for (int32_t r = 0; r < crew->size; r++)
        crew_close(crew, r, false);
    test_env_check(&crew->t);
}

void crew_await(struct crew *crew, int32_t rank, det_status wanted, const char *part)
{
    struct det_env *env = &crew->t.env;
    const uint64_t begin_ns = det_clock_ns();
    det_status status = DET_OK;
    while (status == DET_OK && det_clock_ns() - begin_ns < CREW_PATIENCE_SECONDS * 1000000000ull) {
        status = det_lifeline_check(env, crew->lifelines[rank]);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (status != wanted)
        fail_msg("rank %d: %s (%s)", (int)rank, det_status_text(status), env->error);
    assert_contains(env->error, part);
}

void crew_await_call(struct crew *crew, int32_t rank, int first_hand, const char *part)
{
    const uint64_t begin_ns = det_clock_ns();
    while (atomic_load(&crew->lost[rank].calls) == 0 &&
           det_clock_ns() - begin_ns < CREW_PATIENCE_SECONDS * 1000000000ull)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&crew->lost[rank].calls), 1);
    assert_int_equal(crew->lost[rank].first_hand, first_hand);
    assert_contains(crew->lost[rank].message, part);
}
