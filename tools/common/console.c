#include "common/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/utf8.h"

enum { LINE_BYTES = 4096, RAW_BYTES = 2 * LINE_BYTES, USUAL_WIDTH = 80, TIME_BYTES = 32 };

#define CLEAR_LINE "\r\033[K"
#define RED        "\033[1;31m"
#define YELLOW     "\033[33m"
#define PLAIN      "\033[0m"

/* Between two drawings of the progress line. */
static const double least_seconds = 0.1;

static struct {
    pthread_mutex_t lock;
    const char *program;
    bool redraws; /* standard error is a terminal whose last line can be replaced */
    bool colours; /* and shows colours */
    bool quiet;
    bool progress_open; /* a progress line stands there */
    double progress_s;  /* when progress was told last */
    bool output_given, output_outlived;
    int output_error; /* errno of the first failure; 0: none */
} console = {.lock = PTHREAD_MUTEX_INITIALIZER, .program = "det"};

/* --- life --- */

void console_begin(const char *program)
{
    console.program = program;
    for (int descriptor = 0; descriptor <= 2; descriptor++)
        /* The lowest number that is free. Only for reading: what is written there is to fail. */
        if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0)
            break;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    const bool dumb = terminal != NULL && strcmp(terminal, "dumb") == 0;
    console.redraws = isatty(STDERR_FILENO) != 0 && !dumb;
    console.colours = console.redraws && (no_colour == NULL || no_colour[0] == '\0');
    console.progress_s = det_clock_seconds();
}

int console_end(int status)
{
    console_progress_clear();
    if (status != 0 || console.output_error == 0 || console.output_outlived)
        return status;
    console_message(CONSOLE_ERROR, console.program, "standard output: cannot write: %s",
                    strerror(console.output_error));
    return 1;
}

void console_be_quiet(void)
{
    console.quiet = true;
}

bool console_is_quiet(void)
{
    return console.quiet;
}

void console_give_output(void)
{
    console.output_given = true;
}

void console_outlive_output(void)
{
    console.output_outlived = true;
}

/* --- writing; the lock is held --- */

/* What cannot be written to standard error cannot be told anybody. */
static void write_error(const char *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t written = det_write_some(STDERR_FILENO, data, bytes);
        if (written <= 0)
            return;
        data += written;
        bytes -= (size_t)written;
    }
}

static void clear_progress(void)
{
    if (console.progress_open)
        write_error(CLEAR_LINE, sizeof CLEAR_LINE - 1);
    console.progress_open = false;
}

static void write_line(const char *line)
{
    char buffer[LINE_BYTES + 16];
    const int length =
        snprintf(buffer, sizeof buffer, "%s%s\n", console.progress_open ? CLEAR_LINE : "", line);
    console.progress_open = false;
    write_error(buffer, (size_t)length);
}

static void output_failed(int error)
{
    char line[LINE_BYTES];
    console.output_error = error;
    if (!console.output_outlived || error == EPIPE || console.quiet)
        return;
    snprintf(line, sizeof line,
             "warning: standard output: cannot write: %s; nothing more is printed there",
             strerror(error));
    write_line(line);
}

static void write_output(const char *data, size_t bytes)
{
    if (console.output_given) {
        write_error(data, bytes);
        return;
    }
    while (bytes > 0 && console.output_error == 0) {
        const ssize_t written = det_write_some(STDOUT_FILENO, data, bytes);
        if (written < 0) {
            output_failed(errno);
            return;
        }
        data += written;
        bytes -= (size_t)written;
    }
}

/* --- results --- */

void console_print_text(const char *text)
{
    if (console.quiet)
        return;
    const size_t room = strlen(text) * DET_UTF8_SHOWN_BYTES + 1;
    char *shown = malloc(room);
    pthread_mutex_lock(&console.lock);
    clear_progress();
    if (shown != NULL)
        write_output(shown, det_utf8_shown(shown, room, text, true));
    else if (console.output_error == 0)
        output_failed(ENOMEM);
    pthread_mutex_unlock(&console.lock);
    free(shown);
}

