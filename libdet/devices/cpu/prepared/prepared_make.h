/* prepared_make.h: steps from units: weights packed, sizes planned. */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_MAKE_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_MAKE_H

#include "devices/cpu/prepared/prepared_steps.h"

/* Where in a list of both forms of all tensors one is. */
static inline int32_t detk_place(int32_t tensor, bool q8)
{
    return 2 * tensor + q8;
}

/* What steps are made from. */
struct detk_source {
    const struct det_graph *graph;
    const struct det_quantised *quantised; /* or NULL */
    const float *params;
    const struct det_ops *ops;
    const struct detk_map *maps; /* by detk_place() */
    int threads;
};

/* A step of one unit, or of `count` SEPARABLE ones. */
det_status detk_step_make(struct det_env *env, const struct detk_source *source,
                          const struct detk_unit *units, int32_t count, int32_t batch,
                          struct detk_step *step);
void detk_step_free(struct det_env *env, struct detk_step *step);
/* What it allocated. */
size_t detk_step_bytes(const struct detk_step *step);

#endif
