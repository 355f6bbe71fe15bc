/* cuda_q8_conv.h: a convolution in 8 bits. Dense ones are cublasLt's products with sums of 32 bits,
 * which a kernel brings to 8 (kernels/q8.h): of the input itself for 1x1, else of its patches
 * (kernels/im2col.h), and so where channels are no multiple of what cublasLt takes; pass by pass
 * (cuda_q8_passes.h). Depthwise ones are a kernel of our own. */
#ifndef DET_DEVICES_CUDA_Q8_CONV_H
#define DET_DEVICES_CUDA_Q8_CONV_H

#include "devices/cuda/cuda_matmul.h"
#include "devices/cuda/cuda_memory.h"
#include "ops/q8.h"
#include "q8.h"

struct det_cuda_q8_conv {
    struct det_conv_shape shape;
    bool depthwise;
    size_t weights_at, bias_at, scales_at; /* among the network's constants */
    size_t workspace_bytes;
    /* Dense ones: a pass's rows, how many passes there are, and where in the workspace its sums and
     * the product's own workspace are; patches, if there are any, come first. */
    bool columns;
    int64_t pass_rows, passes;
    size_t sums_at, product_at;
    struct det_cuda_matmul product;
    /* From the layer, by det_cuda_q8_conv_pack(). */
    int32_t in_zero;
    struct det_q8_target to;
};

/* Makes room among `constants` for weights, bias and scales. */
det_status det_cuda_q8_conv_create(struct det_env *env, const struct det_device *device,
                                   const struct det_conv_shape *shape, bool depthwise,
                                   struct det_cuda_layout *constants,
                                   struct det_cuda_q8_conv *conv);
void det_cuda_q8_conv_destroy(struct det_cuda_q8_conv *conv);

/* Writes the layer's constants, as the kernels want them, into the host's copy of all constants,
 * which held zeros. */
void det_cuda_q8_conv_pack(struct det_cuda_q8_conv *conv, const struct det_q8_conv *layer,
                           uint8_t *constants);

/* `constants` on the device; `addend`: NULL, or what is added to a dense one's result. */
det_status det_cuda_q8_conv_forward(struct det_env *env, const struct det_device *device,
                                    const struct det_cuda_q8_conv *conv, const uint8_t *constants,
                                    const int8_t *in, const struct detk_q8_addend *addend,
                                    int8_t *out, void *workspace, const char *what);

struct det_cuda_tuner;
/* The product's algorithm by its times (cuda_tune.h). */
det_status det_cuda_q8_conv_tune(struct det_env *env, struct det_cuda_tuner *tuner,
                                 struct det_cuda_q8_conv *conv, const uint8_t *constants,
                                 const int8_t *in, void *workspace);

#endif
