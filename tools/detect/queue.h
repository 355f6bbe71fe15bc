/* queue.h: what stands between the threads of det-detect: bounded queues of pointers. A queue that
 * was closed takes nothing more and hands out what it still has. */
#ifndef DET_TOOLS_DETECT_QUEUE_H
#define DET_TOOLS_DETECT_QUEUE_H

#include <pthread.h>

#include "support/env.h"

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **items;
    size_t capacity, first, count;
    int64_t taken; /* items handed out so far */
    bool closed;
};

det_status queue_init(struct det_env *env, struct queue *queue, size_t capacity);
void queue_free(struct det_env *env, struct queue *queue);
void queue_close(struct queue *queue);

/* Waits for room. False: the queue is closed and `item` still the caller's. */
bool queue_push(struct queue *queue, void *item);
/* Never waits: when there is no room the oldest item is taken out and returned in *dropped (else
 * NULL). */
bool queue_push_newest(struct queue *queue, void *item, void **dropped);
/* Waits for an item; NULL: closed and empty. *number (may be NULL): 0, 1, ... in the order of
 * handing out. */
void *queue_pop(struct queue *queue, int64_t *number);
/* The same without waiting: NULL when there is none at the moment. */
void *queue_poll(struct queue *queue, int64_t *number);

/* Takes the oldest item out without counting it as handed out; NULL: there is none. */
void *queue_steal(struct queue *queue);

/* Puts items back in the order of their numbers. At most `capacity` numbers may be on their way. */
struct reorder {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void **slots;
    size_t capacity;
    int64_t next;
    bool closed;
};

det_status reorder_init(struct det_env *env, struct reorder *reorder, size_t capacity);
void reorder_free(struct det_env *env, struct reorder *reorder);
/* Nothing more will be put. */
void reorder_close(struct reorder *reorder);
void reorder_put(struct reorder *reorder, int64_t number, void *item);
/* Waits for the next number's item; NULL: closed and not there. */
void *reorder_take(struct reorder *reorder);

#endif
