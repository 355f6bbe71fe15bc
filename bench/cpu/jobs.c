/* jobs.c: whole jobs as a user runs them, each in a process of its own, so that load times and
 * memory are its own: detection by det-bench, training steps by this program's --step. */
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "base/pool.h"
#include "bench.h"
#include "det/det.h"
#include "model/model.h"
#include "ops/ops.h"

enum { PROCESSES = 3 }; /* that a detection job is measured in */

/* Runs a command and parses what it prints; NULL after a message on stderr. */
static cJSON *run(const char *command)
{
    char text[8192];
    FILE *pipe = popen(command, "r");
    if (pipe == NULL)
        return NULL;
    const size_t got = fread(text, 1, sizeof text - 1, pipe);
    text[got] = '\0';
    cJSON *tree = pclose(pipe) == 0 ? cJSON_Parse(text) : NULL;
    if (tree == NULL)
        fprintf(stderr, "bench: failed: %s\n", command);
    return tree;
}

static double number(const cJSON *tree, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(tree, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* The inference form of the model, where det-bench can map it. */
static int export_model(const struct bench_options *options, char *path, size_t bytes)
{
    det_context *context = NULL;
    det_model *model = NULL;
    snprintf(path, bytes, "%s/model.det", options->scratch);
    if (det_context_create(&context, NULL) != DET_OK)
        return 1;
    det_status status = det_model_load(context, options->model, &model);
    if (status == DET_OK)
        status = det_model_export(context, model, path);
    if (status != DET_OK)
        fprintf(stderr, "bench: %s\n", det_context_error(context));
    det_model_destroy(&model);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}

/* Of a job's name; f32 has none. */
static const char *suffix(const char *precision)
{
    return strcmp(precision, "bf16") == 0 ? ", bf16" : "";
}

/* Median and range over the processes. */
static struct bench_time summary(double ms[PROCESSES])
{
    for (int i = 0; i < PROCESSES; i++)
        ms[i] *= 1e-3;
    struct bench_time time = bench_summary(ms, PROCESSES);
    time.low = ms[0];
    time.high = ms[PROCESSES - 1];
    return time;
}

/* What is reported of a detection job. */
enum figure { LOAD, FIRST, NETWORK, NETWORK_P99, WHOLE, WHOLE_P99, FIGURES };
static const char *const figure_names[FIGURES] = {"load",        "first",     "network p50",
                                                  "network p99", "whole p50", "whole p99"};

static int detect(const struct bench_options *options, struct bench_report *report,
                  const char *model, int size, int batch, int threads, const char *precision)
{
    char command[1200], job[100], name[160];
    double ms[FIGURES][PROCESSES], peak = 0;
    struct bench_time times[FIGURES];
    snprintf(job, sizeof job, "detect/%d batch %d, %d thread%s%s", size, batch, threads,
             threads == 1 ? "" : "s", suffix(precision));
    if (!bench_wanted(options, job))
        return 0;
    snprintf(command, sizeof command,
             "'%s/det-bench' '%s' --size %d --batch %d --threads %d --repeat %d --device cpu "
             "--precision %s --json - 2>/dev/null",
             options->tools, model, size, batch, threads, size > 400 || batch > 1 ? 10 : 40,
             precision);
    for (int i = 0; i < PROCESSES; i++) {
        cJSON *tree = run(command);
        if (tree == NULL)
            return 1;
        const cJSON *network = cJSON_GetObjectItem(tree, "network_ms");
        const cJSON *whole = cJSON_GetObjectItem(tree, "whole_ms");
        ms[LOAD][i] = number(tree, "load_ms");
        ms[FIRST][i] = number(tree, "first_ms");
        ms[NETWORK][i] = number(network, "p50");
        ms[NETWORK_P99][i] = number(network, "p99");
        ms[WHOLE][i] = number(whole, "p50");
        ms[WHOLE_P99][i] = number(whole, "p99");
        peak = number(tree, "peak_bytes") / 1e6;
        cJSON_Delete(tree);
    }
    printf("%-36s", job);
    for (int f = 0; f < FIGURES; f++) {
        times[f] = summary(ms[f]);
        snprintf(name, sizeof name, "%s/%s", job, figure_names[f]);
        bench_report_time(report, name, &times[f]);
        printf(" %8.2f", times[f].median * 1e3);
    }
    printf(" %8.1f %6.1f\n", batch / times[WHOLE].median, peak);
    snprintf(name, sizeof name, "%s/images per second", job);
    bench_report_value(report, name, batch / times[WHOLE].median, "1/s");
    snprintf(name, sizeof name, "%s/peak memory", job);
    bench_report_value(report, name, peak, "MB");
    return 0;
}

static int train(const struct bench_options *options, struct bench_report *report, int size,
                 int batch, int threads, const char *precision)
{
    char command[1200], job[100], name[160], self[1000];
    snprintf(job, sizeof job, "training step/%d batch %d, %d thread%s%s", size, batch, threads,
             threads == 1 ? "" : "s", suffix(precision));
    if (!bench_wanted(options, job))
        return 0;
    snprintf(self, sizeof self, "%s/bench", options->tools);
    snprintf(command, sizeof command, "'%s' --step %d,%d,7 --threads %d --precision %s", self, size,
             batch, threads, precision);
    cJSON *tree = run(command);
    if (tree == NULL)
        return 1;
    const struct bench_time time = {.median = number(tree, "median") * 1e-3,
                                    .low = number(tree, "low") * 1e-3,
                                    .high = number(tree, "high") * 1e-3,
                                    .runs = (int)number(tree, "runs")};
    bench_report_time(report, job, &time);
    snprintf(name, sizeof name, "%s/peak memory", job);
    bench_report_value(report, name, number(tree, "peak_mb"), "MB");
    printf("%-36s %8.1f ms (%.1f to %.1f), %.1f images/s, %.0f MB at its peak\n", job,
           number(tree, "median"), number(tree, "low"), number(tree, "high"),
           batch * 1e3 / number(tree, "median"), number(tree, "peak_mb"));
    cJSON_Delete(tree);
    return 0;
}

static int all_jobs(const struct bench_options *options, struct bench_report *report,
                    const char *model, const char *precision)
{
    const int all = options->threads > 0 ? options->threads : det_processors();
    const int least = options->threads > 0 ? options->threads : 1;
    int result = 0;
    for (int size = 320; size <= 640 && result == 0; size += 320)
        for (int threads = least; threads <= all && result == 0;
             threads += all > least ? all - least : 1)
            result = detect(options, report, model, size, 1, threads, precision);
    if (result == 0)
        result = detect(options, report, model, 320, 8, all, precision);
    if (result == 0)
        result = train(options, report, 320, 8, all, precision);
    if (result == 0)
        result = train(options, report, 640, 2, all, precision);
    return result;
}

int bench_jobs(const struct bench_options *options, struct bench_report *report)
{
    char model[1000];
    const char *reason = NULL;
    int result = export_model(options, model, sizeof model);
    printf("%-36s %8s %8s %8s %8s %8s %8s %8s %6s\n", "ms", "load", "first", "network", "p99",
           "whole", "p99", "images/s", "MB");
    if (result == 0)
        result = all_jobs(options, report, model, "f32");
    if (result == 0 && det_ops_cpu("avx512bf16", &reason) != NULL)
        result = all_jobs(options, report, model, "bf16");
    else if (result == 0)
        printf("jobs in bf16: not here, it would be slower than f32: %s\n", reason);
    return result;
}
