#include "model/optimizer_state.h"

#include <string.h>

#include "support/mem.h"

/* NULL: there is none. */
static det_status copy_floats(struct det_env *env, const float *from, size_t count, float **to)
{
    if (from == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_alloc_raw(env, to, count, sizeof **to, "optimizer state"));
    memcpy(*to, from, count * sizeof **to);
    return DET_OK;
}

det_status det_optimizer_state_copy(struct det_env *env, const struct det_optimizer_state *state,
                                    size_t floats, struct det_optimizer_state **copy)
{
    det_status status = DET_OK;
    DET_TRY_RETURN(det_alloc(env, copy, 1, sizeof **copy, "optimizer state"));
    struct det_optimizer_state *made = *copy;
    *made = *state;
    memset(made->slots, 0, sizeof made->slots);
    made->weights = NULL;
    for (int32_t s = 0; s < state->slot_count; s++)
        DET_TRY(copy_floats(env, state->slots[s], floats, &made->slots[s]));
    DET_TRY(copy_floats(env, state->weights, floats, &made->weights));
    return DET_OK;
fail:
    det_optimizer_state_destroy(env, copy);
    return status;
}

void det_optimizer_state_destroy(struct det_env *env, struct det_optimizer_state **state)
{
    if (*state == NULL)
        return;
    for (int32_t s = 0; s < DET_MOST_SLOTS; s++)
        det_free(env, &(*state)->slots[s]);
    det_free(env, &(*state)->weights);
    det_free(env, state);
}

const char *det_optimizer_slot_name(enum det_update_rule rule, int32_t slot, int32_t average_slot)
{
    static const char *const names[][2] = {
        [DET_UPDATE_MOMENTUM] = {"momentum", NULL},
        [DET_UPDATE_RMSPROP] = {"rms", "momentum"},
        [DET_UPDATE_ADAM] = {"m", "v"},
    };
    return slot == average_slot ? "average" : names[rule][slot];
}
