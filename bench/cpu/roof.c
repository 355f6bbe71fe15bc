/* roof.c: the roofline of this machine for one instruction set: multiply-adds in registers, and
 * bandwidth at rising working sets, from the first cache to memory. Measured on as many threads as
 * the kernels use. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "ops/cpu/blocked/blocked.h"
#include "ops/cpu/isa/isas.h"
#include "ops/ops.h"
#include "peak.h"
#include "support/clock.h"

struct probes {
    const char *isa;
    double (*fma)(long steps);
    void (*triad)(float *a, const float *b, const float *c, size_t count);
    float (*read)(const float *a, size_t count);
    double (*bf16)(long steps); /* NULL: the set has no such instruction */
};

#define BF16_true(set)  peak_bf16__##set
#define BF16_false(set) NULL
#define PROBES(name, set, isa, bf16, q8, native_bf16) \
    {name, peak_fma__##isa, peak_triad__##isa, peak_read__##isa, BF16_##native_bf16(set)},
static const struct probes all_probes[] = {DETK_SETS(PROBES)};

static const size_t sets[BENCH_BANDWIDTHS] = {24 << 10, 192 << 10, 1 << 20,
                                              6 << 20,  24 << 20,  192 << 20};

enum { ROUNDS = 9, FMA_STEPS = 400000 };

/* The products of bytes that a set's 8-bit kernels are made of; NULL: pairs of 16 bits. */
static double (*q8_of(const struct det_ops *ops))(long steps)
{
#ifdef __x86_64__
    if (ops->q8 == &detk_blocked_q8_avx512vnni)
        return peak_q8__avx512vnni;
#endif
    (void)ops;
    return NULL;
}

/* One thread's share. */
struct probe {
    const struct probes *probes;
    float *a, *b, *c;
    size_t count; /* floats in each of the three */
    int turns;
    pthread_barrier_t *barrier;
    double flop_s[ROUNDS], triad_s[ROUNDS], read_s[ROUNDS];
    float kept;
};

static void *run_probe(void *argument)
{
    struct probe *p = argument;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(p->barrier);
        double start = det_clock_seconds();
        if (p->count == 0)
            p->flop_s[round] = p->probes->fma(FMA_STEPS) / (det_clock_seconds() - start);
        for (int turn = 0; p->count > 0 && turn < p->turns; turn++)
            p->probes->triad(p->a, p->b, p->c, p->count);
        p->triad_s[round] = det_clock_seconds() - start;
        pthread_barrier_wait(p->barrier);
        start = det_clock_seconds();
        for (int turn = 0; p->count > 0 && turn < p->turns; turn++)
            p->kept += p->probes->read(p->a, p->count) + p->probes->read(p->b, p->count) +
                       p->probes->read(p->c, p->count);
        p->read_s[round] = det_clock_seconds() - start;
    }
    return NULL;
}

/* GFLOP/s for set_bytes 0, else GB/s, of all threads together: the best round. */
static double run(const struct probes *probes, int threads, size_t set_bytes)
{
    enum { MOST_THREADS = 256 };
    static struct probe probe[MOST_THREADS];
    pthread_t thread[MOST_THREADS];
    pthread_barrier_t barrier;
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
    pthread_barrier_init(&barrier, NULL, (unsigned)threads);
    const size_t count = set_bytes / (size_t)threads / 12 / 128 * 128;
    for (int i = 0; i < threads; i++)
        probe[i] = (struct probe){.probes = probes,
                                  .a = bench_floats(count),
                                  .b = bench_floats(count),
                                  .c = bench_floats(count),
                                  .count = count,
                                  .turns = count == 0 ? 0 : (int)(8e6 / (double)count / 12) + 1,
                                  .barrier = &barrier};
    for (int i = 1; i < threads; i++)
        pthread_create(&thread[i], NULL, run_probe, &probe[i]);
    run_probe(&probe[0]);
    for (int i = 1; i < threads; i++)
        pthread_join(thread[i], NULL);
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double flop = 0, triad = 0, read = 0;
        for (int i = 0; i < threads; i++) {
            const double bytes = 12.0 * (double)count * probe[i].turns;
            flop += probe[i].flop_s[round];
            triad += count == 0 ? 0 : bytes / probe[i].triad_s[round];
            read += count == 0 ? 0 : bytes / probe[i].read_s[round];
        }
        const double here = flop > triad   ? (flop > read ? flop : read)
                            : triad > read ? triad
                                           : read;
        best = here > best ? here : best;
    }
    for (int i = 0; i < threads; i++) {
        free(probe[i].a);
        free(probe[i].b);
        free(probe[i].c);
    }
    pthread_barrier_destroy(&barrier);
    return best * 1e-9;
}

bool bench_roof_measure(const char *isa, int threads, struct bench_roof *roof)
{
    const char *reason = NULL;
    const struct probes *probes = NULL;
    for (size_t i = 0; i < sizeof all_probes / sizeof *all_probes; i++)
        if (strcmp(all_probes[i].isa, isa) == 0)
            probes = &all_probes[i];
    const struct det_ops *ops = det_ops_cpu(isa, &reason);
    if (probes == NULL || ops == NULL)
        return false;
    *roof = (struct bench_roof){.isa = isa, .threads = threads};
    roof->gflops = run(probes, threads, 0);
    roof->bf16_gflops = roof->gflops;
    if (probes->bf16 != NULL) {
        struct probes bf16 = *probes;
        bf16.fma = probes->bf16;
        roof->bf16_gflops = run(&bf16, threads, 0);
    }
    roof->q8_gops = 2 * roof->gflops;
    if (q8_of(ops) != NULL) {
        struct probes q8 = *probes;
        q8.fma = q8_of(ops);
        roof->q8_gops = run(&q8, threads, 0);
    }
    for (int i = 0; i < BENCH_BANDWIDTHS; i++) {
        roof->set_bytes[i] =
            sets[i] * (size_t)(i < 2 ? threads : 1); /* caches of each core's own */
        roof->gigabytes[i] = run(probes, threads, roof->set_bytes[i]);
    }
    return true;
}

double bench_roof_seconds(const struct bench_roof *roof, const struct bench_work *work)
{
    /* The roof must not be too low: the largest measured set that is no larger than the work's. */
    double gigabytes = roof->gigabytes[0];
    for (int i = 0; i < BENCH_BANDWIDTHS && (double)roof->set_bytes[i] <= work->bytes; i++)
        gigabytes = roof->gigabytes[i];
    const double computing = (work->flop / roof->gflops + work->bf16_flop / roof->bf16_gflops +
                              work->q8_op / roof->q8_gops) *
                             1e-9;
    const double moving = work->bytes * 1e-9 / gigabytes;
    return computing > moving ? computing : moving;
}
