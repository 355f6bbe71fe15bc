/* mem.h: allocation through the env's hooks, with checked sizes. Every block is 64-byte aligned
 * (one cache line, one AVX-512 register), so tensors need no call of their own. */
#ifndef DET_SUPPORT_MEM_H
#define DET_SUPPORT_MEM_H

#include "support/env.h"

#define DET_ALIGNMENT 64

/* *out = a * b; false when it does not fit. */
bool det_size_mul(size_t a, size_t b, size_t *out);
bool det_size_add(size_t a, size_t b, size_t *out);

/* `count * size` bytes, zeroed. *out is `void **` in disguise: pass the address of any object
 * pointer. On failure *out is NULL and the message names `what`. count 0 gives a valid pointer. */
det_status det_alloc(struct det_env *env, void *out, size_t count, size_t size, const char *what);

/* The same without zeroing. */
det_status det_alloc_raw(struct det_env *env, void *out, size_t count, size_t size,
                         const char *what);

/* Releases *pointer and sets it to NULL; NULL is allowed. */
void det_free(struct det_env *env, void *pointer);

/* Makes room for `need` elements in the array *pointer of *capacity elements, at least doubling it;
 * new elements are zero. The old array stays valid on failure. */
det_status det_grow(struct det_env *env, void *pointer, size_t *capacity, size_t need, size_t size,
                    const char *what);

/* Copies of text; NULL in *out on failure. */
det_status det_strdup(struct det_env *env, char **out, const char *text);
det_status det_strndup(struct det_env *env, char **out, const char *text, size_t bytes);

/* printf into a new string. */
det_status det_format(struct det_env *env, char **out, const char *format, ...) DET_PRINTF(3, 4);
det_status det_format_list(struct det_env *env, char **out, const char *format, va_list arguments)
    DET_PRINTF(3, 0);

#endif
