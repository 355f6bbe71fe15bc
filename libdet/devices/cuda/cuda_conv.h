/* cuda_conv.h: dense convolutions and their gradients. A 1x1 convolution of stride 1 is a matrix
 * product as it stands; others go to cuDNN where it has them, else their patches are copied out as
 * rows of a matrix (kernels/im2col.h). What it has not:
 *
 *  - TensorFlow's SAME padding of even sizes at stride 2 (the network's first layer), one row more
 *    below than above
 *  - float32 results of bf16 operands, which the gradients of weights are, and the network's
 *    outputs
 *
 * Weights' gradients of few channels and many outputs are a kernel of our own's
 * (cuda_weight_gradient.h). */
#ifndef DET_DEVICES_CUDA_CONV_H
#define DET_DEVICES_CUDA_CONV_H

#include "devices/cuda/cuda_cudnn.h"
#include "devices/cuda/cuda_matmul.h"
#include "devices/cuda/cuda_weight_gradient.h"

/* A parameter in both its forms. */
struct det_cuda_param {
    const float *master; /* NULL: there is none */
    const void *typed;   /* of the device's type: the master itself, or its bf16 copy */
};

enum det_cuda_conv_method { DET_CUDA_CONV_PRODUCT, DET_CUDA_CONV_COLUMNS, DET_CUDA_CONV_LIBRARY };

struct det_cuda_conv {
    struct det_conv_shape shape;
    enum detk_type out_type;
    enum det_cuda_conv_method method;
    /* The weights' gradient: whose kernel it is, and the libraries' way to it. While times are to
     * decide between the two, `other` is our kernel as well; else LIBRARY. */
    enum det_cuda_weight_way weight_way, weight_other;
    enum det_cuda_conv_method weight_method;
    struct det_cuda_matmul forward, backward_data, backward_weight; /* PRODUCT, COLUMNS */
    size_t columns_bytes;                                           /* COLUMNS */
    struct det_cuda_cudnn library;                                  /* LIBRARY */
    size_t workspace_bytes;                                         /* of any of the three passes */
};

/* What a convolution will be asked for. */
struct det_cuda_conv_uses {
    bool bias, backward_data, backward_weight;
    bool float_out; /* the output is float32 whatever the device's type is; its gradient is not */
};

det_status det_cuda_conv_create(struct det_env *env, struct det_device *device,
                                const struct det_conv_shape *shape,
                                const struct det_cuda_conv_uses *uses, struct det_cuda_conv *conv);
void det_cuda_conv_destroy(struct det_cuda_conv *conv);

/* The workspace is aligned to DETK_ALIGN; `what` is for messages. */
det_status det_cuda_conv_forward(struct det_env *env, const struct det_device *device,
                                 const struct det_cuda_conv *conv, const void *in,
                                 struct det_cuda_param weight, struct det_cuda_param bias,
                                 enum det_activation act, void *out, void *workspace,
                                 const char *what);
det_status det_cuda_conv_backward_data(struct det_env *env, const struct det_device *device,
                                       const struct det_cuda_conv *conv, const void *dout,
                                       struct det_cuda_param weight, void *din, bool accumulate,
                                       void *workspace, const char *what);
det_status det_cuda_conv_backward_weight(struct det_env *env, const struct det_device *device,
                                         const struct det_cuda_conv *conv, const void *in,
                                         const void *dout, float *dweight, bool accumulate,
                                         void *workspace, const char *what);

/* Whether times are to decide between algorithms. */
static inline bool det_cuda_conv_has_candidates(const struct det_cuda_conv *conv)
{
    return conv->forward.count > 1 || conv->backward_data.count > 1 ||
           conv->backward_weight.count > 1;
}

struct det_cuda_tuner;
/* Where everything lies; what passes that were not asked for would need is not looked at. */
struct det_cuda_conv_operands {
    const void *in, *dout;
    struct det_cuda_param weight, bias;
    void *out, *din;
    float *dweight;
};
/* The products' algorithms, and whose kernel the weights' gradient is, by their times
 * (cuda_tune.h). The contents of all outputs are lost. */
det_status det_cuda_conv_tune(struct det_env *env, struct det_cuda_tuner *tuner,
                              struct det_cuda_conv *conv,
                              const struct det_cuda_conv_operands *operands, void *workspace);

#endif
