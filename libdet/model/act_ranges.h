/* act_ranges.h: the ranges of a network's tensors as a training with 8 bits in it has learnt them:
 * moving averages of each batch's least and largest value, over the tensors of the folded graph in
 * its order. What such a training keeps beside the weights, and its export takes.
 *
 * Source: Jacob et al. (2018), section 3.1; MovingAvgQuantize() of tf.contrib.quantize
 * (quant_ops.py), whose variables are act_quant/min and act_quant/max with a decay of .999. Here
 * the first batch's values are the averages' first, and early batches weigh more (as
 * tf.train.ExponentialMovingAverage with num_updates), so that a short fine-tuning has its own
 * ranges and not an initial value's.
 *
 * In a .det file of the training form:
 *
 *   .TRAINED/act_quant/min       f32 [tensors]
 *   .TRAINED/act_quant/max       f32 [tensors]
 *   .TRAINED/act_quant/updates   i64 [1]   updates in them
 */
#ifndef DET_MODEL_ACT_RANGES_H
#define DET_MODEL_ACT_RANGES_H

#include "formats/weights.h"
#include "model/graph.h"

struct det_act_ranges {
    int32_t count; /* tensors of the folded graph */
    /* that are in the averages; 0: the ranges mean nothing yet. Of several batches of an update, or
     * of several ranks, each begins with the averages before it, and their mean is taken */
    int64_t updates;
    float *low, *high;
};

#define DET_ACT_RANGES_DECAY 0.999f

/* Values of the ranges as one vector, for those who hand them around: all low ones, then all high
 * ones. */
static inline size_t det_act_ranges_values(const struct det_act_ranges *ranges)
{
    return 2 * (size_t)ranges->count;
}
/* An update's vector becomes the ranges. */
void det_act_ranges_put(struct det_act_ranges *ranges, const float *values);

/* For the network of a spec; nothing seen. */
det_status det_act_ranges_create(struct det_env *env, const struct det_model_spec *spec,
                                 struct det_act_ranges *ranges);
void det_act_ranges_free(struct det_env *env, struct det_act_ranges *ranges);
det_status det_act_ranges_copy(struct det_env *env, const struct det_act_ranges *from,
                               struct det_act_ranges *copy);

/* Queues the tensors above; the ranges must stay until the file is written. */
det_status det_act_ranges_add(struct det_env *env, struct det_weights_writer *writer,
                              const struct det_act_ranges *ranges);
/* Whether the file has them. */
bool det_act_ranges_are_in(const struct det_weights *file);
/* Of a file that has. CORRUPT for what cannot be. Into ranges of the file's network that were
 * created. */
det_status det_act_ranges_read(struct det_env *env, const struct det_weights *file,
                               struct det_act_ranges *ranges);

#endif
