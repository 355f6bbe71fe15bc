/* arguments.h: what a public function does first: the rule for NULL of det/det.h, and structs that
 * grow.
 *
 * A struct that may grow begins with its size (docs/abi.md). What is read of a caller's: a smaller
 * one is of an older program, the rest is the default; a larger one is of a newer program, whose
 * further fields must be zero, that is not used. What is filled for a caller: as far as its size
 * goes.
 */
#ifndef DET_BASE_ARGUMENTS_H
#define DET_BASE_ARGUMENTS_H

#include "support/env.h"

/* The status and message for the argument `name` of a public function; `env` NULL: there is nowhere
 * to leave a message. */
det_status det_null_argument(struct det_env *env, const char *function, const char *name);

/* Returns from a public function whose argument, which must not be NULL, is. */
#define DET_NEED(env, argument)                                   \
    do {                                                          \
        if ((argument) == NULL)                                   \
            return det_null_argument((env), __func__, #argument); \
    } while (0)
/* The same for an array, which may be NULL when it has no elements. */
#define DET_NEED_ARRAY(env, argument, count)                      \
    do {                                                          \
        if ((argument) == NULL && (count) > 0)                    \
            return det_null_argument((env), __func__, #argument); \
    } while (0)

/* What the caller gave, over the defaults that *taken holds; NULL: the defaults. `type` begins with
 * struct_size, which is then that of this library. */
#define DET_TAKE(env, type, taken, given) \
    det_take_struct((env), #type, (taken), sizeof(type), (given))
det_status det_take_struct(struct det_env *env, const char *type, void *taken, size_t size,
                           const void *given);

/* A field that later versions may give a meaning to. */
det_status det_check_reserved(struct det_env *env, const char *type, int64_t value);

/* INVALID_ARGUMENT when a list of strings in settings is NULL, or one in it. */
det_status det_check_strings(struct det_env *env, const char *field, const char *const *values,
                             size_t count);

/* Writes `defaults` [size] into the caller's struct of struct_size bytes, and zeros behind them. */
void det_init_struct(void *settings, size_t struct_size, const void *defaults, size_t size);

/* Whether the caller has set its struct's size: before there is anything to fill in. */
#define DET_NEED_REPORT(env, type, report)                                                \
    do {                                                                                  \
        DET_NEED(env, report);                                                            \
        DET_TRY_RETURN(det_check_report((env), __func__, #type, sizeof(type), (report))); \
    } while (0)
det_status det_check_report(struct det_env *env, const char *function, const char *type,
                            size_t size, const void *report);
/* Fills a checked one from `filled` [size]; its struct_size stays the caller's. */
void det_fill_report(void *report, const void *filled, size_t size);

#endif
