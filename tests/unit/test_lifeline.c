/* ranks/lifeline: all ranks in this process, each with its thread, over real connections. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ranks/lifeline_call.h"
#include "ranks/lifeline_link.h"
#include "support/clock.h"
#include "support/test.h"

enum { MOST = 9, PATIENCE_SECONDS = 60 };

static char hosts[MOST][DET_HOST_BYTES];

struct crew {
    struct test_env t;
    int32_t size;
    double silence_seconds, meet_seconds;
    uint8_t call_bytes[DET_LIFELINE_CALL_BYTES];
    struct det_call call; /* the same */
    struct det_lifeline *lifelines[MOST];
    /* What `lost` was told. */
    atomic_int calls[MOST];
    int first_hand[MOST];
    char message[MOST][DET_ERROR_BYTES];
};

struct told {
    struct crew *crew;
    int32_t rank;
};
static struct told told[MOST];

static void keep_lost(void *user, det_status status, const char *message, int first_hand)
{
    const struct told *to = user;
    (void)status;
    snprintf(to->crew->message[to->rank], DET_ERROR_BYTES, "%s", message);
    to->crew->first_hand[to->rank] = first_hand;
    atomic_fetch_add(&to->crew->calls[to->rank], 1);
}

static struct det_lifeline_settings settings_of(struct crew *crew, int32_t rank)
{
    told[rank] = (struct told){crew, rank};
    return (struct det_lifeline_settings){
        .rank = rank,
        .size = crew->size,
        .hosts = (const char(*)[DET_HOST_BYTES])hosts,
        .silence_seconds = crew->silence_seconds,
        .meet_seconds = crew->meet_seconds,
        .lost = keep_lost,
        .lost_user = &told[rank],
    };
}

/* Host r is "node-r", but rank 1 is on rank 0's. */
static void begin(struct crew *crew, int32_t size)
{
    *crew = (struct crew){.size = size, .silence_seconds = 30, .meet_seconds = PATIENCE_SECONDS};
    for (int32_t r = 0; r < MOST; r++)
        snprintf(hosts[r], sizeof hosts[r], "node-%d", r == 1 ? 0 : (int)r);
    test_env_init(&crew->t);
}

static void listen_as_zero(struct crew *crew)
{
    const struct det_lifeline_settings settings = settings_of(crew, 0);
    assert_ok(&crew->t.env,
              det_lifeline_listen(&crew->t.env, &settings, crew->call_bytes, &crew->lifelines[0]));
    memcpy(&crew->call, crew->call_bytes, sizeof crew->call);
}

static void join(struct crew *crew, int32_t rank)
{
    const struct det_lifeline_settings settings = settings_of(crew, rank);
    assert_ok(&crew->t.env,
              det_lifeline_join(&crew->t.env, &settings, crew->call_bytes, &crew->lifelines[rank]));
}

static void make(struct crew *crew, int32_t size)
{
    begin(crew, size);
    listen_as_zero(crew);
    for (int32_t r = 1; r < size; r++)
        join(crew, r);
    for (int32_t r = 0; r < size; r++)
        assert_ok(&crew->t.env, det_lifeline_gather(&crew->t.env, crew->lifelines[r]));
}

static void close_one(struct crew *crew, int32_t rank, bool orderly)
{
    det_lifeline_close(&crew->t.env, &crew->lifelines[rank], orderly);
    assert_null(crew->lifelines[rank]);
}

static void end(struct crew *crew)
{
    for (int32_t r = 0; r < crew->size; r++)
        close_one(crew, r, false);
    test_env_check(&crew->t);
}

