/* cuda_libraries.c: functions of cublasLt and cuDNN under their own names, which pass their
 * arguments on to the loaded libraries. Their declarations are the libraries' headers': a signature
 * that differs does not compile. */
#include "devices/cuda/cuda_libraries.h"

#include <cublasLt.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <pthread.h>

#include "devices/cuda/cuda_search.h"

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* X(type of the answer, answer when not loaded, name, parameters, arguments) */
#define BLAS(X, name, parameters, arguments) \
    X(cublasStatus_t, CUBLAS_STATUS_NOT_INITIALIZED, name, parameters, arguments)
#define DNN(X, name, parameters, arguments) \
    X(cudnnStatus_t, CUDNN_STATUS_NOT_INITIALIZED, name, parameters, arguments)

#define EACH_CUBLASLT(X)                                                                           \
    BLAS(X, cublasLtCreate, (cublasLtHandle_t * handle), (handle))                                 \
    BLAS(X, cublasLtDestroy, (cublasLtHandle_t handle), (handle))                                  \
    BLAS(X, cublasLtMatmulDescCreate,                                                              \
         (cublasLtMatmulDesc_t * desc, cublasComputeType_t compute, cudaDataType_t scale),         \
         (desc, compute, scale))                                                                   \
    BLAS(X, cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t desc), (desc))                        \
    BLAS(X, cublasLtMatmulDescSetAttribute,                                                        \
         (cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute, const void *value,  \
          size_t bytes),                                                                           \
         (desc, attribute, value, bytes))                                                          \
    BLAS(X, cublasLtMatrixLayoutCreate,                                                            \
         (cublasLtMatrixLayout_t * layout, cudaDataType type, uint64_t rows, uint64_t columns,     \
          int64_t ld),                                                                             \
         (layout, type, rows, columns, ld))                                                        \
    BLAS(X, cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout), (layout))                \
    BLAS(X, cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * preference),             \
         (preference))                                                                             \
    BLAS(X, cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference),              \
         (preference))                                                                             \
    BLAS(X, cublasLtMatmulPreferenceSetAttribute,                                                  \
         (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,   \
          const void *value, size_t bytes),                                                        \
         (preference, attribute, value, bytes))                                                    \
    BLAS(X, cublasLtMatmulAlgoGetHeuristic,                                                        \
         (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,            \
          cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,            \
          cublasLtMatmulPreference_t preference, int wanted,                                       \
          cublasLtMatmulHeuristicResult_t results[], int *found),                                  \
         (handle, desc, a, b, c, d, preference, wanted, results, found))                           \
    BLAS(X, cublasLtMatmul,                                                                        \
         (cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha, const void *a,    \
          cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,         \
          const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,               \
          cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algorithm, void *workspace, \
          size_t bytes, cudaStream_t stream),                                                      \
         (handle, desc, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout,           \
          algorithm, workspace, bytes, stream))

