/* program_nodes.h: what the nodes of a program do. Each function gets the node, its inputs (NULL
 * where an optional one is missing) and makes its outputs, of which those that it did not come to
 * are empty when it fails. That inputs are there, as many as the kind needs and of the type that it
 * takes, was checked. */
#ifndef DET_EXPORT_PROGRAM_NODES_H
#define DET_EXPORT_PROGRAM_NODES_H

#include "export/program.h"

struct det_node_run {
    struct det_env *env;
    const struct det_ops *ops;
    struct det_pool *pool;
    const struct det_node *node;
    const struct det_array *in[DET_PROGRAM_MOST_INPUTS];
    struct det_array out[DET_PROGRAM_MOST_OUTPUTS];
};

/* program_elements.c: one result for each element. */
det_status det_node_unary(struct det_node_run *run);
det_status det_node_cast(struct det_node_run *run);
det_status det_node_quantize(struct det_node_run *run);
det_status det_node_dequantize(struct det_node_run *run);
det_status det_node_binary(struct det_node_run *run);
det_status det_node_where(struct det_node_run *run);

/* program_shapes.c: elements at other places. */
det_status det_node_shape(struct det_node_run *run);
det_status det_node_reshape(struct det_node_run *run);
det_status det_node_transpose(struct det_node_run *run);
det_status det_node_concat(struct det_node_run *run);
det_status det_node_slice(struct det_node_run *run);
det_status det_node_pad(struct det_node_run *run);
det_status det_node_gather(struct det_node_run *run);
det_status det_node_gather_nd(struct det_node_run *run);
det_status det_node_range(struct det_node_run *run);
det_status det_node_reduce_sum(struct det_node_run *run);

/* program_images.c */
det_status det_node_conv(struct det_node_run *run);
det_status det_node_resize(struct det_node_run *run);

/* program_select.c: what sorts and suppresses. */
det_status det_node_top_k(struct det_node_run *run);
det_status det_node_nms(struct det_node_run *run);
det_status det_node_efficient_nms(struct det_node_run *run);
det_status det_node_decode(struct det_node_run *run);
det_status det_node_detections(struct det_node_run *run);

/* program_q8.c: 8 bits. */
det_status det_node_q8_conv(struct det_node_run *run);
det_status det_node_q8_add(struct det_node_run *run);
det_status det_node_q8_from_float(struct det_node_run *run);
det_status det_node_q8_to_float(struct det_node_run *run);

/* --- for these files --- */

/* CORRUPT, "node `NAME`: ...". */
det_status det_node_fail(const struct det_node_run *run, const char *format, ...) DET_PRINTF(2, 3);
/* Output `index` of this shape; zeros. */
det_status det_node_make(struct det_node_run *run, int32_t index, bool whole, int32_t dims,
                         const int64_t *shape);
/* What a convolution of the node's inputs is. */
det_status det_node_conv_shape(const struct det_node_run *run, struct det_conv_shape *shape);
/* axis, or axis + dims when below 0; -1 when there is no such dimension. */
int32_t det_node_axis(int32_t axis, int32_t dims);
/* Product of shape[begin .. end). */
size_t det_node_extent(const struct det_array *array, int32_t begin, int32_t end);

#endif
