/* cuda_matmul.h: the products that a 1x1 convolution and its gradients are, by cublasLt, and that
 * of a convolution in 8 bits.
 *
 * All matrices are row-major here; cublasLt's are column-major, so it is handed the transposed
 * problem: what is row-major [rows, n] is column-major n x rows without moving a byte. A plan
 * (descriptors, algorithm, workspace) is made once for a shape; running it neither allocates nor
 * searches.
 *
 * cublasLt names several algorithms for a product. The first is taken, unless they are timed
 * (cuda_tune.h). */
#ifndef DET_DEVICES_CUDA_MATMUL_H
#define DET_DEVICES_CUDA_MATMUL_H

#include "devices/cuda/cuda_device.h"

enum det_cuda_product {
    DET_CUDA_FORWARD,         /* out [rows, n] = in [rows, k] x w [k, n] (+ bias [n]) */
    DET_CUDA_BACKWARD_DATA,   /* din [rows, k] (+)= dout [rows, n] x w^T */
    DET_CUDA_BACKWARD_WEIGHT, /* dw [k, n] (+)= in^T x dout, float32 */
    /* out [rows, n] int32 = in [rows, k] x w^T, in and w [n, k] int8. Tensor cores take k, n and
     * in_stride that are multiples of 4, and w as it stands here, alone */
    DET_CUDA_FORWARD_Q8,
};

struct det_cuda_matmul_shape {
    int64_t rows;
    int32_t k, n;
    /* values from row to row of `in` and `din`: k, or more where rows are padded */
    int32_t in_stride;
    enum detk_type out_type; /* of FORWARD's `out` and bias: the device's, or float32 */
};

/* Alignment of the operands that plans rely on. Activations have DETK_ALIGN; a parameter in the
 * block of bf16 weights has this. */
#define DET_CUDA_OPERAND_ALIGN 32

/* What is multiplied: equal problems have equal algorithms. */
struct det_cuda_problem {
    enum det_cuda_product product;
    struct det_cuda_matmul_shape shape;
    bool bias;
};

struct det_cuda_algorithm {
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
};

/* Algorithms that are asked for where they are timed. */
enum { DET_CUDA_CANDIDATES = 8 };

struct det_cuda_matmul {
    struct det_cuda_problem problem;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t left, right, out;
    struct det_cuda_algorithm candidates[DET_CUDA_CANDIDATES]; /* the first is run */
    int32_t count;                                             /* 0: there is no plan */
    size_t workspace_bytes;                                    /* of any of them */
};

/* Operands are of the device's type, weights too, but for FORWARD_Q8. `bias`: a bias is given to
 * each run, which FORWARD adds in the product's epilogue. UNSUPPORTED when cublasLt has no
 * algorithm. */
det_status det_cuda_matmul_create(struct det_env *env, const struct det_device *device,
                                  enum det_cuda_product product,
                                  const struct det_cuda_matmul_shape *shape, bool bias,
                                  struct det_cuda_matmul *matmul);
void det_cuda_matmul_destroy(struct det_cuda_matmul *matmul);

/* left: in, dout, in; right: w, w, dout; out: out, din, dw. `what` is for messages. FORWARD_Q8 is
 * as FORWARD; it does not accumulate, and its `left` need only be aligned as its rows are. */
det_status det_cuda_matmul_run(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_matmul *matmul, const void *left,
                               const void *right, const void *bias, void *out, bool accumulate,
                               void *workspace, const char *what);

struct det_cuda_tuner;
/* The fastest candidate becomes the first and only one; the workspace is as for a run. The contents
 * of `out` are lost. A plan of one candidate, or none, is left as it is. */
det_status det_cuda_matmul_tune(struct det_env *env, struct det_cuda_tuner *tuner,
                                struct det_cuda_matmul *matmul, const void *left, const void *right,
                                const void *bias, void *out, void *workspace);

#endif