#define EACH_CUDNN(X)                                                                              \
    X(const char *, "cuDNN is not loaded", cudnnGetErrorString, (cudnnStatus_t status), (status))  \
    DNN(X, cudnnCreate, (cudnnHandle_t * handle), (handle))                                        \
    DNN(X, cudnnDestroy, (cudnnHandle_t handle), (handle))                                         \
    DNN(X, cudnnSetStream, (cudnnHandle_t handle, cudaStream_t stream), (handle, stream))          \
    DNN(X, cudnnCreateTensorDescriptor, (cudnnTensorDescriptor_t * desc), (desc))                  \
    DNN(X, cudnnDestroyTensorDescriptor, (cudnnTensorDescriptor_t desc), (desc))                   \
    DNN(X, cudnnSetTensor4dDescriptor,                                                             \
        (cudnnTensorDescriptor_t desc, cudnnTensorFormat_t format, cudnnDataType_t type, int n,    \
         int c, int h, int w),                                                                     \
        (desc, format, type, n, c, h, w))                                                          \
    DNN(X, cudnnCreateFilterDescriptor, (cudnnFilterDescriptor_t * desc), (desc))                  \
    DNN(X, cudnnDestroyFilterDescriptor, (cudnnFilterDescriptor_t desc), (desc))                   \
    DNN(X, cudnnSetFilter4dDescriptor,                                                             \
        (cudnnFilterDescriptor_t desc, cudnnDataType_t type, cudnnTensorFormat_t format, int k,    \
         int c, int h, int w),                                                                     \
        (desc, type, format, k, c, h, w))                                                          \
    DNN(X, cudnnCreateConvolutionDescriptor, (cudnnConvolutionDescriptor_t * desc), (desc))        \
    DNN(X, cudnnDestroyConvolutionDescriptor, (cudnnConvolutionDescriptor_t desc), (desc))         \
    DNN(X, cudnnSetConvolution2dDescriptor,                                                        \
        (cudnnConvolutionDescriptor_t desc, int pad_h, int pad_w, int stride_h, int stride_w,      \
         int dilation_h, int dilation_w, cudnnConvolutionMode_t mode, cudnnDataType_t compute),    \
        (desc, pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w, mode, compute))           \
    DNN(X, cudnnSetConvolutionMathType, (cudnnConvolutionDescriptor_t desc, cudnnMathType_t math), \
        (desc, math))                                                                              \
    DNN(X, cudnnGetConvolutionForwardAlgorithm_v7,                                                 \
        (cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnFilterDescriptor_t w,   \
         const cudnnConvolutionDescriptor_t desc, const cudnnTensorDescriptor_t y,                 \
         const int wanted, int *found, cudnnConvolutionFwdAlgoPerf_t *results),                    \
        (handle, x, w, desc, y, wanted, found, results))                                           \
    DNN(X, cudnnGetConvolutionBackwardDataAlgorithm_v7,                                            \
        (cudnnHandle_t handle, const cudnnFilterDescriptor_t w, const cudnnTensorDescriptor_t dy,  \
         const cudnnConvolutionDescriptor_t desc, const cudnnTensorDescriptor_t dx,                \
         const int wanted, int *found, cudnnConvolutionBwdDataAlgoPerf_t *results),                \
        (handle, w, dy, desc, dx, wanted, found, results))                                         \
    DNN(X, cudnnGetConvolutionBackwardFilterAlgorithm_v7,                                          \
        (cudnnHandle_t handle, const cudnnTensorDescriptor_t x, const cudnnTensorDescriptor_t dy,  \
         const cudnnConvolutionDescriptor_t desc, const cudnnFilterDescriptor_t dw,                \
         const int wanted, int *found, cudnnConvolutionBwdFilterAlgoPerf_t *results),              \
        (handle, x, dy, desc, dw, wanted, found, results))                                         \
    DNN(X, cudnnConvolutionForward,                                                                \
        (cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,            \
         const void *x, const cudnnFilterDescriptor_t w_desc, const void *w,                       \
         const cudnnConvolutionDescriptor_t desc, cudnnConvolutionFwdAlgo_t algorithm,             \
         void *workspace, size_t bytes, const void *beta, const cudnnTensorDescriptor_t y_desc,    \
         void *y),                                                                                 \
        (handle, alpha, x_desc, x, w_desc, w, desc, algorithm, workspace, bytes, beta, y_desc, y)) \
    DNN(X, cudnnConvolutionBackwardData,                                                           \
        (cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t w_desc,            \
         const void *w, const cudnnTensorDescriptor_t dy_desc, const void *dy,                     \
         const cudnnConvolutionDescriptor_t desc, cudnnConvolutionBwdDataAlgo_t algorithm,         \
         void *workspace, size_t bytes, const void *beta, const cudnnTensorDescriptor_t dx_desc,   \
         void *dx),                                                                                \
        (handle, alpha, w_desc, w, dy_desc, dy, desc, algorithm, workspace, bytes, beta, dx_desc,  \
         dx))                                                                                      \
    DNN(X, cudnnConvolutionBackwardFilter,                                                         \
        (cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t x_desc,            \
         const void *x, const cudnnTensorDescriptor_t dy_desc, const void *dy,                     \
         const cudnnConvolutionDescriptor_t desc, cudnnConvolutionBwdFilterAlgo_t algorithm,       \
         void *workspace, size_t bytes, const void *beta, const cudnnFilterDescriptor_t dw_desc,   \
         void *dw),                                                                                \
        (handle, alpha, x_desc, x, dy_desc, dy, desc, algorithm, workspace, bytes, beta, dw_desc,  \
         dw))

/* Written by load_cublas() and load_cudnn(), before anybody calls one of them. */
static struct {
#define MEMBER(type, missing, name, parameters, arguments) type(*name) parameters;
    EACH_CUBLASLT(MEMBER)
    EACH_CUDNN(MEMBER)
#undef MEMBER
} loaded;

#define DEFINE(type, missing, name, parameters, arguments)              \
    type name parameters                                                \
    {                                                                   \
        return loaded.name == NULL ? (missing) : loaded.name arguments; \
    }
EACH_CUBLASLT(DEFINE)
EACH_CUDNN(DEFINE)
#undef DEFINE

/* *function = the symbol; POSIX has functions and objects share a representation. */
static det_status find(struct det_env *env, void *library, const char *file, const char *name,
                       void *function)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL)
        return det_fail(env, DET_STATUS_DEVICE, "%s is too old or too new: it has no %s", file,
                        name);
    *(void **)function = symbol;
    return DET_OK;
}

static det_status load_cublas(struct det_env *env)
{
    static const char file[] = "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR);
    void *library = NULL;
    DET_TRY_RETURN(det_cuda_library_open(env, file, &library));
#define FIND(type, missing, name, parameters, arguments) \
    DET_TRY_RETURN(find(env, library, file, #name, &loaded.name));
    EACH_CUBLASLT(FIND)
    return DET_OK;
}

static det_status load_cudnn(struct det_env *env)
{
    static const char file[] = "libcudnn.so." TEXT(CUDNN_MAJOR);
    void *library = NULL;
    DET_TRY_RETURN(det_cuda_library_open(env, file, &library));
    EACH_CUDNN(FIND)
#undef FIND
    return DET_OK;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static det_status load_once(struct det_env *env, bool *done, det_status (*load)(struct det_env *))
{
    pthread_mutex_lock(&lock);
    const det_status status = *done ? DET_OK : load(env);
    *done = status == DET_OK;
    pthread_mutex_unlock(&lock);
    return status;
}

det_status det_cuda_cublas_load(struct det_env *env)
{
    static bool done;
    return load_once(env, &done, load_cublas);
}

det_status det_cuda_cudnn_load(struct det_env *env)
{
    static bool done;
    return load_once(env, &done, load_cudnn);
}
