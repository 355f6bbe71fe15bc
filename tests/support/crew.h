/* crew.h: the lifelines (ranks/lifeline.h) of several ranks in one process, each with its thread,
 * and what their `lost` was told. */
#ifndef DET_TESTS_SUPPORT_CREW_H
#define DET_TESTS_SUPPORT_CREW_H

#include <stdatomic.h>

#include "ranks/lifeline_call.h"
#include "support/test.h"

enum { CREW_MOST = 9, CREW_PATIENCE_SECONDS = 60 };

struct crew {
    struct test_env t;
    int32_t size;
    double silence_seconds, standstill_seconds, meet_seconds;
    char hosts[CREW_MOST][DET_HOST_BYTES]; /* "node-R", but rank 1 is on rank 0's */
    uint8_t call_bytes[DET_LIFELINE_CALL_BYTES];
    struct det_call call; /* the same */
    struct det_lifeline *lifelines[CREW_MOST];
    struct crew_lost {
        atomic_int calls;
        int first_hand;
        char message[DET_ERROR_BYTES];
    } lost[CREW_MOST];
};

/* Nobody is there yet; the times are long. */
void crew_begin(struct crew *crew, int32_t size);
struct det_lifeline_settings crew_settings(struct crew *crew, int32_t rank);
/* Rank 0, which fills in the call, and any other. */
void crew_listen(struct crew *crew);
void crew_join(struct crew *crew, int32_t rank);
/* All of them. */
void crew_make(struct crew *crew, int32_t size);
void crew_close(struct crew *crew, int32_t rank, bool orderly);
/* All that are left, not orderly; asserts that no memory is. */
void crew_end(struct crew *crew);

/* Until the rank knows of something; asserts what, and a part of the message. */
void crew_await(struct crew *crew, int32_t rank, det_status wanted, const char *part);
/* Until its `lost` was called; asserts what it was told, and that it was once. */
void crew_await_call(struct crew *crew, int32_t rank, int first_hand, const char *part);

#endif
