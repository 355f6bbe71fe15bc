/* cudnn.cc: dense convolutions in NHWC with KRSC filters: output, input gradient, weight gradient.
 * An algorithm that is not deterministic gives other bits than in the run before; floats are
 * rounded to TF32 unless FMA_MATH forbids it. */
#include <set>

#include "cudnn_emu.h"

using namespace det_emu;

struct cudnnFilterStruct {
    bool set;
    cudnnDataType_t type;
    int k, c, h, w;
};
struct cudnnConvolutionStruct {
    bool set;
    int pad_h, pad_w, stride_h, stride_w;
    cudnnMathType_t math;
    int groups; /* 1, or as many as there are channels: a depthwise convolution */
};

namespace det_emu
{

/* Some, so that a caller who gives none is found. */
constexpr size_t needed_workspace = 2048;
/* More than any device has. */
constexpr size_t excessive_workspace = (size_t)1 << 42;

/* Algorithms that are listed first, as cuDNN may do it, and that a caller has to pass over. */
template <typename A> struct unfit;
#define DET_EMU_UNFIT(kind, prefix)                                                           \
    template <> struct unfit<cudnnConvolution##kind##Algo_t> {                                \
        /* wants excessive_workspace */                                                       \
        static constexpr auto large = CUDNN_CONVOLUTION_##prefix##_ALGO_FFT;                  \
        /* is not for this convolution */                                                     \
        static constexpr auto absent = CUDNN_CONVOLUTION_##prefix##_ALGO_WINOGRAD;            \
        /* takes tensor cores though FMA_MATH is asked for: where a test wants it */          \
        static constexpr auto rounding = CUDNN_CONVOLUTION_##prefix##_ALGO_WINOGRAD_NONFUSED; \
    }
DET_EMU_UNFIT(Fwd, FWD);
DET_EMU_UNFIT(BwdData, BWD_DATA);
DET_EMU_UNFIT(BwdFilter, BWD_FILTER);

static bool tensor_cores_offered;
static std::set<void *> alive;

cudnnStatus_t cudnn_refuse(const char *why)
{
    report("cuDNN: %s", why);
    return CUDNN_STATUS_BAD_PARAM;
}

bool cudnn_lives(const void *handle_or_descriptor)
{
    return alive.count((void *)handle_or_descriptor) != 0;
}

static cudnnStatus_t refuse(const char *why)
{
    return cudnn_refuse(why);
}

template <typename T> static cudnnStatus_t create(T **handle)
{
    *handle = new T{};
    alive.insert(*handle);
    live_handles++;
    return CUDNN_STATUS_SUCCESS;
}

