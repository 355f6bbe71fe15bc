/* ranks/lifeline: each rank a process, which is killed, stopped or out of descriptors. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ranks/lifeline_call.h"
#include "support/clock.h"
#include "support/test.h"

enum { MOST = 6, PATIENCE_SECONDS = 60 };

/* What the processes share. */
struct board {
    int32_t size;
    double silence_seconds;
    uint8_t call[DET_LIFELINE_CALL_BYTES];
    atomic_bool called;
    atomic_int ready;    /* ranks that are tied */
    atomic_bool end;     /* they may leave */
    atomic_int gives_up; /* rank that does then, and ends at once; -1 */
    struct {
        det_status status; /* of what it noticed, or of what went wrong */
        char message[DET_ERROR_BYTES];
        atomic_int calls;
        int first_hand;
    } ranks[MOST];
    pid_t processes[MOST]; /* the parent's */
};

struct told {
    struct board *board;
    int32_t rank;
};

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void keep_lost(void *user, det_status status, const char *message, int first_hand)
{
    (void)status;
    const struct told *to = user;
    (void)message;
    to->board->ranks[to->rank].first_hand = first_hand;
    atomic_fetch_add(&to->board->ranks[to->rank].calls, 1);
}

static det_status tie(struct det_env *env, struct told *told, struct det_lifeline **lifeline)
{
    static char hosts[MOST][DET_HOST_BYTES];
    struct board *board = told->board;
    for (int32_t r = 0; r < MOST; r++)
        snprintf(hosts[r], sizeof hosts[r], "node-%d", (int)r);
    const struct det_lifeline_settings settings = {
        .rank = told->rank,
        .size = board->size,
        .hosts = (const char(*)[DET_HOST_BYTES])hosts,
        .silence_seconds = board->silence_seconds,
        .standstill_seconds = 1000,
        .meet_seconds = PATIENCE_SECONDS,
        .lost = keep_lost,
        .lost_user = told,
    };
    if (told->rank == 0) {
        DET_TRY_RETURN(det_lifeline_listen(env, &settings, board->call, lifeline));
        atomic_store(&board->called, true);
    } else {
        while (!atomic_load(&board->called))
            nap();
        DET_TRY_RETURN(det_lifeline_join(env, &settings, board->call, lifeline));
    }
    return det_lifeline_gather(env, *lifeline);
}

/* Until it notices something or may leave. */
static void live(struct told *told)
{
    struct det_env env;
    struct det_lifeline *lifeline = NULL;
    struct board *board = told->board;
    det_env_default(&env);
    det_status status = tie(&env, told, &lifeline);
    atomic_fetch_add(&board->ready, 1);
    while (status == DET_OK && !atomic_load(&board->end)) {
        if (atomic_load(&board->gives_up) == told->rank) {
            det_lifeline_give_up(lifeline, DET_STATUS_NON_FINITE, "the loss is nan");
            _exit(0);
        }
        nap();
        status = det_lifeline_check(&env, lifeline);
    }
    board->ranks[told->rank].status = status;
    memcpy(board->ranks[told->rank].message, env.error, sizeof env.error);
    det_lifeline_close(&env, &lifeline, status == DET_OK);
}

static struct board *start(int32_t size, double silence_seconds)
{
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(board != MAP_FAILED);
    board->size = size;
    board->silence_seconds = silence_seconds;
    atomic_store(&board->gives_up, -1);
    fflush(NULL);
    for (int32_t r = 0; r < size; r++) {
        const pid_t process = fork();
        assert_true(process >= 0);
        if (process == 0) {
            alarm(2 * PATIENCE_SECONDS); /* whatever happens, nothing is left behind */
            live(&(struct told){board, r});
            _exit(0);
        }
        board->processes[r] = process;
    }
    const uint64_t begin_ns = det_clock_ns();
    while (atomic_load(&board->ready) < size &&
           det_clock_ns() - begin_ns < PATIENCE_SECONDS * 1000000000ull)
        nap();
    assert_int_equal(atomic_load(&board->ready), size);
    return board;
}

