/* prepared.c: inference as an exported model runs it: the steps of a prepared network
 * (devices/cpu/prepared/prepared.h), each timed in its place while the whole network runs, in
 * float32, in bf16 and in 8 bits. */
#include "devices/cpu/prepared/prepared.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "bench.h"
#include "det/det.h"
#include "model/quantised.h"
#include "ops/cpu/blocked/blocked.h"
#include "support/clock.h"
#include "support/env.h"

enum { MOST_STEPS = 64, MOST_REPEATS = 40, LEAST_REPEATS = 3 };

/* Equal steps of a network. */
struct row {
    char label[64];
    int times;
    struct bench_work work; /* of one */
    struct bench_time sweeps[BENCH_SWEEPS];
};

/* A network that is timed. */
struct subject {
    const struct det_graph *graph;
    struct det_prepared *net;
    bool bf16;
    struct det_quantised *quantised; /* NULL: not in 8 bits */
    int steps, rows;
    int row_of[MOST_STEPS];
    struct row row[MOST_STEPS];
};

static void label_of(const struct det_graph *g, const struct detk_unit *unit, int32_t units,
                     char *label, size_t bytes)
{
    const struct det_tensor in = g->tensors[unit->in], out = g->tensors[unit->out];
    const char *join = unit->join < 0                                   ? ""
                       : g->ops[unit->join].kind == DET_OP_UPSAMPLE_ADD ? " + upsampled"
                                                                        : " + input";
    switch (unit->kind) {
    case DETK_BLOCK_UNIT:
        snprintf(label, bytes, "%s %dx%dx%d-%d-%d s%d%s",
                 g->ops[unit->expand].kernel == 1 ? "block" : "stem block", in.height, in.width,
                 in.channels, g->tensors[g->ops[unit->expand].out].channels, out.channels,
                 g->ops[unit->depthwise].stride, join);
        break;
    case DETK_SEPARABLE_UNIT:
        snprintf(label, bytes, "separable %dx%dx%d-%d, %d tensor%s", in.height, in.width,
                 in.channels, out.channels, units, units == 1 ? "" : "s");
        break;
    case DETK_POINTWISE_UNIT:
        snprintf(label, bytes, "1x1 %dx%dx%d-%d%s", in.height, in.width, in.channels, out.channels,
                 join);
        break;
    case DETK_DENSE_UNIT:
        snprintf(label, bytes, "%dx%d %dx%dx%d-%d", g->ops[unit->other].kernel,
                 g->ops[unit->other].kernel, in.height, in.width, in.channels, out.channels);
        break;
    case DETK_CONVERT_UNIT:
        snprintf(label, bytes, "%s %dx%dx%d", unit->in2 < 0 ? "other form" : "sum", out.height,
                 out.width, out.channels);
        break;
    case DETK_OTHER_UNIT:
        snprintf(label, bytes, "unfused %dx%dx%d-%d", in.height, in.width, in.channels,
                 out.channels);
        break;
    }
}

static void add_operation(const struct subject *s, int32_t index, struct bench_work *work)
{
    if (index < 0)
        return;
    const struct det_op *op = &s->graph->ops[index];
    if (op->kind != DET_OP_CONV && op->kind != DET_OP_DWCONV)
        return;
    const struct det_tensor in = s->graph->tensors[op->in], out = s->graph->tensors[op->out];
    const bool product = op->kind == DET_OP_CONV && op->kernel == 1;
    const bool eight_bits = s->quantised != NULL && s->quantised->eight_bits[index];
    const double weights = (double)op->kernel * op->kernel * out.channels *
                           (op->kind == DET_OP_CONV ? in.channels : 1);
    const double flop = 2 * weights * out.height * out.width;
    *(eight_bits ? &work->q8_op : s->bf16 && product ? &work->bf16_flop : &work->flop) += flop;
    work->bytes += weights * (eight_bits ? 1 : s->bf16 && product ? 2 : 4);
}

static void add_tensor(const struct subject *s, int32_t index, struct bench_work *work)
{
    if (index < 0)
        return;
    /* The network's input and outputs are float32. */
    const bool plain = index == 0 || det_graph_is_output(s->graph, index);
    const struct det_tensor t = s->graph->tensors[index];
    work->bytes += (double)t.height * t.width * t.channels *
                   (plain                  ? 4
                    : s->quantised != NULL ? 1
                    : s->bf16              ? 2
                                           : 4);
}

static struct bench_work work_of(const struct subject *s, const struct detk_unit *unit,
                                 int32_t units)
{
    struct bench_work work = {0};
    for (int32_t i = 0; i < units; i++, unit++) {
        add_operation(s, unit->expand, &work);
        add_operation(s, unit->depthwise, &work);
        add_operation(s, unit->pointwise, &work);
        add_operation(s, unit->other, &work);
        add_tensor(s, unit->in, &work);
        if (unit->in2 != unit->in)
            add_tensor(s, unit->in2, &work);
        add_tensor(s, unit->out, &work);
    }
    return work;
}

