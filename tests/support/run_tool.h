/* run_tool.h: a tool of the build as a user runs it. */
#ifndef DET_TESTS_SUPPORT_RUN_TOOL_H
#define DET_TESTS_SUPPORT_RUN_TOOL_H

#include "support/test.h"

/* Runs a command line that begins with a tool's name in the shell; both its outputs go to `out`.
 * Returns the exit status. */
int run_tool(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a whole line of the shell, which says where outputs go. */
int run_line(char *out, size_t size, const char *line);

#endif
