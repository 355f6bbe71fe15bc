#include "support/mem.h"

#include <stdio.h>
#include <string.h>

bool det_size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool det_size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* `out` is the address of a pointer to any object type; memcpy keeps that legal. */
static void store_pointer(void *out, void *value)
{
    memcpy(out, &value, sizeof value);
}

static void *load_pointer(const void *from)
{
    void *value;
    memcpy(&value, from, sizeof value);
    return value;
}

static det_status allocate(struct det_env *env, void *out, size_t count, size_t size,
                           const char *what, bool zero)
{
    store_pointer(out, NULL);
    size_t bytes = 0;
    /* PTRDIFF_MAX: pointer differences inside the block must stay representable. */
    if (!det_size_mul(count, size, &bytes) || bytes > PTRDIFF_MAX - DET_ALIGNMENT)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: %zu x %zu bytes is too large", what,
                        count, size);
    DET_TRY_RETURN(det_budget_take(env, bytes, what));
    void *memory = env->allocator.allocate(env->allocator.user, bytes ? bytes : 1, DET_ALIGNMENT);
    if (memory == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: cannot allocate %zu bytes", what,
                        bytes);
    if (zero)
        memset(memory, 0, bytes);
    store_pointer(out, memory);
    return DET_OK;
}

det_status det_alloc(struct det_env *env, void *out, size_t count, size_t size, const char *what)
{
    return allocate(env, out, count, size, what, true);
}

det_status det_alloc_raw(struct det_env *env, void *out, size_t count, size_t size,
                         const char *what)
{
    return allocate(env, out, count, size, what, false);
}

void det_free(struct det_env *env, void *pointer)
{
    void *memory = load_pointer(pointer);
    if (memory != NULL)
        env->allocator.release(env->allocator.user, memory);
    store_pointer(pointer, NULL);
}

det_status det_grow(struct det_env *env, void *pointer, size_t *capacity, size_t need, size_t size,
                    const char *what)
{
    if (need <= *capacity)
        return DET_OK;
    size_t wanted = *capacity ? *capacity : 8;
    while (wanted < need) {
        if (!det_size_mul(wanted, 2, &wanted))
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: too many elements", what);
    }
    void *larger = NULL;
    DET_TRY_RETURN(det_alloc(env, &larger, wanted, size, what));
    void *old = load_pointer(pointer);
    if (old != NULL)
        memcpy(larger, old, *capacity * size);
    det_free(env, pointer);
    det_budget_return(env, *capacity * size);
    store_pointer(pointer, larger);
    *capacity = wanted;
    return DET_OK;
}

det_status det_strndup(struct det_env *env, char **out, const char *text, size_t bytes)
{
    size_t need = 0;
    *out = NULL;
    if (!det_size_add(bytes, 1, &need))
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "string of %zu bytes is too large", bytes);
    DET_TRY_RETURN(det_alloc_raw(env, out, need, 1, "string"));
    memcpy(*out, text, bytes);
    (*out)[bytes] = '\0';
    return DET_OK;
}

det_status det_strdup(struct det_env *env, char **out, const char *text)
{
    return det_strndup(env, out, text, strlen(text));
}

det_status det_format_list(struct det_env *env, char **out, const char *format, va_list arguments)
{
    va_list again;
    *out = NULL;
    va_copy(again, arguments);
    const int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return det_fail(env, DET_STATUS_INTERNAL, "cannot format \"%s\"", format);
    DET_TRY_RETURN(det_alloc_raw(env, out, (size_t)length + 1, 1, "string"));
    vsnprintf(*out, (size_t)length + 1, format, arguments);
    return DET_OK;
}

det_status det_format(struct det_env *env, char **out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const det_status status = det_format_list(env, out, format, arguments);
    va_end(arguments);
    return status;
}
