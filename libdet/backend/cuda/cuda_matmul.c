#include "backend/cuda/cuda_matmul.h"

#include "backend/cuda/cuda_error.h"

/* What cublasLt may ask for; Hopper's algorithms want this much. Plans say what they really need. */
#define MOST_WORKSPACE ((size_t)32 << 20)

static cudaDataType_t data_type(enum detk_type type)
{
    return type == DETK_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasComputeType_t compute_type(const struct det_device *device)
{
    return device->settings.precision == DET_PRECISION_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                            : CUBLAS_COMPUTE_32F;
}

/* The transposed problem out^T = right^T x left^T: cublasLt's A is `right`, its B is `left`. Row-major [rows, columns] is for
 * it a matrix of columns x rows, so that an operand is to be transposed exactly where the row-major product has it so. */
static det_status describe(struct det_env *env, const struct det_device *device,
                           enum det_cuda_product product, bool bias, struct det_cuda_matmul *m)
{
    static const char what[] = "planning a matrix product";
    const cublasOperation_t a =
        product == DET_CUDA_BACKWARD_DATA ? CUBLAS_OP_T : CUBLAS_OP_N; /* w^T */
    const cublasOperation_t b =
        product == DET_CUDA_BACKWARD_WEIGHT ? CUBLAS_OP_T : CUBLAS_OP_N; /* in^T */
    DET_TRY_RETURN(det_cublas_check(
        env, cublasLtMatmulDescCreate(&m->operation, compute_type(device), CUDA_R_32F), what));
    DET_TRY_RETURN(det_cublas_check(
        env,
        cublasLtMatmulDescSetAttribute(m->operation, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a),
        what));
    DET_TRY_RETURN(det_cublas_check(
        env,
        cublasLtMatmulDescSetAttribute(m->operation, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b),
        what));
    if (!bias)
        return DET_OK;
    const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    /* Not read while planning, but its alignment is looked at. */
    const void *aligned = (const void *)(uintptr_t)DET_CUDA_OPERAND_ALIGN;
    DET_TRY_RETURN(
        det_cublas_check(env,
                         cublasLtMatmulDescSetAttribute(m->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                        &epilogue, sizeof epilogue),
                         what));
    return det_cublas_check(env,
                            cublasLtMatmulDescSetAttribute(m->operation,
                                                           CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                           &aligned, sizeof aligned),
                            what);
}

static det_status make_layout(struct det_env *env, enum detk_type type, int64_t rows,
                              int32_t columns, int32_t stride, cublasLtMatrixLayout_t *layout)
{
    return det_cublas_check(env,
                            cublasLtMatrixLayoutCreate(layout, data_type(type), (uint64_t)columns,
                                                       (uint64_t)rows, stride),
                            "planning a matrix product");
}

static det_status make_layouts(struct det_env *env, enum detk_type type,
                               enum det_cuda_product product, const struct det_cuda_matmul_shape *s,
                               struct det_cuda_matmul *m)
{
    cublasLtMatrixLayout_t *in = &m->left, *weight = &m->right, *out = &m->out;
    enum detk_type weight_type = type, out_type = type;
    if (product == DET_CUDA_FORWARD)
        out_type = s->out_type;
    if (product == DET_CUDA_BACKWARD_DATA) {
        in = &m->out;
        out = &m->left;
    } else if (product == DET_CUDA_BACKWARD_WEIGHT) {
        weight = &m->out;
        out = &m->right;
        weight_type = DETK_F32;
    }
    DET_TRY_RETURN(make_layout(env, type, s->rows, s->k, s->in_stride, in));
    DET_TRY_RETURN(make_layout(env, weight_type, s->k, s->n, s->n, weight));
    return make_layout(env, out_type, s->rows, s->n, s->n, out);
}

static det_status prefer(struct det_env *env, cublasLtMatmulPreference_t preference,
                         cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                         size_t bytes)
{
    return det_cublas_check(
        env, cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes),
        "planning a matrix product");
}