/* Until the rank knows of something; asserts what. */
static void await(struct crew *crew, int32_t rank, det_status wanted, const char *part)
{
    struct det_env *env = &crew->t.env;
    const uint64_t begin_ns = det_clock_ns();
    det_status status = DET_OK;
    while (status == DET_OK && det_clock_ns() - begin_ns < PATIENCE_SECONDS * 1000000000ull) {
        status = det_lifeline_check(env, crew->lifelines[rank]);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (status != wanted)
        fail_msg("rank %d: %s (%s)", (int)rank, det_status_text(status), env->error);
    assert_contains(env->error, part);
}

static void await_call(struct crew *crew, int32_t rank, int first_hand, const char *part)
{
    const uint64_t begin_ns = det_clock_ns();
    while (atomic_load(&crew->calls[rank]) == 0 &&
           det_clock_ns() - begin_ns < PATIENCE_SECONDS * 1000000000ull)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(atomic_load(&crew->calls[rank]), 1);
    assert_int_equal(crew->first_hand[rank], first_hand);
    assert_contains(crew->message[rank], part);
}

/* --- together --- */

static void all_are_there_and_leave_in_any_order(void **state)
{
    (void)state;
    static const int32_t sizes[] = {1, 2, 5, 9};
    for (size_t s = 0; s < 4; s++)
        for (int32_t order = 0; order < 3; order++) {
            struct crew crew;
            const int32_t size = sizes[s];
            make(&crew, size);
            for (int32_t i = 0; i < size; i++) {
                const int32_t shuffled = i * 4 % size; /* no size has a factor of two beside 2 */
                const int32_t leaves = order == 0 ? i : order == 1 ? size - 1 - i : shuffled;
                if (crew.lifelines[leaves] == NULL)
                    continue; /* of two */
                close_one(&crew, leaves, true);
                for (int32_t r = 0; r < size; r++)
                    if (crew.lifelines[r] != NULL)
                        assert_ok(&crew.t.env, det_lifeline_check(&crew.t.env, crew.lifelines[r]));
            }
            for (int32_t r = 0; r < size; r++)
                assert_int_equal(atomic_load(&crew.calls[r]), 0);
            end(&crew);
        }
}

static void who_leaves_without_a_word_is_lost(void **state)
{
    (void)state;
    struct crew crew;
    make(&crew, 5);
    close_one(&crew, 3, false);
    for (int32_t r = 0; r < 5; r++)
        if (r != 3) {
            await(&crew, r, DET_STATUS_RANK_LOST, "rank 3 on node-3 is gone: its process ended");
            await_call(&crew, r, r == 0, "rank 3 on node-3 is gone");
        }
    /* What is found first stays. */
    close_one(&crew, 0, false);
    for (int32_t r = 1; r < 5; r++)
        if (r != 3)
            await(&crew, r, DET_STATUS_RANK_LOST, "rank 3 on node-3 is gone: its process ended");
    end(&crew);
    make(&crew, 5);
    close_one(&crew, 0, false);
    for (int32_t r = 1; r < 5; r++) {
        await(&crew, r, DET_STATUS_RANK_LOST, "rank 0 on node-0 is gone: its process ended");
        await_call(&crew, r, 1, "rank 0 on node-0 is gone");
    }
    end(&crew);
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
        make(&crew, 5);
        det_lifeline_give_up(crew.lifelines[tells], DET_STATUS_PARSE, "pipeline.config: line 3");
        det_lifeline_give_up(crew.lifelines[tells], DET_STATUS_IO, "what comes of it");
        for (int32_t r = 0; r < 5; r++) {
            await(&crew, r, DET_STATUS_PARSE, said);
            assert_string_equal(crew.t.env.error, said);
            if (r != tells)
                await_call(&crew, r, 0, said);
        }
        close_one(&crew, tells, false);
        for (int32_t r = 0; r < 5; r++)
            if (r != tells)
                await(&crew, r, DET_STATUS_PARSE, said);
        assert_int_equal(atomic_load(&crew.calls[tells]), 0);
        end(&crew);
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
        make(&crew, 3);
        det_lifeline_give_up(crew.lifelines[2], DET_STATUS_NO_SPACE, message);
        await(&crew, 2, DET_STATUS_NO_SPACE, "rank 2 on node-2: xxx");
        memcpy(message, crew.t.env.error, sizeof message);
        await(&crew, 1, DET_STATUS_NO_SPACE, message);
        end(&crew);
    }
}

/* All at once: each keeps one of them, and it is whole. */
static void several_may_give_up(void **state)
{
    (void)state;
    struct crew crew;
    make(&crew, 9);
    for (int32_t r = 8; r >= 0; r--)
        det_lifeline_give_up(crew.lifelines[r], DET_STATUS_IO, "no picture");
    for (int32_t r = 0; r < 9; r++)
        await(&crew, r, DET_STATUS_IO, ": no picture");
    end(&crew);
}

/* --- strangers --- */

