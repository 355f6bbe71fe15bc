/* cublaslt.cc: matrix products: column-major, D = alpha op(A) op(B) + beta C (+ bias), of floats,
 * or of 8-bit integers with sums of 32 bits as tensor cores take them. Arguments are checked as
 * strictly as the real library's documentation has them; a plan holds only for what it was made
 * for. Long sums are split and added up in the output itself where the caller allows it: then a run
 * gives other bits than the one before. TF32 rounds where it is allowed. A test may have it offer
 * several algorithms (cuda_emu_set_algorithms): every second one adds up in another order, so that
 * its bits are others. */
#include <stdlib.h>

#include <set>

#include "include/cublasLt.h"
#include "values.h"

using namespace det_emu;

struct det_emu_cublas {
    int alive;
};
struct det_emu_matmul_desc {
    cublasComputeType_t compute;
    bool transpose_a, transpose_b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
};
struct det_emu_matrix_layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t ld;
};
struct det_emu_matmul_preference {
    uint64_t workspace;
    uint32_t alignment[4]; /* A, B, C, D */
    uint32_t reductions;
};

namespace det_emu
{

long live_handles;

bool other_order()
{
    static uint32_t state = 1;
    state = state * 1664525U + 1013904223U;
    return (state >> 16 & 1U) != 0;
}

__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3"))) void
add_multiple(float *out, const float *in, float factor, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] += factor * in[i];
}

/* What a plan was made for, as it stands in cublasLtMatmulAlgo_t. */
struct plan {
    uint64_t magic, workspace, m, n, k;
    uint32_t alignment, in_place; /* 1: partial sums are added up in the output, in any order */
    uint32_t algorithm;           /* of those offered */
};
static_assert(sizeof(plan) <= sizeof(cublasLtMatmulAlgo_t), "a plan fits an algorithm");
constexpr uint64_t plan_magic = 0x6D61746D756Cu;
/* Some, so that a caller who gives none is found. */
constexpr size_t plan_workspace = 4096;
/* From this length on sums are split. */
constexpr uint64_t split_from = 256;

static cuda_emu_algorithm usual = {0, plan_workspace, 0, 0, 0};
static cuda_emu_algorithm *algorithms = &usual;
static int algorithm_count = 1;
static uint64_t integer_multiple = 4;

static std::set<void *> alive;

template <typename T> static T *keep(T *handle)
{
    alive.insert(handle);
    live_handles++;
    return handle;
}

