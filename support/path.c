#include "support/path.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"

det_status det_path_join(struct det_env *env, char **out, const char *directory, const char *name)
{
    if (name[0] == '/' || directory[0] == '\0')
        return det_strdup(env, out, name);
    const size_t length = strlen(directory);
    return det_format(env, out, "%s%s%s", directory, directory[length - 1] == '/' ? "" : "/", name);
}

det_status det_path_join_printf(struct det_env *env, char **out, const char *directory,
                                const char *format, ...)
{
    char *name = NULL;
    va_list arguments;
    *out = NULL;
    va_start(arguments, format);
    det_status status = det_format_list(env, &name, format, arguments);
    va_end(arguments);
    if (status == DET_OK)
        status = det_path_join(env, out, directory, name);
    det_free(env, &name);
    return status;
}

det_status det_path_directory(struct det_env *env, char **out, const char *path)
{
    const size_t length = (size_t)(det_path_name(path) - path);
    if (length == 0)
        return det_strdup(env, out, ".");
    return det_strndup(env, out, path, length == 1 ? 1 : length - 1);
}

const char *det_path_name(const char *path)
{
    return det_path_part(path, path + strlen(path));
}

const char *det_path_part(const char *first, const char *end)
{
    while (end > first && end[-1] != '/')
        end--;
    return end;
}

size_t det_path_length(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

size_t det_path_stem_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
}

const char *det_path_below(const char *path, const char *folder)
{
    const size_t length = strlen(folder);
    if (strncmp(path, folder, length) != 0)
        return NULL;
    if (length > 0 && folder[length - 1] == '/')
        return path + length;
    return path[length] == '/' ? path + length + 1 : path[length] == '\0' ? path + length : NULL;
}

bool det_path_stays_inside(const char *path)
{
    if (path[0] == '/')
        return false;
    for (const char *part = path; *part != '\0';) {
        const size_t length = strcspn(part, "/");
        if (length == 2 && memcmp(part, "..", 2) == 0)
            return false;
        part += length + (part[length] == '/');
    }
    return true;
}

void det_path_use_slashes(char *path)
{
    for (; *path != '\0'; path++)
        if (*path == '\\')
            *path = '/';
}
