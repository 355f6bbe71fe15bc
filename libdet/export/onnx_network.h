/* onnx_network.h: the network while it is written: what is in float32 (onnx_network.c), and what is
 * in 8 bits (onnx_eight_bits.c), in the form QDQ that engines make whole numbers of: an operation
 * in 8 bits reads what a DequantizeLinear makes, of its weights and bias too, and a QuantizeLinear
 * reads what it makes. */
#ifndef DET_EXPORT_ONNX_NETWORK_H
#define DET_EXPORT_ONNX_NETWORK_H

#include "export/onnx_parts.h"
#include "ops/q8.h"

/* Values of a tensor; DET_ONNX_NO_VALUE until they are written. */
struct det_onnx_tensor {
    int32_t exact;       /* as its operation made it */
    int32_t rounded;     /* as operations in 8 bits read it */
    int32_t scale, zero; /* initialisers, of 8 bits */
};

struct det_onnx_network {
    struct det_onnx_job *o;
    const struct det_graph *graph;
    const struct det_quantised *quantised; /* NULL: float32 */
    struct det_onnx_tensor *tensors;       /* [tensor_count] */
    int32_t *params;                       /* [param_count] values in float32 */
    int32_t *kernels;                      /* [param_count] ... of what is in 8 bits */
    struct det_onnx_bounds relu6;          /* high 0: not written yet */
    int32_t twice;                         /* scales of the upsampling */
};

/* `value` behind a convolution's activation. */
int32_t det_onnx_put_activation(struct det_onnx_network *n, const struct det_op *op, int32_t value);
/* A convolution of inputs, weights and bias that are there. */
int32_t det_onnx_put_conv(struct det_onnx_network *n, const struct det_op *op,
                          const int32_t inputs[3]);
/* Each value twice, in both directions. */
int32_t det_onnx_put_upsample(struct det_onnx_network *n, int32_t x);
/* HWIO -> OIHW, of depthwise kernels HWC1 -> C1HW: the shape, and where value `from` goes. */
void det_onnx_kernel_shape(const struct det_param *param, int64_t shape[4]);
size_t det_onnx_kernel_place(const struct det_param *param, size_t from);

/* Operation `index`, which is in 8 bits: sets what its result is. */
void det_onnx_put_eight_bits(struct det_onnx_network *n, int32_t index);

#endif
