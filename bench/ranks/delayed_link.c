/* delayed-link: a link with latency between two network namespaces, for kernels without netem: a
 * TUN device in each, and this process between them, which hands each packet on at a given rate and
 * after a given time. bench/ranks/ranks.py starts it.
 *
 *     delayed-link NAMESPACE DEVICE NAMESPACE DEVICE DELAY_US MBIT
 *
 * Prints "ready" when both devices are there, without addresses, and ends when it is killed. Exit
 * status 3 and a line on standard error where devices or namespaces can not be had.
 *
 * Packets are handed over as large as TCP makes them (up to 64 KB, with the kernel's header that
 * says how to cut them), so that segments, and what windows grow by, are those of a real link.
 * What the rate holds back for longer than QUEUE_NS waits, and is dropped, in the device's own
 * queue.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "support/clock.h"

enum { NO_LINK = 3, USAGE = 2, MOST_BYTES = 65536 + 16, AT_ONCE = 16 };
/* Packets under way: 10 ms of 10 Gbit/s in segments of 1,500 bytes, and those that wait. */
enum { PACKETS = 1 << 14, POOL_BYTES = 1 << 27 };

#define QUEUE_NS 20000000
#define NS_PER_S 1000000000

struct packet {
    uint64_t due_ns;
    size_t at, bytes; /* in the pool */
};

/* One way. */
struct way {
    int from, to;
    uint64_t free_ns;    /* when the packets before have left */
    uint64_t first, end; /* of the packets under way, counted on */
    size_t pool_at;      /* where the next goes */
    struct packet packets[PACKETS];
    uint8_t *pool; /* [POOL_BYTES]; begins anew where a packet no longer fits */
};

struct line {
    uint64_t delay_ns;
    double ns_per_byte;
    struct way ways[2];
};

/* --- devices --- */

static int no_link(const char *what, const char *name)
{
    fprintf(stderr, "delayed-link: %s %s: %s\n", what, name, strerror(errno));
    return -1;
}

static int enter(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) != 0)
        return no_link("namespace", path);
    close(fd);
    return 0;
}

/* -1: it can not be had. */
static int make_device(const char *space, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    if (enter(space) != 0)
        return -1;
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return no_link("device", "/dev/net/tun");
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) != 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
        close(fd);
        return no_link("device", name);
    }
    return fd;
}

/* --- packets --- */

static bool has_room(const struct way *w, uint64_t now_ns)
{
    const uint64_t count = w->end - w->first;
    const struct packet *oldest = &w->packets[w->first % PACKETS];
    if (count == PACKETS || w->free_ns > now_ns + QUEUE_NS)
        return false;
    /* In the pool the oldest is behind the place of the next once that has begun anew. */
    return count == 0 || oldest->at < w->pool_at || oldest->at - w->pool_at >= 2 * MOST_BYTES;
}

static void take_in(struct line *line, struct way *w, uint64_t now_ns)
{
    for (int i = 0; i < AT_ONCE && has_room(w, now_ns); i++) {
        const ssize_t got = read(w->from, w->pool + w->pool_at, MOST_BYTES);
        if (got <= 0)
            return; /* none is there, or the device is not up yet */
        if (w->free_ns < now_ns)
            w->free_ns = now_ns;
        w->free_ns += (uint64_t)((double)got * line->ns_per_byte);
        w->packets[w->end++ % PACKETS] =
            (struct packet){w->free_ns + line->delay_ns, w->pool_at, (size_t)got};
        w->pool_at += (size_t)got;
        if (w->pool_at > POOL_BYTES - MOST_BYTES)
            w->pool_at = 0;
    }
}

/* When the next is due. */
static uint64_t hand_on(struct way *w, uint64_t now_ns)
{
    while (w->first < w->end) {
        const struct packet *p = &w->packets[w->first % PACKETS];
        if (p->due_ns > now_ns)
            return p->due_ns;
        const ssize_t put = write(w->to, w->pool + p->at, p->bytes);
        (void)put; /* what the other side does not take is lost, as on a link */
        w->first++;
    }
    return UINT64_MAX;
}

static void carry(struct line *line)
{
    for (;;) {
        struct pollfd fds[2];
        uint64_t next_ns = UINT64_MAX;
        for (int i = 0; i < 2; i++) {
            struct way *w = &line->ways[i];
            take_in(line, w, det_clock_ns());
            const uint64_t due_ns = hand_on(w, det_clock_ns());
            const bool reads = has_room(w, det_clock_ns());
            fds[i] = (struct pollfd){.fd = reads ? w->from : -1, .events = POLLIN};
            next_ns = due_ns < next_ns ? due_ns : next_ns;
        }
        const uint64_t now_ns = det_clock_ns();
        const uint64_t wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
        const struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                                      .tv_nsec = (long)(wait_ns % NS_PER_S)};
        (void)ppoll(fds, 2, next_ns == UINT64_MAX ? NULL : &wait, NULL);
    }
}

int main(int argc, char **argv)
{
    static struct line line;
    const double delay_us = argc == 7 ? atof(argv[5]) : -1, mbit = argc == 7 ? atof(argv[6]) : -1;
    if (!(delay_us >= 0 && delay_us <= 1e6 && mbit > 0)) {
        fprintf(stderr, "delayed-link NAMESPACE DEVICE NAMESPACE DEVICE DELAY_US MBIT\n");
        return USAGE;
    }
    const int a = make_device(argv[1], argv[2]);
    const int b = a >= 0 ? make_device(argv[3], argv[4]) : -1;
    line.delay_ns = (uint64_t)(delay_us * 1e3);
    line.ns_per_byte = 8e3 / mbit;
    for (int i = 0; i < 2; i++) {
        line.ways[i].from = i == 0 ? a : b;
        line.ways[i].to = i == 0 ? b : a;
        line.ways[i].pool = malloc(POOL_BYTES);
    }
    if (b < 0 || line.ways[0].pool == NULL || line.ways[1].pool == NULL)
        return NO_LINK;
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    printf("ready\n");
    fflush(stdout);
    carry(&line);
}
