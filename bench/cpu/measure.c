/* measure.c: repeated timing. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "support/clock.h"

enum { LEAST_RUNS = 3, MOST_RUNS = 400 };
#define LEAST_SAMPLE_S 50e-6

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct bench_time bench_summary(double *seconds, int count)
{
    qsort(seconds, (size_t)count, sizeof *seconds, compare);
    return (struct bench_time){.median = seconds[count / 2],
                               .low = seconds[count / 4],
                               .high = seconds[count * 3 / 4],
                               .runs = count};
}

struct bench_time bench_measure(void (*body)(void *argument), void *argument, double budget_s)
{
    double seconds[MOST_RUNS];
    body(argument);
    const double begin = det_clock_seconds();
    body(argument);
    const double once = det_clock_seconds() - begin;
    const int inner = once < LEAST_SAMPLE_S ? (int)(LEAST_SAMPLE_S / (once + 1e-9)) + 1 : 1;
    int runs = 0;
    while (runs < LEAST_RUNS || (runs < MOST_RUNS && det_clock_seconds() - begin < budget_s)) {
        const double start = det_clock_seconds();
        for (int i = 0; i < inner; i++)
            body(argument);
        seconds[runs++] = (det_clock_seconds() - start) / inner;
    }
    return bench_summary(seconds, runs);
}

void *bench_bytes(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (memory == NULL) {
        fprintf(stderr, "bench: out of memory (%zu bytes)\n", bytes);
        exit(1);
    }
    memset(memory, 0, bytes);
    return memory;
}

float *bench_floats(size_t count)
{
    float *values = bench_bytes(count * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((i * 2654435761u >> 16) % 1000) / 500 - 1;
    return values;
}
