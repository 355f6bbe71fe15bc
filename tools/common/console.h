/* console.h: what a tool tells people: results on standard output, messages and a progress line on
 * standard error. The one place that knows both, so that neither gets into a line of the other, on
 * a terminal, in a joined log (2>&1) and from several threads: whatever is told is whole lines,
 * handed over at once. So it is also the one place that knows what is a terminal, how wide it is,
 * whether there are colours (not with NO_COLOR or TERM=dumb) and whether nothing is to be told.
 *
 * Text from outside (names of files and classes) is shown as support/utf8.h says. In a message line
 * feeds are escaped too; in results they are kept, so that a name which is put into a line there
 * goes through console_name().
 *
 * Main functions begin with console_begin() and return console_end().
 */
#ifndef DET_TOOLS_COMMON_CONSOLE_H
#define DET_TOOLS_COMMON_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>

#include "support/writer.h"

/* Descriptors 0 to 2 are open from now on (to nothing, where they were closed: no file of ours may
 * get the number of standard output), and a reader that goes away or a limit on the size of files
 * is an error and not the end (SIGPIPE, SIGXFSZ). */
void console_begin(const char *program);
/* The exit status: `status`, or 1 after a message when that is 0 and standard output could not be
 * written. */
int console_end(int status);

/* Results: whole lines. The second takes a text as it is. */
void console_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_print_text(const char *text);
/* A name as part of a line of results. */
enum { CONSOLE_NAME_BYTES = 1024 };
const char *console_name(char buffer[CONSOLE_NAME_BYTES], const char *name);

/* Standard output is given to a file of results (--json -): what is printed goes to standard
 * error. */
void console_give_output(void);
/* Nothing but errors is told from now on: no results, no messages that warn or inform, no progress.
 * Files that were asked for are written all the same, to standard output too (console_send()). */
void console_be_quiet(void);
bool console_is_quiet(void);

/* Standard output is a log of a longer job, which goes on without it: a warning when it cannot be
 * written any more, silence when its reader went away. */
void console_outlive_output(void);

/* What becomes of a message that is told: its prefix is coloured, where there are colours. */
enum console_kind { CONSOLE_INFO, CONSOLE_WARNING, CONSOLE_ERROR };

/* A message line: "PREFIX: TEXT" without a line end. prefix NULL: none. */
void console_message(enum console_kind kind, const char *prefix, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void console_vmessage(enum console_kind kind, const char *prefix, const char *format,
                      va_list arguments) __attribute__((format(printf, 3, 0)));

/* Replaces the progress line, which all else clears. What is told has parts with two blanks
 * between, the most important first: those that the terminal is too narrow for are left out.
 * Without a terminal that can replace a line: a line with the time on standard error, once in
 * CONSOLE_PROGRESS_SECONDS. */
enum { CONSOLE_PROGRESS_SECONDS = 60 };
void console_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_progress_clear(void);

/* What a longer job tells from time to time on standard output: a line that begins with the time,
 * where that is no terminal. */
void console_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* There is a progress line. */
bool console_redraws(void);

/* Columns of standard output; 0: it is no terminal. */
size_t console_output_width(void);

/* Data to a writer that may stand for standard output (tool_output_open()): at once, past the
 * progress line. */
det_status console_send(struct det_env *env, struct det_writer *writer, const void *data,
                        size_t bytes);

#endif
