#include "support/cpu_device.h"

#include "support/test.h"

struct det_device *test_cpu_device(struct det_env *env, const struct det_ops *ops,
                                   struct det_pool *pool)
{
    struct det_device *device = NULL;
    const struct det_device_settings settings = {.pool = pool, .ops = ops};
    assert_ok(env, det_backend_cpu()->device_open(env, &settings, &device));
    return device;
}

void test_cpu_device_close(struct det_env *env, struct det_device **device)
{
    det_backend_cpu()->device_close(env, device);
}
