/* What makes words of two bf16 of float32, for the products of training (pairs.h): value by value,
 * at odd lengths too. */
#include "ops/cpu/gemm/pairs.h"
#include "ops/cpu/isa/isas.h"
#include "support/forms.h"
#include "support/ops.h"
#include "support/test.h"

#define TABLE(bf16, isa) {#bf16, &detk_pairs_##bf16},
static const struct {
    const char *isa;
    const struct detk_pairs *pairs;
} tables[] = {DETK_BF16_ISAS(TABLE)};

/* Narrowing of single values behind the last whole vector keeps denormal numbers, vectors of
 * AVX512-BF16 do not: both are right. */
static void check_half(const struct det_ops *ops, const char *what, int32_t rows, int32_t c,
                       uint16_t got, float from)
{
    if (got != bf16_wanted(ops, from) && got != bf16_wanted(det_ops_ref(), from))
        fail_msg("%s, %s of %d x %d: %a is narrowed to %04x, not %04x", ops->name, what, rows, c,
                 (double)from, got, bf16_wanted(ops, from));
}

static void check(const struct det_ops *ops, const struct detk_pairs *pairs, int32_t rows,
                  int32_t c)
{
    const int32_t from_row = c + 3, words = (c + 1) / 2, pair_rows = (rows + 1) / 2;
    float *from = ops_buffer((size_t)(rows * from_row), NULL);
    float *across = ops_buffer((size_t)(rows * words), NULL);
    float *down = ops_buffer((size_t)(pair_rows * c), NULL);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t j = 0; j < c; j++)
            from[r * from_row + j] = bf16_hostile((size_t)(r * c + j));
    pairs->of_channels(from, from_row, rows, c, across, words);
    pairs->of_rows(from, from_row, rows, c, down, c);
    for (int32_t r = 0; r < rows; r++)
        for (int32_t j = 0; j < 2 * words; j++)
            check_half(ops, "pairs of channels", rows, c,
                       bf16_half(across, (size_t)(r * 2 * words + j)),
                       j < c ? from[r * from_row + j] : 0);
    for (int32_t r = 0; r < 2 * pair_rows; r++)
        for (int32_t j = 0; j < c; j++)
            check_half(ops, "pairs of rows", rows, c,
                       bf16_half(down, 2 * (size_t)(r / 2 * c + j) + (size_t)(r % 2)),
                       r < rows ? from[r * from_row + j] : 0);
    ops_free(from);
    ops_free(across);
    ops_free(down);
}

static void words_hold_neighbours(void **state)
{
    (void)state;
    static const int32_t channels[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40};
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        const char *reason = NULL;
        const struct det_ops *ops = det_ops_cpu(tables[t].isa, &reason);
        if (ops == NULL) {
            print_message("skipped: %s: %s\n", tables[t].isa, reason);
            continue;
        }
        for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++)
            for (int32_t rows = 1; rows <= 5; rows++)
                check(ops, tables[t].pairs, rows, channels[i]);
    }
}

int test_pairs(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_hold_neighbours)};
    return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
