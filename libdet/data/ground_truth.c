#include "data/ground_truth.h"

#include <string.h>

#include "support/mem.h"

/* X(member): every array of the struct, so that no function forgets one. */
#define ARRAYS(X) X(boxes) X(class_index) X(weight) X(area_px) X(is_crowd) X(difficult) X(group_of)

det_status det_ground_truth_reserve(struct det_env *env, struct det_ground_truth *truth,
                                    int32_t count)
{
    if (count <= truth->capacity)
        return DET_OK;
    struct det_ground_truth larger = {.count = truth->count, .capacity = count};
    det_status status = DET_OK;
#define RESERVE(member)                                                                            \
    DET_TRY(det_alloc(env, &larger.member, (size_t)count, sizeof *larger.member, "ground truth")); \
    if (truth->count > 0)                                                                          \
        memcpy(larger.member, truth->member, (size_t)truth->count * sizeof *larger.member);
    ARRAYS(RESERVE)
#undef RESERVE
    det_ground_truth_free(env, truth);
    *truth = larger;
    return DET_OK;
fail:
    det_ground_truth_free(env, &larger);
    return status;
}

void det_ground_truth_move(struct det_ground_truth *truth, int32_t to, int32_t from)
{
    if (to == from)
        return;
#define MOVE(member) memcpy(&truth->member[to], &truth->member[from], sizeof *truth->member);
    ARRAYS(MOVE)
#undef MOVE
}

det_status det_ground_truth_copy(struct det_env *env, struct det_ground_truth *to,
                                 const struct det_ground_truth *from)
{
    DET_TRY_RETURN(det_ground_truth_reserve(env, to, from->count));
#define COPY(member)     \
    if (from->count > 0) \
        memcpy(to->member, from->member, (size_t)from->count * sizeof *to->member);
    ARRAYS(COPY)
#undef COPY
    to->count = from->count;
    return DET_OK;
}

void det_ground_truth_free(struct det_env *env, struct det_ground_truth *truth)
{
#define FREE(member) det_free(env, &truth->member);
    ARRAYS(FREE)
#undef FREE
    *truth = (struct det_ground_truth){0};
}
