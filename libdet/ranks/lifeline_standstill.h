/* lifeline_standstill.h: whether anything moves between the ranks (ranks/lifeline.h). Rank 0 hears
 * from all, with their signs of life, how far their transfers have come. When every rank waits, and
 * nowhere has one ended for a long time, though all are alive and reach rank 0, bytes are lost
 * between two others, and MPI would wait for them for ever. A rank that computes, evaluates, reads
 * or writes does not wait, and so nothing stands still while the others wait for it. */
#ifndef DET_RANKS_LIFELINE_STANDSTILL_H
#define DET_RANKS_LIFELINE_STANDSTILL_H

#include "ranks/lifeline.h"

/* What a rank said last: since when it has been the same, and when it was said again. */
struct det_pace {
    int32_t over; /* transfers, when it waits for another; DET_LIFELINE_WORKS */
    uint64_t since_ns, until_ns;
};

void det_pace_hear(struct det_pace *pace, int32_t over, uint64_t now_ns);

/* Whether all [size] have waited so long, each for one and the same transfer. */
bool det_standstill_is_there(const struct det_pace *paces, int32_t size, double seconds);
/* RANK_LOST, with those whose transfers are the furthest behind: it is they that miss something. */
det_status det_standstill_tell(struct det_env *env, const struct det_pace *paces, int32_t size,
                               const char (*hosts)[DET_HOST_BYTES], double seconds);

#endif
