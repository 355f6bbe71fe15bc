/* tflite_network.h: what the files share that make a TFLite model's operators of the network:
 * tflite_network.c, tflite_q8.c for 8 bits, and tflite_input.c and tflite_outputs.c for its two
 * ends. */
#ifndef DET_EXPORT_TFLITE_NETWORK_H
#define DET_EXPORT_TFLITE_NETWORK_H

#include "export/tflite.h"
#include "model/quantised.h"

struct det_tflite_network {
    struct det_env *env;
    const struct det_export_job *job;
    const struct det_graph *graph;
    const struct det_quantised *quantised; /* NULL: float32 */
    struct det_tflite_model *model;
    int32_t batch;
    int32_t *tensors; /* [graph->tensor_count] of the graph's tensors, -1: not yet */
    int32_t *params;  /* the same of its parameters */
};

/* Version 1, one result. */
static inline struct det_tflite_op det_tflite_op_of(enum det_tflite_operator kind,
                                                    enum det_tflite_options options, int32_t inputs)
{
    return (struct det_tflite_op){
        .kind = kind, .version = 1, .in_count = inputs, .out_count = 1, .options_type = options};
}

static inline void det_tflite_add_option(struct det_tflite_op *op, struct det_flat_field field)
{
    op->options[op->option_count++] = field;
}
#define DET_TFLITE_OPTION_U8(op, slot, value) \
    det_tflite_add_option(op, (struct det_flat_field)DET_FLAT_U8(slot, value))
#define DET_TFLITE_OPTION_U32(op, slot, value) \
    det_tflite_add_option(op, (struct det_flat_field)DET_FLAT_U32(slot, value))

/* An operator with one result, a new float32 tensor. */
det_status det_tflite_put(struct det_tflite_network *n, struct det_tflite_op op, const char *name,
                          int32_t dims, const int32_t *shape, int32_t *out);
/* ... of the type and scale of its first input, whose values it moves. */
det_status det_tflite_put_like(struct det_tflite_network *n, struct det_tflite_op op,
                               const char *name, int32_t dims, const int32_t *shape, int32_t *out);
/* ... in 8 bits. */
det_status det_tflite_put_q8(struct det_tflite_network *n, struct det_tflite_op op,
                             const char *name, const struct det_q8_tensor *q8, int32_t dims,
                             const int32_t *shape, int32_t *out);
/* A constant called OF/PART. */
det_status det_tflite_put_ints(struct det_tflite_network *n, const char *of, const char *part,
                               int32_t dims, const int32_t *shape, const int32_t *values,
                               int32_t *tensor);
/* The values [begin, end) of each dimension. */
det_status det_tflite_put_slice(struct det_tflite_network *n, int32_t in, const char *name,
                                int32_t dims, const int32_t *begin, const int32_t *end,
                                int32_t *out);
/* In the order of TFLite, [out, kh, kw, in], depthwise [1, kh, kw, c]; values of `size` bytes. */
void det_tflite_reorder(const struct det_param *param, const void *from, size_t size,
                        int32_t shape[4], void *to);
/* Weights and biases of operation `op` in 8 bits. */
det_status det_tflite_put_q8_params(struct det_tflite_network *n, int32_t op, int32_t *weights,
                                    int32_t *bias);
/* The real values of a tensor in 8 bits, "NAME/float". */
det_status det_tflite_put_real(struct det_tflite_network *n, int32_t *at);
/* Of a tensor of the graph. */
void det_tflite_shape_of(const struct det_tflite_network *n, int32_t tensor, int32_t shape[4]);

/* The model's input and what is made of it for the network. */
det_status det_tflite_put_input(struct det_tflite_network *n);
/* What is made of the network's results, and the model's outputs. */
det_status det_tflite_put_outputs(struct det_tflite_network *n);

#endif
