/* net.h: a graph made ready to run: batch size fixed, memory planned, backend chosen. No call below
 * the plan allocates or fails.
 *
 * One det_net belongs to one thread of control; graph, operations and (for inference) parameters
 * may be shared.
 */
#ifndef DET_MODEL_NET_H
#define DET_MODEL_NET_H

#include "model/act_ranges.h"
#include "model/net_plan.h"

struct det_net;
struct det_net_sync;

/* `graph`, `ops` and `pool` must outlive the net. */
det_status det_net_create(struct det_env *env, const struct det_graph *graph,
                          const struct det_ops *ops, struct det_pool *pool, int32_t batch,
                          enum det_net_mode mode, struct det_net **net);
void det_net_destroy(struct det_env *env, struct det_net **net);

/* Bytes that det_net_create would allocate, without allocating them. */
det_status det_net_memory_bytes(struct det_env *env, const struct det_graph *graph,
                                const struct det_ops *ops, int threads, int32_t batch,
                                enum det_net_mode mode, size_t *bytes);

/* [N, H, W, 3], the network's input: normalised pixels, padding included. Its contents do not
 * survive forward. */
float *det_net_input(struct det_net *net);

/* Fills the input from images [N, h, w, 3] of 0..255: x * (2 / 255) - 1, zeros where the network's
 * input is larger (preprocess() and pad_to_multiple of the API). */
void det_net_set_images(struct det_net *net, const float *images, int32_t height, int32_t width);

/* The same into any input [batch, H, W, 3] of the graph. */
void det_net_fill_input(const struct det_graph *graph, int32_t batch, const float *images,
                        int32_t height, int32_t width, float *input);

/* Runs forward. `params` is a block laid out as the graph says. */
void det_net_forward(struct det_net *net, const float *params);

/* `watch` is called behind each operation of every later forward with what it made,
 * [rows][channels] of its output tensor, which it may change; NULL: nobody. */
typedef void (*det_net_watch_fn)(void *user, int32_t op, float *made, int64_t rows);
void det_net_watch(struct det_net *net, det_net_watch_fn watch, void *user);

/* Of a network in TRAIN_FOLDED mode: every later forward rounds its input and what it makes as 8
 * bits will, by `ranges` with the present batch in them, which it does not change; backward lets
 * gradients pass inside a range and not outside. `ranges` must outlive the network; NULL, as it
 * begins: nothing is rounded. */
void det_net_round(struct det_net *net, const struct det_act_ranges *ranges);
/* Takes the last forward's batch into the ranges, which are those of det_net_round(); nothing
 * without them. */
void det_net_update_ranges(const struct det_net *net, struct det_act_ranges *ranges);
/* The ranges with that batch in them as a vector of act_ranges.h. */
void det_net_seen_ranges(const struct det_net *net, float *values);

/* Results of forward: box encodings [N, A, 4] and class logits [N, A, K + 1]; levels in rising
 * order. */
const float *det_net_encodings(const struct det_net *net);
const float *det_net_logits(const struct det_net *net);

/* Where the loss puts its gradients before backward: the same shapes. */
float *det_net_encoding_gradients(struct det_net *net);
float *det_net_logit_gradients(struct det_net *net);

/* Gradients of all trainable parameters into `gradients` (written, laid out like params; the others
 * stay as they are). After a forward in a training mode. */
void det_net_backward(struct det_net *net, const float *params, float *gradients);

/* `passed` is called in every later backward behind each operation, whose index it gets: the
 * gradients of parameters that no operation before it uses are complete then. NULL: nobody. */
typedef void (*det_net_passed_fn)(void *user, int32_t op);
void det_net_watch_backward(struct det_net *net, det_net_passed_fn passed, void *user);

/* `stop` is asked before each operation of every later forward and backward: once it says yes the
 * rest of them is left out, and what the network holds means nothing. NULL: nobody is asked. */
typedef bool (*det_net_stop_fn)(void *user);
void det_net_ask(struct det_net *net, det_net_stop_fn stop, void *user);
/* Whether it has said so in the last forward or the backward behind it. */
bool det_net_was_stopped(const struct det_net *net);

/* Every later forward and backward is of one rank's part of a batch (model/net_sync.h), which must
 * outlive the network; NULL, as it begins: of the whole. */
void det_net_synchronise(struct det_net *net, const struct det_net_sync *sync);

/* moving = moving * decay + batch statistic * (1 - decay), the variance unbiased, for every batch
 * norm, in the order of the graph. Nothing in TRAIN_FROZEN mode. (tf.keras BatchNormalization,
 * fused.) */
void det_net_update_moving(const struct det_net *net, float *params);

/* What the last forward's batch has to say in that update: its statistics as a vector of
 * model/moving.h. */
void det_net_batch_statistics(const struct det_net *net, float *statistics);

/* Mean and (biased) variance [c] over the batch of what batch norm `op` of the graph normalised;
 * after forward in a mode where it took them, until the next forward. */
void det_net_statistics(const struct det_net *net, int32_t op, const float **mean,
                        const float **variance);

/* Name of the first operation, in order, whose output holds a NaN or infinity after forward in a
 * training mode; NULL when all are finite. */
const char *det_net_first_non_finite(const struct det_net *net);

#endif
