/* fold.h: a training network's folded twin, in which it is trained with 8 bits: its parameters are
 * made of the training form's, its gradients become the training form's.
 *
 * The batch norms' statistics are constants there: the moving ones, frozen. So what is trained is
 * what is exported, value by value. tf.contrib.quantize folds with the batch's statistics and
 * corrects for the moving ones until `freeze_bn_delay` (fold_batch_norms.py), the aim being that
 * the rounding of weights does not shake with the batches; frozen statistics have that from the
 * start (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference" (2018)).
 *
 * Weights are rounded as their export rounds them, each output channel to -127 .. 127 steps of its
 * largest magnitude; none lies outside, so that all their gradients pass.
 */
#ifndef DET_MODEL_FOLD_H
#define DET_MODEL_FOLD_H

#include "base/pool.h"
#include "model/act_ranges.h"
#include "model/net.h"
#include "model/quantised.h"

struct det_fold_layer {
    int32_t convolution, norm; /* operations of the training form; norm -1: none */
    int32_t folded;            /* the operation of the folded one */
};

struct det_fold {
    const struct det_graph *training; /* lent */
    struct det_graph graph;           /* the folded one */
    struct det_fold_layer *layers;
    int32_t layer_count;
    float *params, *gradients; /* [graph.param_floats] */
    /* scratch: a weight's channels at its place in the parameter block; per tensor */
    float *limits;
    struct det_q8_tensor *tensors;
};

det_status det_fold_create(struct det_env *env, const struct det_model_spec *spec,
                           const struct det_graph *training, struct det_fold *fold);
void det_fold_free(struct det_env *env, struct det_fold *fold);

/* Makes *bytes those of a folded network in training, with its parameters, where that is more. */
det_status det_fold_widen_bytes(struct det_env *env, const struct det_model_spec *spec,
                                const struct det_ops *ops, int threads, int32_t batch,
                                size_t *bytes);

/* fold->params of the training form's `params`; weights rounded unless `ranges` is NULL. Same bits
 * for any number of threads, like the next. The ranges are only asked whether a bias fits. */
void det_fold_params(const struct det_fold *fold, struct det_pool *pool, const float *params,
                     const struct det_act_ranges *ranges);
/* The training form's gradients of fold->gradients, at the parameters that were folded: with
 * w' = w s, s = gamma / sqrt(variance + epsilon), b' = beta - mean s it is dw = dw' s,
 * dbeta = db', dgamma = (sum of dw' w - db' mean) s / gamma. */
void det_fold_gradients(const struct det_fold *fold, struct det_pool *pool, const float *params,
                        float *gradients);

#endif