/* A connection to rank 0 that is not of a lifeline. */
static int connect_to(const struct det_call *call)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(call->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void send_all(int fd, const void *bytes, size_t count)
{
    assert_int_equal(send(fd, bytes, count, MSG_NOSIGNAL), count);
}

/* A message in `pieces` of some bytes. */
static void send_message(int fd, enum det_link_kind kind, int32_t number, const void *data,
                         size_t bytes, size_t piece)
{
    struct det_link link;
    det_link_open(&link, fd);
    assert_true(det_link_put(&link, kind, number, data, bytes));
    for (size_t at = 0; at < link.out_bytes; at += piece)
        send_all(fd, link.out + at, piece < link.out_bytes - at ? piece : link.out_bytes - at);
}

/* Reads until the other side ends. */
static void await_end(int fd)
{
    uint8_t bytes[256];
    ssize_t got;
    do
        got = recv(fd, bytes, sizeof bytes, 0);
    while (got > 0);
    assert_false(got < 0 && errno == EAGAIN);
    close(fd);
}

/* What a rank does, up to the last byte of its answer to the welcome. */
static int come_as(const struct det_call *call, int32_t rank, size_t piece)
{
    struct det_link link;
    struct det_message said;
    const int fd = connect_to(call);
    send_message(fd, DET_LINK_HELLO, rank, call->hello, sizeof call->hello, piece);
    det_link_open(&link, fd);
    while (det_link_next(&link, &said) == DET_LINK_NOTHING)
        assert_true(det_link_fill(&link));
    assert_int_equal(said.kind, DET_LINK_WELCOME);
    assert_int_equal(said.bytes, sizeof call->welcome);
    assert_memory_equal(said.data, call->welcome, sizeof call->welcome);
    send_message(fd, DET_LINK_ALIVE, 0, NULL, 0, piece);
    return fd;
}

static void strangers_are_sent_away(void **state)
{
    (void)state;
    struct crew crew;
    uint8_t wrong[DET_CALL_SECRET_BYTES];
    const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    begin(&crew, 3);
    listen_as_zero(&crew);
    const struct det_call *call = &crew.call;
    join(&crew, 1);
    memcpy(wrong, call->hello, sizeof wrong);
    wrong[DET_CALL_SECRET_BYTES - 1] ^= 1;
    int fd = connect_to(call);
    send_all(fd, request, sizeof request);
    await_end(fd);
    fd = connect_to(call);
    send_message(fd, DET_LINK_HELLO, 2, wrong, sizeof wrong, 1000);
    await_end(fd);
    fd = connect_to(call);
    send_message(fd, DET_LINK_HELLO, 2, call->hello, sizeof call->hello - 1, 1000);
    await_end(fd);
    for (int32_t rank = -1; rank < 5; rank += rank == 0 ? 3 : 1) {
        fd = connect_to(call);
        send_message(fd, DET_LINK_HELLO, rank, call->hello, sizeof call->hello, 1000);
        await_end(fd);
    }
    fd = connect_to(call);
    send_message(fd, DET_LINK_ALIVE, 0, NULL, 0, 1000);
    await_end(fd);
    close(connect_to(call));
    /* A rank that tried two ways and dropped this one; a second one of a rank that is there. */
    fd = connect_to(call);
    send_message(fd, DET_LINK_HELLO, 2, call->hello, sizeof call->hello, 1000);
    close(fd);
    await_end(come_as(call, 1, 1000));
    join(&crew, 2);
    for (int32_t r = 0; r < 3; r++)
        assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[r]));
    end(&crew);
}

/* More than there is room for: those that say nothing have to make place. */
static void silent_strangers_do_not_block(void **state)
{
    (void)state;
    enum { STRANGERS = 80 };
    struct crew crew;
    int fds[STRANGERS];
    begin(&crew, 3);
    listen_as_zero(&crew);
    for (size_t i = 0; i < STRANGERS; i++)
        fds[i] = connect_to(&crew.call);
    join(&crew, 1);
    join(&crew, 2);
    assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
    for (size_t i = 0; i < STRANGERS; i++)
        await_end(fds[i]);
    for (int32_t r = 0; r < 3; r++)
        assert_ok(&crew.t.env, det_lifeline_check(&crew.t.env, crew.lifelines[r]));
    end(&crew);
}

