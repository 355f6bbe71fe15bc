#include "support/run_tool.h"

#include <sys/wait.h>

int run_line(char *out, size_t size, const char *line)
{
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    const size_t got = fread(out, 1, size - 1, pipe);
    out[got] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_tool(char *out, size_t size, const char *format, ...)
{
    char command[2000], line[2600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    const char *folder = getenv("DET_BIN_DIR");
    snprintf(line, sizeof line, "%s/%s 2>&1", folder != NULL ? folder : "build/release/bin",
             command);
    return run_line(out, size, line);
}
