#include "support/memory_limit.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "support/control_group.h"

const char *det_memory_parse_number(const char *text, size_t *number)
{
    *number = 0;
    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++) {
        const size_t digit = (size_t)(*text - '0');
        if (*number > (SIZE_MAX - digit) / 10)
            return NULL;
        *number = *number * 10 + digit;
    }
    return text;
}

_Bool det_memory_parse_line(const char *text, const char *name, size_t *bytes)
{
    const size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';
         line = (line = strchr(line, '\n')) != NULL ? line + 1 : NULL) {
        if (strncmp(line, name, length) != 0 || (line[length] != ':' && line[length] != ' '))
            continue;
        const char *value = line + length + 1 + strspn(line + length + 1, " \t");
        const char *rest = det_memory_parse_number(value, bytes);
        if (rest == NULL)
            return false;
        if (strncmp(rest, " kB", 3) == 0)
            *bytes = *bytes > SIZE_MAX / 1024 ? SIZE_MAX : *bytes * 1024;
        return true;
    }
    return false;
}

size_t det_memory_available(void)
{
    char text[8192];
    size_t machine = SIZE_MAX;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        if (!det_memory_parse_line(text, "MemAvailable", &machine))
            machine = SIZE_MAX;
    }
    const size_t groups = det_group_memory("");
    return groups < machine ? groups : machine;
}
