/* lifeline_link.h: the messages of a lifeline (ranks/lifeline.h) on a TCP connection. Nothing here
 * waits: what can not be sent or is not there yet is left for the next time.
 *
 * A message is a head of 12 bytes, magic (4), kind (2), bytes behind the head (2), a number (4),
 * little-endian, and those bytes. All ranks are of one build, so there is no version.
 */
#ifndef DET_RANKS_LIFELINE_LINK_H
#define DET_RANKS_LIFELINE_LINK_H

#include <poll.h>

#include "support/env.h"

enum det_link_kind {
    DET_LINK_HELLO = 1, /* to rank 0: number the rank, data its secret */
    DET_LINK_WELCOME,   /* the answer: data the other secret */
    DET_LINK_ALIVE,     /* the answer to that, and then each second both ways: number as noted */
    DET_LINK_NEWS,      /* the training can not go on: number the status, data the message */
    DET_LINK_FAREWELL,  /* the end of the connection is no loss */
};

enum {
    DET_LINK_HEAD_BYTES = 12,
    DET_LINK_MOST_BYTES = DET_LINK_HEAD_BYTES + DET_ERROR_BYTES,
    /* news, and the short ones that may be before and behind it */
    DET_LINK_OUT_BYTES = DET_LINK_MOST_BYTES + 128,
};

struct det_message {
    enum det_link_kind kind;
    int32_t number;
    size_t bytes;
    uint8_t data[DET_ERROR_BYTES];
};

struct det_link {
    int fd;          /* -1: closed */
    bool connecting; /* not connected yet */
    bool finishing;  /* nothing more is put, and the other side is told so when all is sent */
    bool finished;   /* it was told */
    bool ended;      /* nothing more will come: the end, or `error` */
    int error;
    short polled; /* what the last det_polls_wait() said */
    size_t in_bytes, out_bytes;
    uint8_t in[DET_LINK_MOST_BYTES], out[DET_LINK_OUT_BYTES];
};

/* A socket that does not block. */
void det_link_open(struct det_link *link, int fd);
/* Also one that is closed. */
void det_link_close(struct det_link *link);

/* Puts a message behind those that wait to be sent; false: there is no room, or it is closed or
 * finishing. */
bool det_link_put(struct det_link *link, enum det_link_kind kind, int32_t number, const void *data,
                  size_t bytes);
/* Hands the system what it takes of what waits. A connection that broke takes all: reading says
 * that it did. */
void det_link_flush(struct det_link *link);
/* Flushes, now and later, and then says that nothing more comes. Closing without this would throw
 * away what the other side has not taken yet. */
void det_link_finish(struct det_link *link);

/* Takes in what fits of what has come; whether there was anything. */
bool det_link_fill(struct det_link *link);
enum det_link_got { DET_LINK_NOTHING, DET_LINK_MESSAGE, DET_LINK_CORRUPT };
/* The next message of what was taken in. */
enum det_link_got det_link_next(struct det_link *link, struct det_message *message);

/* --- waiting for several --- */

struct det_polls {
    struct pollfd *fds;
    struct det_link **whose; /* NULL: a descriptor of its own */
    size_t count;
};

/* Room for `most` descriptors. */
det_status det_polls_make(struct det_env *env, struct det_polls *polls, size_t most);
void det_polls_free(struct det_env *env, struct det_polls *polls);
/* A descriptor that is read. */
void det_polls_add_fd(struct det_polls *polls, int fd);
/* Nothing for a closed one. */
void det_polls_add(struct det_polls *polls, struct det_link *link);
/* Until something can be read or sent; the list is empty then. A signal may end it before. */
void det_polls_wait(struct det_polls *polls, int most_ms);

#endif
