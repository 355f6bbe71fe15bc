/* context.c: what a program tells its context: failures of its own, and which files are its own. */
#include "base/context.h"

#include "base/arguments.h"

det_status det_context_fail(det_context *context, det_status status, const char *message)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, message);
    return det_fail(env, status, "%s", message);
}

static struct det_guard *guard_of(det_context *context)
{
    context->env.guard = &context->guard;
    return &context->guard;
}

det_status det_context_reads(det_context *context, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, path);
    return det_guard_input(env, guard_of(context), path);
}

det_status det_context_writes(det_context *context, const char *what, const char *path)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, path);
    return det_guard_output(env, guard_of(context), what, path);
}
