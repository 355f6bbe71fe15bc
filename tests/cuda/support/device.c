#include "cuda/support/device.h"

void *test_device_alloc(size_t bytes)
{
    void *device = NULL;
    assert_cuda(cudaMalloc(&device, bytes > 0 ? bytes : 1));
    if (bytes > 0)
        assert_cuda(cudaMemset(device, 0xCD, bytes));
    return device;
}

void *test_device_copy(const void *host, size_t bytes)
{
    void *device = test_device_alloc(bytes);
    if (bytes > 0)
        assert_cuda(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
    return device;
}

void test_device_free(void *device)
{
    assert_cuda(cudaFree(device));
}

void test_device_read(void *host, const void *device, size_t bytes)
{
    assert_cuda(cudaDeviceSynchronize());
    if (bytes > 0)
        assert_cuda(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost));
}

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7FFFFFFFU) > 0x7F800000U)
        return 0x7FFF;
    bits += 0x7FFFU + ((bits >> 16) & 1U);
    return (uint16_t)(bits >> 16);
}

static float from_bf16(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void *test_device_values(enum detk_type type, const float *values, size_t count)
{
    if (type == DETK_F32)
        return test_device_copy(values, count * sizeof *values);
    uint16_t *halves = malloc(count * sizeof *halves + 1);
    assert_non_null(halves);
    for (size_t i = 0; i < count; i++)
        halves[i] = to_bf16(values[i]);
    void *device = test_device_copy(halves, count * sizeof *halves);
    free(halves);
    return device;
}

void test_device_read_values(enum detk_type type, float *values, const void *device, size_t count)
{
    if (type == DETK_F32) {
        test_device_read(values, device, count * sizeof *values);
        return;
    }
    uint16_t *halves = malloc(count * sizeof *halves + 1);
    assert_non_null(halves);
    test_device_read(halves, device, count * sizeof *halves);
    for (size_t i = 0; i < count; i++)
        values[i] = from_bf16(halves[i]);
    free(halves);
}

void test_round(enum detk_type type, float *values, size_t count)
{
    for (size_t i = 0; type == DETK_BF16 && i < count; i++)
        values[i] = from_bf16(to_bf16(values[i]));
}

float *test_values(enum detk_type type, size_t count, uint32_t seed, float scale)
{
    float *values = malloc((count + 1) * sizeof *values);
    assert_non_null(values);
    test_fill(values, count, seed);
    for (size_t i = 0; i < count; i++)
        values[i] *= scale;
    test_round(type, values, count);
    return values;
}
