#include "common/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/context.h"
#include "common/console.h"
#include "support/limits.h"

/* --- log --- */

static bool is_told(const struct tool *tool, det_log_level level)
{
    return level != DET_LOG_DEBUG || tool->verbose;
}

static const char *prefix_of(det_log_level level)
{
    return level == DET_LOG_WARNING ? "warning" : level == DET_LOG_ERROR ? "error" : NULL;
}

/* May be called from the library's threads. */
static void write_log(void *user, det_log_level level, const char *message)
{
    if (is_told(user, level))
        console_message(prefix_of(level), "%s", message);
}

void tool_log(struct tool *tool, det_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (is_told(tool, level))
        console_vmessage(prefix_of(level), format, arguments);
    va_end(arguments);
}

int32_t tool_used_classes(const det_model *model)
{
    int32_t used = 0;
    for (int32_t id = 1; id <= det_model_class_count(model); id++)
        used += det_model_class_is_used(model, id);
    return used;
}

/* --- life --- */

static bool read_limits(struct tool *tool, det_context_settings *settings, int *exit_status)
{
    const struct {
        const char *name;
        int64_t value, most;
    } limits[] = {{"max_image_pixels", tool->max_image_pixels, DET_MOST_IMAGE_PIXELS},
                  {"max_jpeg_scans", tool->max_jpeg_scans, INT32_MAX}};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (limits[i].value < 0 || limits[i].value > limits[i].most) {
            tool_error(tool, "--%s: got %lld, expected 1 to %lld, or 0 for the default",
                       limits[i].name, (long long)limits[i].value, (long long)limits[i].most);
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
    if (tool->threads < 0 || tool->threads > 4096) {
        tool_error(tool, "--threads: got %lld, expected 0 to 4096", (long long)tool->threads);
        *exit_status = OPTIONS_EXIT_USAGE;
        return false;
    }
    det_context_settings settings;
    det_error error;
    det_context_settings_default(&settings);
    if (!read_limits(tool, &settings, exit_status))
        return false;
    settings.logger =
        &(det_logger){.struct_size = sizeof(det_logger), .user = tool, .write = write_log};
    settings.threads = (int)tool->threads;
    settings.cpu = tool->cpu;
    settings.device = tool->device;
    settings.precision = tool->precision;
    settings.deterministic = tool->deterministic;
    settings.no_graph = !tool->graph;
    settings.no_tuning = !tool->tuning;
    const det_status status = det_context_create_explained(&tool->context, &settings, &error);
    if (status != DET_OK) {
        tool_error(tool, "%s", error.text);
        return false;
    }
    tool_log(tool, DET_LOG_INFO, "libdet %s, %s", det_version_string(),
             det_context_device(tool->context));
    *exit_status = 0;
    return true;
}

void tool_close(struct tool *tool)
{
    if (tool->context == NULL)
        return;
    console_progress_clear();
    det_guard_free(det_context_env(tool->context), &tool->guard);
    det_context_destroy(&tool->context);
}

int tool_fail(struct tool *tool, det_status status)
{
    const char *message = det_context_error(tool->context);
    return tool_error(tool, "%s", message[0] != '\0' ? message : det_status_text(status));
}

int tool_error(struct tool *tool, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(tool->name, format, arguments);
    va_end(arguments);
    return TOOL_EXIT_ERROR;
}

/* --- signals --- */

static volatile sig_atomic_t interrupted; /* by this signal, 0: not */
static const char *interrupt_notice;

/* The second of a person's, not the next of those that come together when a session ends. */
static bool is_repeated(int number)
{
    return number == SIGINT || (number == SIGTERM && interrupted != SIGHUP);
}

static void on_signal(int number)
{
    if (interrupted) {
        if (is_repeated(number)) {
            signal(number, SIG_DFL);
            raise(number);
        }
        if (number != SIGHUP)
            interrupted = number;
        return;
    }
    interrupted = number;
    if (interrupt_notice != NULL) {
        const int error = errno;
        const ssize_t written = write(STDERR_FILENO, interrupt_notice, strlen(interrupt_notice));
        (void)written;
        errno = error;
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
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* else nohup */
        sigaction(SIGHUP, &action, NULL);
}

bool tool_interrupted(void)
{
    return interrupted != 0;
}

/* --- measures --- */

double tool_peak_mb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024.0; /* Linux counts in KiB */
}
