/* lifeline_watch.h: what a lifeline is made of (ranks/lifeline.h), and its thread.
 *
 * All connections are the thread's, which never waits for one of them. The program's threads leave
 * what they want in the part under the mutex and wake it.
 *
 * What ends the training, the finding, is claimed first, by whoever comes first; then all others
 * are told; then it is published and this rank's waits end. In this order, since a process may end
 * as soon as it knows.
 */
#ifndef DET_RANKS_LIFELINE_WATCH_H
#define DET_RANKS_LIFELINE_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "ranks/lifeline.h"
#include "ranks/lifeline_door.h"
#include "ranks/lifeline_link.h"
#include "ranks/lifeline_standstill.h"

enum det_peer_state {
    DET_PEER_ABSENT, /* it has yet to come */
    DET_PEER_THERE,
    DET_PEER_LEFT, /* it said farewell */
    DET_PEER_GONE, /* lost; its connection may be there still */
};

struct det_peer {
    struct det_link link;
    enum det_peer_state state; /* changed under the mutex */
    bool is_corrupt;
    uint64_t heard_ns;
};

enum det_lifeline_closing { DET_CLOSING_NOT, DET_CLOSING_AT_ONCE, DET_CLOSING_ORDERLY };

struct det_lifeline {
    struct det_lifeline_settings settings;
    char (*hosts)[DET_HOST_BYTES]; /* [size] */
    unsigned forks;                /* det_forks() of the process that has the thread */
    pthread_t thread;
    bool is_running;
    int wake; /* an eventfd */

    /* the thread's, while it runs */
    struct det_door door;   /* rank 0's */
    struct det_peer *peers; /* rank 0's: ranks 1, 2, ...; of any other: rank 0 */
    int32_t peer_count;
    struct det_pace *paces; /* [size], rank 0's */
    struct det_polls polls;
    uint64_t beat_ns, next_beat_ns;
    uint64_t awake_ns; /* when the thread was last seen running */
    bool has_told;     /* the finding was put into all connections */
    bool is_leaving;

    atomic_int_least32_t over; /* as det_lifeline_note() */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int32_t missing; /* ranks that have yet to come */
    int door_error;  /* door.error */
    enum det_lifeline_closing closing;
    bool is_claimed; /* somebody has the finding: what follows does not change any more */
    bool is_own;     /* by this rank's program, the thread has yet to tell it */
    det_status status;
    char message[DET_ERROR_BYTES];
    atomic_bool found; /* published */
};

/* False: there was one before. `own`: the thread is to tell it. */
bool det_lifeline_claim(struct det_lifeline *lifeline, det_status status, const char *message,
                        bool own);
void det_lifeline_publish(struct det_lifeline *lifeline);
/* The thread. */
void *det_lifeline_watch(void *lifeline);

#endif
