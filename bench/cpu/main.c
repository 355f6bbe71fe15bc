/* main.c: the program behind `make bench`. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "common/options.h"

bool bench_wanted(const struct bench_options *options, const char *name)
{
    return options->only == NULL || strstr(name, options->only) != NULL;
}

/* The parts in the order they run. */
static const struct {
    const char *name;
    int (*run)(const struct bench_options *options, struct bench_report *report);
} parts[] = {{"jobs", bench_jobs}, {"data", bench_data}, {"kernels", bench_kernels}};

static int run_parts(const struct options *asked, const struct bench_options *options,
                     struct bench_report *report)
{
    int result = 0;
    for (size_t p = 0; p < sizeof parts / sizeof *parts && result == 0; p++) {
        bool wanted = asked->positional.count == 0;
        for (size_t i = 0; i < asked->positional.count; i++)
            wanted = wanted || strcmp(asked->positional.values[i], parts[p].name) == 0;
        if (wanted)
            result = parts[p].run(options, report);
    }
    return result;
}

static int check(const struct options *asked, int64_t threads)
{
    for (size_t i = 0; i < asked->positional.count; i++) {
        bool known = false;
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            known = known || strcmp(asked->positional.values[i], parts[p].name) == 0;
        if (!known)
            return options_error(asked, "unknown part `%s`, expected jobs, data or kernels",
                                 asked->positional.values[i]);
    }
    if (threads < 0 || threads > 256)
        return options_error(asked, "--threads: got %lld, expected 0 to 256", (long long)threads);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench_options bench = {.shapes = "bench/shapes.txt",
                                  .model = "data/vehicles.det",
                                  .tools = "build/release/bin",
                                  .scratch = "build/bench",
                                  .budget_s = 0.04};
    const char *json = NULL, *compare = NULL, *step = NULL, *decode = NULL, *coco = NULL,
               *precision = "auto";
    int64_t threads = 0;
    bool write_shapes = false;
    const struct option table[] = {
        {"json", OPTION_STRING, &json, "FILE", "writes the figures"},
        {"compare", OPTION_STRING, &compare, "FILE",
         "says what differs from an earlier run's file by more than the noise; exit status 1 when "
         "something became worse"},
        {"only", OPTION_STRING, &bench.only, "TEXT", "only what has this in its name"},
        {"threads", OPTION_INT, &threads, "N",
         "threads; 0: one for kernels, one and all processors for jobs"},
        {"budget", OPTION_DOUBLE, &bench.budget_s, "S", "seconds for each kernel"},
        {"shapes", OPTION_STRING, &bench.shapes, "FILE", "the network's operations"},
        {"model", OPTION_STRING, &bench.model, "FILE", "the .det that the jobs run"},
        {"tools", OPTION_STRING, &bench.tools, "DIR", "where det-bench is"},
        {"scratch", OPTION_STRING, &bench.scratch, "DIR", "an existing folder for files"},
        {"write_shapes", OPTION_FLAG, &write_shapes, NULL, "prints shapes.txt and ends"},
        {"step", OPTION_STRING, &step, "SIZE,BATCH,REPEAT",
         "times training steps in this process, prints JSON and ends"},
        {"decode", OPTION_STRING, &decode, "FILE,SIZE,REDUCED,REPEAT[,PIXELS]",
         "times decode, crop, flip and resize of a picture, prints JSON and ends"},
        {"coco", OPTION_STRING, &coco, "TRUTH,DETECTIONS",
         "times the evaluation of two COCO files, prints JSON and ends"},
        {"precision", OPTION_STRING, &precision, "P", "of --step"},
        {0}};
    struct options asked = {.program = "bench",
                            .usage = "[jobs] [data] [kernels]",
                            .description = "Benchmarks of the CPU: all parts without arguments.",
                            .table = table,
                            .positional_max = 4};
    struct bench_report report;
    int result = 0, size = 0, batch = 0, repeat = 0;
    if (!options_parse(&asked, argc, argv, &result))
        return result;
    result = check(&asked, threads);
    bench.threads = (int)threads;
    if (result != 0 || write_shapes) {
        options_free(&asked);
        return result != 0 ? result : bench_shapes_write(stdout) ? 0 : 1;
    }
    if (step != NULL) {
        options_free(&asked);
        if (sscanf(step, "%d,%d,%d", &size, &batch, &repeat) != 3 || repeat < 1)
            return 2;
        return bench_step(size, batch, bench.threads, repeat, precision);
    }
    if (decode != NULL || coco != NULL) {
        options_free(&asked);
        return decode != NULL ? bench_decode(decode) : bench_coco(coco, bench.threads);
    }
    bench_report_open(&report);
    result = run_parts(&asked, &bench, &report);
    if (json != NULL && !bench_report_write(&report, json)) {
        fprintf(stderr, "bench: %s cannot be written\n", json);
        result = 1;
    }
    if (result == 0 && compare != NULL)
        result = bench_compare(compare, &report) == 0 ? 0 : 1;
    bench_report_close(&report);
    options_free(&asked);
    return result;
}
