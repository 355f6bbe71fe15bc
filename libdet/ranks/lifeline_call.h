/* lifeline_call.h: the call of rank 0 (ranks/lifeline.h): where it listens and what it is known by.
 * It goes to all ranks as it lies in memory, by the transport. */
#ifndef DET_RANKS_LIFELINE_CALL_H
#define DET_RANKS_LIFELINE_CALL_H

#include <sys/socket.h>

#include "ranks/lifeline.h"

enum { DET_CALL_ADDRESSES = 100, DET_CALL_SECRET_BYTES = 16, DET_CALL_TEXT_BYTES = 64 };

struct det_call_address {
    uint16_t is_ipv6, is_loopback;
    uint8_t bytes[16]; /* 4 of them for IPv4 */
};

struct det_call {
    uint8_t hello[DET_CALL_SECRET_BYTES];   /* said to rank 0 */
    uint8_t welcome[DET_CALL_SECRET_BYTES]; /* said by rank 0 */
    uint16_t port, count;
    /* those of this machine alone behind all others */
    struct det_call_address addresses[DET_CALL_ADDRESSES];
};
_Static_assert(sizeof(struct det_call) <= DET_LIFELINE_CALL_BYTES, "a call fits");

/* Addresses and secrets; the port is left. */
det_status det_call_make(struct det_env *env, bool with_ipv6, struct det_call *call);
bool det_call_is_same(const uint8_t *said, size_t bytes,
                      const uint8_t secret[DET_CALL_SECRET_BYTES]);

/* Its length. */
socklen_t det_call_socket_address(const struct det_call *call, size_t index,
                                  struct sockaddr_storage *address);
/* "10.0.0.7 port 4711" */
void det_call_text(const struct det_call *call, size_t index, char text[DET_CALL_TEXT_BYTES]);

#endif
