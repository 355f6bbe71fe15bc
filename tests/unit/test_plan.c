/* model/plan: blocks that live at the same time never overlap, and the arena is not larger than
 * need be. */
#include "model/plan.h"
#include "support/test.h"

static void live_blocks_do_not_overlap(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    for (uint32_t seed = 1; seed < 30; seed++) {
        struct det_plan_block blocks[120];
        float noise[360];
        test_fill(noise, 360, seed);
        for (int i = 0; i < 120; i++) {
            blocks[i].bytes = (size_t)((noise[3 * i] + 1) * 500);
            blocks[i].first = (int32_t)((noise[3 * i + 1] + 1) * 50);
            blocks[i].last = blocks[i].first + (int32_t)((noise[3 * i + 2] + 1) * 10);
        }
        size_t total = 0, sum = 0;
        assert_ok(&t.env, det_plan_arena(&t.env, blocks, 120, &total));
        for (int i = 0; i < 120; i++) {
            sum += blocks[i].bytes;
            if (blocks[i].bytes == 0)
                continue;
            assert_int_equal(blocks[i].offset % 64, 0);
            assert_true(blocks[i].offset + blocks[i].bytes <= total);
            for (int j = 0; j < i; j++) {
                if (blocks[j].bytes == 0 || blocks[j].last < blocks[i].first ||
                    blocks[i].last < blocks[j].first)
                    continue;
                assert_true(blocks[i].offset + blocks[i].bytes <= blocks[j].offset ||
                            blocks[j].offset + blocks[j].bytes <= blocks[i].offset);
            }
        }
        assert_true(total < sum); /* it does reuse */
    }
    test_env_check(&t);
}

static void a_chain_needs_two_buffers(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_plan_block chain[10];
    for (int i = 0; i < 10; i++)
        chain[i] = (struct det_plan_block){.bytes = 6400, .first = i, .last = i + 1};
    size_t total = 0;
    assert_ok(&t.env, det_plan_arena(&t.env, chain, 10, &total));
    assert_int_equal(total, 12800);
    chain[3].bytes = SIZE_MAX / 2;
    assert_fails(&t.env, DET_STATUS_OUT_OF_MEMORY, "too large",
                 det_plan_arena(&t.env, chain, 10, &total));
    test_env_check(&t);
}

/* What touches times 4 to 6 is there at all of them. */
static void blocks_are_stretched(void **state)
{
    (void)state;
    struct det_plan_block blocks[] = {
        {.bytes = 64, .first = 0, .last = 3}, {.bytes = 64, .first = 0, .last = 4},
        {.bytes = 64, .first = 5, .last = 5}, {.bytes = 64, .first = 6, .last = 9},
        {.bytes = 64, .first = 7, .last = 9}, {.bytes = 64, .first = 1, .last = 8},
    };
    static const int32_t expected[][2] = {{0, 3}, {0, 6}, {4, 6}, {4, 9}, {7, 9}, {1, 8}};
    det_plan_stretch(blocks, 6, 4, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(blocks[i].first, expected[i][0]);
        assert_int_equal(blocks[i].last, expected[i][1]);
    }
}

int test_plan(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(live_blocks_do_not_overlap),
        cmocka_unit_test(a_chain_needs_two_buffers),
        cmocka_unit_test(blocks_are_stretched),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