template <typename T> static cudnnStatus_t destroy(T *handle)
{
    if (alive.erase(handle) == 0)
        return refuse("a handle is destroyed twice");
    live_handles--;
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

/* One convolution, whichever of its three passes is meant. */
struct convolution {
    cudnnTensorStruct x, y;
    cudnnFilterStruct w;
    cudnnConvolutionStruct c;
};

static const char *gather(cudnnHandle_t handle, const cudnnTensorStruct *x,
                          const cudnnFilterStruct *w, const cudnnConvolutionStruct *c,
                          const cudnnTensorStruct *y, convolution *all)
{
    for (const void *one :
         {(const void *)handle, (const void *)x, (const void *)w, (const void *)c, (const void *)y})
        if (alive.count((void *)one) == 0)
            return "a handle or descriptor does not live";
    *all = {*x, *y, *w, *c};
    if (!x->set || !w->set || !c->set || !y->set)
        return "a descriptor was not set";
    if (x->type != w->type || x->type != y->type)
        return "the tensors' types differ";
    if (c->groups != 1 && (c->groups != x->c || c->groups != y->c))
        return "groups of more than one channel are not emulated";
    if (x->c != w->c * c->groups || y->c != w->k || x->n != y->n)
        return "the tensors' channels or batches do not fit";
    if ((x->h + 2 * c->pad_h - w->h) / c->stride_h + 1 != y->h ||
        (x->w + 2 * c->pad_w - w->w) / c->stride_w + 1 != y->w)
        return "the output's size is not what padding and stride make";
    return nullptr;
}

static size_t count_of(const cudnnTensorStruct &t)
{
    return (size_t)t.n * t.c * t.h * t.w;
}

static size_t count_of(const cudnnFilterStruct &f)
{
    return (size_t)f.k * f.c * f.h * f.w;
}

static size_t bytes_of(size_t count, cudnnDataType_t type)
{
    return cudnn_bytes(count, type);
}

/* An operand as it is multiplied. */
static std::vector<float> floats(const convolution &a, const void *values, cudnnDataType_t type,
                                 size_t count)
{
    std::vector<float> out(count);
    for (size_t i = 0; i < count; i++)
        out[i] = value_at(values, type == CUDNN_DATA_BFLOAT16, i);
    if (type == CUDNN_DATA_FLOAT && a.c.math != CUDNN_FMA_MATH)
        round_to_tf32(out);
    return out;
}

static void store(void *to, cudnnDataType_t type, const std::vector<float> &values, float alpha,
                  float beta)
{
    const bool bf16 = type == CUDNN_DATA_BFLOAT16;
    for (size_t i = 0; i < values.size(); i++) {
        float value = alpha * values[i];
        if (beta != 0)
            value += beta * value_at(to, bf16, i);
        set_value(to, bf16, i, value);
    }
}

/* Calls `tap` with the first values of each pair of input pixel and output pixel that a filter tap
 * joins; `turned`: from the last output on. */
template <typename F> static void each_tap(const convolution &a, bool turned, F tap)
{
    for (int n = 0; n < a.y.n; n++)
        for (int y = 0; y < a.y.h; y++)
            for (int x = 0; x < a.y.w; x++) {
                const int oy = turned ? a.y.h - 1 - y : y, ox = turned ? a.y.w - 1 - x : x;
                for (int r = 0; r < a.w.h; r++)
                    for (int s = 0; s < a.w.w; s++) {
                        const int iy = oy * a.c.stride_h - a.c.pad_h + r,
                                  ix = ox * a.c.stride_w - a.c.pad_w + s;
                        if (iy >= 0 && iy < a.x.h && ix >= 0 && ix < a.x.w)
                            tap((((size_t)n * a.x.h + iy) * a.x.w + ix) * a.x.c,
                                (((size_t)n * a.y.h + oy) * a.y.w + ox) * a.y.c, r * a.w.w + s);
                    }
            }
}

/* Filters as [tap][c][k], so that the inner loops run along k. */
static size_t turned(const convolution &a, int tap, int c)
{
    return ((size_t)tap * a.w.c + c) * a.w.k;
}

static std::vector<float> turn(const convolution &a, const std::vector<float> &w)
{
    std::vector<float> out(w.size());
    const int taps = a.w.h * a.w.w;
    for (int k = 0; k < a.w.k; k++)
        for (int t = 0; t < taps; t++)
            for (int c = 0; c < a.w.c; c++)
                out[turned(a, t, c) + k] = w[((size_t)k * taps + t) * a.w.c + c];
    return out;
}

static std::vector<float> turn_back(const convolution &a, const std::vector<float> &w)
{
    std::vector<float> out(w.size());
    const int taps = a.w.h * a.w.w;
    for (int k = 0; k < a.w.k; k++)
        for (int t = 0; t < taps; t++)
            for (int c = 0; c < a.w.c; c++)
                out[((size_t)k * taps + t) * a.w.c + c] = w[turned(a, t, c) + k];
    return out;
}

/* The arguments of one pass that every pass checks alike. */
template <typename A>
static const char *check_run(A algorithm, void *workspace, size_t workspace_bytes, const void *x,
                             const void *w, const void *y, convolution &a)
{
    if (algorithm == unfit<A>::absent || algorithm == unfit<A>::large)
        return "the algorithm cannot be run here";
    if (algorithm == unfit<A>::rounding)
        a.c.math = CUDNN_TENSOR_OP_MATH;
    if (workspace_bytes < needed_workspace || !device_range(workspace, needed_workspace))
        return "the workspace is smaller than the algorithm's";
    for (const void *pointer : {x, w, y})
        if ((uintptr_t)pointer % 16 != 0)
            return "a tensor is not aligned to 16 bytes";
    if (!device_range(x, bytes_of(count_of(a.x), a.x.type)) ||
        !device_range(w, bytes_of(count_of(a.w), a.w.type)) ||
        !device_range(y, bytes_of(count_of(a.y), a.y.type)))
        return "a tensor is not in device memory as a whole";
    return nullptr;
}

static cudnnStatus_t run(cudnnHandle_t handle, const char *name, std::vector<access> accesses,
                         void *workspace, std::function<void()> action)
{
    accesses.push_back({workspace, needed_workspace, true});
    const cudaError_t error =
        issue(handle->stream, name, std::move(accesses), [=, action = std::move(action)] {
            action();
            memset(workspace, 0x5A, needed_workspace);
            return true;
        });
    return library_status(error, CUDNN_STATUS_SUCCESS, CUDNN_STATUS_EXECUTION_FAILED);
}

/* Unfit ones first, then the fast and not deterministic one, as cuDNN often has it. */
template <typename P, typename A>
static cudnnStatus_t propose(const char *why, const cudnnConvolutionStruct *c, int requested,
                             int *returned, P *results, A first, A second, bool first_deterministic)
{
    *returned = 0;
    if (why != nullptr)
        return refuse(why);
    const cudnnDeterminism_t of_first =
        first_deterministic ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
    const auto add = [&](A algorithm, cudnnStatus_t status, size_t memory,
                         cudnnDeterminism_t determinism, cudnnMathType_t math) {
        if (*returned < requested)
            results[(*returned)++] = {algorithm, status, 0, memory, determinism, math, {}};
    };
    add(unfit<A>::large, CUDNN_STATUS_SUCCESS, excessive_workspace, CUDNN_DETERMINISTIC, c->math);
    add(unfit<A>::absent, CUDNN_STATUS_NOT_SUPPORTED, 0, CUDNN_DETERMINISTIC, c->math);
    if (tensor_cores_offered && c->math == CUDNN_FMA_MATH)
        add(unfit<A>::rounding, CUDNN_STATUS_SUCCESS, needed_workspace, CUDNN_DETERMINISTIC,
            CUDNN_TENSOR_OP_MATH);
    add(first, CUDNN_STATUS_SUCCESS, needed_workspace, of_first, c->math);
    add(second, CUDNN_STATUS_SUCCESS, needed_workspace, CUDNN_DETERMINISTIC, c->math);
    return CUDNN_STATUS_SUCCESS;
}

} // namespace det_emu

