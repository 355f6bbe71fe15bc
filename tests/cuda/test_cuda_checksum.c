/* checksum: the sum that its contract names, over sizes around what a thread, a block and all
 * blocks take; what differs in one bit differs. */
#include "checksum.h"
#include "cuda/support/device.h"

static uint64_t sum_on_host(const float *values, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        uint64_t x = (((uint64_t)i << 32) + bits + 1) * 0x9E3779B97F4A7C15u;
        x = (x ^ (x >> 32)) * 0xD6E8FEB86659FD93u;
        sum += x ^ (x >> 29);
    }
    return sum;
}

static uint64_t sum_on_device(const float *values, size_t count)
{
    uint64_t got;
    float *device = test_device_copy(values, count * sizeof *values);
    uint64_t *sum = test_device_alloc(sizeof *sum);
    void *workspace = test_device_alloc(detk_checksum_workspace());
    assert_cuda(detk_checksum(0, (int64_t)count, device, sum, workspace));
    test_device_read(&got, sum, sizeof got);
    test_device_free(device);
    test_device_free(sum);
    test_device_free(workspace);
    return got;
}

static void sums_agree(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 3, 4, 5, 1023, 1024, 1027, 262143, 262144, 600007};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        float *values = test_values(DETK_F32, counts[i], (uint32_t)i + 1, 1);
        assert_true(sum_on_device(values, counts[i]) == sum_on_host(values, counts[i]));
        free(values);
    }
}

/* One bit of one value, a zero's sign, two values that have changed places. */
static void what_differs_shows(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    float *values = test_values(DETK_F32, COUNT, 7, 1);
    const uint64_t before = sum_on_device(values, COUNT);
    for (size_t at = 0; at < COUNT; at += 333) {
        const float kept = values[at], other = values[at + 1];
        uint32_t bits;
        memcpy(&bits, &kept, sizeof bits);
        bits ^= 1u << (at % 32);
        memcpy(values + at, &bits, sizeof bits);
        assert_true(sum_on_device(values, COUNT) != before);
        values[at] = other;
        values[at + 1] = kept;
        assert_true(sum_on_device(values, COUNT) != before);
        values[at] = kept;
        values[at + 1] = other;
    }
    values[5] = 0;
    const uint64_t zero = sum_on_device(values, COUNT);
    values[5] = -0.0f;
    assert_true(sum_on_device(values, COUNT) != zero);
    free(values);
}

int test_cuda_checksum(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree),
        cmocka_unit_test(what_differs_shows),
    };
    return cmocka_run_group_tests_name("cuda_checksum", tests, NULL, NULL);
}
