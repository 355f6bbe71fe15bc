#include "ranks/lifeline_standstill.h"

#include <stdio.h>

/* Ranks that are named. */
enum { MOST_NAMES = 4 };

void det_pace_hear(struct det_pace *pace, int32_t over, uint64_t now_ns)
{
    if (over != pace->over) {
        pace->over = over;
        pace->since_ns = now_ns;
    }
    pace->until_ns = now_ns;
}

bool det_standstill_is_there(const struct det_pace *paces, int32_t size, double seconds)
{
    for (int32_t r = 0; r < size; r++)
        if (paces[r].over < 0 || (double)(paces[r].until_ns - paces[r].since_ns) < seconds * 1e9)
            return false;
    return true;
}

static int32_t count_at(const struct det_pace *paces, int32_t size, int32_t over)
{
    int32_t count = 0;
    for (int32_t r = 0; r < size; r++)
        count += paces[r].over == over;
    return count;
}

/* "rank 1 on node-b, rank 2 on node-c and 3 more" */
static void name_those_at(const struct det_pace *paces, int32_t size,
                          const char (*hosts)[DET_HOST_BYTES], int32_t over, char *text,
                          size_t bytes)
{
    const int32_t count = count_at(paces, size, over);
    size_t at = 0;
    int32_t named = 0;
    for (int32_t r = 0; r < size && named < MOST_NAMES && at < bytes; r++) {
        if (paces[r].over != over)
            continue;
        const char *before = named == 0 ? "" : named == count - 1 ? " and " : ", ";
        const int length =
            snprintf(text + at, bytes - at, "%srank %d on %s", before, (int)r, hosts[r]);
        at += length > 0 ? (size_t)length : 0;
        named++;
    }
    if (count > named && at < bytes)
        snprintf(text + at, bytes - at, " and %d more", (int)(count - named));
}

det_status det_standstill_tell(struct det_env *env, const struct det_pace *paces, int32_t size,
                               const char (*hosts)[DET_HOST_BYTES], double seconds)
{
    char names[MOST_NAMES * (DET_HOST_BYTES + 32)] = "";
    int32_t least = paces[0].over;
    for (int32_t r = 1; r < size; r++)
        if (paces[r].over < least)
            least = paces[r].over;
    if (count_at(paces, size, least) < size)
        name_those_at(paces, size, hosts, least, names, sizeof names);
    return det_fail(env, DET_STATUS_RANK_LOST,
                    "nothing has moved between the ranks for %g seconds, though all are alive: the "
                    "network between them is stuck (furthest behind: %s)",
                    seconds, names[0] != '\0' ? names : "all alike");
}
