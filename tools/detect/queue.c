#include "detect/queue.h"

#include "support/mem.h"

det_status queue_init(struct det_env *env, struct queue *q, size_t capacity)
{
    *q = (struct queue){.capacity = capacity};
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    return det_alloc(env, &q->items, capacity, sizeof *q->items, "queue");
}

void queue_free(struct det_env *env, struct queue *q)
{
    if (q->capacity == 0)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
    det_free(env, &q->items);
    *q = (struct queue){0};
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void add(struct queue *q, void *item)
{
    q->items[(q->first + q->count++) % q->capacity] = item;
    pthread_cond_broadcast(&q->changed);
}

static void *take(struct queue *q)
{
    void *item = q->items[q->first];
    q->first = (q->first + 1) % q->capacity;
    q->count--;
    pthread_cond_broadcast(&q->changed);
    return item;
}

bool queue_push(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == q->capacity && !q->closed)
        pthread_cond_wait(&q->changed, &q->lock);
    const bool open = !q->closed;
    if (open)
        add(q, item);
    pthread_mutex_unlock(&q->lock);
    return open;
}

bool queue_push_newest(struct queue *q, void *item, void **dropped)
{
    *dropped = NULL;
    pthread_mutex_lock(&q->lock);
    const bool open = !q->closed;
    if (open && q->count == q->capacity)
        *dropped = take(q);
    if (open)
        add(q, item);
    pthread_mutex_unlock(&q->lock);
    return open;
}

static void *pop(struct queue *q, bool wait, int64_t *number)
{
    void *item = NULL;
    pthread_mutex_lock(&q->lock);
    while (wait && q->count == 0 && !q->closed)
        pthread_cond_wait(&q->changed, &q->lock);
    if (q->count > 0) {
        item = take(q);
        if (number != NULL)
            *number = q->taken;
        q->taken++;
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *queue_pop(struct queue *q, int64_t *number)
{
    return pop(q, true, number);
}

void *queue_poll(struct queue *q, int64_t *number)
{
    return pop(q, false, number);
}

void *queue_steal(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    void *item = q->count > 0 ? take(q) : NULL;
    pthread_mutex_unlock(&q->lock);
    return item;
}

det_status reorder_init(struct det_env *env, struct reorder *r, size_t capacity)
{
    *r = (struct reorder){.capacity = capacity};
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    return det_alloc(env, &r->slots, capacity, sizeof *r->slots, "queue");
}

void reorder_free(struct det_env *env, struct reorder *r)
{
    if (r->capacity == 0)
        return;
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
    det_free(env, &r->slots);
    *r = (struct reorder){0};
}

void reorder_close(struct reorder *r)
{
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void reorder_put(struct reorder *r, int64_t number, void *item)
{
    pthread_mutex_lock(&r->lock);
    r->slots[(size_t)number % r->capacity] = item;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

void *reorder_take(struct reorder *r)
{
    pthread_mutex_lock(&r->lock);
    void **slot = &r->slots[(size_t)r->next % r->capacity];
    while (*slot == NULL && !r->closed)
        pthread_cond_wait(&r->changed, &r->lock);
    void *item = *slot;
    *slot = NULL;
    if (item != NULL)
        r->next++;
    pthread_mutex_unlock(&r->lock);
    return item;
}