extern "C" {

void cuda_emu_offer_tensor_cores(int on)
{
    tensor_cores_offered = on != 0;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED:
        return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_ALLOC_FAILED:
        return "CUDNN_STATUS_ALLOC_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    }
    return "CUDNN_UNKNOWN_STATUS";
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    if (machine_ready() != cudaSuccess)
        return CUDNN_STATUS_NOT_INITIALIZED;
    return allocation_fails() ? CUDNN_STATUS_ALLOC_FAILED : create(handle);
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    return destroy(handle);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    if (alive.count(handle) == 0)
        return refuse("no such handle");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *desc)
{
    return create(desc);
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t desc)
{
    return destroy(desc);
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t desc, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w)
{
    if (alive.count(desc) == 0 || format != CUDNN_TENSOR_NHWC || n < 1 || c < 1 || h < 1 || w < 1)
        return refuse("a tensor's descriptor is wrong");
    *desc = {true, type, n, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *desc)
{
    return create(desc);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t desc)
{
    return destroy(desc);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t desc, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    if (alive.count(desc) == 0 || format != CUDNN_TENSOR_NHWC || k < 1 || c < 1 || h < 1 || w < 1)
        return refuse("a filter's descriptor is wrong");
    *desc = {true, type, k, c, h, w};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *desc)
{
    return create(desc);
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t desc)
{
    return destroy(desc);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t desc, int pad_h,
                                              int pad_w, int stride_h, int stride_w, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute)
{
    if (alive.count(desc) == 0 || pad_h < 0 || pad_w < 0 || stride_h < 1 || stride_w < 1 ||
        dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
        compute != CUDNN_DATA_FLOAT)
        return refuse("a convolution's descriptor is wrong");
    *desc = {true, pad_h, pad_w, stride_h, stride_w, CUDNN_DEFAULT_MATH, 1};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t desc, cudnnMathType_t math)
{
    if (alive.count(desc) == 0 || !desc->set)
        return refuse("a convolution's descriptor was not set");
    desc->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t desc, int groups)
{
    if (alive.count(desc) == 0 || !desc->set || groups < 1)
        return refuse("a convolution's descriptor was not set");
    desc->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,
    const cudnnConvolutionDescriptor_t c, const cudnnTensorDescriptor_t y, const int requested,
    int *returned, cudnnConvolutionFwdAlgoPerf_t *results)
{
    convolution all;
    return propose(gather(handle, x, w, c, y, &all), c, requested, returned, results,
                   CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                   CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, true);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(
    cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t c, const cudnnTensorDescriptor_t dx, const int requested,
    int *returned, cudnnConvolutionBwdDataAlgoPerf_t *results)
{
    convolution all;
    return propose(gather(handle, dx, w, c, dy, &all), c, requested, returned, results,
                   CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, false);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(
    cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,
    const cudnnConvolutionDescriptor_t c, const cudnnFilterDescriptor_t dw, const int requested,
    int *returned, cudnnConvolutionBwdFilterAlgoPerf_t *results)
{
    convolution all;
    return propose(gather(handle, x, dw, c, dy, &all), c, requested, returned, results,
                   CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, false);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                      const cudnnTensorDescriptor_t x_desc, const void *x,
                                      const cudnnFilterDescriptor_t w_desc, const void *w,
                                      const cudnnConvolutionDescriptor_t c_desc,
                                      cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                      size_t workspace_bytes, const void *beta,
                                      const cudnnTensorDescriptor_t y_desc, void *y)
{
    convolution a;
    const char *why = gather(handle, x_desc, w_desc, c_desc, y_desc, &a);
    if (why == nullptr)
        why = check_run(algo, workspace, workspace_bytes, x, w, y, a);
    if (why != nullptr)
        return refuse(why);
    const float factor = *(const float *)alpha, kept = *(const float *)beta;
    return run(handle, "cudnnConvolutionForward",
               {{x, bytes_of(count_of(a.x), a.x.type), false},
                {w, bytes_of(count_of(a.w), a.w.type), false},
                {y, bytes_of(count_of(a.y), a.y.type), true}},
               workspace, [=] {
                   const std::vector<float> in = floats(a, x, a.x.type, count_of(a.x)),
                                            filter = turn(a, floats(a, w, a.w.type, count_of(a.w)));
                   std::vector<float> out(count_of(a.y));
                   each_tap(a, false, [&](size_t from, size_t to, int tap) {
                       for (int c = 0; a.c.groups > 1 && c < a.x.c; c++)
                           out[to + c] += filter[turned(a, tap, 0) + c] * in[from + c];
                       for (int c = 0; a.c.groups == 1 && c < a.x.c; c++)
                           add_multiple(&out[to], &filter[turned(a, tap, c)], in[from + c], a.y.c);
                   });
                   store(y, a.y.type, out, factor, kept);
               });
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha,
                                           const cudnnFilterDescriptor_t w_desc, const void *w,
                                           const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                           const cudnnConvolutionDescriptor_t c_desc,
                                           cudnnConvolutionBwdDataAlgo_t algo, void *workspace,
                                           size_t workspace_bytes, const void *beta,
                                           const cudnnTensorDescriptor_t dx_desc, void *dx)
{
    convolution a;
    const char *why = gather(handle, dx_desc, w_desc, c_desc, dy_desc, &a);
    if (why == nullptr)
        why = check_run(algo, workspace, workspace_bytes, dx, w, dy, a);
    if (why != nullptr)
        return refuse(why);
    const float factor = *(const float *)alpha, kept = *(const float *)beta;
    return run(handle, "cudnnConvolutionBackwardData",
               {{dy, bytes_of(count_of(a.y), a.y.type), false},
                {w, bytes_of(count_of(a.w), a.w.type), false},
                {dx, bytes_of(count_of(a.x), a.x.type), true}},
               workspace, [=] {
                   const std::vector<float> out = floats(a, dy, a.y.type, count_of(a.y)),
                                            filter = floats(a, w, a.w.type, count_of(a.w));
                   const int taps = a.w.h * a.w.w;
                   const bool reversed = algo == CUDNN_CONVOLUTION_BWD_DATA_ALGO_0 && other_order();
                   std::vector<float> in(count_of(a.x));
                   each_tap(a, reversed, [&](size_t to, size_t from, int tap) {
                       for (int k = 0; a.c.groups > 1 && k < a.y.c; k++)
                           in[to + k] += filter[(size_t)k * taps + tap] * out[from + k];
                       for (int k = 0; a.c.groups == 1 && k < a.y.c; k++)
                           add_multiple(&in[to], &filter[((size_t)k * taps + tap) * a.x.c],
                                        out[from + k], a.x.c);
                   });
                   store(dx, a.x.type, in, factor, kept);
               });
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                             const cudnnTensorDescriptor_t x_desc, const void *x,
                                             const cudnnTensorDescriptor_t dy_desc, const void *dy,
                                             const cudnnConvolutionDescriptor_t c_desc,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void *workspace,
                                             size_t workspace_bytes, const void *beta,
                                             const cudnnFilterDescriptor_t dw_desc, void *dw)
{
    convolution a;
    const char *why = gather(handle, x_desc, dw_desc, c_desc, dy_desc, &a);
    if (why == nullptr)
        why = check_run(algo, workspace, workspace_bytes, x, dw, dy, a);
    if (why != nullptr)
        return refuse(why);
    const float factor = *(const float *)alpha, kept = *(const float *)beta;
    return run(handle, "cudnnConvolutionBackwardFilter",
               {{x, bytes_of(count_of(a.x), a.x.type), false},
                {dy, bytes_of(count_of(a.y), a.y.type), false},
                {dw, bytes_of(count_of(a.w), a.w.type), true}},
               workspace, [=] {
                   const std::vector<float> in = floats(a, x, a.x.type, count_of(a.x)),
                                            out = floats(a, dy, a.y.type, count_of(a.y));
                   const bool reversed =
                       algo == CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0 && other_order();
                   std::vector<float> filter(count_of(a.w));
                   each_tap(a, reversed, [&](size_t from, size_t to, int tap) {
                       for (int c = 0; a.c.groups > 1 && c < a.x.c; c++)
                           filter[turned(a, tap, 0) + c] += out[to + c] * in[from + c];
                       for (int c = 0; a.c.groups == 1 && c < a.x.c; c++)
                           add_multiple(&filter[turned(a, tap, c)], &out[to], in[from + c], a.y.c);
                   });
                   store(dw, a.w.type, turn_back(a, filter), factor, kept);
               });
}

} // extern "C"
