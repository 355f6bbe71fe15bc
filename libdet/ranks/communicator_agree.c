#include <string.h>

#include "ranks/communicator_parts.h"
#include "support/mem.h"

/* The lowest rank that failed; -1: none did. */
static int32_t first_failure(const struct det_rank_outcome *all, int32_t size)
{
    for (int32_t r = 0; r < size; r++)
        if (all[r].status != DET_OK)
            return r;
    return -1;
}

static bool all_say_the_same(const struct det_rank_outcome *all, int32_t size)
{
    for (int32_t r = 1; r < size; r++)
        if (all[r].status != all[0].status || strcmp(all[r].message, all[0].message) != 0)
            return false;
    return true;
}

static det_status tell(struct det_env *env, const det_communicator *c,
                       const struct det_rank_outcome *all, int32_t failed)
{
    const det_status status = (det_status)all[failed].status;
    if (all_say_the_same(all, det_communicator_size(c)))
        return det_fail(env, status, "%s", all[failed].message);
    return det_fail(env, status, "rank %d on %s: %s", (int)failed, det_communicator_host(c, failed),
                    all[failed].message);
}

det_status det_ranks_agree(struct det_env *env, det_communicator *c, det_status mine)
{
    const int32_t size = det_communicator_size(c);
    const int64_t number = mine;
    struct det_rank_outcome own = {.status = (int32_t)mine};
    bool failed = false;
    if (size == 1 || (mine != DET_OK && c->agreed))
        return mine;
    if (mine != DET_OK)
        memcpy(own.message, env->error, sizeof own.message);
    /* A number each first: that all went well is what is said most of the time. */
    DET_TRY_RETURN(det_ranks_gather(env, c, &number, c->numbers, sizeof number));
    for (int32_t r = 0; r < size; r++)
        failed = failed || c->numbers[r] != DET_OK;
    c->failed_rank = -1;
    if (!failed)
        return DET_OK;
    DET_TRY_RETURN(det_ranks_gather(env, c, &own, c->outcomes, sizeof own));
    c->agreed = true;
    c->failed_rank = first_failure(c->outcomes, size);
    return tell(env, c, c->outcomes, c->failed_rank);
}

int32_t det_ranks_failed_rank(const det_communicator *c)
{
    return c == NULL ? -1 : c->failed_rank;
}

det_status det_ranks_follow(struct det_env *env, det_communicator *c, det_status mine)
{
    struct det_rank_outcome told = {.status = (int32_t)mine};
    if (!det_ranks_are_many(c))
        return mine;
    if (mine != DET_OK)
        memcpy(told.message, env->error, sizeof told.message);
    DET_TRY_RETURN(det_ranks_broadcast(env, c, &told, sizeof told));
    if (told.status == DET_OK)
        return DET_OK;
    c->agreed = true;
    return det_fail(env, (det_status)told.status, "%s", told.message);
}

det_status det_ranks_smallest(struct det_env *env, det_communicator *c, int64_t mine,
                              int64_t *smallest)
{
    *smallest = mine;
    if (!det_ranks_are_many(c))
        return DET_OK;
    DET_TRY_RETURN(det_ranks_gather(env, c, &mine, c->numbers, sizeof mine));
    for (int32_t r = 0; r < det_communicator_size(c); r++)
        if (c->numbers[r] < *smallest)
            *smallest = c->numbers[r];
    return DET_OK;
}
