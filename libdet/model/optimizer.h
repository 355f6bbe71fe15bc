/* optimizer.h: update rules, weight decay and gradient clipping over flat float arrays.
 *
 * The rules are those of Keras' optimizers as optimizer_builder.build_optimizers_tf_v2 of the TF
 * Object Detection API makes them (keras.optimizers.legacy of TensorFlow 2.15), in float32. The API
 * clips as model_lib_v2.py eager_train_step does: tf.clip_by_global_norm over all trainable
 * variables' gradients of the *total* loss, weight decay included, when
 * train_config.gradient_clipping_by_norm > 0.
 *
 * All functions split arrays in a way that depends on their length only, and sum in double in that
 * order: same bits for any number of threads. The pool may be NULL.
 */
#ifndef DET_MODEL_OPTIMIZER_H
#define DET_MODEL_OPTIMIZER_H

#include "base/pool.h"

/* v = momentum * v - lr * g; w += v. Note that lr is inside v: past steps keep their own rate. */
void det_sgd_update(struct det_pool *pool, float *weights, const float *gradients, float *velocity,
                    size_t count, float learning_rate, float momentum);

/* Kingma & Ba, "Adam", with the paper's section 2 form of the bias correction (epsilon is added to
 * sqrt(v)). */
struct det_adam {
    float beta1, beta2, epsilon; /* the API: .9, .999, adam_optimizer.epsilon (1e-8) */
};
#define DET_ADAM_DEFAULT ((struct det_adam){0.9f, 0.999f, 1e-8f})

/* sqrt(1 - beta2^t) / (1 - beta1^t) of update t = updates_done + 1: multiplies the learning
 * rate. */
float det_adam_correction(const struct det_adam *adam, int64_t updates_done);

/* updates_done: 0 for the first update. */
void det_adam_update(struct det_pool *pool, const struct det_adam *adam, float *weights,
                     const float *gradients, float *first_moment, float *second_moment,
                     size_t count, float learning_rate, int64_t updates_done);

/* s = rho s + (1 - rho) g^2. With momentum: m = momentum * m + lr g / sqrt(s + epsilon), w -= m.
 * Without (momentum 0; `moment` may be NULL): w -= lr g / (sqrt(s) + epsilon). Keras has epsilon in
 * these two different places. Under TF2 the API passes rms_prop_optimizer.decay as Keras' *learning
 * rate* decay and leaves rho at .9: multiply the rate by det_rmsprop_rate_factor(decay,
 * updates_done). */
struct det_rmsprop {
    float rho, momentum, epsilon; /* the API: .9, momentum_optimizer_value (.9), epsilon (1) */
};
void det_rmsprop_update(struct det_pool *pool, const struct det_rmsprop *rmsprop, float *weights,
                        const float *gradients, float *mean_square, float *moment, size_t count,
                        float learning_rate);
float det_rmsprop_rate_factor(float decay, int64_t updates_done);

/* Averages of the weights as official/modeling/optimization/ema_optimizer.py (what the API's
 * use_moving_average wraps the optimizer in) makes them: after update t, counted from 1,
 * a -= (1 - min(decay, (1 + t) / (10 + t))) * (a - w). Differs: they begin as the weights, not as
 * zeros, which the small decay of the first updates forgets. */
float det_average_rate(float decay, int64_t updates_done);
void det_average_update(struct det_pool *pool, const float *weights, float *averages, size_t count,
                        float rate);

/* values += more. */
void det_add(struct det_pool *pool, float *values, const float *more, size_t count);

/* Sum of squares in double. Of several arrays: add the results in a fixed order. */
double det_sum_of_squares(struct det_pool *pool, const float *values, size_t count);

/* The factor tf.clip_by_global_norm() multiplies gradients by; norm = sqrt of the sum of squares.
 * NaN when the norm is not finite. */
float det_clip_factor(double norm, float clip_norm);

void det_scale(struct det_pool *pool, float *values, size_t count, float factor);

/* L2 regularizer: its loss weight / 2 * sum of squares, and its gradient weight * w, which is
 * added. */
double det_l2_loss(struct det_pool *pool, const float *weights, size_t count, float weight);
void det_l2_add_gradient(struct det_pool *pool, const float *weights, float *gradients,
                         size_t count, float weight);

#endif
