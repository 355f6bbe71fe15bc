/* quantised.h: a folded network in 8 bits: what its model keeps, and what a convolution needs to
 * run (ops/q8.h).
 *
 * A convolution is in 8 bits or in float32; additions are in 8 bits where all that they read and
 * write is. A tensor that both kinds touch is rounded where it passes to the 8-bit side and made
 * float32 where it leaves it. Biases stay float32 in the parameter block: each convolution rounds
 * them to its own sums, whose scale is its input's times its weights'.
 */
#ifndef DET_MODEL_QUANTISED_H
#define DET_MODEL_QUANTISED_H

#include "model/graph.h"
#include "ops/q8.h"

struct det_q8_weights {
    int8_t *values; /* laid out like the parameter; NULL: float32 */
    float *scales;  /* [output channels] */
};

struct det_quantised {
    int32_t tensor_count, param_count, op_count; /* of the graph */
    struct det_q8_tensor *tensors;
    struct det_q8_weights *weights; /* per parameter */
    bool *eight_bits;               /* per operation */
    /* how it came to be, for who asks (det/quantisation.h) */
    int64_t images;
    int32_t observer; /* det_quantisation_observer */
    bool equalised, biases_corrected;
    double score_error, box_error;
    float *errors; /* per operation: of it alone in 8 bits; 0 of what is no convolution */
};

/* Everything in float32. */
det_status det_quantised_create(struct det_env *env, const struct det_graph *graph,
                                struct det_quantised **quantised);
void det_quantised_destroy(struct det_env *env, struct det_quantised **quantised);

/* The scale and zero with which -128 .. 127 cover low .. high and 0, 0 exactly (TFLite's
 * ChooseQuantizationParams). */
struct det_q8_tensor det_q8_tensor_of(double low, double high);
/* The network's input: whole grey levels 0 .. 255 are -128 .. 127. Half a level lies between them
 * and the normalised pixels, which the first convolution's bias makes good
 * (det_q8_layer_create()). */
struct det_q8_tensor det_q8_input_tensor(void);

/* A weight in steps of its channel's scale, halves away from zero. */
static inline int32_t det_q8_weight_of(float value, float scale)
{
    const float steps = roundf(value / scale);
    return (int32_t)(steps < -127 ? -127 : steps > 127 ? 127 : steps);
}

/* Scales of channels with these limits, which become 127, in place. A limit of 0, or so small that
 * its scale would be, gets the largest scale of the others, so that the channel's bias is rounded
 * no more coarsely than theirs; 1 where there is none. */
void det_q8_weight_scales(float *limits, size_t channels);

/* What becomes 127 in each output channel of parameter `weight`, [channels]: its largest magnitude;
 * more where a bias would not fit the sums of an operation that reads the weights, whose step is
 * that of its input, `tensors`, times theirs. Operations that are not in 8 bits do not count;
 * `eight_bits` NULL: all are. */
void det_q8_weight_limits(const struct det_graph *graph, const struct det_q8_tensor *tensors,
                          const bool *eight_bits, const float *params, int32_t weight,
                          float *limits);

/* Rounds the weights of a convolution, [count / channels][channels] with the channel fastest, to
 * scale * -127 .. 127. `limits` [channels]: what becomes 127; below the largest magnitude some are
 * clamped. */
det_status det_q8_weights_round(struct det_env *env, const float *values, size_t count,
                                int32_t channels, const float *limits, struct det_q8_weights *to);
/* The real values that they stand for. */
void det_q8_weights_real(const struct det_q8_weights *weights, size_t count, int32_t channels,
                         float *values);

/* A convolution ready to run. */
struct det_q8_layer {
    struct det_q8_conv conv;
    int32_t *bias;
    float *scales;
};

/* Of operation `op`, in 8 bits. `params`: the block with the biases. MISMATCH where a sum could
 * leave 32 bits. */
det_status det_q8_layer_create(struct det_env *env, const struct det_graph *graph,
                               const struct det_quantised *quantised, const float *params,
                               int32_t op, struct det_q8_layer *layer);
void det_q8_layer_free(struct det_env *env, struct det_q8_layer *layer);

/* Of an addition in 8 bits. */
struct det_q8_add det_q8_add_op(const struct det_quantised *quantised, const struct det_op *op);

/* Where a result goes, with its activation's limits. */
struct det_q8_target det_q8_target_in(const struct det_q8_tensor *out, enum det_activation act);
/* ... that of an operation. */
struct det_q8_target det_q8_target_of(const struct det_quantised *quantised,
                                      const struct det_op *op);

#endif
