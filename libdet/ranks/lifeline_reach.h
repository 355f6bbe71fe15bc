/* lifeline_reach.h: the way of a rank to rank 0 (ranks/lifeline.h): all addresses of its call are
 * tried, one begun shortly after the other while those before go on, until one answers with the
 * secret. A machine has addresses that lead nowhere, or to something else, from another one. */
#ifndef DET_RANKS_LIFELINE_REACH_H
#define DET_RANKS_LIFELINE_REACH_H

#include "ranks/lifeline_call.h"
#include "ranks/lifeline_link.h"

/* IO names what was tried, and what became of it; CORRUPT: it is no call. `same_host`: rank 0 may
 * be on this machine, whose own addresses are tried first then. */
det_status det_reach(struct det_env *env, const struct det_call *call, int32_t rank, bool same_host,
                     double most_seconds, struct det_link *link);

#endif
