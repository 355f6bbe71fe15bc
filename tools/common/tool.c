#include "common/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/console.h"
#include "support/json_writer.h"
#include "support/limits.h"

/* --- log --- */

static bool is_told(const struct tool *tool, det_log_level level)
{
    return level != DET_LOG_DEBUG || tool->verbose;
}

static enum console_kind kind_of(det_log_level level)
{
    return level == DET_LOG_WARNING ? CONSOLE_WARNING
           : level == DET_LOG_ERROR ? CONSOLE_ERROR
                                    : CONSOLE_INFO;
}

static const char *prefix_of(det_log_level level)
{
    return level == DET_LOG_WARNING ? "warning" : level == DET_LOG_ERROR ? "error" : NULL;
}

/* May be called from the library's threads. */
static void write_log(void *user, det_log_level level, const char *message)
{
    if (is_told(user, level))
        console_message(kind_of(level), prefix_of(level), "%s", message);
}

void tool_log(struct tool *tool, det_log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (is_told(tool, level))
        console_vmessage(kind_of(level), prefix_of(level), format, arguments);
    va_end(arguments);
}

int32_t tool_used_classes(const det_model *model)
{
    int32_t used = 0;
    for (int32_t id = 1; id <= det_model_class_count(model); id++)
        used += det_model_class_is_used(model, id);
    return used;
}

void tool_put_classes(struct det_json_writer *json, const det_model *model)
{
    det_json_open_list(json, "classes");
    for (int32_t id = 1; id <= det_model_class_count(model); id++) {
        if (!det_model_class_is_used(model, id))
            continue;
        det_json_open_object(json, NULL);
        det_json_put_int(json, "id", id);
        det_json_put_string(json, "name", det_model_class_name(model, id));
        det_json_close_object(json);
    }
    det_json_close_list(json);
}

/* --- life --- */

/* Of every context. */
static void common_settings(struct tool *tool, det_context_settings *settings,
                            const det_logger *logger)
{
    det_context_settings_default(settings);
    settings->logger = logger;
    settings->max_image_pixels = (uint64_t)tool->max_image_pixels;
    settings->max_jpeg_scans = (int32_t)tool->max_jpeg_scans;
    settings->cpu = tool->cpu;
}

static bool check_limits(struct tool *tool, int *exit_status)
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
    return true;
}

static det_status open_env(struct tool *tool, const det_logger *logger)
{
    struct det_env *env = &tool->env;
    det_env_default(env);
    env->logger = *logger;
    env->guard = &tool->guard;
    if (tool->max_image_pixels > 0)
        env->limits.max_image_pixels = (uint64_t)tool->max_image_pixels;
    if (tool->max_jpeg_scans > 0)
        env->limits.max_jpeg_scans = (int32_t)tool->max_jpeg_scans;
    return det_limits_complete(env);
}

bool tool_open(struct tool *tool, int *exit_status)
{
    *exit_status = TOOL_EXIT_ERROR;
    if (tool->quiet)
        console_be_quiet();
    if (tool->threads < 0 || tool->threads > 4096) {
        tool_error(tool, "--threads: got %lld, expected 0 to 4096", (long long)tool->threads);
        *exit_status = OPTIONS_EXIT_USAGE;
        return false;
    }
    const det_logger logger = {.struct_size = sizeof logger, .user = tool, .write = write_log};
    det_context_settings settings;
    det_error error;
    if (!check_limits(tool, exit_status))
        return false;
    common_settings(tool, &settings, &logger);
    settings.threads = (int)tool->threads;
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
    if (open_env(tool, &logger) != DET_OK) {
        tool_fail(tool, DET_STATUS_INVALID_ARGUMENT);
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
    det_guard_free(&tool->env, &tool->guard);
    det_context_destroy(&tool->context);
}

const char *tool_message(struct tool *tool, det_status status)
{
    const char *message = tool->env.error;
    if (message[0] == '\0')
        message = det_context_error(tool->context);
    snprintf(tool->message, sizeof tool->message, "%s",
             message[0] != '\0' ? message : det_status_text(status));
    det_forget_error(&tool->env);
    return tool->message;
}

int tool_fail(struct tool *tool, det_status status)
{
    return tool_error(tool, "%s", tool_message(tool, status));
}

det_status tool_adopt(struct det_env *env, const det_context *context, det_status status)
{
    return det_fail(env, status, "%s", det_context_error(context));
}

det_status tool_context(struct tool *tool, struct det_env *env, det_context **context)
{
    det_context_settings settings;
    det_error error;
    common_settings(tool, &settings, &tool->env.logger);
    settings.threads = 1;
    settings.device = "cpu";
    settings.precision = "f32";
    const det_status status = det_context_create_explained(context, &settings, &error);
    return status != DET_OK ? det_fail(env, status, "%s", error.text) : DET_OK;
}

int tool_error(struct tool *tool, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(CONSOLE_ERROR, tool->name, format, arguments);
    va_end(arguments);
    return TOOL_EXIT_ERROR;
}

/* --- signals --- */

static volatile sig_atomic_t interrupted; /* by this signal, 0: not */
static const char *interrupt_notice;
static bool are_repeated; /* by who sends them, not by a person who waits no longer */

/* The second of a person's, not the next of those that come together when a session ends. */
static bool is_repeated(int number)
{
    return number == SIGINT || (number == SIGTERM && interrupted != SIGHUP);
}

static void on_signal(int number)
{
    if (interrupted) {
        if (is_repeated(number) && !are_repeated) {
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
    interrupt_notice = console_is_quiet() ? NULL : notice;
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

void tool_catch_repeated_signals(const char *notice)
{
    are_repeated = true;
    tool_catch_signals(notice);
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
