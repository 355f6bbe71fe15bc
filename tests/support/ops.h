/* ops.h: helpers of the tests of det_ops tables: guarded buffers, executors whose workspace is all
 * NaN, comparison with the reference. */
#ifndef DET_TESTS_SUPPORT_OPS_H
#define DET_TESTS_SUPPORT_OPS_H

#include "ops/ops.h"
#include "support/test.h"

/* The tables this machine can run, slowest first, the reference not among them; which are skipped
 * is said once. For float32: a set that differs from another by its products of bf16 alone is left
 * out. */
#define OPS_TABLES_MAX 4
int ops_tables(const struct det_ops *tables[OPS_TABLES_MAX]);
/* For bf16: of all sets. */
int ops_bf16_tables(const struct det_ops *tables[OPS_TABLES_MAX]);

/* What belongs to a table without being in it: the functions of op_list.h's DET_PART_LIST, and the
 * dense convolutions' gradients. */
struct ops_parts {
#define OPS_PART(set, name, gradient, result, parameters) result(*name) parameters;
    DET_PART_LIST(OPS_PART, )
#undef OPS_PART
    const struct detk_gemm *gemm; /* NULL: the reference */
};
const struct ops_parts *ops_parts(const struct det_ops *ops);
void ops_conv_backward_data(const struct ops_parts *parts, const struct det_exec *x,
                            const struct det_conv_shape *s, const float *dout, const float *w,
                            float *din, bool accumulate);
void ops_conv_backward_weight(const struct ops_parts *parts, const struct det_exec *x,
                              const struct det_conv_shape *s, const float *in, const float *dout,
                              float *dw, bool accumulate);

/* `count` values between guard bands, 64-byte aligned; from `values` or all NaN when that is NULL.
 */
float *ops_buffer(size_t count, const float *values);
/* Uniform [-1, 1). */
float *ops_random(size_t count, uint32_t seed);
/* Asserts that the guards stand; NULL is allowed. */
void ops_check(const float *buffer);
void ops_free(float *buffer); /* with ops_check() */
size_t ops_count(const float *buffer);

/* Pools of 1 to OPS_THREADS threads, and an executor on one of them with `bytes` of NaN between
 * guards. */
#define OPS_THREADS 3
struct ops_rig {
    struct test_env t;
    struct det_pool *pools[OPS_THREADS];
    float *workspace;
};
void ops_rig_open(struct ops_rig *rig);
void ops_rig_close(struct ops_rig *rig);
struct det_exec ops_exec(struct ops_rig *rig, int threads, size_t bytes);
void ops_exec_done(struct ops_rig *rig);

/* |got - want| <= 1e-5 * sqrt(norm2) + 1e-6 * |want|, norm2 being the sum of the squares of the
 * terms (NULL: 1). NaN must meet NaN; `nan_may_spread` allows more of them: 0 * NaN where an
 * implementation multiplies the zeros of the padding that the reference skips. `what` names the
 * case. */
void ops_compare(const char *what, const float *got, const float *want, const float *norm2,
                 bool nan_may_spread);
/* The same for results whose terms were each changed by some `terms` of themselves, 1e-5 or
 * more. */
void ops_compare_terms(const char *what, const float *got, const float *want, const float *norm2,
                       double terms, bool nan_may_spread);
/* The same for results that were then rounded by at most `rounding` of themselves. */
void ops_compare_rounded(const char *what, const float *got, const float *want, const float *norm2,
                         double rounding);
/* The same bits. */
void ops_same(const char *what, const float *got, const float *want);

/* A buffer with the squares. */
float *ops_squares(const float *values);

#endif
