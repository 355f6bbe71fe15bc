/* lifeline.h: who is still there. Beside the transport each rank has a TCP connection to rank 0 and
 * a thread that watches it: when a process is killed its connections end at once, when its machine
 * or the link is gone nothing is heard for some seconds, and in both cases all ranks are told which
 * rank on which host it was. A rank that has to give up for another reason says so and why.
 *
 * MPI alone cannot: a transfer with a rank that is gone does not end, and whether anybody notices
 * depends on how the bytes travel. So nobody may wait for a transfer without asking here.
 *
 * Every rank sends a sign of life each second. A process that was stopped as a whole (a laptop's
 * sleep, kill -STOP to all) and goes on begins to count anew. What is between two ranks that both
 * reach rank 0 shows by nothing moving any more.
 *
 * lifeline_call.h: how rank 0 is reached; lifeline_door.h, lifeline_reach.h: its side and the
 * others' of how they come together; lifeline_link.h: messages; lifeline_standstill.h: when nothing
 * moves; lifeline_watch.h: the thread.
 */
#ifndef DET_RANKS_LIFELINE_H
#define DET_RANKS_LIFELINE_H

#include "support/env.h"

struct det_lifeline;

/* Bytes in which rank 0 says how it can be reached: addresses, port, a secret number. */
enum { DET_LIFELINE_CALL_BYTES = 2048, DET_HOST_BYTES = 64 };

struct det_lifeline_settings {
    int32_t rank, size;
    const char (*hosts)[DET_HOST_BYTES]; /* [size], for messages; copied */
    double silence_seconds;              /* after so long a rank counts as lost */
    double standstill_seconds;           /* all are, when so long nothing moved between them */
    double meet_seconds;                 /* so long rank 0 waits for the others, and they for it */
    /* Called once, from the lifeline's thread, when the training can not go on, but not for what
     * this rank said itself or once it closes; `message` has no line end. NULL: nobody.
     * `first_hand`: this rank found out by itself, it was not told. It returns, or ends the
     * process: closing waits for it. */
    void (*lost)(void *user, det_status status, const char *message, int first_hand);
    void *lost_user;
};

/* Rank 0 listens on all its addresses and fills in the call; its thread begins. IO. */
det_status det_lifeline_listen(struct det_env *env, const struct det_lifeline_settings *settings,
                               uint8_t call[DET_LIFELINE_CALL_BYTES],
                               struct det_lifeline **lifeline);
/* The others connect with what rank 0 filled in, and theirs begins; IO names the addresses that
 * were tried. */
det_status det_lifeline_join(struct det_env *env, const struct det_lifeline_settings *settings,
                             const uint8_t call[DET_LIFELINE_CALL_BYTES],
                             struct det_lifeline **lifeline);
/* Rank 0 waits until all have come; for the others this is nothing. IO names who did not come, and
 * those that did are told so. Nobody may wait for another rank without the lifeline before. */
det_status det_lifeline_gather(struct det_env *env, struct det_lifeline *lifeline);

/* DET_OK while all are there. Else, with a message that names the rank and its host, RANK_LOST, or
 * the status with which a rank has given up. Cheap; any thread. */
det_status det_lifeline_check(struct det_env *env, const struct det_lifeline *lifeline);

/* How far this rank has come, for the others: transfers that are over, at least 0, while it waits
 * for another one; DET_LIFELINE_WORKS when it is about something else. Cheap; any thread. */
enum { DET_LIFELINE_WORKS = -1 };
void det_lifeline_note(struct det_lifeline *lifeline, int32_t over);

/* This rank gives up: all others are told "rank 2 on HOST: message" with the status. Nothing when
 * somebody was lost before. Returns when the words are on their way. */
void det_lifeline_give_up(struct det_lifeline *lifeline, det_status status, const char *message);

/* Ends the thread and the connections; for the others this is no loss when the training is over
 * for them too or `orderly` (which tells them so before). NULL and half-made ones too. */
void det_lifeline_close(struct det_env *env, struct det_lifeline **lifeline, bool orderly);

#endif
