#include "common/tool.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

enum { LINE_BYTES = 4096 };

/* --- log and progress --- */

void tool_progress_clear(struct tool *tool)
{
    if (atomic_exchange(&tool->progress_open, false))
        fputs("\r\033[K", stderr);
}

/* May be called from the library's threads: one stdio call writes the line. */
static void write_log(void *user, det_log_level level, const char *message)
{
    struct tool *tool = user;
    if (level == DET_LOG_DEBUG && !tool->verbose)
        return;
    const char *clear = atomic_exchange(&tool->progress_open, false) ? "\r\033[K" : "";
    const char *prefix = level == DET_LOG_WARNING ? "warning: "
                         : level == DET_LOG_ERROR ? "error: "
                                                  : "";
    fprintf(stderr, "%s%s%s\n", clear, prefix, message);
}

void tool_log(struct tool *tool, det_log_level level, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    write_log(tool, level, line);
}

void tool_progress(struct tool *tool, const char *format, ...)
{
    if (!tool->terminal)
        return;
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    atomic_store(&tool->progress_open, true);
}

/* --- life --- */

static bool read_limits(const struct tool *tool, det_context_settings *settings, int *exit_status)
{
    const struct {
        const char *name;
        int64_t value, most;
    } limits[] = {{"max_image_pixels", tool->max_image_pixels, DET_MOST_IMAGE_PIXELS},
                  {"max_jpeg_scans", tool->max_jpeg_scans, INT32_MAX}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value < 0 || limits[i].value > limits[i].most) {
            fprintf(stderr, "%s: --%s: got %lld, expected 1 to %lld, or 0 for the default\n",
                    tool->name, limits[i].name, (long long)limits[i].value,
                    (long long)limits[i].most);
            *exit_status = OPTIONS_EXIT_USAGE;
            return false;
        }
    settings->max_image_pixels = (uint64_t)tool->max_image_pixels;
    settings->max_jpeg_scans = (int32_t)tool->max_jpeg_scans;
    return true;
}

bool tool_open(struct tool *tool, int *exit_status)
{
    *exit_status = TOOL_EXIT_ERROR;
    tool->terminal = isatty(STDERR_FILENO) != 0;
    if (tool->threads < 0 || tool->threads > 4096) {
        fprintf(stderr, "%s: --threads: got %lld, expected 0 to 4096\n", tool->name,
                (long long)tool->threads);
        *exit_status = OPTIONS_EXIT_USAGE;
        return false;
    }
    det_context_settings settings;
    det_context_settings_default(&settings);
    if (!read_limits(tool, &settings, exit_status))
        return false;
    settings.logger = (det_logger){.user = tool, .write = write_log};
    settings.threads = (int)tool->threads;
    settings.cpu = tool->cpu;
    settings.device = tool->device;
    settings.precision = tool->precision;
    settings.deterministic = tool->deterministic;
    settings.no_graph = !tool->graph;
    const det_status status = det_context_create(&tool->context, &settings);
    if (status != DET_OK) {
        /* The logger had the sentence. */
        fprintf(stderr, "%s: cannot start: %s\n", tool->name, det_status_text(status));
        return false;
    }
    tool_log(tool, DET_LOG_INFO, "libdet %s, %s", det_version_string(),
             det_context_device(tool->context));
    *exit_status = 0;
    return true;
}

void tool_close(struct tool *tool)
{
    tool_progress_clear(tool);
    det_context_destroy(&tool->context);
}

int tool_fail(struct tool *tool, det_status status)
{
    const char *message = det_context_error(tool->context);
    return tool_error(tool, "%s", message[0] != '\0' ? message : det_status_text(status));
}

int tool_error(struct tool *tool, const char *format, ...)
{
    tool_progress_clear(tool);
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", tool->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return TOOL_EXIT_ERROR;
}

/* --- signals --- */

static volatile sig_atomic_t interrupted;
static const char *interrupt_notice;

static void on_signal(int number)
{
    if (interrupted) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    interrupted = 1;
    if (interrupt_notice != NULL) {
        const ssize_t written = write(STDERR_FILENO, interrupt_notice, strlen(interrupt_notice));
        (void)written;
    }
}

void tool_catch_signals(const char *notice)
{
    interrupt_notice = notice;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool tool_interrupted(void)
{
    return interrupted != 0;
}

/* --- measures --- */

double tool_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double tool_peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0; /* Linux counts in KiB */
}