template <typename T> static cublasStatus_t destroy(T *handle)
{
    if (alive.erase(handle) == 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    live_handles--;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t refuse(const char *why)
{
    report("cublasLt: %s", why);
    return CUBLAS_STATUS_INVALID_VALUE;
}

static size_t element_bytes(const det_emu_matrix_layout *layout)
{
    return layout->type == CUDA_R_8I ? 1 : layout->type == CUDA_R_16BF ? 2 : 4;
}

static size_t span_bytes(const det_emu_matrix_layout *l)
{
    return ((size_t)l->ld * (l->columns - 1) + l->rows) * element_bytes(l);
}

struct problem {
    uint64_t m, n, k;
};

/* What tensor cores ask of 8-bit integers in regular order (cublasLtMatmul()'s documentation). */
static const char *check_integers(const det_emu_matmul_desc *desc, const det_emu_matrix_layout *a,
                                  const det_emu_matrix_layout *b, const det_emu_matrix_layout *d,
                                  const problem &p)
{
    if (a->type != CUDA_R_8I || d->type != CUDA_R_32I)
        return "integers are 8 bits, their sums 32";
    if (!desc->transpose_a || desc->transpose_b)
        return "of integers A is transposed and B is not";
    if (p.m % 4 != 0 || p.k % 4 != 0 || a->ld % 4 != 0 || b->ld % 4 != 0 || d->ld % 4 != 0)
        return "of integers m, k and leading dimensions are multiples of 4";
    if (desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT)
        return "sums of 32 bits have no epilogue";
    return nullptr;
}

/* Sizes and types that fit together; nullptr, or why not. */
static const char *check_shapes(const det_emu_matmul_desc *desc, const det_emu_matrix_layout *a,
                                const det_emu_matrix_layout *b, const det_emu_matrix_layout *c,
                                const det_emu_matrix_layout *d, problem *p)
{
    for (const det_emu_matrix_layout *l : {a, b, c, d}) {
        if (alive.count((void *)l) == 0)
            return "a layout is no living handle";
        if (l->rows == 0 || l->columns == 0 || l->ld < (int64_t)l->rows)
            return "a leading dimension is below the rows";
    }
    p->m = d->rows;
    p->n = d->columns;
    p->k = desc->transpose_a ? a->rows : a->columns;
    if ((desc->transpose_a ? a->columns : a->rows) != p->m ||
        (desc->transpose_b ? b->rows : b->columns) != p->n ||
        (desc->transpose_b ? b->columns : b->rows) != p->k || c->rows != p->m || c->columns != p->n)
        return "the matrices' sizes do not fit together";
    if (a->type != b->type || c->type != d->type)
        return "types of A and B, or of C and D, differ";
    if (desc->compute == CUBLAS_COMPUTE_32I)
        return check_integers(desc, a, b, d, *p);
    if (a->type == CUDA_R_8I || d->type == CUDA_R_32I)
        return "integers are not multiplied in float32";
    if (a->type == CUDA_R_32F && d->type != CUDA_R_32F)
        return "float matrices give float results";
    if (desc->epilogue == CUBLASLT_EPILOGUE_BIAS && desc->bias == nullptr)
        return "the bias epilogue has no bias";
    return nullptr;
}

/* D = A^T B. */
static void multiply_integers(const int8_t *a, const det_emu_matrix_layout &la, const int8_t *b,
                              const det_emu_matrix_layout &lb, int32_t *d,
                              const det_emu_matrix_layout &ld, const problem &p)
{
    for (uint64_t j = 0; j < p.n; j++)
        for (uint64_t i = 0; i < p.m; i++) {
            const int8_t *left = a + i * (uint64_t)la.ld, *right = b + j * (uint64_t)lb.ld;
            int32_t sum = 0;
            for (uint64_t k = 0; k < p.k; k++)
                sum += left[k] * right[k];
            d[j * (uint64_t)ld.ld + i] = sum;
        }
}

/* op(matrix) as floats, [columns of op][rows of op] with rows adjacent; transposed where need
 * be. */
static std::vector<float> gather(const void *values, const det_emu_matrix_layout *l,
                                 bool transposed)
{
    std::vector<float> out(l->rows * l->columns);
    const bool bf16 = l->type == CUDA_R_16BF;
    for (uint64_t c = 0; c < l->columns; c++)
        for (uint64_t r = 0; r < l->rows; r++)
            out[transposed ? r * l->columns + c : c * l->rows + r] =
                value_at(values, bf16, c * (uint64_t)l->ld + r);
    return out;
}

static void multiply(const det_emu_matmul_desc &desc, const void *a,
                     const det_emu_matrix_layout &la, const void *b,
                     const det_emu_matrix_layout &lb, float alpha, float beta, const void *c,
                     const det_emu_matrix_layout &lc, void *d, const det_emu_matrix_layout &ld,
                     const problem &p, const plan &made)
{
    std::vector<float> left = gather(a, &la, desc.transpose_a),
                       right = gather(b, &lb, desc.transpose_b);
    if (desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32) {
        round_to_tf32(left);
        round_to_tf32(right);
    }
    const bool bf16 = ld.type == CUDA_R_16BF;
    const bool turned = (made.in_place != 0 && other_order()) != (made.algorithm % 2 != 0);
    std::vector<float> column(p.m);
    for (uint64_t j = 0; j < p.n; j++) {
        std::fill(column.begin(), column.end(), 0.0f);
        for (uint64_t i = 0; i < p.k; i++) {
            const uint64_t k = turned ? p.k - 1 - i : i;
            add_multiple(column.data(), &left[k * p.m], right[j * p.k + k], p.m);
        }
        for (uint64_t i = 0; i < p.m; i++) {
            float value = alpha * column[i];
            if (beta != 0)
                value += beta * value_at(c, bf16, j * (uint64_t)lc.ld + i);
            if (desc.epilogue == CUBLASLT_EPILOGUE_BIAS)
                value += value_at(desc.bias, bf16, i);
            set_value(d, bf16, j * (uint64_t)ld.ld + i, value);
        }
    }
}

} // namespace det_emu

extern "C" {

void cuda_emu_set_algorithms(cuda_emu_algorithm *offers, int count)
{
    algorithms = offers != nullptr ? offers : &usual;
    algorithm_count = offers != nullptr ? count : 1;
}

void cuda_emu_integer_multiples(int multiple)
{
    integer_multiple = (uint64_t)multiple;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    if (machine_ready() != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (allocation_fails())
        return CUBLAS_STATUS_ALLOC_FAILED;
    *handle = keep(new det_emu_cublas{1});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (scale != (compute == CUBLAS_COMPUTE_32I ? CUDA_R_32I : CUDA_R_32F))
        return refuse("the scale type of float products is float, of integers 32-bit integers");
    *desc =
        keep(new det_emu_matmul_desc{compute, false, false, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy(desc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    const size_t wanted = attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof(void *) : 4;
    if (alive.count(desc) == 0 || value == nullptr || bytes != wanted)
        return refuse("an attribute's size is wrong");
    int number = 0;
    memcpy(&number, value, sizeof number);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        desc->transpose_a = number == CUBLAS_OP_T;
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        desc->transpose_b = number == CUBLAS_OP_T;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        desc->epilogue = (cublasLtEpilogue_t)number;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        memcpy(&desc->bias, value, sizeof desc->bias);
        break;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld)
{
    *layout = keep(new det_emu_matrix_layout{type, rows, columns, ld});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    *preference = keep(
        new det_emu_matmul_preference{0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy(preference);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    const bool wide = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    if (alive.count(preference) == 0 || bytes != (wide ? 8U : 4U))
        return refuse("a preference's size is wrong");
    if (wide)
        memcpy(&preference->workspace, value, bytes);
    else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        memcpy(&preference->reductions, value, bytes);
    else
        memcpy(&preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
               value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *returned)
{
    problem p;
    *returned = 0;
    if (alive.count(handle) == 0 || alive.count(desc) == 0 || alive.count(preference) == 0 ||
        requested < 1)
        return refuse("a heuristic needs living handles and room for a result");
    const char *why = check_shapes(desc, a, b, c, d, &p);
    if (why != nullptr)
        return refuse(why);
    if (desc->compute == CUBLAS_COMPUTE_32I &&
        (integer_multiple == 0 || p.m % integer_multiple != 0 || p.k % integer_multiple != 0))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    uint32_t alignment = 0;
    for (const uint32_t one : preference->alignment)
        alignment |= one; /* powers of 2: the lowest bit is the least */
    const bool in_place =
        p.k >= split_from && (preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE) != 0;
    for (int i = 0; i < algorithm_count && *returned < requested; i++) {
        const cuda_emu_algorithm &offer = algorithms[i];
        const size_t workspace = preference->workspace < plan_workspace ? 0 : offer.workspace_bytes;
        const plan made = {plan_magic, workspace,  p.m, p.n, p.k, alignment & -alignment,
                           in_place,   (uint32_t)i};
        cublasLtMatmulHeuristicResult_t &result = results[(*returned)++];
        result = {};
        memcpy(&result.algo, &made, sizeof made);
        result.workspaceSize = workspace;
        result.state = (cublasStatus_t)offer.state;
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                              cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    problem p;
    plan made;
    if (alive.count(handle) == 0 || alive.count(desc) == 0 || algo == nullptr)
        return refuse("a product needs living handles and an algorithm");
    const char *why = check_shapes(desc, a_layout, b_layout, c_layout, d_layout, &p);
    if (why != nullptr)
        return refuse(why);
    memcpy(&made, algo, sizeof made);
    if (made.algorithm >= (uint32_t)algorithm_count)
        return refuse("the algorithm is none of those offered");
    cuda_emu_algorithm &algorithm = algorithms[made.algorithm];
    if (algorithm.state != CUBLAS_STATUS_SUCCESS)
        return refuse("the algorithm was offered as one that does not do it");
    if (algorithm.answer != CUBLAS_STATUS_SUCCESS) {
        if (algorithm.answer != CUBLAS_STATUS_EXECUTION_FAILED)
            set_error(cudaErrorInvalidValue); /* a launch that is refused leaves its error */
        return (cublasStatus_t)algorithm.answer;
    }
    if (made.magic != plan_magic || made.m != p.m || made.n != p.n || made.k != p.k)
        return refuse("the algorithm was chosen for another product");
    if (workspace_bytes < made.workspace ||
        (made.workspace > 0 && !device_range(workspace, made.workspace)))
        return refuse("the workspace is smaller than the algorithm's");
    for (const void *pointer : {a, b, c, (const void *)d})
        if ((uintptr_t)pointer % made.alignment != 0)
            return refuse("an operand is aligned worse than the algorithm was promised");
    if (!device_range(a, span_bytes(a_layout)) || !device_range(b, span_bytes(b_layout)) ||
        !device_range(c, span_bytes(c_layout)) || !device_range(d, span_bytes(d_layout)))
        return refuse("an operand is not in device memory as a whole");
    const bool bias = desc->epilogue == CUBLASLT_EPILOGUE_BIAS;
    if (bias && (!device_range(desc->bias, p.m * element_bytes(d_layout)) ||
                 (uintptr_t)desc->bias % 16 != 0))
        return refuse("the bias is not in device memory as a whole, aligned to 16");
    std::vector<access> accesses = {{a, span_bytes(a_layout), false},
                                    {b, span_bytes(b_layout), false},
                                    {d, span_bytes(d_layout), true}};
    if (made.workspace > 0)
        accesses.push_back({workspace, made.workspace, true});
    if (bias)
        accesses.push_back({desc->bias, p.m * element_bytes(d_layout), false});
    const bool integers = desc->compute == CUBLAS_COMPUTE_32I;
    if (integers && (*(const int32_t *)alpha != 1 || *(const int32_t *)beta != 0))
        return refuse("integers are only multiplied, alpha 1 and beta 0");
    const float factor = integers ? 1 : *(const float *)alpha;
    const float keep_factor = integers ? 0 : *(const float *)beta;
    const double algorithm_us = algorithm.microseconds;
    algorithm.runs++;
    const cudaError_t error =
        issue(stream, "cublasLtMatmul", std::move(accesses),
              [=, desc = *desc, la = *a_layout, lb = *b_layout, lc = *c_layout, ld = *d_layout] {
                  if (integers)
                      multiply_integers((const int8_t *)a, la, (const int8_t *)b, lb, (int32_t *)d,
                                        ld, p);
                  else
                      multiply(desc, a, la, b, lb, factor, keep_factor, c, lc, d, ld, p, made);
                  clock_us += algorithm_us;
                  if (made.workspace > 0)
                      memset(workspace, 0x5A, made.workspace);
                  return true;
              });
    return library_status(error, CUBLAS_STATUS_SUCCESS, CUBLAS_STATUS_EXECUTION_FAILED);
}

} // extern "C"
