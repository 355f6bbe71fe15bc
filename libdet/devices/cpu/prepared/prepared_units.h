/* prepared_units.h: the operations of a folded graph in groups that run as one, found by pattern:
 *
 *   BLOCK      convolution (1x1, or any from the network's input) -> depthwise 3x3 -> 1x1 (->
 *              addition of the block's input)
 *   SEPARABLE  depthwise 3x3 -> 1x1
 *   POINTWISE  1x1 (-> addition of an upsampled map)
 *   DENSE      any other convolution in 8 bits that is not depthwise, but of the network's input
 *   CONVERT    a tensor from one form to the other; an addition in float32 of no other unit
 *   OTHER      any single operation that is none of these
 *
 * What lies inside a unit is read by nobody else, so it is never a whole tensor in memory.
 *
 * Of a quantised graph operations of both forms are in a unit where kernels pass few rows from one
 * to the other: a BLOCK's first convolution and a SEPARABLE's depthwise one may have another form
 * than what follows; a sum has that of the product before it. A whole tensor is in memory in the
 * form that it is made in, and, where operations of the other form read it, once more in theirs.
 */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_UNITS_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_UNITS_H

#include "model/quantised.h"

enum detk_unit_kind {
    DETK_BLOCK_UNIT,
    DETK_SEPARABLE_UNIT,
    DETK_POINTWISE_UNIT,
    DETK_DENSE_UNIT,
    DETK_CONVERT_UNIT,
    DETK_OTHER_UNIT
};

struct detk_unit {
    enum detk_unit_kind kind;
    int32_t expand, depthwise, pointwise; /* operations, -1: none */
    int32_t join;                         /* ADD or UPSAMPLE_ADD, -1: none */
    int32_t other; /* DENSE_UNIT's, CONVERT_UNIT's (-1: no addition) or OTHER_UNIT's operation */
    int32_t in, in2, out; /* tensors; in2: what is added to a product, or OTHER's second */
    /* which forms of them; the network's input and outputs have one only */
    bool in_q8, in2_q8, out_q8;
    int32_t height; /* units behind it on the longest way to an output */
};

/* Units in an order in which they can run: the highest first, so that equal layers of the head's
 * levels are neighbours. `quantised`: NULL: all in float32. `units` has room for
 * detk_units_most(). */
static inline size_t detk_units_most(const struct det_graph *graph)
{
    return 2 * (size_t)graph->op_count;
}

det_status detk_units_find(struct det_env *env, const struct det_graph *graph,
                           const struct det_quantised *quantised, struct detk_unit *units,
                           int32_t *count);

#endif
