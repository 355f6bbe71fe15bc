#define _GNU_SOURCE /* accept4 */
#include "ranks/lifeline_door.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/mem.h"

/* Guests beside the ranks. */
#define STRANGERS 32
/* Files that a training has open beside the connections. */
#define OTHER_FILES 16
#define GUEST_NS    10000000000
#define PAUSE_NS    200000000

/* --- listening --- */

/* IPv4 comes in by the IPv6 socket. -1: this machine has no IPv6. */
static int listen_ipv6(uint16_t *port)
{
    const int no = 0;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
    socklen_t bytes = sizeof address;
    const int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0 ||
        bind(fd, (const struct sockaddr *)&address, bytes) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(address.sin6_port);
    return fd;
}

/* -1: errno says why. */
static int listen_ipv4(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t bytes = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, (const struct sockaddr *)&address, bytes) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0) {
        const int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* Known beforehand, and better said at once than by the ranks that found no place. */
static det_status check_descriptors(struct det_env *env, int32_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        limit.rlim_cur >= (rlim_t)size + OTHER_FILES)
        return DET_OK;
    return det_fail(env, DET_STATUS_IO,
                    "%d ranks: rank 0 has a connection to each, and its process may open %llu "
                    "files only: ulimit -n, or LimitNOFILE, has to be at least %lld",
                    (int)size, (unsigned long long)limit.rlim_cur, (long long)size + OTHER_FILES);
}

det_status det_door_open(struct det_env *env, struct det_door *door, int32_t size,
                         struct det_call *call)
{
    uint16_t port = 0;
    const size_t room = (size_t)size + STRANGERS;
    door->size = size;
    DET_TRY_RETURN(check_descriptors(env, size));
    DET_TRY_RETURN(
        det_alloc(env, &door->guests, room, sizeof *door->guests, "connections of ranks"));
    for (size_t i = 0; i < room; i++)
        door->guests[i].link.fd = -1;
    door->room = room;
    door->listener = listen_ipv6(&port);
    const bool with_ipv6 = door->listener >= 0;
    if (!with_ipv6)
        door->listener = listen_ipv4(&port);
    if (door->listener < 0)
        return det_fail_errno(env, errno, "rank 0 can not listen for the other ranks");
    DET_TRY_RETURN(det_call_make(env, with_ipv6, call));
    call->port = port;
    memcpy(door->hello, call->hello, sizeof door->hello);
    memcpy(door->welcome, call->welcome, sizeof door->welcome);
    return DET_OK;
}

void det_door_close(struct det_door *door)
{
    const int listener = door->listener;
    for (size_t i = 0; i < door->room; i++)
        det_link_close(&door->guests[i].link);
    door->listener = -1; /* before, as in det_link_close() */
    if (listener >= 0)
        close(listener);
}

void det_door_free(struct det_env *env, struct det_door *door)
{
    det_door_close(door);
    door->room = 0;
    det_free(env, &door->guests);
}

/* --- guests --- */

static struct det_guest *free_place(struct det_door *door)
{
    struct det_guest *oldest = &door->guests[0];
    for (size_t i = 0; i < door->room; i++) {
        if (door->guests[i].link.fd < 0)
            return &door->guests[i];
        if (door->guests[i].until_ns < oldest->until_ns)
            oldest = &door->guests[i];
    }
    det_link_close(&oldest->link);
    return oldest;
}

static bool is_short_of_something(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void let_in(struct det_door *door, uint64_t now_ns)
{
    for (size_t i = 0; i < door->room; i++) {
        const int fd = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            /* It stays at the door, and poll() would say so all the time. */
            if (is_short_of_something(errno)) {
                door->error = errno;
                door->pause_end_ns = now_ns + PAUSE_NS;
            }
            return; /* nobody is there, or somebody was and is gone */
        }
        struct det_guest *guest = free_place(door);
        guest->rank = 0;
        guest->came = false;
        guest->until_ns = now_ns + GUEST_NS;
        det_link_open(&guest->link, fd);
    }
}

/* False: it is none of us. */
static bool listen_to(const struct det_door *door, struct det_guest *guest,
                      const struct det_message *said)
{
    if (guest->rank > 0) {
        guest->came = said->kind == DET_LINK_ALIVE;
        return guest->came;
    }
    if (said->kind != DET_LINK_HELLO || said->number < 1 || said->number >= door->size ||
        !det_call_is_same(said->data, said->bytes, door->hello))
        return false;
    guest->rank = said->number;
    return det_link_put(&guest->link, DET_LINK_WELCOME, 0, door->welcome, sizeof door->welcome);
}

/* False: it has to go. */
static bool serve_guest(const struct det_door *door, struct det_guest *guest)
{
    struct det_message said;
    enum det_link_got got = DET_LINK_NOTHING;
    if (guest->link.polled != 0)
        (void)det_link_fill(&guest->link);
    while (!guest->came && (got = det_link_next(&guest->link, &said)) == DET_LINK_MESSAGE)
        if (!listen_to(door, guest, &said))
            return false;
    det_link_flush(&guest->link);
    return got != DET_LINK_CORRUPT && (guest->came || !guest->link.ended);
}

void det_door_add_polls(struct det_door *door, struct det_polls *polls, uint64_t now_ns)
{
    if (door->listener >= 0 && now_ns >= door->pause_end_ns)
        det_polls_add_fd(polls, door->listener);
    for (size_t i = 0; i < door->room; i++)
        det_polls_add(polls, &door->guests[i].link);
}

void det_door_serve(struct det_door *door, uint64_t now_ns)
{
    if (door->listener < 0)
        return;
    for (size_t i = 0; i < door->room; i++) {
        struct det_guest *guest = &door->guests[i];
        if (guest->link.fd >= 0 && (!serve_guest(door, guest) || now_ns > guest->until_ns))
            det_link_close(&guest->link);
    }
    if (now_ns >= door->pause_end_ns)
        let_in(door, now_ns);
}

bool det_door_take(struct det_door *door, int32_t *rank, struct det_link *link)
{
    for (size_t i = 0; i < door->room; i++) {
        struct det_guest *guest = &door->guests[i];
        if (guest->link.fd < 0 || !guest->came)
            continue;
        *rank = guest->rank;
        *link = guest->link;
        guest->link.fd = -1;
        guest->came = false;
        return true;
    }
    return false;
}
