/* model/box_coder: by hand, there and back, extremes. */
#include <math.h>

#include "model/box_coder.h"
#include "support/test.h"

static void by_hand(void **state)
{
    (void)state;
    const struct det_box_coder coder = DET_BOX_CODER_DEFAULT;
    const float anchor[4] = {0.1f, 0.2f, 0.5f, 0.4f}, box[4] = {0.2f, 0.1f, 0.4f, 0.7f};
    float encoding[4], back[4];
    det_box_encode(&coder, box, anchor, encoding);
    assert_near(encoding[0], 0, 1e-6);
    assert_near(encoding[1], (0.4 - 0.3) / 0.2 * 10, 1e-5);
    assert_near(encoding[2], log(0.5) * 5, 1e-5);
    assert_near(encoding[3], log(3) * 5, 1e-5);
    det_box_decode(&coder, encoding, anchor, back);
    for (int k = 0; k < 4; k++)
        assert_near(back[k], box[k], 1e-6);
}

static void there_and_back(void **state)
{
    (void)state;
    const struct det_box_coder coder = {3, 7, 2, 11};
    float values[8];
    for (uint32_t seed = 0; seed < 1000; seed++) {
        test_fill(values, 8, seed);
        float anchor[4] = {values[0], values[1], values[0] + 0.01f + fabsf(values[2]),
                           values[1] + 0.01f + fabsf(values[3])};
        float box[4] = {values[4], values[5], values[4] + 0.01f + fabsf(values[6]),
                        values[5] + 0.01f + fabsf(values[7])};
        float encoding[4], back[4];
        det_box_encode(&coder, box, anchor, encoding);
        det_box_decode(&coder, encoding, anchor, back);
        for (int k = 0; k < 4; k++)
            assert_near(back[k], box[k], 2e-5);
    }
}

static void extremes_stay_finite(void **state)
{
    (void)state;
    const struct det_box_coder coder = DET_BOX_CODER_DEFAULT;
    const float anchor[4] = {0, 0, 0.5f, 0.5f}, empty[4] = {0.3f, 0.3f, 0.3f, 0.3f};
    float encoding[4], box[4];
    det_box_encode(&coder, empty, anchor, encoding);
    det_box_encode(&coder, anchor, empty, box);
    for (int k = 0; k < 4; k++) {
        assert_true(isfinite(encoding[k]));
        assert_true(isfinite(box[k]));
    }
    const float huge[4] = {0, 0, 1e6f, 1e30f};
    det_box_decode(&coder, huge, anchor, box);
    assert_true(isfinite(box[0]) && isfinite(box[3]) && box[3] > box[1]);
    const float broken[4] = {0, 0, NAN, 0};
    det_box_decode(&coder, broken, anchor, box);
    assert_true(isnan(box[0]) && isnan(box[2]) && isfinite(box[1]));
}

int test_box_coder(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(extremes_stay_finite),
    };
    return cmocka_run_group_tests_name("box_coder", tests, NULL, NULL);
}
