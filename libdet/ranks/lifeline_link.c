#include "ranks/lifeline_link.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support/mem.h"

#define MAGIC     0x7464656cu
#define FAILED_MS 10
#define NS_PER_MS 1000000

struct head {
    uint32_t magic;
    uint16_t kind, bytes;
    int32_t number;
};
_Static_assert(sizeof(struct head) == DET_LINK_HEAD_BYTES, "the head has no gaps");

void det_link_open(struct det_link *link, int fd)
{
    const int yes = 1;
    *link = (struct det_link){.fd = fd};
    /* A wish: without it a message may wait for the one before it to be answered. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

void det_link_close(struct det_link *link)
{
    const int fd = link->fd;
    /* In this order: a child that is forked between the two must not close the number, which may be
     * another file's by then. */
    link->fd = -1;
    if (fd >= 0)
        close(fd);
}

bool det_link_put(struct det_link *link, enum det_link_kind kind, int32_t number, const void *data,
                  size_t bytes)
{
    const struct head head = {MAGIC, (uint16_t)kind, (uint16_t)bytes, number};
    if (link->fd < 0 || link->finishing || bytes > DET_ERROR_BYTES ||
        sizeof link->out - link->out_bytes < sizeof head + bytes)
        return false;
    memcpy(link->out + link->out_bytes, &head, sizeof head);
    if (bytes > 0)
        memcpy(link->out + link->out_bytes + sizeof head, data, bytes);
    link->out_bytes += sizeof head + bytes;
    return true;
}

static bool would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

static void send_some(struct det_link *link)
{
    size_t sent = 0;
    while (sent < link->out_bytes) {
        const ssize_t now = send(link->fd, link->out + sent, link->out_bytes - sent, MSG_NOSIGNAL);
        if (now >= 0)
            sent += (size_t)now;
        else if (would_block(errno))
            break;
        else if (errno != EINTR)
            sent = link->out_bytes;
    }
    memmove(link->out, link->out + sent, link->out_bytes - sent);
    link->out_bytes -= sent;
}

void det_link_flush(struct det_link *link)
{
    if (link->fd < 0 || link->connecting)
        return;
    send_some(link);
    if (link->finishing && !link->finished && link->out_bytes == 0) {
        (void)shutdown(link->fd, SHUT_WR);
        link->finished = true;
    }
}

void det_link_finish(struct det_link *link)
{
    link->finishing = true;
    det_link_flush(link);
}

bool det_link_fill(struct det_link *link)
{
    ssize_t got;
    if (link->fd < 0 || link->ended || link->in_bytes == sizeof link->in)
        return false;
    do
        got = recv(link->fd, link->in + link->in_bytes, sizeof link->in - link->in_bytes, 0);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        link->in_bytes += (size_t)got;
        return true;
    }
    link->ended = got == 0 || !would_block(errno);
    link->error = got < 0 && link->ended ? errno : 0;
    return false;
}

enum det_link_got det_link_next(struct det_link *link, struct det_message *message)
{
    struct head head;
    if (link->in_bytes < sizeof head)
        return DET_LINK_NOTHING;
    memcpy(&head, link->in, sizeof head);
    if (head.magic != MAGIC || head.kind < DET_LINK_HELLO || head.kind > DET_LINK_FAREWELL ||
        head.bytes > DET_ERROR_BYTES)
        return DET_LINK_CORRUPT;
    const size_t whole = sizeof head + head.bytes;
    if (link->in_bytes < whole)
        return DET_LINK_NOTHING;
    message->kind = (enum det_link_kind)head.kind;
    message->number = head.number;
    message->bytes = head.bytes;
    memcpy(message->data, link->in + sizeof head, head.bytes);
    memmove(link->in, link->in + whole, link->in_bytes - whole);
    link->in_bytes -= whole;
    return DET_LINK_MESSAGE;
}

/* --- waiting for several --- */

det_status det_polls_make(struct det_env *env, struct det_polls *polls, size_t most)
{
    DET_TRY_RETURN(det_alloc(env, &polls->fds, most, sizeof *polls->fds, "descriptors of ranks"));
    return det_alloc(env, &polls->whose, most, sizeof(struct det_link *), "descriptors of ranks");
}

void det_polls_free(struct det_env *env, struct det_polls *polls)
{
    det_free(env, &polls->fds);
    det_free(env, &polls->whose);
}

static void add(struct det_polls *polls, int fd, short events, struct det_link *whose)
{
    polls->fds[polls->count] = (struct pollfd){.fd = fd, .events = events};
    polls->whose[polls->count++] = whose;
}

void det_polls_add_fd(struct det_polls *polls, int fd)
{
    add(polls, fd, POLLIN, NULL);
}

void det_polls_add(struct det_polls *polls, struct det_link *link)
{
    const int sending = link->out_bytes > 0 ? POLLIN | POLLOUT : POLLIN;
    link->polled = 0;
    if (link->fd >= 0)
        add(polls, link->fd, (short)(link->connecting ? POLLOUT : sending), link);
}

void det_polls_wait(struct det_polls *polls, int most_ms)
{
    const int ready = poll(polls->fds, (nfds_t)polls->count, most_ms);
    /* The system is out of memory, say: not to be asked again at once. */
    if (ready < 0 && errno != EINTR)
        nanosleep(&(struct timespec){.tv_nsec = FAILED_MS * NS_PER_MS}, NULL);
    for (size_t i = 0; i < polls->count && ready > 0; i++)
        if (polls->whose[i] != NULL)
            polls->whose[i]->polled = polls->fds[i].revents;
    polls->count = 0;
}
