/* kernel_report.c: operations beside the roofline, one line each. */
#include <string.h>

#include <cjson/cJSON.h>

#include "bench.h"

struct bench_time bench_merge_sweeps(const struct bench_time times[BENCH_SWEEPS])
{
    double medians[BENCH_SWEEPS];
    for (int i = 0; i < BENCH_SWEEPS; i++)
        medians[i] = times[i].median;
    struct bench_time all = bench_summary(medians, BENCH_SWEEPS);
    all.low = medians[0];
    all.high = medians[BENCH_SWEEPS - 1];
    all.runs = 0;
    for (int i = 0; i < BENCH_SWEEPS; i++)
        all.runs += times[i].runs;
    return all;
}

void bench_report_roof(struct bench_report *report, const struct bench_roof *roof)
{
    char name[96];
    printf("\n%s, %d thread%s: %.1f GFLOP/s", roof->isa, roof->threads,
           roof->threads == 1 ? "" : "s", roof->gflops);
    snprintf(name, sizeof name, "%s GFLOP/s", roof->isa);
    bench_report_machine(report, name, roof->gflops);
    if (roof->bf16_gflops != roof->gflops) {
        printf(", %.1f in bf16", roof->bf16_gflops);
        snprintf(name, sizeof name, "%s GFLOP/s in bf16", roof->isa);
        bench_report_machine(report, name, roof->bf16_gflops);
    } else {
        printf(" (bf16: widened to it)");
    }
    printf(", %.1f GOP/s in 8 bits", roof->q8_gops);
    snprintf(name, sizeof name, "%s GOP/s in 8 bits", roof->isa);
    bench_report_machine(report, name, roof->q8_gops);
    printf("; GB/s by working set:");
    for (int i = 0; i < BENCH_BANDWIDTHS; i++) {
        printf(" %.1f (%zu KiB)", roof->gigabytes[i], roof->set_bytes[i] >> 10);
        snprintf(name, sizeof name, "%s GB/s in %zu KiB", roof->isa, roof->set_bytes[i] >> 10);
        bench_report_machine(report, name, roof->gigabytes[i]);
    }
    printf("\n%-96s %3s %12s %12s %11s %s\n", "operation", "", "median", "", "", "of the roofline");
}

void bench_report_kernel(struct bench_report *report, const char *name, int times,
                         const struct bench_work *work, const struct bench_roof *roof,
                         const struct bench_time *time)
{
    const double share = bench_roof_seconds(roof, work) / time->median;
    const double gflops = (work->flop + work->bf16_flop + work->q8_op) / time->median * 1e-9;
    const double gigabytes = work->bytes / time->median * 1e-9;
    cJSON *result = bench_report_time(report, name, time);
    cJSON_AddNumberToObject(result, "times", times);
    cJSON_AddNumberToObject(result, "gflops", gflops);
    cJSON_AddNumberToObject(result, "gigabytes_per_second", gigabytes);
    cJSON_AddNumberToObject(result, "roofline_share", share);
    printf("%-96s x%-2d %9.1f us %7.1f GF/s %6.1f GB/s %4.0f %%\n", name + strlen("kernel/"), times,
           time->median * 1e6, gflops, gigabytes, 100 * share);
}

void bench_report_total(struct bench_report *report, const char *name, double least,
                        const struct bench_time *time)
{
    cJSON *result = bench_report_time(report, name, time);
    cJSON_AddNumberToObject(result, "roofline_share", least / time->median);
    printf("%-96s     %9.2f ms %30.0f %%\n", name, time->median * 1e3, 100 * least / time->median);
}
