#include "base/memory_limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 8192 };

static bool read_text(const char *path, char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const size_t bytes = fread(text, 1, TEXT_BYTES - 1, file);
    fclose(file);
    text[bytes] = '\0';
    return bytes > 0;
}

/* Digits at the beginning; false when there are none ("max"). */
static bool parse_number(const char *text, size_t *number)
{
    *number = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        const size_t digit = (size_t)(*text - '0');
        if (*number > (SIZE_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return true;
}

_Bool det_memory_parse_line(const char *text, const char *name, size_t *bytes)
{
    const size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';
         line = (line = strchr(line, '\n')) != NULL ? line + 1 : NULL) {
        if (strncmp(line, name, length) != 0 || (line[length] != ':' && line[length] != ' '))
            continue;
        const char *value = line + length + 1 + strspn(line + length + 1, " \t");
        if (!parse_number(value, bytes))
            return false;
        if (strncmp(value + strspn(value, "0123456789"), " kB", 3) == 0)
            *bytes = *bytes > SIZE_MAX / 1024 ? SIZE_MAX : *bytes * 1024;
        return true;
    }
    return false;
}

static bool read_number(const char *path, size_t *number)
{
    char text[TEXT_BYTES];
    return read_text(path, text) && parse_number(text, number);
}

/* What a group's limit leaves, its file cache given back. */
static size_t group_leaves(const char *limit_path, const char *usage_path, const char *stat_path,
                           const char *cache)
{
    char text[TEXT_BYTES];
    size_t limit = 0, usage = 0, cached = 0;
    if (!read_number(limit_path, &limit) || !read_number(usage_path, &usage))
        return SIZE_MAX;
    if (read_text(stat_path, text) && det_memory_parse_line(text, cache, &cached))
        usage = usage > cached ? usage - cached : 0;
    return limit > usage ? limit - usage : 0;
}

size_t det_memory_available(void)
{
    char text[TEXT_BYTES];
    size_t machine = SIZE_MAX;
    if (!read_text("/proc/meminfo", text) || !det_memory_parse_line(text, "MemAvailable", &machine))
        machine = SIZE_MAX;
    const size_t groups[] = {
        group_leaves("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                     "/sys/fs/cgroup/memory.stat", "inactive_file"),
        group_leaves("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                     "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                     "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file"),
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        machine = groups[i] < machine ? groups[i] : machine;
    return machine;
}
