/* cuda_libraries.c: functions of cublasLt and cuDNN under their own names, which pass their arguments on to the loaded
 * libraries. Their declarations are the libraries' headers': a signature that differs does not compile. */
#include "backend/cuda/cuda_libraries.h"

#include <cublasLt.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

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

/* Written once, by load(). */
static struct {
#define MEMBER(type, missing, name, parameters, arguments) type(*name) parameters;
    EACH_CUBLASLT(MEMBER)
    EACH_CUDNN(MEMBER)
#undef MEMBER
} loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char cause[256]; /* empty: both are loaded */

#define DEFINE(type, missing, name, parameters, arguments)              \
    type name parameters                                                \
    {                                                                   \
        return loaded.name == NULL ? (missing) : loaded.name arguments; \
    }
EACH_CUBLASLT(DEFINE)
EACH_CUDNN(DEFINE)
#undef DEFINE

/* Stays open as long as the process: the libraries keep threads and state of their own. */
static void *open_library(const char *name)
{
    void *library = cause[0] == '\0' ? dlopen(name, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL && cause[0] == '\0')
        snprintf(cause, sizeof cause, "%s", dlerror());
    return library;
}

/* *function = the symbol; POSIX has functions and objects share a representation. */
static void find(void *library, const char *name, void *function)
{
    void *symbol = library != NULL && cause[0] == '\0' ? dlsym(library, name) : NULL;
    if (symbol == NULL && cause[0] == '\0')
        snprintf(cause, sizeof cause, "%s", dlerror());
    *(void **)function = symbol;
}

static void load(void)
{
    void *blas = open_library("libcublasLt.so." TEXT(CUBLAS_VER_MAJOR));
    void *dnn = open_library("libcudnn.so." TEXT(CUDNN_MAJOR));
#define FIND_BLAS(type, missing, name, parameters, arguments) find(blas, #name, &loaded.name);
#define FIND_DNN(type, missing, name, parameters, arguments)  find(dnn, #name, &loaded.name);
    EACH_CUBLASLT(FIND_BLAS)
    EACH_CUDNN(FIND_DNN)
}

bool det_cuda_libraries_load(char *why, size_t bytes)
{
    pthread_once(&once, load);
    snprintf(why, bytes, "%s", cause);
    return cause[0] == '\0';
}
