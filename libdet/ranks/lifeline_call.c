#include "ranks/lifeline_call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static det_status draw(struct det_env *env, void *into, size_t bytes)
{
    ssize_t got;
    do
        got = getrandom(into, bytes, 0); /* whole up to 256 bytes */
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)bytes ? DET_OK : det_fail_errno(env, errno, "random numbers");
}

/* False where another machine could not use it: addresses of a link, which need the name that the
 * link has there. */
static bool take_address(const struct ifaddrs *from, bool with_ipv6, struct det_call_address *to)
{
    *to = (struct det_call_address){0};
    if (from->ifa_addr == NULL || (from->ifa_flags & IFF_UP) == 0)
        return false;
    to->is_loopback = (from->ifa_flags & IFF_LOOPBACK) != 0;
    if (from->ifa_addr->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, from->ifa_addr, sizeof ipv4);
        memcpy(to->bytes, &ipv4.sin_addr, 4);
        return true;
    }
    if (from->ifa_addr->sa_family == AF_INET6 && with_ipv6) {
        struct sockaddr_in6 ipv6;
        memcpy(&ipv6, from->ifa_addr, sizeof ipv6);
        memcpy(to->bytes, &ipv6.sin6_addr, 16);
        to->is_ipv6 = 1;
        return !IN6_IS_ADDR_LINKLOCAL(&ipv6.sin6_addr);
    }
    return false;
}

det_status det_call_make(struct det_env *env, bool with_ipv6, struct det_call *call)
{
    struct ifaddrs *all = NULL;
    *call = (struct det_call){.count = 0};
    DET_TRY_RETURN(draw(env, call->hello, sizeof call->hello));
    DET_TRY_RETURN(draw(env, call->welcome, sizeof call->welcome));
    if (getifaddrs(&all) != 0)
        return det_fail_errno(env, errno, "addresses of this machine");
    for (uint16_t loopback = 0; loopback < 2; loopback++)
        for (const struct ifaddrs *one = all; one != NULL && call->count < DET_CALL_ADDRESSES;
             one = one->ifa_next) {
            struct det_call_address address;
            if (take_address(one, with_ipv6, &address) && address.is_loopback == loopback)
                call->addresses[call->count++] = address;
        }
    freeifaddrs(all);
    if (call->count == 0)
        return det_fail(env, DET_STATUS_IO, "this machine has no network address");
    return DET_OK;
}

bool det_call_is_same(const uint8_t *said, size_t bytes,
                      const uint8_t secret[DET_CALL_SECRET_BYTES])
{
    unsigned differs = bytes != DET_CALL_SECRET_BYTES;
    /* All of them, so that the time says nothing of how many were right. */
    for (size_t i = 0; i < bytes && i < DET_CALL_SECRET_BYTES; i++)
        differs |= (unsigned)(said[i] ^ secret[i]);
    return differs == 0;
}

socklen_t det_call_socket_address(const struct det_call *call, size_t index,
                                  struct sockaddr_storage *address)
{
    const struct det_call_address *from = &call->addresses[index];
    memset(address, 0, sizeof *address);
    if (from->is_ipv6) {
        struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons(call->port)};
        memcpy(&ipv6.sin6_addr, from->bytes, 16);
        memcpy(address, &ipv6, sizeof ipv6);
        return sizeof ipv6;
    }
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(call->port)};
    memcpy(&ipv4.sin_addr, from->bytes, 4);
    memcpy(address, &ipv4, sizeof ipv4);
    return sizeof ipv4;
}

void det_call_text(const struct det_call *call, size_t index, char text[DET_CALL_TEXT_BYTES])
{
    const struct det_call_address *address = &call->addresses[index];
    char number[INET6_ADDRSTRLEN];
    if (inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->bytes, number, sizeof number) ==
        NULL)
        number[0] = '\0';
    snprintf(text, DET_CALL_TEXT_BYTES, "%s port %d", number, (int)call->port);
}
