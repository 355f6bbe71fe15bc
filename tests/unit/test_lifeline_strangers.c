/* ranks/lifeline: who else connects to rank 0 or is at its address, and what no rank sends. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ranks/lifeline_link.h"
#include "support/crew.h"

/* A connection to rank 0 that is not of a lifeline. */
static int connect_to(const struct det_call *call)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(call->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = CREW_PATIENCE_SECONDS};
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
    crew_begin(&crew, 3);
    crew_listen(&crew);
    const struct det_call *call = &crew.call;
    crew_join(&crew, 1);
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
    crew_join(&crew, 2);
    for (int32_t r = 0; r < 3; r++)
        assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[r]));
    crew_end(&crew);
}

/* More than there is room for: those that say nothing have to make place. */
static void silent_strangers_do_not_block(void **state)
{
    (void)state;
    enum { STRANGERS = 80 };
    struct crew crew;
    int fds[STRANGERS];
    crew_begin(&crew, 3);
    crew_listen(&crew);
    for (size_t i = 0; i < STRANGERS; i++)
        fds[i] = connect_to(&crew.call);
    crew_join(&crew, 1);
    crew_join(&crew, 2);
    assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
    for (size_t i = 0; i < STRANGERS; i++)
        await_end(fds[i]);
    for (int32_t r = 0; r < 3; r++)
        assert_ok(&crew.t.env, det_lifeline_check(&crew.t.env, crew.lifelines[r]));
    crew_end(&crew);
}

static void messages_may_come_in_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 5, 13};
    for (size_t i = 0; i < 3; i++) {
        struct crew crew;
        crew_begin(&crew, 2);
        crew_listen(&crew);
        const int fd = come_as(&crew.call, 1, pieces[i]);
        assert_ok(&crew.t.env, det_lifeline_gather(&crew.t.env, crew.lifelines[0]));
        send_message(fd, DET_LINK_NEWS, DET_STATUS_IO, "no disk", 7, pieces[i]);
        close(fd);
        crew_await(&crew, 0, DET_STATUS_IO, "no disk");
        crew_end(&crew);
    }
}

static void what_no_rank_sends_is_a_loss(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        struct crew crew;
        uint8_t noise[64];
        crew_begin(&crew, 3);
        crew_listen(&crew);
        const int fd = come_as(&crew.call, 1, 1000);
        crew_join(&crew, 2);
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
        crew_await(&crew, 0, DET_STATUS_RANK_LOST,
                   "rank 1 on node-0 is gone: it sent what no rank");
        crew_await(&crew, 2, DET_STATUS_RANK_LOST,
                   "rank 1 on node-0 is gone: it sent what no rank");
        await_end(fd);
        crew_end(&crew);
    }
}

/* --- somebody else at rank 0's address --- */

enum { AS_STRANGER, AS_ZERO };

struct impostor {
    int listener, kind;
    const struct det_call *call;
};

/* Says what no rank 0 says, at once or when it was taken for it. */
static void *answer(void *argument)
{
    const struct impostor *impostor = argument;
    const int fd = accept(impostor->listener, NULL, NULL);
    const uint8_t noise[64] = {1, 2, 3};
    struct det_link link;
    struct det_message said;
    det_link_open(&link, fd);
    while (det_link_next(&link, &said) == DET_LINK_NOTHING && det_link_fill(&link))
        continue;
    if (impostor->kind == AS_ZERO) {
        (void)det_link_put(&link, DET_LINK_WELCOME, 0, impostor->call->welcome,
                           sizeof impostor->call->welcome);
        det_link_flush(&link);
    }
    (void)send(fd, noise, sizeof noise, MSG_NOSIGNAL);
    while (!link.ended) {
        link.in_bytes = 0;
        (void)det_link_fill(&link);
    }
    close(fd);
    return NULL;
}

static void begin_impostor(struct crew *crew, struct impostor *impostor, int kind)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    crew_begin(crew, 2);
    *impostor = (struct impostor){socket(AF_INET, SOCK_STREAM, 0), kind, &crew->call};
    assert_int_equal(bind(impostor->listener, (const struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(impostor->listener, 5), 0);
    assert_int_equal(getsockname(impostor->listener, (struct sockaddr *)&address, &bytes), 0);
    crew->call.count = 1;
    crew->call.port = ntohs(address.sin_port);
    crew->call.addresses[0] = (struct det_call_address){.is_loopback = 1, .bytes = {127, 0, 0, 1}};
    memset(crew->call.welcome, 9, sizeof crew->call.welcome);
    memcpy(crew->call_bytes, &crew->call, sizeof crew->call);
}

static void who_answers_wrongly_is_not_rank_zero(void **state)
{
    (void)state;
    for (int kind = AS_STRANGER; kind <= AS_ZERO; kind++) {
        struct crew crew;
        struct impostor impostor;
        pthread_t thread;
        begin_impostor(&crew, &impostor, kind);
        assert_int_equal(pthread_create(&thread, NULL, answer, &impostor), 0);
        if (kind == AS_STRANGER) {
            crew.meet_seconds = 4; /* it tries for half of it */
            const struct det_lifeline_settings settings = crew_settings(&crew, 1);
            assert_fails(
                &crew.t.env, DET_STATUS_IO, ": somebody else is there",
                det_lifeline_join(&crew.t.env, &settings, crew.call_bytes, &crew.lifelines[1]));
        } else {
            crew_join(&crew, 1);
            crew_await(&crew, 1, DET_STATUS_RANK_LOST,
                       "rank 0 on node-0 is gone: it sent what no rank sends");
        }
        pthread_join(thread, NULL);
        close(impostor.listener);
        crew_end(&crew);
    }
}

int test_lifeline_strangers(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_sent_away),
        cmocka_unit_test(silent_strangers_do_not_block),
        cmocka_unit_test(messages_may_come_in_pieces),
        cmocka_unit_test(what_no_rank_sends_is_a_loss),
        cmocka_unit_test(who_answers_wrongly_is_not_rank_zero),
    };
    return cmocka_run_group_tests_name("strangers at a lifeline", tests, NULL, NULL);
}
