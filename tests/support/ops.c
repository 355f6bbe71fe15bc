/* See ops.h. A buffer is [header, guard, values, guard] in one block. */
#include "support/ops.h"

#include <math.h>

#include "base/pool.h"
#include "ops/cpu/conv/conv_view.h"
#include "ops/cpu/isa/cpu_ops.h"
#include "ops/ref/ref_ops.h"

#define GUARD       64 /* floats */
#define GUARD_VALUE 12345.678f

static int tables_of(bool bf16, const struct det_ops *tables[OPS_TABLES_MAX])
{
    static bool said;
    const char *name, *missing;
    int count = 0;
    for (int i = 1; (name = det_cpu_instruction_set(i, &missing)) != NULL; i++) {
        if (missing != NULL) {
            if (!said)
                print_message("skipped: %s: %s\n", name, missing);
            continue;
        }
        const struct det_ops *ops = det_ops_cpu(name, &missing);
        ops = bf16 ? ops->bf16 : ops;
        /* What has the kernels of the set before it. */
        if (count > 0 && tables[count - 1]->blocked == ops->blocked)
            continue;
        assert_true(count < OPS_TABLES_MAX);
        tables[count++] = ops;
    }
    said = true;
    return count;
}

const struct ops_parts *ops_parts(const struct det_ops *ops)
{
#define PARTS(text, set, isa, bf16, q8, native_bf16) \
    {text, {DET_PART_LIST(DET_FILL_OP, isa).gemm = &detk_gemm_##isa}},
    static const struct {
        const char *name;
        struct ops_parts parts;
    } all[] = {{"ref", {DET_PART_LIST(DET_FILL_OP, ref)}}, DETK_SETS(PARTS)};
    size_t i = 0;
    while (strcmp(all[i].name, ops->name) != 0)
        i++;
    return &all[i].parts;
}

void ops_conv_backward_data(const struct ops_parts *parts, const struct det_exec *x,
                            const struct det_conv_shape *s, const float *dout, const float *w,
                            float *din, bool accumulate)
{
    if (parts->gemm == NULL)
        detk_conv_backward_data__ref(x, s, dout, w, din, accumulate);
    else
        detk_conv_pixels_backward(parts->gemm, x, s, dout, w, din, accumulate);
}

void ops_conv_backward_weight(const struct ops_parts *parts, const struct det_exec *x,
                              const struct det_conv_shape *s, const float *in, const float *dout,
                              float *dw, bool accumulate)
{
    if (parts->gemm == NULL)
        detk_conv_backward_weight__ref(x, s, in, dout, dw, accumulate);
    else
        detk_conv_weights(parts->gemm, x, s, in, dout, dw, accumulate);
}

int ops_tables(const struct det_ops *tables[OPS_TABLES_MAX])
{
    return tables_of(false, tables);
}

int ops_bf16_tables(const struct det_ops *tables[OPS_TABLES_MAX])
{
    return tables_of(true, tables);
}

float *ops_buffer(size_t count, const float *values)
{
    const size_t floats = GUARD + (count + 15) / 16 * 16 + 2 * GUARD;
    float *block = aligned_alloc(64, floats * sizeof *block);
    assert_non_null(block);
    memcpy(block, &count, sizeof count);
    for (size_t i = 16; i < floats; i++)
        block[i] = GUARD_VALUE;
    float *buffer = block + GUARD;
    for (size_t i = 0; i < count; i++)
        buffer[i] = values != NULL ? values[i] : NAN;
    return buffer;
}

float *ops_random(size_t count, uint32_t seed)
{
    float *buffer = ops_buffer(count, NULL);
    test_fill(buffer, count, seed);
    return buffer;
}

size_t ops_count(const float *buffer)
{
    size_t count;
    memcpy(&count, buffer - GUARD, sizeof count);
    return count;
}

void ops_check(const float *buffer)
{
    if (buffer == NULL)
        return;
    const size_t count = ops_count(buffer);
    for (size_t i = 0; i < GUARD - 16; i++) {
        if (buffer[-(ptrdiff_t)i - 1] != GUARD_VALUE)
            fail_msg("written %zu values before a buffer of %zu", i + 1, count);
    }
    for (size_t i = 0; i < GUARD; i++) {
        if (buffer[count + i] != GUARD_VALUE)
            fail_msg("written %zu values behind a buffer of %zu", i + 1, count);
    }
}

void ops_free(float *buffer)
{
    if (buffer == NULL)
        return;
    ops_check(buffer);
    free(buffer - GUARD);
}

void ops_rig_open(struct ops_rig *rig)
{
    memset(rig, 0, sizeof *rig);
    test_env_init(&rig->t);
    for (int i = 0; i < OPS_THREADS; i++)
        assert_ok(&rig->t.env, det_pool_create(&rig->t.env, i + 1, &rig->pools[i]));
}

void ops_rig_close(struct ops_rig *rig)
{
    for (int i = 0; i < OPS_THREADS; i++)
        det_pool_destroy(&rig->t.env, &rig->pools[i]);
    test_env_check(&rig->t);
}

struct det_exec ops_exec(struct ops_rig *rig, int threads, size_t bytes)
{
    assert_int_equal(bytes % sizeof(float), 0);
    rig->workspace = ops_buffer(bytes / sizeof(float), NULL);
    const struct det_exec exec = {
        .pool = rig->pools[threads - 1], .workspace = rig->workspace, .workspace_bytes = bytes};
    return exec;
}

void ops_exec_done(struct ops_rig *rig)
{
    ops_free(rig->workspace);
    rig->workspace = NULL;
}

static void compare(const char *what, const float *got, const float *want, const float *norm2,
                    bool nan_may_spread, double share, double relative)
{
    const size_t count = ops_count(want);
    assert_int_equal(ops_count(got), count);
    ops_check(got);
    for (size_t i = 0; i < count; i++) {
        if ((isnan(got[i]) && (isnan(want[i]) || nan_may_spread)) ||
            (isinf(want[i]) && got[i] == want[i]))
            continue;
        const double terms = norm2 == NULL || isnan(norm2[i]) ? 1 : sqrt((double)norm2[i]);
        const double allowed = share * terms + relative * fabs((double)want[i]) + 1e-30;
        const double error = fabs((double)got[i] - (double)want[i]);
        if (!(error <= allowed))
            fail_msg("%s: value %zu of %zu is %.9g, expected %.9g (off by %.3g, allowed %.3g)",
                     what, i, count, (double)got[i], (double)want[i], error, allowed);
    }
}

void ops_compare(const char *what, const float *got, const float *want, const float *norm2,
                 bool nan_may_spread)
{
    compare(what, got, want, norm2, nan_may_spread, 1e-5, 1e-6);
}

void ops_compare_rounded(const char *what, const float *got, const float *want, const float *norm2,
                         double rounding)
{
    compare(what, got, want, norm2, false, 1e-5, 1e-6 + rounding);
}

void ops_compare_terms(const char *what, const float *got, const float *want, const float *norm2,
                       double terms, bool nan_may_spread)
{
    compare(what, got, want, norm2, nan_may_spread, terms, 1e-6);
}

void ops_same(const char *what, const float *got, const float *want)
{
    ops_check(got);
    if (memcmp(got, want, ops_count(want) * sizeof *want) != 0)
        fail_msg("%s: the bits depend on the number of threads", what);
}

float *ops_squares(const float *values)
{
    float *squares = ops_buffer(ops_count(values), values);
    for (size_t i = 0; i < ops_count(values); i++)
        squares[i] *= squares[i];
    return squares;
}
