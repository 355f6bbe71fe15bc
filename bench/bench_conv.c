/* bench_conv.c: speed of the dense convolutions of the CPU backend on the real network's layers
 * (320 x 320).
 *
 *     bench_conv [avx512|avx2|sse2] [threads] [batch]
 *
 * Prints per layer and pass the best of repeated runs in GFLOP/s and as a fraction of the FMA peak
 * measured in the same run (14 independent chains in registers: a `down` kernel whose operands stay
 * in L1).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/conv_ops.h"
#include "backend/cpu/gemm.h"
#include "base/env.h"
#include "base/pool.h"

struct isa {
    const char *name;
    const struct detk_gemm *gemm;
    size_t (*workspace)(const struct det_conv_shape *shape, bool depthwise, int threads);
    void (*forward)(const struct det_exec *x, const struct det_conv_shape *s, const float *in,
                    const float *w, const float *bias, enum det_activation act, float *out);
    void (*backward_data)(const struct det_exec *x, const struct det_conv_shape *s,
                          const float *dout, const float *w, float *din, bool accumulate);
    void (*backward_weight)(const struct det_exec *x, const struct det_conv_shape *s,
                            const float *in, const float *dout, float *dw, bool accumulate);
};

#define ISA(isa)                                                                      \
    {                                                                                 \
#isa, &detk_gemm_##isa, detk_conv_workspace__##isa, detk_conv_forward__##isa, \
            detk_conv_backward_data__##isa, detk_conv_backward_weight__##isa          \
    }

static const struct isa isas[] = {ISA(sse2), ISA(avx2), ISA(avx512)};

/* edge of the input, channels in and out, kernel, stride, times in the network */
static const int layers[][6] = {
    {320, 3, 32, 3, 2, 1},   {160, 32, 16, 1, 1, 1},   {160, 16, 96, 1, 1, 1},
    {80, 96, 24, 1, 1, 1},   {80, 24, 144, 1, 1, 2},   {80, 144, 24, 1, 1, 1},
    {40, 144, 32, 1, 1, 1},  {40, 32, 192, 1, 1, 3},   {40, 192, 32, 1, 1, 2},
    {20, 192, 64, 1, 1, 1},  {20, 64, 384, 1, 1, 4},   {20, 384, 64, 1, 1, 3},
    {20, 384, 96, 1, 1, 1},  {20, 96, 576, 1, 1, 3},   {20, 576, 96, 1, 1, 2},
    {10, 576, 160, 1, 1, 1}, {10, 160, 960, 1, 1, 3},  {10, 960, 160, 1, 1, 2},
    {10, 960, 320, 1, 1, 1}, {10, 320, 1280, 1, 1, 1}, {40, 32, 128, 1, 1, 1},
    {20, 96, 128, 1, 1, 1},  {10, 1280, 128, 1, 1, 1}, {40, 128, 128, 1, 1, 6},
    {20, 128, 128, 1, 1, 6}, {10, 128, 128, 1, 1, 5},  {5, 128, 128, 1, 1, 6},
    {3, 128, 128, 1, 1, 6},  {40, 128, 24, 1, 1, 1},   {40, 128, 12, 1, 1, 1},
    {40, 128, 128, 3, 1, 0}, {10, 128, 128, 3, 1, 0},
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *floats(size_t count)
{
    float *values = aligned_alloc(64, (count * sizeof *values + 127) / 64 * 64);
    if (values == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((i * 2654435761u >> 16) % 1000) / 500 - 1;
    return values;
}

/* GFLOP/s of one thread of the tallest kernel on operands in L1. */
static double peak(const struct detk_gemm *gemm)
{
    const int steps = 64, cols = 2 * gemm->lanes;
    float *a = floats((size_t)(steps * gemm->max_rows)), *b = floats((size_t)(steps * cols));
    float *c = floats((size_t)(gemm->max_rows * cols));
    double best = 1e9;
    struct detk_tile tile = {.a = a,
                             .a_step = gemm->max_rows,
                             .a_segment = 0,
                             .segments = 1000,
                             .run = steps,
                             .b = b,
                             .b_step = 0,
                             .c = c,
                             .c_row = cols,
                             .cols = cols};
    for (int i = 0; i < 100; i++) {
        const double start = now_s();
        gemm->down[1][gemm->max_rows - 1](&tile);
        const double time = now_s() - start;
        best = time < best ? time : best;
    }
    free(a);
    free(b);
    free(c);
    return 2.0 * steps * 1000 * gemm->max_rows * cols / best * 1e-9;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "avx512";
    const int threads = argc > 2 ? atoi(argv[2]) : 1, batch = argc > 3 ? atoi(argv[3]) : 1;
    const struct isa *isa = NULL;
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        if (strcmp(isas[i].name, name) == 0)
            isa = &isas[i];
    }
    struct det_env env;
    det_env_default(&env);
    struct det_pool *pool = NULL;
    if (isa == NULL || batch < 1 || det_pool_create(&env, threads, &pool) != DET_OK) {
        fprintf(stderr, "usage: bench_conv [avx512|avx2|sse2] [threads] [batch]\n");
        return 2;
    }
    const double top = peak(isa->gemm) * threads;
    printf("%s, %d threads, batch %d: peak %.1f GFLOP/s\n", name, threads, batch, top);
    printf("%-26s %8s | %-22s | %-22s | %-22s\n", "layer", "MFLOP", "forward: us GF/s %",
           "backward data", "backward weight");
    double total[3] = {0};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const int *l = layers[i];
        const int out = (l[0] + l[4] - 1) / l[4], pad = (out - 1) * l[4] + l[3] - l[0];
        const struct det_conv_shape s = {batch, l[0], l[0], l[1], out,     out,
                                         l[2],  l[3], l[3], l[4], pad / 2, pad / 2};
        const size_t pixels = (size_t)batch * (size_t)(out * out);
        float *in = floats((size_t)batch * (size_t)(l[0] * l[0] * l[1]));
        float *w = floats((size_t)(l[3] * l[3] * l[1] * l[2])), *bias = floats((size_t)l[2]);
        float *to = floats(pixels * (size_t)l[2]);
        struct det_exec x = {pool, NULL, isa->workspace(&s, false, threads)};
        x.workspace = floats(x.workspace_bytes / sizeof(float));
        const double flop = 2.0 * (double)pixels * l[3] * l[3] * l[1] * l[2];
        printf("%3d^2 %4d -> %4d k%d s%d x%d %8.1f", l[0], l[1], l[2], l[3], l[4], l[5],
               flop * 1e-6);
        for (int pass = 0; pass < 3; pass++) {
            double best = 1e9;
            const double begin = now_s();
            for (int turn = 0; turn < 5 || (turn < 400 && now_s() - begin < 0.15); turn++) {
                const double start = now_s();
                if (pass == 0)
                    isa->forward(&x, &s, in, w, bias, DET_ACTIVATION_RELU6, to);
                else if (pass == 1)
                    isa->backward_data(&x, &s, to, w, in, false);
                else
                    isa->backward_weight(&x, &s, in, to, w, false);
                const double time = now_s() - start;
                best = time < best ? time : best;
            }
            total[pass] += best * l[5];
            printf(" | %9.1f %6.1f %3.0f %%", best * 1e6, flop / best * 1e-9,
                   100 * flop / best * 1e-9 / top);
        }
        printf("\n");
        free(in);
        free(w);
        free(bias);
        free(to);
        free(x.workspace);
    }
    printf("network: forward %.2f ms, backward data %.2f ms, backward weight %.2f ms\n",
           total[0] * 1e3, total[1] * 1e3, total[2] * 1e3);
    det_pool_destroy(&env, &pool);
    return 0;
}
