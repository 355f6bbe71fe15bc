#include "devices/cuda/cuda_matmul.h"

#include <math.h>

#include "devices/cuda/cuda_error.h"
#include "devices/cuda/cuda_tune.h"

/* What cublasLt may ask for; Hopper's algorithms want this much. Plans say what they really
 * need. */
#define MOST_WORKSPACE ((size_t)32 << 20)

static cudaDataType_t data_type(enum detk_type type)
{
    return type == DETK_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static cublasComputeType_t compute_type(const struct det_device *device,
                                        enum det_cuda_product product)
{
    if (product == DET_CUDA_FORWARD_Q8)
        return CUBLAS_COMPUTE_32I;
    return device->settings.precision == DET_PRECISION_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                            : CUBLAS_COMPUTE_32F;
}

/* The transposed problem out^T = right^T x left^T: cublasLt's A is `right`, its B is `left`.
 * Row-major [rows, columns] is for it a matrix of columns x rows, so that an operand is to be
 * transposed exactly where the row-major product has it so. Integers are scaled by integers. */
static det_status describe(struct det_env *env, const struct det_device *device,
                           enum det_cuda_product product, bool bias, struct det_cuda_matmul *m)
{
    static const char what[] = "planning a matrix product";
    const bool q8 = product == DET_CUDA_FORWARD_Q8;
    const cublasOperation_t a =
        product == DET_CUDA_BACKWARD_DATA || q8 ? CUBLAS_OP_T : CUBLAS_OP_N; /* w^T */
    const cublasOperation_t b =
        product == DET_CUDA_BACKWARD_WEIGHT ? CUBLAS_OP_T : CUBLAS_OP_N; /* in^T */
    DET_TRY_RETURN(
        det_cublas_check(env,
                         cublasLtMatmulDescCreate(&m->operation, compute_type(device, product),
                                                  q8 ? CUDA_R_32I : CUDA_R_32F),
                         what));
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

static det_status make_layout(struct det_env *env, cudaDataType_t type, int64_t rows,
                              int32_t columns, int32_t stride, cublasLtMatrixLayout_t *layout)
{
    return det_cublas_check(
        env, cublasLtMatrixLayoutCreate(layout, type, (uint64_t)columns, (uint64_t)rows, stride),
        "planning a matrix product");
}

static det_status make_q8_layouts(struct det_env *env, const struct det_cuda_matmul_shape *s,
                                  struct det_cuda_matmul *m)
{
    DET_TRY_RETURN(make_layout(env, CUDA_R_8I, s->rows, s->k, s->in_stride, &m->left));
    DET_TRY_RETURN(make_layout(env, CUDA_R_8I, s->n, s->k, s->k, &m->right));
    return make_layout(env, CUDA_R_32I, s->rows, s->n, s->n, &m->out);
}

static det_status make_layouts(struct det_env *env, enum detk_type type,
                               enum det_cuda_product product, const struct det_cuda_matmul_shape *s,
                               struct det_cuda_matmul *m)
{
    cublasLtMatrixLayout_t *in = &m->left, *weight = &m->right, *out = &m->out;
    enum detk_type weight_type = type, out_type = type;
    if (product == DET_CUDA_FORWARD_Q8)
        return make_q8_layouts(env, s, m);
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
    DET_TRY_RETURN(make_layout(env, data_type(type), s->rows, s->k, s->in_stride, in));
    DET_TRY_RETURN(make_layout(env, data_type(weight_type), s->k, s->n, s->n, weight));
    return make_layout(env, data_type(out_type), s->rows, s->n, s->n, out);
}

static det_status prefer(struct det_env *env, cublasLtMatmulPreference_t preference,
                         cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                         size_t bytes)
{
    return det_cublas_check(
        env, cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes),
        "planning a matrix product");
}

/* Usable ones of cublasLt's list become candidates. */
static void keep_usable(const cublasLtMatmulHeuristicResult_t *results, int found,
                        struct det_cuda_matmul *m)
{
    for (int i = 0; i < found; i++) {
        const cublasLtMatmulHeuristicResult_t *r = &results[i];
        if (r->state != CUBLAS_STATUS_SUCCESS || r->workspaceSize > MOST_WORKSPACE)
            continue;
        m->candidates[m->count++] = (struct det_cuda_algorithm){r->algo, r->workspaceSize};
        if (r->workspaceSize > m->workspace_bytes)
            m->workspace_bytes = r->workspaceSize;
    }
}

/* Of 8-bit rows that begin anywhere in a tensor: of such a stride. */
static uint32_t row_alignment(int32_t stride)
{
    const uint32_t least = (uint32_t)stride & -(uint32_t)stride;
    return least < DET_CUDA_OPERAND_ALIGN ? least : DET_CUDA_OPERAND_ALIGN;
}

static det_status no_algorithm(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_problem *problem)
{
    const struct det_cuda_matmul_shape *s = &problem->shape;
    if (problem->product == DET_CUDA_FORWARD_Q8)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "cuda:%d: cublasLt has no algorithm for a product of %lld x %d x %d in 8 "
                        "bits on %s, of compute capability %d.%d: the CPU runs the model (device "
                        "cpu), or the model in float32",
                        device->index, (long long)s->rows, s->k, s->n, device->name, device->major,
                        device->minor);
    return det_fail(env, DET_STATUS_UNSUPPORTED,
                    "cublasLt has no algorithm for a product of %lld x %d x %d", (long long)s->rows,
                    s->k, s->n);
}

