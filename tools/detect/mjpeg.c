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

#include "base/mem.h"

enum { MOST_CLIENTS = 16, QUALITY = 80, REQUEST_BYTES = 4096 };

struct mjpeg {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int listener;
    pthread_t acceptor;
    bool closing;
    int clients;   /* connections */
    int viewers;   /* of them, those that want the stream */
    uint8_t *jpeg; /* the newest */
    size_t bytes, capacity;
    int64_t number; /* of it, from 1 */
};

struct client {
    struct mjpeg *server;
    int socket;
};

static bool send_all(int socket, const void *data, size_t bytes)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        const ssize_t sent = send(socket, at, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            if (sent < 0 && errno == EINTR)
                continue;
            return false;
        }
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

/* Waits for a frame newer than `number` and copies it. False: the server closes, or there is no memory. */
static bool next_frame(struct mjpeg *m, int64_t *number, uint8_t **copy, size_t *room,
                       size_t *bytes)
{
    bool good = true;
    pthread_mutex_lock(&m->lock);
    while (m->number == *number && !m->closing)
        pthread_cond_wait(&m->changed, &m->lock);
    if (m->closing)
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

static void count_viewer(struct mjpeg *m, int change)
{
    pthread_mutex_lock(&m->lock);
    m->viewers += change;
    pthread_mutex_unlock(&m->lock);
}

static void stream(struct mjpeg *m, int socket)
{
    static const char head[] =
        "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
        "Cache-Control: no-store\r\n\r\n";
    uint8_t *copy = NULL;
    size_t room = 0, bytes = 0;
    int64_t number = 0;
    count_viewer(m, 1);
    bool good = send_all(socket, head, sizeof head - 1);
    while (good && next_frame(m, &number, &copy, &room, &bytes)) {
        char part[128];
        const int length =
            snprintf(part, sizeof part,
                     "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n", bytes);
        good = send_all(socket, part, (size_t)length) && send_all(socket, copy, bytes) &&
               send_all(socket, "\r\n", 2);
    }
    count_viewer(m, -1);
    free(copy);
}

static void answer(struct mjpeg *m, int socket)
{
    static const char page[] =
        "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        "<!doctype html><title>det-detect</title><style>body{margin:0;background:#111}"
        "img{display:block;margin:auto;max-width:100%;max-height:100vh}</style>"
        "<img src=\"/stream\" alt=\"detections\">\n";
    static const char missing[] =
        "HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\nthere are / and /stream\n";
    char request[REQUEST_BYTES] = "";
    size_t used = 0;
    /* Up to the empty line; only the first line counts. */
    while (used < sizeof request - 1) {
        const ssize_t got = recv(socket, request + used, sizeof request - 1 - used, 0);
        if (got <= 0)
            return;
        used += (size_t)got;
        request[used] = '\0';
        if (strstr(request, "\r\n\r\n") != NULL || strstr(request, "\n\n") != NULL)
            break;
    }
    if (strncmp(request, "GET /stream ", 12) == 0)
        stream(m, socket);
    else if (strncmp(request, "GET / ", 6) == 0)
        send_all(socket, page, sizeof page - 1);
    else
        send_all(socket, missing, sizeof missing - 1);
}

static void *serve(void *argument)
{
    struct client *client = argument;
    struct mjpeg *m = client->server;
    answer(m, client->socket);
    shutdown(client->socket, SHUT_RDWR);
    close(client->socket);
    free(client);
    pthread_mutex_lock(&m->lock);
    m->clients--;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

static void start_client(struct mjpeg *m, int socket)
{
    const struct timeval patience = {.tv_sec = 5};
    struct client *client = malloc(sizeof *client);
    pthread_attr_t detached;
    pthread_t thread;
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    pthread_mutex_lock(&m->lock);
    bool started = client != NULL && m->clients < MOST_CLIENTS;
    if (started) {
        *client = (struct client){m, socket};
        pthread_attr_init(&detached);
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
        started = pthread_create(&thread, &detached, serve, client) == 0;
        pthread_attr_destroy(&detached);
        m->clients += started;
    }
    pthread_mutex_unlock(&m->lock);
    if (!started) {
        close(socket);
        free(client);
    }
}

static void *accept_clients(void *argument)
{
    struct mjpeg *m = argument;
    for (bool closing = false; !closing;) {
        struct pollfd wait = {.fd = m->listener, .events = POLLIN};
        if (poll(&wait, 1, 100) > 0) {
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

det_status mjpeg_open(struct det_env *env, int port, struct mjpeg **out)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int yes = 1;
    det_status status = DET_OK;
    struct mjpeg *m = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &m, 1, sizeof *m, "MJPEG server"));
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->changed, NULL);
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

det_status mjpeg_frame(struct det_env *env, struct mjpeg *m, const struct det_image *image)
{
    uint8_t *jpeg = NULL;
    size_t bytes = 0;
    pthread_mutex_lock(&m->lock);
    const bool watched = m->viewers > 0;
    pthread_mutex_unlock(&m->lock);
    if (!watched)
        return DET_OK;
    DET_TRY_RETURN(det_image_encode_jpeg(env, image, QUALITY, &jpeg, &bytes));
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
    det_free(env, &jpeg);
    return status;
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
    pthread_join(m->acceptor, NULL);
    pthread_mutex_lock(&m->lock);
    while (m->clients > 0)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
    close(m->listener);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    det_free(env, &m->jpeg);
    det_free(env, out);
}