/* The steps, equal ones in one row. False: more than there is room for. */
static bool list_steps(struct subject *s)
{
    int32_t units = 0;
    const struct detk_unit *unit = NULL;
    for (s->steps = 0; (unit = det_prepared_step(s->net, s->steps, &units)) != NULL; s->steps++) {
        struct row found = {.times = 0};
        int row = 0;
        if (s->steps == MOST_STEPS)
            return false;
        label_of(s->graph, unit, units, found.label, sizeof found.label);
        while (row < s->rows && strcmp(s->row[row].label, found.label) != 0)
            row++;
        if (row == s->rows) {
            found.work = work_of(s, unit, units);
            s->row[s->rows++] = found;
        }
        s->row[row].times++;
        s->row_of[s->steps] = row;
    }
    return true;
}

/* Whole networks, one after the other, for about `budget_s` seconds. */
static void sweep(struct subject *s, int index, double budget_s)
{
    static double seconds[MOST_STEPS][MOST_REPEATS]; /* by row: the mean of its steps */
    int repeats = 0;
    det_prepared_forward(s->net);
    for (const double begin = det_clock_seconds();
         repeats < LEAST_REPEATS ||
         (repeats < MOST_REPEATS && det_clock_seconds() - begin < budget_s);
         repeats++) {
        for (int row = 0; row < s->rows; row++)
            seconds[row][repeats] = 0;
        for (int step = 0; step < s->steps; step++) {
            const int row = s->row_of[step];
            const double start = det_clock_seconds();
            det_prepared_run_step(s->net, step);
            seconds[row][repeats] += (det_clock_seconds() - start) / s->row[row].times;
        }
    }
    for (int row = 0; row < s->rows; row++)
        s->row[row].sweeps[index] = bench_summary(seconds[row], repeats);
}

static void report_subject(struct bench_report *report, const struct subject *s,
                           const struct bench_roof *roof, const char *network)
{
    struct bench_time total = {0};
    double least = 0;
    char name[160];
    for (int i = 0; i < s->rows; i++) {
        const struct row *row = &s->row[i];
        const struct bench_time time = bench_merge_sweeps(row->sweeps);
        snprintf(name, sizeof name, "kernel/%s/%s", network, row->label);
        bench_report_kernel(report, name, row->times, &row->work, roof, &time);
        least += row->times * bench_roof_seconds(roof, &row->work);
        total.median += row->times * time.median;
        total.low += row->times * time.low;
        total.high += row->times * time.high;
        total.runs = time.runs;
    }
    snprintf(name, sizeof name, "kernels of the network/%s", network);
    bench_report_total(report, name, least, &total);
}

static det_status run(struct det_env *env, const struct bench_options *options,
                      struct bench_report *report, const struct bench_roof *roof,
                      const struct det_ops *ops, bool eight_bits, struct det_pool *pool,
                      int32_t size, const char *network)
{
    struct det_model_spec spec;
    struct det_graph graph = {0};
    struct subject *s = bench_bytes(sizeof *s);
    float *params = NULL;
    det_status status = DET_OK;
    det_model_spec_default(&spec, size, 1);
    DET_TRY(det_graph_build(env, &spec, true, &graph));
    params = bench_floats(graph.param_floats);
    s->graph = &graph;
    s->bf16 = ops->blocked->bf16;
    if (eight_bits)
        DET_TRY(bench_quantise(env, &graph, params, &s->quantised));
    DET_TRY(det_prepared_create(env, &graph, s->quantised, params, ops, pool, 1, &s->net));
    float *pixels = bench_floats((size_t)size * (size_t)size * 3);
    memcpy(det_prepared_input(s->net), pixels, (size_t)size * (size_t)size * 3 * sizeof *pixels);
    free(pixels);
    if (!list_steps(s)) {
        status = det_fail(env, DET_STATUS_UNSUPPORTED, "more than %d steps", (int)MOST_STEPS);
        goto fail;
    }
    for (int i = 0; i < BENCH_SWEEPS; i++)
        sweep(s, i, options->budget_s * s->rows / BENCH_SWEEPS);
    report_subject(report, s, roof, network);
fail:
    det_prepared_destroy(env, &s->net);
    det_quantised_destroy(env, &s->quantised);
    det_graph_free(env, &graph);
    free(params);
    free(s);
    return status;
}

int bench_prepared(const struct bench_options *options, struct bench_report *report,
                   const struct bench_roof *roof, const struct det_ops *ops, bool eight_bits,
                   struct det_pool *pool)
{
    struct det_env env;
    det_env_default(&env);
    for (int32_t size = 320; size <= 640; size += 320) {
        char network[64];
        snprintf(network, sizeof network, "%s/prepared%s %d", ops->name,
                 eight_bits           ? " int8"
                 : ops->blocked->bf16 ? " bf16"
                                      : "",
                 size);
        if (bench_wanted(options, network) &&
            run(&env, options, report, roof, ops, eight_bits, pool, size, network) != DET_OK) {
            fprintf(stderr, "bench: %s: %s\n", network, env.error);
            return 1;
        }
    }
    return 0;
}