/* cublasLt's first choices among what is allowed. Its algorithms give the same bits each time on
 * the same GPU, with one exception that `deterministic` leaves out: partial sums added up in the
 * output itself, in an order that the documentation leaves open. */
static det_status choose(struct det_env *env, const struct det_device *device,
                         struct det_cuda_matmul *m)
{
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t align = DET_CUDA_OPERAND_ALIGN;
    const uint32_t left_align = m->problem.product == DET_CUDA_FORWARD_Q8
                                    ? row_alignment(m->problem.shape.in_stride)
                                    : align;
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
        DET_TRY(
            prefer(env, preference, alignments[i], i == 0 ? &left_align : &align, sizeof align));
    if (device->settings.deterministic)
        DET_TRY(prefer(env, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
                       sizeof reductions));
    cublasLtMatmulHeuristicResult_t results[DET_CUDA_CANDIDATES];
    const int wanted = det_cuda_tunes(device) ? DET_CUDA_CANDIDATES : 1;
    int found = 0;
    const cublasStatus_t answer =
        cublasLtMatmulAlgoGetHeuristic(device->cublas, m->operation, m->right, m->left, m->out,
                                       m->out, preference, wanted, results, &found);
    if (answer == CUBLAS_STATUS_SUCCESS)
        keep_usable(results, found, m);
    if (answer == CUBLAS_STATUS_NOT_SUPPORTED || (answer == CUBLAS_STATUS_SUCCESS && m->count < 1))
        DET_TRY(no_algorithm(env, device, &m->problem));
    DET_TRY(det_cublas_check(env, answer, "planning a matrix product"));
fail:
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static void take(struct det_cuda_matmul *m, const struct det_cuda_algorithm *algorithm)
{
    m->candidates[0] = *algorithm;
    m->count = 1;
    if (algorithm->workspace_bytes > m->workspace_bytes)
        m->workspace_bytes = algorithm->workspace_bytes;
}

det_status det_cuda_matmul_create(struct det_env *env, const struct det_device *device,
                                  enum det_cuda_product product,
                                  const struct det_cuda_matmul_shape *shape, bool bias,
                                  struct det_cuda_matmul *m)
{
    *m = (struct det_cuda_matmul){.problem = {product, *shape, bias}};
    const struct det_cuda_choice *known = det_cuda_choice_find(device, &m->problem);
    det_status status = DET_OK;
    DET_TRY(describe(env, device, product, bias, m));
    DET_TRY(make_layouts(env, device->type, product, shape, m));
    if (known != NULL)
        take(m, &known->algorithm);
    else
        DET_TRY(choose(env, device, m));
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

static cublasStatus_t multiply(const struct det_device *device, const struct det_cuda_matmul *m,
                               const struct det_cuda_algorithm *algorithm, const void *left,
                               const void *right, const void *bias, void *out, bool accumulate,
                               void *workspace)
{
    const bool q8 = m->problem.product == DET_CUDA_FORWARD_Q8;
    const float one = 1, beta = accumulate ? 1 : 0;
    const int32_t whole_one = 1, whole_zero = 0;
    if (bias != NULL) {
        const cublasStatus_t answer = cublasLtMatmulDescSetAttribute(
            m->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
        if (answer != CUBLAS_STATUS_SUCCESS)
            return answer;
    }
    return cublasLtMatmul(
        device->cublas, m->operation, q8 ? (const void *)&whole_one : (const void *)&one, right,
        m->right, left, m->left, q8 ? (const void *)&whole_zero : (const void *)&beta, out, m->out,
        out, m->out, &algorithm->algorithm, workspace, algorithm->workspace_bytes, device->stream);
}

det_status det_cuda_matmul_run(struct det_env *env, const struct det_device *device,
                               const struct det_cuda_matmul *m, const void *left, const void *right,
                               const void *bias, void *out, bool accumulate, void *workspace,
                               const char *what)
{
    return det_cublas_check(
        env, multiply(device, m, &m->candidates[0], left, right, bias, out, accumulate, workspace),
        what);
}

/* An algorithm, and where the operands lie while it is timed. */
struct trial {
    const struct det_device *device;
    const struct det_cuda_matmul *matmul;
    const struct det_cuda_algorithm *algorithm;
    const void *left, *right, *bias;
    void *out, *workspace;
};

/* Answers of an algorithm that this product cannot have after all, or not on this GPU. Others are
 * the device's. */
static bool is_unusable(cublasStatus_t answer)
{
    return answer == CUBLAS_STATUS_NOT_SUPPORTED || answer == CUBLAS_STATUS_INVALID_VALUE ||
           answer == CUBLAS_STATUS_ALLOC_FAILED || answer == CUBLAS_STATUS_ARCH_MISMATCH ||
           answer == CUBLAS_STATUS_INTERNAL_ERROR;
}

static det_status try_algorithm(struct det_env *env, const void *argument)
{
    const struct trial *t = argument;
    const cublasStatus_t answer = multiply(t->device, t->matmul, t->algorithm, t->left, t->right,
                                           t->bias, t->out, false, t->workspace);
    if (!is_unusable(answer))
        return det_cublas_check(env, answer, "timing a matrix product");
    (void)cudaGetLastError(); /* of a launch that was refused: not the next kernel's */
    return det_fail(env, DET_STATUS_UNSUPPORTED, "cublasLt: status %d", (int)answer);
}

static const char *product_name(enum det_cuda_product product)
{
    static const char *const names[] = {
        [DET_CUDA_FORWARD] = "forward",
        [DET_CUDA_BACKWARD_DATA] = "input's gradient",
        [DET_CUDA_BACKWARD_WEIGHT] = "weights' gradient",
        [DET_CUDA_FORWARD_Q8] = "forward",
    };
    return names[product];
}

/* Times all; *chosen < 0: none can be run. */
static det_status time_candidates(struct det_env *env, const struct det_cuda_tuner *t,
                                  const struct det_cuda_matmul *m, struct trial trial,
                                  int32_t *chosen)
{
    const struct det_cuda_matmul_shape *s = &m->problem.shape;
    char times[DET_CUDA_CANDIDATES * 16] = "";
    float best = INFINITY;
    *chosen = -1;
    for (int32_t i = 0; i < m->count; i++) {
        float microseconds = INFINITY;
        trial.algorithm = &m->candidates[i];
        DET_TRY_RETURN(det_cuda_tuner_time(env, t, try_algorithm, &trial, best, &microseconds));
        det_cuda_tuner_list(times, sizeof times, microseconds);
        if (microseconds < DET_CUDA_TUNE_MARGIN * best) {
            best = microseconds;
            *chosen = i;
        }
    }
    det_log(env, DET_LOG_DEBUG,
            "cublasLt: %s%s, %lld x %d x %d (rows of %d), %s: takes algorithm %d of %d, us:%s",
            product_name(m->problem.product), m->problem.bias ? " with bias" : "",
            (long long)s->rows, s->k, s->n, s->in_stride,
            m->problem.product == DET_CUDA_FORWARD_Q8 ? "int8"
            : t->device->type == DETK_BF16            ? "bf16"
                                                      : "float32",
            *chosen + 1, m->count, times);
    return DET_OK;
}

det_status det_cuda_matmul_tune(struct det_env *env, struct det_cuda_tuner *t,
                                struct det_cuda_matmul *m, const void *left, const void *right,
                                const void *bias, void *out, void *workspace)
{
    const struct det_cuda_choice *known = det_cuda_choice_find(t->device, &m->problem);
    const struct trial trial = {t->device, m, NULL, left, right, bias, out, workspace};
    bool goes_on = false;
    int32_t chosen = -1;
    if (m->count < 2)
        return DET_OK;
    if (known != NULL) {
        take(m, &known->algorithm);
        return DET_OK;
    }
    DET_TRY_RETURN(det_cuda_tuner_goes_on(env, t, &goes_on));
    if (!goes_on) {
        t->left++;
        m->count = 1;
        return DET_OK;
    }
    DET_TRY_RETURN(time_candidates(env, t, m, trial, &chosen));
    if (chosen < 0)
        return det_fail(
            env, DET_STATUS_DEVICE,
            "cublasLt: none of %d algorithms for a product of %lld x %d x %d can be run", m->count,
            (long long)m->problem.shape.rows, m->problem.shape.k, m->problem.shape.n);
    t->timed++;
    t->others += chosen > 0;
    take(m, &m->candidates[chosen]);
    return det_cuda_choice_add(
        env, t->device,
        &(struct det_cuda_choice){.problem = m->problem, .algorithm = m->candidates[0]});
}
