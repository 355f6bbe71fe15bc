/* tool.h: what all tools share besides their options and what they print (console.h): a det_context
 * whose log goes to stderr, the options --threads, --cpu, --device, --precision, --deterministic,
 * --graph, --verbose and --quiet, the way out after an error, and Ctrl-C as a flag.
 *
 * The tools know of the library what libdet/include/det/ says, and are written with support/ as it
 * is; so a tool has an env of its own beside the context, for its files and for its messages. Which
 * of the two has the message of a failure is tool_fail()'s to know, and nobody else's. */
#ifndef DET_TOOLS_COMMON_TOOL_H
#define DET_TOOLS_COMMON_TOOL_H

#include <stdbool.h>

#include "common/options.h"
#include "det/det.h"
#include "support/guard.h"

struct tool {
    const char *name; /* "det-train" */
    int64_t threads;
    const char *cpu, *device, *precision;
    bool deterministic, graph, tuning, verbose, quiet;
    int64_t max_image_pixels, max_jpeg_scans; /* 0: the library's defaults */
    /* After tool_open(): */
    det_context *context;
    struct det_env env;            /* of the thread that opened it */
    struct det_guard guard;        /* the env's: output.h */
    const char *told_folder;       /* of which it was said that files there are replaced */
    char message[DET_ERROR_BYTES]; /* tool_message() */
};

#define TOOL_INIT(program)                                                                      \
    {                                                                                           \
        .name = (program), .cpu = "auto", .device = "auto", .precision = "auto", .graph = true, \
        .tuning = true                                                                          \
    }
/* Of a tool that runs no network. */
#define TOOL_INIT_WITHOUT_DEVICE(program)                                      \
    {                                                                          \
        .name = (program), .cpu = "auto", .device = "cpu", .precision = "auto" \
    }

/* Entries of an option table. */
#define TOOL_CPU_OPTIONS(tool)                                                                 \
    {"threads", OPTION_INT, &(tool)->threads, "N",                                             \
     "worker threads, 0: as many as processors this process may use"},                         \
    {                                                                                          \
        "cpu", OPTION_STRING, &(tool)->cpu, "ISA",                                             \
            "instruction set: auto, ref, generic or, on x86-64, sse2, avx2, avxvnni, avx512, " \
            "avx512vnni, avx512bf16"                                                           \
    }
#define TOOL_LOG_OPTIONS(tool)                                                                   \
    {"verbose", OPTION_FLAG, &(tool)->verbose, NULL, "log details"},                             \
    {                                                                                            \
        "quiet", OPTION_FLAG, &(tool)->quiet, NULL,                                              \
            "tell nothing but errors, on standard error; files that are asked for are written, " \
            "with - to standard output"                                                          \
    }
/* Of a tool that computes in single precision. */
#define TOOL_DEVICE_OPTIONS(tool)                                                           \
    TOOL_CPU_OPTIONS(tool),                                                                 \
        {"device", OPTION_STRING, &(tool)->device, "DEVICE",                                \
         "what computes: auto, cpu, cuda or cuda:I; cuda is an error where there is none"}, \
        {"deterministic", OPTION_FLAG, &(tool)->deterministic, NULL,                        \
         "CUDA: the same bits in each run, somewhat slower (the CPU always does)"},         \
        {"graph", OPTION_FLAG, &(tool)->graph, NULL,                                        \
         "CUDA: run recorded graphs; --nograph launches one by one"},                       \
        {"tuning", OPTION_FLAG, &(tool)->tuning, NULL,                                      \
         "CUDA: time cublasLt's algorithms at the start; --notuning takes its first"},      \
        TOOL_LOG_OPTIONS(tool)
#define TOOL_OPTIONS(tool)                                                                 \
    {"precision", OPTION_STRING, &(tool)->precision, "P",                                  \
     "f32, bf16, tf32 (CUDA only) or int8 (models in 8 bits only); auto: f32, int8 where " \
     "the model is"},                                                                      \
        TOOL_DEVICE_OPTIONS(tool)

/* Of a tool that decodes pictures. */
#define TOOL_IMAGE_OPTIONS(tool)                                      \
    {"max_image_pixels", OPTION_INT, &(tool)->max_image_pixels, "N",  \
     "largest picture that is decoded, width x height (120000000)"},  \
    {                                                                 \
        "max_jpeg_scans", OPTION_INT, &(tool)->max_jpeg_scans, "N",   \
            "most scans of a progressive JPEG that are decoded (100)" \
    }

/* Exit statuses of all tools: 0, 1 after an error, 2 for a wrong command line. */
enum { TOOL_EXIT_ERROR = 1 };

/* Makes the context; its log lines go to stderr ("warning: " and "error: " in front of those), the
 * first one says the device. False: *exit_status is set and the cause was printed; tool_close() is
 * still allowed. */
bool tool_open(struct tool *tool, int *exit_status);
void tool_close(struct tool *tool);

/* Why the last call failed, of the tool's own or of the library; then that is forgotten, so that it
 * is not shown for the next one. An own failure that is handled otherwise is forgotten by
 * det_forget_error(): a message in the env is the present one, and without one it is the library's.
 * Valid until the next failure. */
const char *tool_message(struct tool *tool, det_status status);
/* "NAME: " and that message on stderr; returns TOOL_EXIT_ERROR. */
int tool_fail(struct tool *tool, det_status status);
/* The same with a message of the tool's own. */
int tool_error(struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A context for another thread of the tool, with one thread, on the CPU: a context belongs to one
 * thread at a time. *context is NULL after a failure, whose message is in `env`, that of the thread
 * that calls. */
det_status tool_context(struct tool *tool, struct det_env *env, det_context **context);
/* Hands on the status of a call that failed in `context`, with its message in `env`. */
det_status tool_adopt(struct det_env *env, const det_context *context, det_status status);

/* A log line of the tool's own. */
void tool_log(struct tool *tool, det_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on SIGINT, SIGTERM and SIGHUP (a closed terminal or connection; not under nohup) only
 * set a flag and print `notice` (static, with its newline; NULL: nothing). A second SIGINT or
 * SIGTERM ends the process as usual; not a SIGHUP or the SIGTERM behind it, which come together
 * when a session ends. */
void tool_catch_signals(const char *notice);
/* The same, and SIGINT and SIGTERM may come as often as they like: for a process whose starter and
 * terminal both send them. */
void tool_catch_repeated_signals(const char *notice);
bool tool_interrupted(void);

/* How many of a model's ids name a class. */
int32_t tool_used_classes(const det_model *model);
/* Those as a member "classes" of an object of JSON. */
struct det_json_writer;
void tool_put_classes(struct det_json_writer *json, const det_model *model);

/* Largest resident size of this process so far. */
double tool_peak_mb(void);

#endif
