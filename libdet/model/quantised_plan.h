/* quantised_plan.h: where the tensors of a network in 8 bits lie: in bytes, in float32, or both,
 * each in memory for as long as it is needed. Knows nothing of who runs it: the CPU
 * (devices/cpu/q8_net.h) and CUDA follow the same plan. */
#ifndef DET_MODEL_QUANTISED_PLAN_H
#define DET_MODEL_QUANTISED_PLAN_H

#include "model/quantised.h"

struct det_quantised_plan_settings {
    int32_t batch;
    size_t alignment; /* of each tensor's offset, a power of two, at least 64 */
    /* the network's input in float32 lies elsewhere, and nobody writes over it */
    bool input_apart;
    /* per operation: it is run together with the next one, and what lies between the two is not
     * stored; NULL: each alone. Read while planning only */
    const bool *with_next;
    /* so many of the last operations run side by side, or in another order: what they read or
     * write shares no memory among them */
    int32_t at_once;
};

struct det_quantised_plan {
    size_t arena_bytes;
    /* per tensor, offsets in the arena; DET_NO_FORM where there is no such form */
    size_t *bytes, *floats;
};
#define DET_NO_FORM SIZE_MAX

/* Whether an operation is a convolution whose result is read by the next one alone, an addition of
 * maps of its size: such two can be done in one pass over the result. */
bool det_quantised_joins_next(const struct det_graph *graph, int32_t op);

/* OUT_OF_MEMORY when a size cannot be counted. */
det_status det_quantised_plan_create(struct det_env *env, const struct det_graph *graph,
                                     const struct det_quantised *quantised,
                                     const struct det_quantised_plan_settings *settings,
                                     struct det_quantised_plan *plan);
void det_quantised_plan_free(struct det_env *env, struct det_quantised_plan *plan);

#endif
