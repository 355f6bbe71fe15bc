#include "base/arguments.h"

#include <string.h>

#include "det/version.h"

/* Sizes are multiples of this, as every struct that begins with its size is aligned to it. */
#define STEP sizeof(size_t)
/* A size that is further off than this was never set: what is behind the struct must not be read,
 * let alone written. */
#define MOST_GROWTH 4096

det_status det_null_argument(struct det_env *env, const char *function, const char *name)
{
    if (env == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: %s is NULL", function, name);
}

static size_t size_of(const void *sized)
{
    size_t size = 0;
    memcpy(&size, sized, sizeof size);
    return size;
}

/* More than the size itself, which would say nothing. */
static bool is_likely(size_t struct_size, size_t size)
{
    return struct_size > STEP && struct_size % STEP == 0 && struct_size <= size + MOST_GROWTH;
}

det_status det_take_struct(struct det_env *env, const char *type, void *taken, size_t size,
                           const void *given)
{
    if (given == NULL)
        return DET_OK;
    const size_t struct_size = size_of(given);
    if (!is_likely(struct_size, size)) {
        /* What is no settings has no default function, or need not be filled in by it. */
        const bool has_default = strstr(type, "_settings") != NULL;
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: struct_size is %zu, expected %zu: %s%s%sset it to sizeof(%s)", type,
                        struct_size, size, has_default ? "call " : "", has_default ? type : "",
                        has_default ? "_default(), or " : "", type);
    }
    const unsigned char *bytes = given;
    for (size_t i = size; i < struct_size; i++)
        if (bytes[i] != 0)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "%s: a field at byte %zu is set, this library (version %s) knows the "
                            "first %zu bytes: the program was built with a newer version",
                            type, i, DET_VERSION_STRING, size);
    memcpy(taken, given, struct_size < size ? struct_size : size);
    memcpy(taken, &size, sizeof size);
    return DET_OK;
}

det_status det_check_reserved(struct det_env *env, const char *type, int64_t value)
{
    if (value == 0)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: reserved is %lld, expected 0", type,
                    (long long)value);
}

det_status det_check_strings(struct det_env *env, const char *field, const char *const *values,
                             size_t count)
{
    if (values == NULL && count > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s is NULL, with a count of %zu", field,
                        count);
    for (size_t i = 0; i < count; i++)
        if (values[i] == NULL)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s[%zu] is NULL", field, i);
    return DET_OK;
}

void det_init_struct(void *settings, size_t struct_size, const void *defaults, size_t size)
{
    if (settings == NULL || struct_size < STEP)
        return;
    unsigned char *bytes = settings;
    const size_t known = struct_size < size ? struct_size : size;
    memcpy(bytes, defaults, known);
    memset(bytes + known, 0, struct_size - known);
    memcpy(bytes, &struct_size, sizeof struct_size);
}

det_status det_check_report(struct det_env *env, const char *function, const char *type,
                            size_t size, const void *report)
{
    const size_t struct_size = size_of(report);
    if (is_likely(struct_size, size))
        return DET_OK;
    if (env == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: struct_size is %zu, expected %zu: set it to sizeof(%s)", function,
                    struct_size, size, type);
}

void det_fill_report(void *report, const void *filled, size_t size)
{
    det_init_struct(report, size_of(report), filled, size);
}
