#include "detect/mjpeg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "detect/encode.h"
#include "support/clock.h"
#include "support/mem.h"

enum { MOST_CLIENTS = 16, QUALITY = 80 };
enum {
    LINE_BYTES = 256,      /* of a request that are looked at */
    REQUEST_BYTES = 65536, /* a browser may send all its cookies */
    REQUEST_MS = 5000,     /* from the connection to the whole request */
    SEND_MS = 10000,       /* for one answer or frame */
    FAREWELL_MS = 1000,    /* for the last frame when the server closes */
    ACCEPT_MS = 100        /* until the acceptor looks whether it does */
};

enum client_state { CLIENT_NONE, CLIENT_RUNS, CLIENT_ENDED };

struct client {
    struct mjpeg *server;
    pthread_t thread; /* to be joined unless the state is NONE */
    enum client_state state;
    int socket; /* -1 when closed */
    bool views; /* the stream */
};

struct mjpeg {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    int listener;
    pthread_t acceptor;
    bool closing;
    struct client clients[MOST_CLIENTS];
    uint8_t *jpeg; /* the newest */
    size_t bytes, capacity;
    int64_t number; /* of it, from 1 */
};

/* --- sockets that never hold a thread longer than they may --- */

static int64_t now_ms(void)
{
    return (int64_t)(det_clock_ns() / 1000000);
}

/* False: the time is over, or the connection. */
static bool wait_for(int socket, short events, int64_t until_ms)
{
    for (;;) {
        struct pollfd wait = {.fd = socket, .events = events};
        const int64_t left = until_ms - now_ms();
        const int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready > 0)
            return (wait.revents & events) != 0;
        if (ready == 0 || errno != EINTR)
            return false;
    }
}