/* cublasLt's first choice among what is allowed. Its algorithms give the same bits each time on the same GPU, with one
 * exception that `deterministic` leaves out: partial sums added up in the output itself, in an order that the documentation
 * leaves open. */
static det_status choose(struct det_env *env, const struct det_device *device,
                         const struct det_cuda_matmul_shape *s, struct det_cuda_matmul *m)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t align = DET_CUDA_OPERAND_ALIGN;
    const uint64_t workspace = MOST_WORKSPACE;
    const uint32_t reductions =
        CUBLASLT_REDUCTION_SCHEME_MASK & ~(uint32_t)CUBLASLT_REDUCTION_SCHEME_INPLACE;
    cublasLtMatmulPreference_t preference = NULL;
    DET_TRY_RETURN(det_cublas_check(env, cublasLtMatmulPreferenceCreate(&preference),
                                    "planning a matrix product"));
    det_status status = DET_OK;
    DET_TRY(prefer(env, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace,
                   sizeof workspace));
    for (int i = 0; i < 4; i++)
        DET_TRY(prefer(env, preference, alignments[i], &align, sizeof align));
    if (device->settings.deterministic)
        DET_TRY(prefer(env, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
                       sizeof reductions));
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    const cublasStatus_t answer =
        cublasLtMatmulAlgoGetHeuristic(device->cublas, m->operation, m->right, m->left, m->out,
                                       m->out, preference, 1, &result, &found);
    if (answer == CUBLAS_STATUS_NOT_SUPPORTED || (answer == CUBLAS_STATUS_SUCCESS && found < 1))
        DET_TRY(det_fail(env, DET_STATUS_UNSUPPORTED,
                         "cublasLt has no algorithm for a product of %lld x %d x %d",
                         (long long)s->rows, s->k, s->n));
    DET_TRY(det_cublas_check(env, answer, "planning a matrix product"));
    m->algorithm = result.algo;
    m->workspace_bytes = result.workspaceSize;
fail:
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

det_status det_cuda_matmul_create(struct det_env *env, const struct det_device *device,
                                  enum det_cuda_product product,
                                  const struct det_cuda_matmul_shape *shape, bool bias,
                                  struct det_cuda_matmul *m)
{
    *m = (struct det_cuda_matmul){0};
    det_status status = DET_OK;
    DET_TRY(describe(env, device, product, bias, m));
    DET_TRY(make_layouts(env, device->type, product, shape, m));
    DET_TRY(choose(env, device, shape, m));
    return DET_OK;
fail:
    det_cuda_matmul_destroy(m);
    return status;
}

void det_cuda_matmul_destroy(struct det_cuda_matmul *m)
{
    if (m->operation != NULL)
        (void)cublasLtMatmulDescDestroy(m->operation);
    if (m->left != NULL)
        (void)cublasLtMatrixLayoutDestroy(m->left);
    if (m->right != NULL)
        (void)cublasLtMatrixLayoutDestroy(m->right);
    if (m->out != NULL)
        (void)cublasLtMatrixLayoutDestroy(m->out);
    *m = (struct det_cuda_matmul){0};
}

det_status det_cuda_matmul_run(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_matmul *m, const void *left, const void *right,
                               const void *bias, void *out, bool accumulate, void *workspace,
                               const char *what)
{
    const float one = 1, beta = accumulate ? 1 : 0;
    if (bias != NULL)
        DET_TRY_RETURN(det_cublas_check(
            env,
            cublasLtMatmulDescSetAttribute(m->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias,
                                           sizeof bias),
            what));
    return det_cublas_check(env,
                            cublasLtMatmul(device->cublas, m->operation, &one, right, m->right,
                                           left, m->left, &beta, out, m->out, out, m->out,
                                           &m->algorithm, workspace, m->workspace_bytes,
                                           device->stream),
                            what);
}