void console_print(const char *format, ...)
{
    char raw[RAW_BYTES];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    if (length < (int)sizeof raw) {
        console_print_text(raw);
        return;
    }
    char *whole = malloc((size_t)length + 1);
    if (whole != NULL) {
        va_start(arguments, format);
        vsnprintf(whole, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    console_print_text(whole != NULL ? whole : raw);
    free(whole);
}

const char *console_name(char buffer[CONSOLE_NAME_BYTES], const char *name)
{
    det_utf8_shown(buffer, CONSOLE_NAME_BYTES, name, false);
    return buffer;
}

det_status console_send(struct det_env *env, struct det_writer *writer, const void *data,
                        size_t bytes)
{
    pthread_mutex_lock(&console.lock);
    clear_progress();
    det_status status = det_writer_write(env, writer, data, bytes);
    if (status == DET_OK)
        status = det_writer_flush(env, writer);
    pthread_mutex_unlock(&console.lock);
    return status;
}

/* --- messages --- */

void console_message(enum console_kind kind, const char *prefix, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(kind, prefix, format, arguments);
    va_end(arguments);
}

void console_vmessage(enum console_kind kind, const char *prefix, const char *format,
                      va_list arguments)
{
    char raw[RAW_BYTES], shown[LINE_BYTES - 64], line[LINE_BYTES];
    if (console.quiet && kind != CONSOLE_ERROR)
        return;
    const int length = prefix != NULL ? snprintf(raw, sizeof raw, "%s: ", prefix) : 0;
    vsnprintf(raw + length, sizeof raw - (size_t)length, format, arguments);
    det_utf8_shown(shown, sizeof shown, raw, false);
    const char *colour = kind == CONSOLE_ERROR ? RED : kind == CONSOLE_WARNING ? YELLOW : PLAIN;
    if (console.colours && length > 0)
        snprintf(line, sizeof line, "%s%.*s%s%s", colour, length, shown, PLAIN, shown + length);
    else
        snprintf(line, sizeof line, "%s", shown);
    pthread_mutex_lock(&console.lock);
    write_line(line);
    pthread_mutex_unlock(&console.lock);
}

/* --- progress --- */

/* The local time, "2026-11-28 18:20:44". */
static const char *time_text(char buffer[TIME_BYTES])
{
    const time_t now = time(NULL);
    struct tm parts;
    if (localtime_r(&now, &parts) == NULL ||
        strftime(buffer, TIME_BYTES, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        buffer[0] = '\0';
    return buffer;
}

static size_t width_of(int descriptor)
{
    struct winsize size = {0};
    const bool known = ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : USUAL_WIDTH;
}

size_t console_output_width(void)
{
    return isatty(STDOUT_FILENO) != 0 ? width_of(STDOUT_FILENO) : 0;
}

/* Leaves whole parts out from the end, since half a number is another one; of the first what
 * fits. */
static void cut_to(char *line, size_t columns)
{
    size_t used = 0;
    char *const most = line + det_utf8_fit(line, columns, &used), *end = most;
    if (*most == '\0')
        return;
    for (char *gap = line; (gap = strstr(gap, "  ")) != NULL && gap <= most; gap += 2)
        end = gap;
    *end = '\0';
}

static void draw_progress(char *line)
{
    char buffer[LINE_BYTES + 16];
    /* In the last column some terminals begin the next line. The width is asked for each time: it
     * may have changed. */
    cut_to(line, width_of(STDERR_FILENO) - 1);
    const int length = snprintf(buffer, sizeof buffer, "\r%s\033[K", line);
    write_error(buffer, (size_t)length);
    console.progress_open = true;
}

void console_progress(const char *format, ...)
{
    char raw[RAW_BYTES], line[LINE_BYTES - TIME_BYTES - 2], stamped[LINE_BYTES];
    char now_text[TIME_BYTES];
    const double now = det_clock_seconds();
    if (console.quiet)
        return;
    pthread_mutex_lock(&console.lock);
    const double since = now - console.progress_s;
    const bool due = console.redraws ? !console.progress_open || since >= least_seconds
                                     : since >= CONSOLE_PROGRESS_SECONDS;
    if (due) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(raw, sizeof raw, format, arguments);
        va_end(arguments);
        det_utf8_shown(line, sizeof line, raw, false);
        console.progress_s = now;
    }
    if (due && console.redraws) {
        draw_progress(line);
    } else if (due) {
        snprintf(stamped, sizeof stamped, "%s  %s", time_text(now_text), line);
        write_line(stamped);
    }
    pthread_mutex_unlock(&console.lock);
}

void console_progress_clear(void)
{
    pthread_mutex_lock(&console.lock);
    clear_progress();
    pthread_mutex_unlock(&console.lock);
}

void console_log(const char *format, ...)
{
    char raw[RAW_BYTES], now[TIME_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&console.lock);
    console.progress_s = det_clock_seconds();
    pthread_mutex_unlock(&console.lock);
    if (isatty(STDOUT_FILENO) != 0)
        console_print("%s\n", raw);
    else
        console_print("%s  %s\n", time_text(now), raw);
}

bool console_redraws(void)
{
    return console.redraws;
}
