/* device.h: what the tests of kernels share. They are plain C over the CUDA runtime's C API, so
 * that the same files run under the emulation (det-cuda-emu-tests) and on a GPU (det-cuda-tests).
 *
 * A file tests/cuda/test_cuda_NAME.c defines `int test_cuda_NAME(void)`; the runner finds it by
 * name. Compare with `ref` (det_ops_ref() or the plain C function of model/). */
#ifndef DET_TESTS_CUDA_DEVICE_H
#define DET_TESTS_CUDA_DEVICE_H

#include "kernel.h"
#include "support/test.h"

#define assert_cuda(expression)                                         \
    do {                                                                \
        const cudaError_t cuda_ = (expression);                         \
        if (cuda_ != cudaSuccess)                                       \
            fail_msg("%s: %s", #expression, cudaGetErrorString(cuda_)); \
    } while (0)

/* Device memory of `bytes` (guarded by the emulation; 0xCD in it so that nothing depends on
 * zeros). */
void *test_device_alloc(size_t bytes);
/* With a copy of what is at `host`. */
void *test_device_copy(const void *host, size_t bytes);
void test_device_free(void *device);
/* Waits for the device and copies back. */
void test_device_read(void *host, const void *device, size_t bytes);

/* `count` floats as `type` on the device; read back as floats. */
void *test_device_values(enum detk_type type, const float *values, size_t count);
void test_device_read_values(enum detk_type type, float *values, const void *device, size_t count);
/* Rounds to what `type` can hold, so that `ref` sees the same input. */
void test_round(enum detk_type type, float *values, size_t count);
/* As test_fill() has them, times `scale`, so rounded; malloc, with room for one when `count` is
 * 0. */
float *test_values(enum detk_type type, size_t count, uint32_t seed, float scale);

/* The bound for results of `type` against ref in relative l2: stated per test, these are the usual
 * ones. */
#define TEST_BOUND_F32  1e-5
#define TEST_BOUND_BF16 6e-3
static inline double test_bound(enum detk_type type)
{
    return type == DETK_F32 ? TEST_BOUND_F32 : TEST_BOUND_BF16;
}

#endif
