/* cpu_device.h: the CPU as a device for tests that make a learner without a context. */
#ifndef DET_TESTS_SUPPORT_CPU_DEVICE_H
#define DET_TESTS_SUPPORT_CPU_DEVICE_H

#include "devices/backend.h"
#include "ops/ops.h"

/* Closed by test_cpu_device_close(); the pool may be NULL. */
struct det_device *test_cpu_device(struct det_env *env, const struct det_ops *ops,
                                   struct det_pool *pool);
void test_cpu_device_close(struct det_env *env, struct det_device **device);

#endif
