/* tf_object_graph.h: the object graph of a TensorFlow checkpoint, by which tf.train.Checkpoint
 * finds the variables of Python objects (tensorflow/core/protobuf/trackable_object_graph.proto):
 * nodes are objects, edges carry the names of their attributes, node 0 is the Checkpoint itself.
 *
 * A variable's key is the way to it from the root, "model/_box_predictor/.../bias", and
 * DET_TF_VARIABLE_SUFFIX; an optimizer's slot is no attribute of anything: its key is
 * "VARIABLE/.OPTIMIZER_SLOT/OPTIMIZER/SLOT" and the suffix.
 *
 * What is written has the objects that lead to variables, each by one way. TensorFlow writes all
 * others too (layers without weights, second ways to a shared layer), which restoring does not ask
 * for.
 */
#ifndef DET_EXPORT_TF_OBJECT_GRAPH_H
#define DET_EXPORT_TF_OBJECT_GRAPH_H

#include "support/text.h"

struct det_tf_node {
    char *path; /* from the root, "" for it; of slots their key without the suffix */
    char *key;  /* of its values, NULL: it has none */
};

struct det_tf_edge {
    int32_t from, to;
    char *name;
};

struct det_tf_slot {
    int32_t optimizer, variable, to;
    char *name;
};

struct det_tf_graph {
    struct det_tf_node *nodes;
    struct det_tf_edge *edges;
    struct det_tf_slot *slots;
    size_t node_count, edge_count, slot_count;
    size_t node_capacity, edge_capacity, slot_capacity;
};

/* The node at the end of `path`, with those on the way. */
det_status det_tf_graph_add(struct det_env *env, struct det_tf_graph *graph, const char *path,
                            int32_t *node);
/* The same with values. */
det_status det_tf_graph_add_variable(struct det_env *env, struct det_tf_graph *graph,
                                     const char *path, int32_t *node);
/* Another name, in `from`, for a node that is there. */
det_status det_tf_graph_add_name(struct det_env *env, struct det_tf_graph *graph, int32_t from,
                                 const char *name, int32_t node);
det_status det_tf_graph_add_slot(struct det_env *env, struct det_tf_graph *graph, int32_t optimizer,
                                 int32_t variable, const char *name, int32_t *node);
void det_tf_graph_free(struct det_env *env, struct det_tf_graph *graph);

/* As a TrackableObjectGraph, and back: CORRUPT for what is none, and for a key that is not that of
 * the way to it. */
det_status det_tf_graph_write(struct det_env *env, const struct det_tf_graph *graph,
                              struct det_text *bytes);
det_status det_tf_graph_read(struct det_env *env, const struct det_text *bytes,
                             struct det_tf_graph *graph);

#endif