static void await_exit(struct board *board, int32_t rank)
{
    int status = 0;
    assert_int_equal(waitpid(board->processes[rank], &status, 0), board->processes[rank]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_noticed(const struct board *board, int32_t rank, det_status wanted,
                           const char *message)
{
    if (board->ranks[rank].status != wanted)
        fail_msg("rank %d: %s (%s)", (int)rank, det_status_text(board->ranks[rank].status),
                 board->ranks[rank].message);
    assert_string_equal(board->ranks[rank].message, message);
}

static void release(struct board *board)
{
    munmap(board, sizeof *board);
}

static void who_is_killed_is_named_by_all(void **state)
{
    (void)state;
    for (int32_t killed = 0; killed < 5; killed += 2) {
        struct board *board = start(5, 30);
        char message[64];
        snprintf(message, sizeof message, "rank %d on node-%d is gone: its process ended",
                 (int)killed, (int)killed);
        kill(board->processes[killed], SIGKILL);
        waitpid(board->processes[killed], NULL, 0);
        for (int32_t r = 0; r < 5; r++)
            if (r != killed) {
                await_exit(board, r);
                assert_noticed(board, r, DET_STATUS_RANK_LOST, message);
                assert_int_equal(atomic_load(&board->ranks[r].calls), 1);
                assert_int_equal(board->ranks[r].first_hand, r == 0 || killed == 0);
            }
        release(board);
    }
}

static void who_is_silent_is_named_by_all(void **state)
{
    (void)state;
    for (int32_t stopped = 0; stopped < 3; stopped += 2) {
        struct board *board = start(3, 3);
        char message[80];
        snprintf(message, sizeof message, "nothing was heard of rank %d on node-%d for 3 seconds",
                 (int)stopped, (int)stopped);
        kill(board->processes[stopped], SIGSTOP);
        for (int32_t r = 0; r < 3; r++)
            if (r != stopped) {
                await_exit(board, r);
                assert_noticed(board, r, DET_STATUS_RANK_LOST, message);
            }
        /* It goes on and learns that the others took it for lost, or that they are gone. */
        kill(board->processes[stopped], SIGCONT);
        await_exit(board, stopped);
        if (stopped > 0)
            assert_noticed(board, stopped, DET_STATUS_RANK_LOST, message);
        else
            assert_int_equal(board->ranks[0].status, DET_STATUS_RANK_LOST);
        release(board);
    }
}

static void a_job_that_slept_goes_on(void **state)
{
    (void)state;
    struct board *board = start(3, 3);
    for (int32_t r = 0; r < 3; r++)
        kill(board->processes[r], SIGSTOP);
    sleep(4);
    for (int32_t r = 0; r < 3; r++)
        kill(board->processes[r], SIGCONT);
    /* Long enough for whoever went on counting. */
    sleep(2);
    atomic_store(&board->end, true);
    for (int32_t r = 0; r < 3; r++) {
        await_exit(board, r);
        assert_noticed(board, r, DET_OK, "");
        assert_int_equal(atomic_load(&board->ranks[r].calls), 0);
    }
    release(board);
}

static void the_reason_is_faster_than_the_end(void **state)
{
    (void)state;
    for (int32_t tells = 0; tells < 5; tells += 2) {
        struct board *board = start(5, 30);
        char message[64];
        snprintf(message, sizeof message, "rank %d on node-%d: the loss is nan", (int)tells,
                 (int)tells);
        atomic_store(&board->gives_up, tells);
        for (int32_t r = 0; r < 5; r++) {
            await_exit(board, r);
            if (r != tells)
                assert_noticed(board, r, DET_STATUS_NON_FINITE, message);
        }
        release(board);
    }
}

/* --- descriptors --- */

static void lower_the_limit(rlim_t files)
{
    struct rlimit limit;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = files;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* No descriptor is left once rank 0 listens. */
static void wait_without_descriptors(struct board *board)
{
    char hosts[2][DET_HOST_BYTES] = {"node-0", "node-1"};
    struct det_env env;
    struct det_lifeline *lifeline = NULL;
    const struct det_lifeline_settings settings = {
        .size = 2,
        .hosts = (const char(*)[DET_HOST_BYTES])hosts,
        .silence_seconds = 30,
        .standstill_seconds = 1000,
        .meet_seconds = 3,
    };
    det_env_default(&env);
    det_status status = det_lifeline_listen(&env, &settings, board->call, &lifeline);
    const int next = open("/dev/null", O_RDONLY);
    lower_the_limit((rlim_t)next + 1);
    atomic_store(&board->called, true);
    if (status == DET_OK)
        status = det_lifeline_gather(&env, lifeline);
    board->ranks[0].status = status;
    memcpy(board->ranks[0].message, env.error, sizeof env.error);
    det_lifeline_close(&env, &lifeline, false);
}

static void listen_with_too_few(struct board *board)
{
    static char hosts[64][DET_HOST_BYTES];
    struct det_env env;
    struct det_lifeline *lifeline = NULL;
    const struct det_lifeline_settings settings = {.size = 64,
                                                   .hosts = (const char(*)[DET_HOST_BYTES])hosts,
                                                   .silence_seconds = 30,
                                                   .standstill_seconds = 1000};
    det_env_default(&env);
    lower_the_limit(64);
    board->ranks[0].status = det_lifeline_listen(&env, &settings, board->call, &lifeline);
    memcpy(board->ranks[0].message, env.error, sizeof env.error);
    det_lifeline_close(&env, &lifeline, false);
}

static struct board *start_alone(void (*body)(struct board *board))
{
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(board != MAP_FAILED);
    fflush(NULL);
    const pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        alarm(2 * PATIENCE_SECONDS);
        body(board);
        _exit(0);
    }
    board->processes[0] = process;
    return board;
}

static void too_few_descriptors_are_named(void **state)
{
    (void)state;
    struct board *board = start_alone(listen_with_too_few);
    await_exit(board, 0);
    assert_int_equal(board->ranks[0].status, DET_STATUS_IO);
    assert_contains(board->ranks[0].message, "64 ranks: ");
    assert_contains(board->ranks[0].message, "ulimit -n");
    release(board);
    board = start_alone(wait_without_descriptors);
    while (!atomic_load(&board->called))
        nap();
    struct det_call call;
    memcpy(&call, board->call, sizeof call);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(call.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    await_exit(board, 0);
    close(fd);
    assert_int_equal(board->ranks[0].status, DET_STATUS_IO);
    assert_contains(board->ranks[0].message, "rank 1 on node-1 did not connect to rank 0");
    assert_contains(board->ranks[0].message, "can open no more files (ulimit -n)");
    release(board);
}

/* --- forks --- */

static void fork_and_end(struct board *board)
{
    struct det_env env;
    struct told zero = {board, 0}, one = {board, 1};
    struct det_lifeline *lifelines[2] = {NULL, NULL};
    char hosts[2][DET_HOST_BYTES] = {"node-0", "node-1"};
    struct det_lifeline_settings settings = {.size = 2,
                                             .hosts = (const char(*)[DET_HOST_BYTES])hosts,
                                             .silence_seconds = 30,
                                             .standstill_seconds = 1000,
                                             .meet_seconds = PATIENCE_SECONDS,
                                             .lost = keep_lost,
                                             .lost_user = &zero};
    int status = 0;
    det_env_default(&env);
    board->ranks[0].status = det_lifeline_listen(&env, &settings, board->call, &lifelines[0]);
    settings.rank = 1;
    settings.lost_user = &one;
    board->ranks[1].status = det_lifeline_join(&env, &settings, board->call, &lifelines[1]);
    for (int i = 0; i < 20 && board->ranks[0].status == DET_OK; i++) {
        const pid_t child = fork();
        if (child == 0) {
            det_lifeline_give_up(lifelines[1], DET_STATUS_IO, "not mine to say");
            det_lifeline_close(&env, &lifelines[0], i % 2 == 0);
            det_lifeline_close(&env, &lifelines[1], i % 2 == 0);
            _exit(lifelines[0] == NULL && lifelines[1] == NULL ? 0 : 1);
        }
        if (waitpid(child, &status, 0) != child || status != 0)
            board->ranks[0].status = DET_STATUS_INTERNAL;
    }
    for (int r = 1; r >= 0; r--) {
        const det_status there = det_lifeline_check(&env, lifelines[r]);
        board->ranks[r].status = board->ranks[r].status == DET_OK ? there : board->ranks[r].status;
        memcpy(board->ranks[r].message, env.error, sizeof env.error);
        det_lifeline_close(&env, &lifelines[r], true);
    }
}

static void a_child_disturbs_nothing(void **state)
{
    (void)state;
    struct board *board = start_alone(fork_and_end);
    await_exit(board, 0);
    for (int32_t r = 0; r < 2; r++) {
        assert_noticed(board, r, DET_OK, "");
        assert_int_equal(atomic_load(&board->ranks[r].calls), 0);
    }
    release(board);
}

int test_lifeline_faults(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_killed_is_named_by_all),
        cmocka_unit_test(who_is_silent_is_named_by_all),
        cmocka_unit_test(a_job_that_slept_goes_on),
        cmocka_unit_test(the_reason_is_faster_than_the_end),
        cmocka_unit_test(too_few_descriptors_are_named),
        cmocka_unit_test(a_child_disturbs_nothing),
    };
    return cmocka_run_group_tests_name("lifeline faults", tests, NULL, NULL);
}
