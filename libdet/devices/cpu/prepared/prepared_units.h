/* prepared_units.h: the operations of a folded graph in groups that run as one, found by pattern:
 *
 *   BLOCK      convolution (1x1, or any from the network's input) -> depthwise 3x3 -> 1x1 (->
 *              addition of the block's input)
 *   SEPARABLE  depthwise 3x3 -> 1x1
 *   POINTWISE  1x1 (-> addition of an upsampled map)
 *   OTHER      any single operation that is none of these
 *
 * What lies inside a unit is read by nobody else, so it is never a whole tensor in memory.
 */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_UNITS_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_UNITS_H

#include "model/graph.h"

enum detk_unit_kind { DETK_BLOCK_UNIT, DETK_SEPARABLE_UNIT, DETK_POINTWISE_UNIT, DETK_OTHER_UNIT };

struct detk_unit {
    enum detk_unit_kind kind;
    int32_t expand, depthwise, pointwise; /* operations, -1: none */
    int32_t join;                         /* ADD or UPSAMPLE_ADD, -1: none */
    int32_t other;                        /* OTHER_UNIT's operation */
    int32_t in, in2, out;                 /* tensors; in2: the upsampled map, or OTHER's second */
    int32_t height;                       /* units behind it on the longest way to an output */
};

/* Units in an order in which they can run: the highest first, so that equal layers of the head's
 * levels are neighbours. `units` has room for graph->op_count. */
det_status detk_units_find(struct det_env *env, const struct det_graph *graph,
                           struct detk_unit *units, int32_t *count);

#endif
