#include <pthread.h>

#include "support/test.h"

/* Block layout: [header, padded so that the payload is aligned][payload][GUARD_BYTES]. */
#define GUARD_BYTES 64
#define GUARD_VALUE 0xA5
#define MAGIC       0x6465745f74657374u

struct block_header {
    uint64_t magic;
    size_t bytes;
    void *base;
    unsigned char guard[GUARD_BYTES];
};

struct test_allocator {
    det_allocator hooks;
    pthread_mutex_t mutex;
    long allocations;
    long live;
    long fail_at;
    bool damaged;
};

static void *hook_allocate(void *user, size_t bytes, size_t alignment)
{
    struct test_allocator *a = user;
    pthread_mutex_lock(&a->mutex);
    a->allocations++;
    const bool fail = a->fail_at > 0 && --a->fail_at == 0;
    if (!fail)
        a->live++;
    pthread_mutex_unlock(&a->mutex);
    if (fail)
        return NULL;
    const size_t lead = (sizeof(struct block_header) + alignment - 1) / alignment * alignment;
    unsigned char *base = NULL;
    if (posix_memalign((void **)&base, alignment, lead + bytes + GUARD_BYTES) != 0) {
        pthread_mutex_lock(&a->mutex);
        a->live--;
        pthread_mutex_unlock(&a->mutex);
        return NULL;
    }
    unsigned char *payload = base + lead;
    struct block_header *header = (struct block_header *)(void *)(payload - sizeof *header);
    header->magic = MAGIC;
    header->bytes = bytes;
    header->base = base;
    memset(header->guard, GUARD_VALUE, GUARD_BYTES);
    memset(payload, 0xCD, bytes); /* so that nothing depends on fresh memory being zero */
    memset(payload + bytes, GUARD_VALUE, GUARD_BYTES);
    return payload;
}

static void hook_release(void *user, void *memory)
{
    struct test_allocator *a = user;
    unsigned char *payload = memory;
    struct block_header *header = (struct block_header *)(void *)(payload - sizeof *header);
    bool damaged = header->magic != MAGIC;
    for (int i = 0; !damaged && i < GUARD_BYTES; i++)
        damaged =
            header->guard[i] != GUARD_VALUE || payload[header->bytes + (size_t)i] != GUARD_VALUE;
    pthread_mutex_lock(&a->mutex);
    a->live--;
    a->damaged |= damaged;
    pthread_mutex_unlock(&a->mutex);
    if (damaged)
        return; /* its header cannot be trusted */
    header->magic = 0;
    free(header->base);
}

const det_allocator *test_env_hooks(struct test_env *t)
{
    t->allocator->hooks = (det_allocator){.struct_size = sizeof(det_allocator),
                                          .user = t->allocator,
                                          .allocate = hook_allocate,
                                          .release = hook_release};
    return &t->allocator->hooks;
}

void test_env_init(struct test_env *t)
{
    t->allocator = calloc(1, sizeof *t->allocator);
    assert_non_null(t->allocator);
    pthread_mutex_init(&t->allocator->mutex, NULL);
    det_env_default(&t->env);
    t->env.allocator = *test_env_hooks(t);
}

/* The threads of a pool or loader may be allocating while a test asks or sets: under the mutex. */
static long read_count(const struct test_env *t, const long *count)
{
    pthread_mutex_lock(&t->allocator->mutex);
    const long value = *count;
    pthread_mutex_unlock(&t->allocator->mutex);
    return value;
}

void test_env_fail_at(struct test_env *t, long n)
{
    pthread_mutex_lock(&t->allocator->mutex);
    t->allocator->fail_at = n;
    pthread_mutex_unlock(&t->allocator->mutex);
}

long test_env_allocations(const struct test_env *t)
{
    return read_count(t, &t->allocator->allocations);
}

long test_env_live(const struct test_env *t)
{
    return read_count(t, &t->allocator->live);
}

void test_env_check(struct test_env *t)
{
    const long live = t->allocator->live;
    const bool damaged = t->allocator->damaged;
    pthread_mutex_destroy(&t->allocator->mutex);
    free(t->allocator);
    t->allocator = NULL;
    if (live != 0)
        fail_msg("%ld blocks leaked", live);
    if (damaged)
        fail_msg("guard bytes of a block were overwritten");
}

void test_each_allocation_fails(det_status (*body)(struct det_env *env, void *argument),
                                void *argument)
{
    enum { MOST = 100000 };
    for (long n = 1; n < MOST; n++) {
        struct test_env t;
        test_env_init(&t);
        test_env_fail_at(&t, n);
        const det_status status = body(&t.env, argument);
        const bool reached = t.allocator->fail_at == 0;
        char message[DET_ERROR_BYTES];
        memcpy(message, t.env.error, sizeof message);
        test_env_check(&t);
        if (!reached) {
            if (status != DET_OK)
                fail_msg("without a failing allocation: %s: %s", det_status_text(status), message);
            return;
        }
        if (status != DET_STATUS_OUT_OF_MEMORY)
            fail_msg("allocation %ld failed, but the status was \"%s\" (%s)", n,
                     det_status_text(status), message);
    }
    fail_msg("still allocating after %d runs", MOST);
}
