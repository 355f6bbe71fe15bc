#include "support/shell.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "support/run_tool.h"

bool has_video(void)
{
    static char out[10000];
    run_tool(out, sizeof out, "det-info");
    if (strstr(out, "video: FFmpeg") != NULL)
        return true;
    print_message("skipped: the tools were built without FFmpeg\n");
    return false;
}

bool has_program(const char *name)
{
    char command[200];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", name);
    if (system(command) == 0)
        return true;
    print_message("partly skipped: there is no %s\n", name);
    return false;
}

int shell(const char *format, ...)
{
    char command[2000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    const int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

double number_of(const char *format, ...)
{
    char command[1000], line[200] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    if (fgets(line, sizeof line, pipe) == NULL)
        line[0] = '\0';
    pclose(pipe);
    char *end = NULL;
    const double number = strtod(line, &end);
    if (end == line)
        fail_msg("%s: no number but \"%s\"", command, line);
    return number;
}

int count_lines(const char *path)
{
    char *text = test_read_text(path);
    int lines = 0;
    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n';
    free(text);
    return lines;
}
