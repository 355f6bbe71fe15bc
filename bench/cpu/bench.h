/* bench.h: what the parts of `make bench` share: timing, the roofline of this machine, shapes of
 * the real network, and the report they all write into. Development code: it uses the library's
 * internal headers, and ends the program when memory is out. */
#ifndef DET_BENCH_CPU_BENCH_H
#define DET_BENCH_CPU_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "det/context.h"
#include "model/graph.h"

struct cJSON;
struct det_env;
struct det_ops;
struct det_pool;

/* --- measure.c --- */

/* Seconds of one call, from repeated ones; what lies between low and high COMPARE takes for noise:
 * quartiles, or the range of repeated measurements where there are few. */
struct bench_time {
    double median, low, high;
    int runs;
};

/* Calls `body` once for warming up, then for about `budget_s` seconds and at least three times.
 * Bodies shorter than 50 us are timed several at a time. */
struct bench_time bench_measure(void (*body)(void *argument), void *argument, double budget_s);
/* The same boiled down from given seconds. Sorts. */
struct bench_time bench_summary(double *seconds, int count);

/* Floats in -1..1 (zero-size allowed), 64-byte aligned, to be freed; ends the program when memory
 * is out. */
float *bench_floats(size_t count);
void *bench_bytes(size_t bytes);

/* --- report.c --- */

/* Figures of one run: {"machine": {...}, "results": [{"name", "median", "low", "high", "unit",
 * ...}]}. */
struct bench_report {
    struct cJSON *root, *results;
};

void bench_report_open(struct bench_report *report);
void bench_report_close(struct bench_report *report);
/* Unit "ms"; further numbers may be added to what is returned. */
struct cJSON *bench_report_time(struct bench_report *report, const char *name,
                                const struct bench_time *time);
/* One value that has no spread: unit "MB", ... */
struct cJSON *bench_report_value(struct bench_report *report, const char *name, double value,
                                 const char *unit);
/* A fact about the machine. */
void bench_report_machine(struct bench_report *report, const char *name, double value);
/* Writes the file (then false: it could not be), or appends the results of one. */
bool bench_report_write(const struct bench_report *report, const char *path);
bool bench_report_read(struct bench_report *report, const char *path);
/* What differs from an older report by more than the noise; returns how many became slower or
 * larger. -1: unreadable. */
int bench_compare(const char *old_path, const struct bench_report *report);

/* --- roof.c --- */

enum { BENCH_BANDWIDTHS = 6 };

/* What one instruction set reaches at most here, measured. */
struct bench_roof {
    const char *isa;
    int threads;
    double gflops;      /* independent chains of multiply-adds in registers */
    double bf16_gflops; /* of bf16; the same where it is widened to float32 */
    /* of 8 bits, by the set's kernels; without an instruction of their own twice that of float32:
     * products of pairs of 16 bits */
    double q8_gops;
    size_t set_bytes[BENCH_BANDWIDTHS]; /* rising working sets of all threads together... */
    /* ...and GB/s in them: the better of reading and a = b + s * c */
    double gigabytes[BENCH_BANDWIDTHS];
};

/* False when there are no probes for this instruction set, or the machine lacks it. */
bool bench_roof_measure(const char *isa, int threads, struct bench_roof *roof);
/* The least that an operation has to do: in float32, in bf16, in 8 bits, and to move. */
struct bench_work {
    double flop, bf16_flop, q8_op, bytes;
};
/* The least seconds that takes, all of it being the working set: the longer of computing and
 * moving. */
double bench_roof_seconds(const struct bench_roof *roof, const struct bench_work *work);

/* --- shapes.c --- */

/* One line of shapes.txt: an operation of the network and how often it is there. */
struct bench_shape {
    bool train;   /* training form; else folded, for inference */
    int32_t size; /* of the network's input */
    enum det_op_kind op;
    int32_t in_h, in_w, in_c, out_h, out_w, out_c, kernel, stride;
    int32_t times;
};

/* *shapes is to be freed; false after a message on stderr. */
bool bench_shapes_read(const char *path, struct bench_shape **shapes, size_t *count);
/* The file's text from the graph of the network. */
bool bench_shapes_write(FILE *to);

/* --- kernel_report.c: a table of operations beside the roofline --- */

enum { BENCH_SWEEPS = 3 };
/* The median of the sweeps' medians, and their range: what happens on the machine meanwhile shows
 * as noise. */
struct bench_time bench_merge_sweeps(const struct bench_time times[BENCH_SWEEPS]);
void bench_report_roof(struct bench_report *report, const struct bench_roof *roof);
/* One operation, `times` of which are in the network. */
void bench_report_kernel(struct bench_report *report, const char *name, int times,
                         const struct bench_work *work, const struct bench_roof *roof,
                         const struct bench_time *time);
/* All operations of one kind together; `least`: what the roofline allows, in seconds. */
void bench_report_total(struct bench_report *report, const char *name, double least,
                        const struct bench_time *time);

/* --- quantised.c --- */

struct det_quantised;
/* Of a folded graph; to be released with det_quantised_destroy(). */
det_status bench_quantise(struct det_env *env, const struct det_graph *graph, const float *params,
                          struct det_quantised **quantised);

/* --- batch.c --- */

struct det_ground_truth;
struct det_learner;
struct det_learner_settings;
struct det_step_result;

struct bench_batch {
    int size, count;
    float *images; /* [count][size][size][3] of 0..255 */
    size_t floats;
    struct det_ground_truth *truths; /* [count], class 0 */
};

void bench_batch_make(struct det_env *env, int size, int batch, struct bench_batch *made);
void bench_batch_free(struct det_env *env, struct bench_batch *batch);
/* What learns from them: the usual network with the parameters of seed 1. settings->batch_size
 * becomes the batch's. */
det_status bench_learner_create(det_context *context, const struct bench_batch *batch,
                                struct det_learner_settings *settings,
                                struct det_learner **learner);
/* A step, and how long it took. */
det_status bench_learner_step(det_context *context, struct det_learner *learner,
                              const struct bench_batch *batch, double *seconds,
                              struct det_step_result *result);

/* --- the benchmarks --- */

struct bench_options {
    const char *shapes;  /* shapes.txt */
    const char *model;   /* a .det */
    const char *tools;   /* folder of det-bench */
    const char *scratch; /* folder for files */
    const char *only;    /* part of a name, NULL: all */
    int threads;         /* 0: all processors */
    double budget_s;     /* per kernel */
};

bool bench_wanted(const struct bench_options *options, const char *name);
int bench_kernels(const struct bench_options *options, struct bench_report *report);
/* The steps of prepared networks (devices/cpu/prepared/prepared.h), part of bench_kernels(). `ops`:
 * float32's, or the bf16 twin; with eight_bits float32's, in 8 bits. */
int bench_prepared(const struct bench_options *options, struct bench_report *report,
                   const struct bench_roof *roof, const struct det_ops *ops, bool eight_bits,
                   struct det_pool *pool);
int bench_data(const struct bench_options *options, struct bench_report *report);
int bench_jobs(const struct bench_options *options, struct bench_report *report);
/* One training step in a process of its own; prints one line of JSON for bench_jobs(). */
int bench_step(int size, int batch, int threads, int repeat, const char *precision);

/* For the scripts of bench/peers: one line of JSON on stdout. */
int bench_decode(const char *arguments);
int bench_coco(const char *arguments, int threads);

#endif
