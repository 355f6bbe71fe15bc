/* shell.h: what tests of the tools ask of the shell, FFmpeg's commands before all. */
#ifndef DET_TESTS_SUPPORT_SHELL_H
#define DET_TESTS_SUPPORT_SHELL_H

#include "support/test.h"

/* Whether the tools were built with FFmpeg; a message when not. */
bool has_video(void);
/* Whether there is such a command; a message when not. */
bool has_program(const char *name);
/* Runs a shell command; returns its exit status, 0 when it went well. */
int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* First number in the output of a shell command; fails the test when there is none. */
double number_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Lines of a text file. */
int count_lines(const char *path);

#endif