static void messages_may_come_in_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 5, 13};
    for (size_t i = 0; i < 3; i++) {
        struct crew crew;
        begin(&crew, 2);
        listen_as_zero(&crew);
        const int fd = come_as(&crew.call, 1, pieces[i]);
        assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
        send_message(fd, DET_LINK_NEWS, DET_STATUS_IO, "no disk", 7, pieces[i]);
        close(fd);
        await(&crew, 0, DET_STATUS_IO, "no disk");
        end(&crew);
    }
}

static void what_no_rank_sends_is_a_loss(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        struct crew crew;
        uint8_t noise[64];
        begin(&crew, 3);
        listen_as_zero(&crew);
        const int fd = come_as(&crew.call, 1, 1000);
        join(&crew, 2);
        assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
        memset(noise, 0xFF, sizeof noise);
        if (kind == 0)
            send_all(fd, noise, sizeof noise);
        else if (kind == 1)
            send_message(fd, DET_LINK_HELLO, 1, noise, 16, 1000);
        else if (kind == 2)
            send_message(fd, DET_LINK_NEWS, DET_STATUS_COUNT_, "what", 4, 1000);
        else if (kind == 3)
            send_message(fd, DET_LINK_NEWS, DET_OK, "what", 4, 1000);
        else if (kind == 4)
            send_message(fd, DET_LINK_NEWS, -1, "what", 4, 1000);
        else
            send_message(fd, (enum det_link_kind)77, 0, NULL, 0, 1000);
        await(&crew, 0, DET_STATUS_RANK_LOST, "rank 1 on node-0 is gone: it sent what no rank");
        await(&crew, 2, DET_STATUS_RANK_LOST, "rank 1 on node-0 is gone: it sent what no rank");
        await_end(fd);
        end(&crew);
    }
}

/* --- not coming --- */

static void who_does_not_come_is_named(void **state)
{
    (void)state;
    struct crew crew;
    begin(&crew, 5);
    crew.meet_seconds = .2;
    listen_as_zero(&crew);
    crew.meet_seconds = PATIENCE_SECONDS;
    join(&crew, 1);
    join(&crew, 3);
    assert_fails(&crew.t.env, DET_STATUS_IO,
                 "rank 2 on node-2 and 1 more did not connect to rank 0 on node-0 within 0.2 s",
                 det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
    await(&crew, 1, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    await(&crew, 3, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    /* Who comes too late is told, too. */
    join(&crew, 4);
    await(&crew, 4, DET_STATUS_IO, "rank 2 on node-2 and 1 more did not connect");
    end(&crew);
}

static void what_was_tried_is_named(void **state)
{
    (void)state;
    struct crew crew;
    begin(&crew, 2);
    listen_as_zero(&crew);
    close_one(&crew, 0, false);
    crew.meet_seconds = .4;
    const struct det_lifeline_settings settings = settings_of(&crew, 1);
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
    end(&crew);
}

/* --- memory --- */

static det_status live_a_little(struct det_env *env, void *argument)
{
    struct crew *crew = argument;
    struct det_lifeline *zero = NULL, *one = NULL;
    det_status status = DET_OK;
    const struct det_lifeline_settings as_zero = settings_of(crew, 0),
                                       as_one = settings_of(crew, 1);
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
    begin(&crew, 2);
    test_each_allocation_fails(live_a_little, &crew);
    end(&crew);
}

int test_lifeline(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_there_and_leave_in_any_order),
        cmocka_unit_test(who_leaves_without_a_word_is_lost),
        cmocka_unit_test(all_are_told_who_gives_up_and_why),
        cmocka_unit_test(a_message_of_any_length_arrives),
        cmocka_unit_test(several_may_give_up),
        cmocka_unit_test(strangers_are_sent_away),
        cmocka_unit_test(silent_strangers_do_not_block),
        cmocka_unit_test(messages_may_come_in_pieces),
        cmocka_unit_test(what_no_rank_sends_is_a_loss),
        cmocka_unit_test(who_does_not_come_is_named),
        cmocka_unit_test(what_was_tried_is_named),
        cmocka_unit_test(memory_may_end),
    };
    return cmocka_run_group_tests_name("lifeline", tests, NULL, NULL);
}
