#include "support/limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "support/env.h"
#include "support/memory_limit.h"
#include "support/number.h"

/* Below this nobody has to ask the system what it has left. */
#define ALWAYS_FREE ((size_t)64 << 20)

#define MB (1024.0 * 1024.0)

det_status det_limits_complete(struct det_env *env)
{
    const char *text = getenv("DET_MAX_FILE_MEMORY");
    double bytes = 0;
    if (env->limits.max_file_memory_bytes > 0 || text == NULL || text[0] == '\0')
        return DET_OK;
    if (!det_parse_decimal(text, strlen(text), &bytes) || !(bytes >= 1 && bytes <= 0x1p60))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "DET_MAX_FILE_MEMORY is \"%.40s\", expected a number of bytes", text);
    env->limits.max_file_memory_bytes = (size_t)bytes;
    return DET_OK;
}

struct det_budget det_budget_open(struct det_env *env, const char *what)
{
    const struct det_budget before = env->budget;
    if (before.what == NULL)
        env->budget = (struct det_budget){.what = what};
    return before;
}

void det_budget_close(struct det_env *env, struct det_budget before)
{
    if (before.what == NULL)
        env->budget = before;
}

static size_t most_of(struct det_env *env, size_t wanted)
{
    if (env->limits.max_file_memory_bytes > 0)
        return env->limits.max_file_memory_bytes;
    if (env->budget.most == 0 && wanted > ALWAYS_FREE) {
        /* What was taken since the budget was opened is no longer among it. */
        const size_t left = det_memory_available(), taken = env->budget.taken;
        env->budget.most = left > SIZE_MAX - taken ? SIZE_MAX : left + taken;
    }
    return env->budget.most > 0 ? env->budget.most : SIZE_MAX;
}

det_status det_budget_ask(struct det_env *env, size_t bytes, const char *part)
{
    if (env->budget.what == NULL)
        return DET_OK;
    const size_t wanted =
        bytes > SIZE_MAX - env->budget.taken ? SIZE_MAX : env->budget.taken + bytes;
    const size_t most = most_of(env, wanted);
    if (wanted <= most)
        return DET_OK;
    return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                    "%s: %s asks for %.1f MB of memory%s, %.1f MB %s (max_file_memory_bytes in the "
                    "settings of the context or DET_MAX_FILE_MEMORY in the environment, in bytes, "
                    "set the limit)",
                    env->budget.what, part, (double)wanted / MB,
                    env->budget.taken > 0 ? " with what was taken before" : "", (double)most / MB,
                    env->limits.max_file_memory_bytes > 0 ? "are allowed" : "are available");
}

det_status det_budget_take(struct det_env *env, size_t bytes, const char *part)
{
    DET_TRY_RETURN(det_budget_ask(env, bytes, part));
    env->budget.taken += env->budget.what != NULL ? bytes : 0;
    return DET_OK;
}

void det_budget_return(struct det_env *env, size_t bytes)
{
    env->budget.taken = bytes < env->budget.taken ? env->budget.taken - bytes : 0;
}
