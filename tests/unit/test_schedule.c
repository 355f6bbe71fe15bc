/* model/schedule: each kind about its boundaries; the cosine against TensorFlow is in
 * test_head_goldens. */
#include <math.h>

#include "model/schedule.h"
#include "support/test.h"

static void constant(void **state)
{
    (void)state;
    const struct det_schedule s = {.kind = DET_SCHEDULE_CONSTANT, .learning_rate = 0.3f};
    assert_near(det_schedule_rate(&s, 0), 0.3f, 0);
    assert_near(det_schedule_rate(&s, 1000000), 0.3f, 0);
}

static void exponential(void **state)
{
    (void)state;
    struct det_schedule s = {.kind = DET_SCHEDULE_EXPONENTIAL_DECAY,
                             .learning_rate = 1,
                             .decay_steps = 10,
                             .decay_factor = 0.5f,
                             .staircase = true};
    assert_near(det_schedule_rate(&s, 0), 1, 0);
    assert_near(det_schedule_rate(&s, 9), 1, 0);
    assert_near(det_schedule_rate(&s, 10), 0.5, 0);
    assert_near(det_schedule_rate(&s, 35), 0.125, 0);
    s.staircase = false;
    assert_near(det_schedule_rate(&s, 5), sqrt(0.5), 1e-7);
    s.burnin_steps = 7;
    assert_near(det_schedule_rate(&s, 6), 1, 0);
    s.burnin_learning_rate = 0.25f;
    assert_near(det_schedule_rate(&s, 6), 0.25, 0);
    assert_near(det_schedule_rate(&s, 7), 1, 0); /* decay starts after the burn-in */
    assert_near(det_schedule_rate(&s, 17), 0.5, 1e-7);
    s.min_learning_rate = 0.4f;
    assert_near(det_schedule_rate(&s, 6), 0.4f, 0);
    assert_near(det_schedule_rate(&s, 1000), 0.4f, 0);
}

static void manual(void **state)
{
    (void)state;
    const int64_t steps[] = {4, 10};
    const float rates[] = {1, 0.125f};
    struct det_schedule s = {.kind = DET_SCHEDULE_MANUAL_STEP,
                             .learning_rate = 0.5f,
                             .steps = steps,
                             .rates = rates,
                             .step_count = 2};
    const double plain[] = {0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 0.125, 0.125};
    const double warm[] = {0.5, 0.625, 0.75, 0.875, 1, 1, 1, 1, 1, 1, 0.125, 0.125};
    for (int64_t i = 0; i < 12; i++) {
        s.warmup = false;
        assert_near(det_schedule_rate(&s, i), plain[i], 0);
        s.warmup = true;
        assert_near(det_schedule_rate(&s, i), warm[i], 0);
    }
}

static void cosine(void **state)
{
    (void)state;
    struct det_schedule s = {.kind = DET_SCHEDULE_COSINE_DECAY,
                             .learning_rate = 0.8f,
                             .total_steps = 100,
                             .warmup_learning_rate = 0.2f,
                             .warmup_steps = 10,
                             .hold_base_rate_steps = 20};
    for (int64_t i = 0; i <= 102; i++) {
        double expected = 0.4 * (1 + cos(3.14159265358979323846 * (double)(i - 30) / 70));
        if (i <= 30)
            expected = 0.8;
        if (i < 10)
            expected = 0.2 + 0.06 * (double)i;
        if (i > 100)
            expected = 0;
        assert_near(det_schedule_rate(&s, i), expected, 1e-7);
    }
    s.warmup_steps = 0;
    s.hold_base_rate_steps = 0;
    assert_near(det_schedule_rate(&s, 0), 0.8f, 0);
    assert_near(det_schedule_rate(&s, 50), 0.4, 1e-7);
    s.warmup_steps = 100; /* nothing left to decay over */
    assert_near(det_schedule_rate(&s, 50), 0.5, 1e-7);
    assert_near(det_schedule_rate(&s, 100), 0.8f, 0);
    assert_near(det_schedule_rate(&s, 101), 0, 0);
}

int test_schedule(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant),
        cmocka_unit_test(exponential),
        cmocka_unit_test(manual),
        cmocka_unit_test(cosine),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
