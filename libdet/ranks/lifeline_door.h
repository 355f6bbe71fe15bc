/* lifeline_door.h: rank 0's side of how the ranks come to their connections (ranks/lifeline.h).
 *
 * Whoever connects is a guest until it has said the secret and its rank, was welcomed and has
 * answered that: a rank tries several addresses at once and drops the connections that were not the
 * first, which must not look like the end of a rank. Port scanners, and ranks of other trainings,
 * are guests that never come in; each has a few seconds, and when there are too many the oldest
 * goes. */
#ifndef DET_RANKS_LIFELINE_DOOR_H
#define DET_RANKS_LIFELINE_DOOR_H

#include "ranks/lifeline_call.h"
#include "ranks/lifeline_link.h"

struct det_guest {
    struct det_link link;
    int32_t rank; /* that it says it is; 0: nothing yet */
    bool came;
    uint64_t until_ns;
};

struct det_door {
    int listener; /* -1: closed */
    int32_t size;
    uint8_t hello[DET_CALL_SECRET_BYTES], welcome[DET_CALL_SECRET_BYTES];
    struct det_guest *guests; /* [room] */
    size_t room;
    int error;             /* of the last connection that could not be taken */
    uint64_t pause_end_ns; /* no new guests till then */
};

/* Listens on all addresses and fills in the call. */
det_status det_door_open(struct det_env *env, struct det_door *door, int32_t size,
                         struct det_call *call);
/* Guests go, and nobody comes any more; what det_door_free() releases is left. */
void det_door_close(struct det_door *door);
void det_door_free(struct det_env *env, struct det_door *door);

/* At most 1 + room of them. */
void det_door_add_polls(struct det_door *door, struct det_polls *polls, uint64_t now_ns);
/* After the polls were waited for. */
void det_door_serve(struct det_door *door, uint64_t now_ns);
/* A rank that has come since, and its connection, which is the caller's then. */
bool det_door_take(struct det_door *door, int32_t *rank, struct det_link *link);

#endif
