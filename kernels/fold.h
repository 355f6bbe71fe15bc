/* fold.h: the folded network's parameters, their weights rounded to 8 bits, of the training form's,
 * and its gradients back to that. Agrees with model/fold.h. One launch each whatever the number of
 * layers. */
#ifndef DET_KERNELS_FOLD_H
#define DET_KERNELS_FOLD_H

#include "fake_quant.h"
#include "kernel.h"

DETK_BEGIN

/* A convolution: its weights in both forms. Table in device memory; -1: there is none. */
struct detk_fold_layer {
    int64_t kernel, bias, gamma, beta, mean, variance; /* in the training form's block */
    int64_t folded_kernel, folded_bias;                /* in the folded form's */
    int32_t rows, channels;                            /* of the kernel [rows][channels] */
    float epsilon;
    /* Tensors that the folded weights meet, whose steps the bias must fit (det_q8_weight_limits());
     * the network's input is 0. */
    struct detk_alike in;
    int32_t next; /* the next layer of the same kernel of the training form, -1: none */
};

/* folded <- params. With the first batch, of rate 1, no range is known. */
cudaError_t detk_fold_params(cudaStream_t stream, const struct detk_fold_layer *layers,
                             int32_t count, int32_t most_channels, const float *params,
                             const struct detk_ranges *ranges, float *folded);
/* gradients <- folded_gradients, at `params`. `heads` [head_count]: the first layer of each kernel
 * of the training form. */
cudaError_t detk_fold_gradients(cudaStream_t stream, const struct detk_fold_layer *layers,
                                const int32_t *heads, int32_t head_count, int32_t most_channels,
                                const float *params, const float *folded_gradients,
                                float *gradients);

DETK_END
#endif
