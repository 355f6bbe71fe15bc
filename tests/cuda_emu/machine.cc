/* machine.cc: the device there is, errors, counts, and what the environment sets. */
#include <stdlib.h>

#include "values.h"

extern "C" {
#include "devices/cuda/cuda_libraries.h"
}

namespace det_emu
{

constexpr size_t default_memory = (size_t)4 << 30;
constexpr int default_driver = CUDART_VERSION;

size_t device_memory = default_memory;
cuda_emu_counts totals;
bool waits_ignored, dry;
uint64_t edge_blocks;
size_t kernel_bytes;

static bool cudnn_hidden;
static int capabilities[2] = {90, 90};
static cudaError_t last_error = cudaSuccess;
static int devices = 1, driver = default_driver, current;
static long fail_at;                   /* allocations until the one that fails */
static long operation_fails_at;        /* operations until the one that fails */
static long trap_at;                   /* kernels until the one that traps */
static cudaError_t trap = cudaSuccess; /* the error of a kernel that did */

static struct environment {
    environment()
    {
        set_schedule(getenv("DET_EMU_SCHEDULE"));
        const char *bytes = getenv("DET_EMU_MEMORY");
        if (bytes != nullptr)
            device_memory = (size_t)strtoull(bytes, nullptr, 10);
        const char *count = getenv("DET_EMU_DEVICES");
        if (count != nullptr)
            devices = atoi(count);
    }
} read_environment;

cudaError_t set_error(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

cudaError_t broken()
{
    return trap;
}

bool traps_now()
{
    if (trap_at > 0 && --trap_at == 0)
        trap = cudaErrorIllegalAddress;
    return trap != cudaSuccess;
}

bool allocation_fails()
{
    return fail_at > 0 && --fail_at == 0;
}

cudaError_t enqueued()
{
    totals.operations++;
    const bool fails = operation_fails_at > 0 && --operation_fails_at == 0;
    return fails ? set_error(cudaErrorLaunchOutOfResources) : cudaSuccess;
}

cudaError_t machine_ready()
{
    if (driver < CUDART_VERSION / 1000 * 1000)
        return set_error(cudaErrorInsufficientDriver);
    if (trap != cudaSuccess)
        return trap;
    return devices == 0 ? set_error(cudaErrorNoDevice) : cudaSuccess;
}

static cudaError_t check_device(int device)
{
    const cudaError_t error = machine_ready();
    if (error != cudaSuccess)
        return error;
    return device < 0 || device >= devices ? set_error(cudaErrorInvalidDevice) : cudaSuccess;
}

} // namespace det_emu

using namespace det_emu;

extern "C" {

/* The libraries' stand-ins are linked in: nothing is loaded, but who asks is counted. */
det_status det_cuda_cublas_load(struct det_env *)
{
    totals.cublas_loads++;
    return DET_OK;
}

det_status det_cuda_cudnn_load(struct det_env *env)
{
    totals.cudnn_loads++;
    return cudnn_hidden ? det_fail(env, DET_STATUS_DEVICE, "libcudnn.so.9 was not found") : DET_OK;
}

void cuda_emu_hide_cudnn(int on)
{
    cudnn_hidden = on != 0;
}

struct cuda_emu_counts cuda_emu_read_counts(void)
{
    struct cuda_emu_counts counts = totals;
    counts.reports = reports;
    memory_counts(&counts);
    stream_counts(&counts);
    graph_counts(&counts);
    counts.live_handles = live_handles;
    return counts;
}

void cuda_emu_set_memory(size_t bytes)
{
    device_memory = bytes != 0 ? bytes : default_memory;
}

void cuda_emu_fail_operation_at(long n)
{
    operation_fails_at = n;
}

void cuda_emu_set_dry(int on)
{
    dry = on != 0;
}

void cuda_emu_set_edge_blocks(unsigned count)
{
    edge_blocks = count;
}

void cuda_emu_set_kernel_bytes(size_t bytes)
{
    kernel_bytes = bytes;
    forget_kernels();
}

void cuda_emu_ignore_waits(int on)
{
    waits_ignored = on != 0;
}

void cuda_emu_fail_at(long n)
{
    fail_at = n;
}

void cuda_emu_set_machine(int count, int driver_version)
{
    devices = count;
    driver = driver_version;
    current = 0;
}

void cuda_emu_set_capabilities(int first, int second)
{
    capabilities[0] = first;
    capabilities[1] = second;
}

void cuda_emu_trap_at(long n)
{
    trap_at = n;
}

cudaError_t cudaDeviceReset(void)
{
    const cudaError_t error = not_while_capturing("cudaDeviceReset");
    if (error != cudaSuccess)
        return error;
    trap = last_error = cudaSuccess;
    totals.resets++;
    nccl_reset();
    graphs_reset();
    copies_reset();
    streams_reset();
    memory_reset();
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    if (trap != cudaSuccess)
        return trap;
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return trap != cudaSuccess ? trap : last_error;
}

#define DET_EMU_ERRORS(X)                                                                     \
    X(cudaSuccess, "no error")                                                                \
    X(cudaErrorInvalidValue, "invalid argument")                                              \
    X(cudaErrorMemoryAllocation, "out of memory")                                             \
    X(cudaErrorInvalidConfiguration, "invalid configuration argument")                        \
    X(cudaErrorInsufficientDriver, "CUDA driver version is insufficient")                     \
    X(cudaErrorNoDevice, "no CUDA-capable device is detected")                                \
    X(cudaErrorInvalidDevice, "invalid device ordinal")                                       \
    X(cudaErrorInvalidResourceHandle, "invalid resource handle")                              \
    X(cudaErrorNotReady, "device not ready")                                                  \
    X(cudaErrorIllegalAddress, "an illegal memory access was encountered")                    \
    X(cudaErrorLaunchOutOfResources, "too many resources requested for launch")               \
    X(cudaErrorLaunchFailure, "unspecified launch failure")                                   \
    X(cudaErrorNotSupported, "operation not supported")                                       \
    X(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")  \
    X(cudaErrorStreamCaptureInvalidated,                                                      \
      "operation failed due to a previous error during capture")                              \
    X(cudaErrorStreamCaptureUnjoined, "capture did not include all streams that were forked") \
    X(cudaErrorStreamCaptureWrongThread, "capture ended by another thread")

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
#define X(name, text) \
    case name:        \
        return #name;
        DET_EMU_ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
#define X(name, text) \
    case name:        \
        return text;
        DET_EMU_ERRORS(X)
#undef X
    }
    return "unrecognized error code";
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = devices;
    return machine_ready();
}

cudaError_t cudaSetDevice(int device)
{
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess)
        current = device;
    return error;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return machine_ready();
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device)
{
    const cudaError_t error = check_device(device);
    if (error != cudaSuccess)
        return error;
    *properties = {};
    strcpy(properties->name, "emulated on the CPU");
    properties->totalGlobalMem = device_memory;
    properties->sharedMemPerBlock = shared_default_bytes;
    properties->sharedMemPerBlockOptin = shared_most_bytes;
    properties->major = capabilities[device % 2] / 10;
    properties->minor = capabilities[device % 2] % 10;
    properties->multiProcessorCount = 132;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->l2CacheSize = 50 << 20;
    return cudaSuccess;
}

/* Each on a bus of its own. */
cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    const cudaError_t error = check_device(device);
    if (error == cudaSuccess)
        snprintf(text, (size_t)bytes, "0000:%02x:00.0", device + 1);
    return error;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device)
{
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess)
        return error;
    switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock:
        *value = (int)properties.sharedMemPerBlock;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)properties.sharedMemPerBlockOptin;
        return cudaSuccess;
    case cudaDevAttrL2CacheSize:
        *value = properties.l2CacheSize;
        return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
        *value = properties.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = properties.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = properties.minor;
        return cudaSuccess;
    }
    return set_error(cudaErrorInvalidValue);
}

} // extern "C"
