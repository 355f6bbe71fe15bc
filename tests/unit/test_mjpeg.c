/* det-detect --mjpeg with clients that mean no good: the process ends when its work is done, and
 * who looks on sees every frame to its end. det-detect waits for its picture on standard input, so
 * that all are connected before. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/records.h"
#include "support/test.h"

enum { MOST_CLIENTS = 16 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(s, (struct sockaddr *)&address, &bytes), 0);
    close(s);
    return ntohs(address.sin_port);
}

static int try_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int s = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(s, (struct sockaddr *)&address, sizeof address) == 0)
        return s;
    close(s);
    return -1;
}

static int connect_to(int port, const char *request)
{
    const double begin = seconds();
    int s = -1;
    while (s < 0 && seconds() - begin < 20)
        if ((s = try_connect(port)) < 0)
            usleep(20000);
    assert_true(s >= 0);
    assert_int_equal(send(s, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return s;
}

/* What comes until the connection ends, or until `until` stands in it. */
static char *receive(int s, const char *until, size_t *bytes)
{
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *bytes = 0;
    for (ssize_t got = 1; got > 0 && (until == NULL || strstr(text, until) == NULL);) {
        struct pollfd wait = {.fd = s, .events = POLLIN};
        if (poll(&wait, 1, 20000) <= 0)
            fail_msg("nothing came for 20 s after \"%s\"", text);
        got = recv(s, text + *bytes, (1 << 20) - 1 - *bytes, 0);
        *bytes += got > 0 ? (size_t)got : 0;
    }
    return text;
}

struct process {
    pid_t id;
    int input, output;
};

static struct process start(int port)
{
    const char *bin = getenv("DET_BIN_DIR") != NULL ? getenv("DET_BIN_DIR") : "build/release/bin";
    char program[600], number[20];
    int in[2], output[2];
    snprintf(program, sizeof program, "%s/det-detect", bin);
    snprintf(number, sizeof number, "%d", port);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(output), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(in[0], 0);
        dup2(output[1], 1);
        close(in[1]);
        close(output[0]);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl(program, program, "data/vehicles.det", "-", "--mjpeg", number, "--quiet",
              (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(output[1]);
    return (struct process){child, in[1], output[0]};
}

/* Hands it its picture; how long it takes to end once it has said what is in it, -1 when more than
 * 20 s. */
static double finish(struct process process)
{
    size_t bytes = 0;
    char said = 0;
    unsigned char *jpeg = test_make_jpeg(320, 240, 1, &bytes);
    assert_int_equal(write(process.input, jpeg, bytes), (ssize_t)bytes);
    close(process.input);
    free(jpeg);
    while (said != '\n')
        assert_int_equal(read(process.output, &said, 1), 1);
    const double begin = seconds();
    double took = -1;
    int status = 0;
    while (took < 0 && seconds() - begin < 20) {
        if (waitpid(process.id, &status, WNOHANG) == process.id)
            took = seconds() - begin;
        usleep(10000);
    }
    close(process.output);
    if (took < 0) {
        kill(process.id, SIGKILL);
        waitpid(process.id, NULL, 0);
        return -1;
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return took;
}

static void clients_cannot_hold_the_process(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    const int port = free_port();
    const struct process process = start(port);
    size_t bytes = 0;
    /* One says nothing, one begins, one asks and reads no byte, one reads all. */
    const int silent = connect_to(port, ""), begun = connect_to(port, "G");
    const int deaf = connect_to(port, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    const int viewer = connect_to(port, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    free(receive(viewer, "\r\n\r\n", &bytes));
    const double took = finish(process);
    if (!(took >= 0 && took < 8))
        fail_msg("ended after %g s", took);
    /* The last frame came whole: behind its head a JPEG from the first marker to the last. */
    char *part = receive(viewer, NULL, &bytes);
    assert_int_equal(strncmp(part, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ", 51),
                     0);
    const size_t length = strtoul(part + 51, NULL, 10);
    const char *jpeg = strstr(part, "\r\n\r\n") + 4;
    assert_int_equal((size_t)(jpeg - part) + length + 2, bytes);
    assert_int_equal(memcmp(jpeg, "\xff\xd8", 2), 0);
    assert_int_equal(memcmp(jpeg + length - 2, "\xff\xd9", 2), 0);
    free(part);
    close(silent);
    close(begun);
    close(deaf);
    close(viewer);
}

/* A byte now and then is no request: after five seconds the connection ends, whatever comes. */
static void requests_have_a_deadline(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    const int port = free_port();
    const struct process process = start(port);
    const int dribbler = connect_to(port, "G");
    const double begin = seconds();
    char byte = 0;
    while (seconds() - begin < 15 && recv(dribbler, &byte, 1, MSG_DONTWAIT) < 0) {
        if (send(dribbler, "x", 1, MSG_NOSIGNAL) < 0)
            break;
        usleep(200000);
    }
    const double took = seconds() - begin;
    if (!(took > 4 && took < 12))
        fail_msg("the connection ended after %g s", took);
    close(dribbler);
    /* All places are taken: one more is told so. */
    size_t bytes = 0;
    int clients[MOST_CLIENTS];
    for (int i = 0; i < MOST_CLIENTS; i++) {
        clients[i] = connect_to(port, "GET /stream HTTP/1.1\r\n\r\n");
        free(receive(clients[i], "\r\n\r\n", &bytes));
    }
    const int surplus = connect_to(port, "");
    char *text = receive(surplus, NULL, &bytes);
    assert_contains(text, "503");
    free(text);
    close(surplus);
    for (int i = 0; i < MOST_CLIENTS; i++)
        close(clients[i]);
    const double ended = finish(process);
    assert_true(ended >= 0 && ended < 8);
}

static void pages_are_answered(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    static char cookies[30000];
    strcpy(cookies, "GET / HTTP/1.1\r\nCookie: ");
    memset(cookies + strlen(cookies), 'c', 20000);
    strcat(cookies, "\r\n\r\n");
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK"},
        {"GET / HTTP/1.0\n\n", "src=\"/stream\""},
        {cookies, "src=\"/stream\""},
        {"GET /x HTTP/1.1\r\n\r\n", "404"},
        {"POST / HTTP/1.1\r\n\r\n", "404"},
    };
    const int port = free_port();
    const struct process process = start(port);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = 0;
        const int s = connect_to(port, cases[i].request);
        char *text = receive(s, NULL, &bytes);
        assert_contains(text, cases[i].answer);
        free(text);
        close(s);
    }
    const double took = finish(process);
    assert_true(took >= 0 && took < 8);
}

int test_mjpeg(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_cannot_hold_the_process),
        cmocka_unit_test(requests_have_a_deadline),
        cmocka_unit_test(pages_are_answered),
    };
    return cmocka_run_group_tests_name("mjpeg", tests, NULL, NULL);
}