static bool send_all(int socket, const void *data, size_t bytes, int64_t until_ms)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        if (!wait_for(socket, POLLOUT, until_ms))
            return false;
        const ssize_t sent = send(socket, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        at += sent > 0 ? sent : 0;
        bytes -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool send_text(int socket, const char *text)
{
    return send_all(socket, text, strlen(text), now_ms() + SEND_MS);
}

/* Reads to the empty line; the first line is kept as far as there is room. */
static bool read_request(int socket, char line[LINE_BYTES])
{
    const int64_t until_ms = now_ms() + REQUEST_MS;
    size_t used = 0, all = 0;
    int newlines = 0; /* one behind the other, carriage returns apart */
    bool first = true;
    while (newlines < 2 && all < REQUEST_BYTES) {
        char part[1024];
        if (!wait_for(socket, POLLIN, until_ms))
            return false;
        const ssize_t got = recv(socket, part, sizeof part, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        for (ssize_t i = 0; i < got && newlines < 2; i++, all++) {
            if (part[i] == '\r')
                continue;
            newlines = part[i] == '\n' ? newlines + 1 : 0;
            first = first && part[i] != '\n';
            if (first && used + 1 < LINE_BYTES)
                line[used++] = part[i];
        }
    }
    line[used] = '\0';
    return newlines == 2;
}

/* --- a client --- */

/* Waits for a frame newer than `number` and copies it. False: there comes none any more, or there
 * is no memory. */
static bool next_frame(struct mjpeg *m, int64_t *number, uint8_t **copy, size_t *room,
                       size_t *bytes)
{
    bool good = true;
    pthread_mutex_lock(&m->lock);
    while (m->number == *number && !m->closing)
        pthread_cond_wait(&m->changed, &m->lock);
    if (m->number == *number)
        good = false;
    if (good && m->bytes > *room) {
        free(*copy);
        *copy = malloc(m->bytes);
        *room = *copy != NULL ? m->bytes : 0;
        good = *copy != NULL;
    }
    if (good) {
        memcpy(*copy, m->jpeg, m->bytes);
        *bytes = m->bytes;
        *number = m->number;
    }
    pthread_mutex_unlock(&m->lock);
    return good;
}

/* A frame that a client does not take in time ends its connection; while it takes one, it misses
 * those in between. */
static void stream(struct client *client)
{
    static const char head[] =
        "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
        "Cache-Control: no-store\r\n\r\n";
    struct mjpeg *m = client->server;
    uint8_t *copy = NULL;
    size_t room = 0, bytes = 0;
    pthread_mutex_lock(&m->lock);
    client->views = true;
    int64_t number = m->number; /* what it saw last: nothing, but an old frame is none */
    pthread_mutex_unlock(&m->lock);
    bool good = send_text(client->socket, head);
    while (good && next_frame(m, &number, &copy, &room, &bytes)) {
        const int64_t until_ms = now_ms() + SEND_MS;
        char part[128];
        const int length =
            snprintf(part, sizeof part,
                     "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n", bytes);
        good = send_all(client->socket, part, (size_t)length, until_ms) &&
               send_all(client->socket, copy, bytes, until_ms) &&
               send_all(client->socket, "\r\n", 2, until_ms);
    }
    free(copy);
}

static void answer(struct client *client)
{
    static const char page[] =
        "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        "<!doctype html><title>det-detect</title><style>body{margin:0;background:#111}"
        "img{display:block;margin:auto;max-width:100%;max-height:100vh}</style>"
        "<img src=\"/stream\" alt=\"detections\">\n";
    static const char missing[] =
        "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nthere are / and /stream\n";
    char line[LINE_BYTES];
    if (!read_request(client->socket, line))
        return;
    if (strncmp(line, "GET /stream ", 12) == 0)
        stream(client);
    else
        send_text(client->socket, strncmp(line, "GET / ", 6) == 0 ? page : missing);
}

static void *serve(void *argument)
{
    struct client *client = argument;
    struct mjpeg *m = client->server;
    answer(client);
    pthread_mutex_lock(&m->lock); /* mjpeg_close() may be about to shut the socket down */
    close(client->socket);
    client->socket = -1;
    client->views = false;
    client->state = CLIENT_ENDED;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* --- the server --- */

/* Called by the acceptor alone, which alone starts threads; NULL: all are in use. */
static struct client *free_client(struct mjpeg *m)
{
    struct client *found = NULL;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < MOST_CLIENTS && found == NULL; i++)
        if (m->clients[i].state != CLIENT_RUNS)
            found = &m->clients[i];
    pthread_mutex_unlock(&m->lock);
    if (found != NULL && found->state == CLIENT_ENDED)
        pthread_join(found->thread, NULL);
    return found;
}

static void start_client(struct mjpeg *m, int socket)
{
    static const char busy[] =
        "HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n"
        "too many viewers\n";
    struct client *client = free_client(m);
    if (client == NULL) {
        send(socket, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(socket);
        return;
    }
    pthread_mutex_lock(&m->lock);
    *client = (struct client){.server = m, .state = CLIENT_RUNS, .socket = socket};
    if (pthread_create(&client->thread, NULL, serve, client) != 0) {
        client->state = CLIENT_NONE;
        close(socket);
    }
    pthread_mutex_unlock(&m->lock);
}

static void *accept_clients(void *argument)
{
    struct mjpeg *m = argument;
    for (bool closing = false; !closing;) {
        if (wait_for(m->listener, POLLIN, now_ms() + ACCEPT_MS)) {
            const int socket = accept(m->listener, NULL, NULL);
            if (socket >= 0)
                start_client(m, socket);
        }
        pthread_mutex_lock(&m->lock);
        closing = m->closing;
        pthread_mutex_unlock(&m->lock);
    }
    return NULL;
}

static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

det_status mjpeg_open(struct det_env *env, int port, struct mjpeg **out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int yes = 1;
    det_status status = DET_OK;
    struct mjpeg *m = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &m, 1, sizeof *m, "MJPEG server"));
    pthread_mutex_init(&m->lock, NULL);
    init_changed(&m->changed);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (m->listener < 0)
        DET_TRY(det_fail_errno(env, errno, "--mjpeg %d", port));
    setsockopt(m->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(m->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(m->listener, MOST_CLIENTS) != 0)
        DET_TRY(det_fail_errno(env, errno, "--mjpeg %d", port));
    if (pthread_create(&m->acceptor, NULL, accept_clients, m) != 0)
        DET_TRY(det_fail(env, DET_STATUS_OUT_OF_MEMORY, "--mjpeg: no more threads"));
    *out = m;
    return DET_OK;
fail:
    if (m->listener >= 0)
        close(m->listener);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    det_free(env, &m);
    return status;
}

static bool anyone_views(struct mjpeg *m)
{
    bool any = false;
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < MOST_CLIENTS; i++)
        any = any || m->clients[i].views;
    pthread_mutex_unlock(&m->lock);
    return any;
}

static det_status hand_over(struct det_env *env, struct mjpeg *m, const uint8_t *jpeg, size_t bytes)
{
    pthread_mutex_lock(&m->lock);
    const det_status status =
        det_grow(env, &m->jpeg, &m->capacity, bytes, sizeof *m->jpeg, "MJPEG frame");
    if (status == DET_OK) {
        memcpy(m->jpeg, jpeg, bytes);
        m->bytes = bytes;
        m->number++;
        pthread_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}

det_status mjpeg_frame(struct det_env *env, struct mjpeg *m, det_context *context,
                       const struct det_image *image)
{
    det_picture *picture = NULL;
    const uint8_t *jpeg = NULL;
    size_t bytes = 0;
    if (!anyone_views(m))
        return DET_OK;
    DET_TRY_RETURN(
        encode_image(env, context, image, DET_PICTURE_JPEG, QUALITY, &picture, &jpeg, &bytes));
    const det_status status = hand_over(env, m, jpeg, bytes);
    det_picture_destroy(&picture);
    return status;
}

/* Under the lock: ends the connections, or only those that see no stream; how many run. */
static int shut_down(struct mjpeg *m, bool viewers_too)
{
    int running = 0;
    for (int i = 0; i < MOST_CLIENTS; i++)
        if (m->clients[i].state == CLIENT_RUNS) {
            running++;
            if (viewers_too || !m->clients[i].views)
                shutdown(m->clients[i].socket, SHUT_RDWR);
        }
    return running;
}

void mjpeg_close(struct det_env *env, struct mjpeg **out)
{
    struct mjpeg *m = *out;
    if (m == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->acceptor, NULL); /* no thread starts any more */
    const int64_t until_ms = now_ms() + FAREWELL_MS;
    const struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000 * 1000000)};
    pthread_mutex_lock(&m->lock);
    while (shut_down(m, false) > 0 &&
           pthread_cond_timedwait(&m->changed, &m->lock, &until) != ETIMEDOUT)
        continue;
    shut_down(m, true);
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < MOST_CLIENTS; i++)
        if (m->clients[i].state != CLIENT_NONE)
            pthread_join(m->clients[i].thread, NULL);
    close(m->listener);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    det_free(env, &m->jpeg);
    det_free(env, out);
}
