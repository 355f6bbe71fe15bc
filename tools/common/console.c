#include "common/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/utf8.h"

enum { LINE_BYTES = 4096, RAW_BYTES = 2 * LINE_BYTES };

#define CLEAR_LINE "\r\033[K"

static struct {
    pthread_mutex_t lock;
    const char *program;
    bool terminal;      /* standard error is one: progress is shown */
    bool progress_open; /* a progress line stands there */
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
    console.terminal = isatty(STDERR_FILENO) != 0;
}

int console_end(int status)
{
    console_progress_clear();
    if (status != 0 || console.output_error == 0 || console.output_outlived)
        return status;
    console_message(console.program, "standard output: cannot write: %s",
                    strerror(console.output_error));
    return 1;
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
    if (!console.output_outlived || error == EPIPE)
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

void console_message(const char *prefix, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    console_vmessage(prefix, format, arguments);
    va_end(arguments);
}

void console_vmessage(const char *prefix, const char *format, va_list arguments)
{
    char raw[RAW_BYTES], line[LINE_BYTES];
    const int length = prefix != NULL ? snprintf(raw, sizeof raw, "%s: ", prefix) : 0;
    vsnprintf(raw + length, sizeof raw - (size_t)length, format, arguments);
    det_utf8_shown(line, sizeof line, raw, false);
    pthread_mutex_lock(&console.lock);
    write_line(line);
    pthread_mutex_unlock(&console.lock);
}

void console_progress(const char *format, ...)
{
    char raw[RAW_BYTES], line[LINE_BYTES], buffer[LINE_BYTES + 16];
    if (!console.terminal)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    det_utf8_shown(line, sizeof line, raw, false);
    const int length = snprintf(buffer, sizeof buffer, "\r%s\033[K", line);
    pthread_mutex_lock(&console.lock);
    write_error(buffer, (size_t)length);
    console.progress_open = true;
    pthread_mutex_unlock(&console.lock);
}

void console_progress_clear(void)
{
    pthread_mutex_lock(&console.lock);
    clear_progress();
    pthread_mutex_unlock(&console.lock);
}
