#include "base/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ops.h"
#include "base/mem.h"
#include "base/pool.h"
#include "det/version.h"

int det_version(void)
{
    return DET_VERSION;
}

const char *det_version_string(void)
{
    return DET_VERSION_STRING;
}

struct det_env *det_context_env(det_context *context)
{
    return &context->env;
}

struct det_pool *det_context_pool(det_context *context)
{
    return context->pool;
}

void det_context_settings_default(det_context_settings *settings)
{
    *settings = (det_context_settings){
        .struct_size = sizeof *settings,
        .cpu = "auto",
        .device = "auto",
    };
}

/* DET_CPU and DET_DEVICE stand in for settings left at "auto", so that any program can be forced from outside. */
static const char *setting(const char *value, const char *variable)
{
    if (value != NULL && strcmp(value, "auto") != 0)
        return value;
    const char *from_environment = getenv(variable);
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "auto";
}

static det_status choose_device(struct det_env *env, const char *device, const char *cpu,
                                const struct det_ops **ops)
{
    if (strcmp(device, "auto") != 0 && strcmp(device, "cpu") != 0) {
        if (strncmp(device, "cuda", 4) == 0)
            return det_fail(env, DET_STATUS_DEVICE,
                            "device \"%s\": this libdet was built without the CUDA backend",
                            device);
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "device \"%s\": expected auto, cpu, cuda or cuda:I", device);
    }
    const char *reason = NULL;
    *ops = det_ops_cpu(cpu, &reason);
    if (*ops == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "instruction set \"%s\": %s", cpu, reason);
    return DET_OK;
}

det_status det_context_create(det_context **out, const det_context_settings *settings)
{
    if (out == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    *out = NULL;
    det_context_settings defaults;
    det_context_settings_default(&defaults);
    if (settings == NULL)
        settings = &defaults;
    if (settings->struct_size != sizeof *settings)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env env;
    det_env_default(&env);
    if (settings->allocator.allocate != NULL) {
        if (settings->allocator.release == NULL)
            return DET_STATUS_INVALID_ARGUMENT;
        env.allocator = settings->allocator;
    }
    env.logger = settings->logger;
    det_context *context = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(&env, &context, 1, sizeof *context, "context"));
    context->env = env;
    DET_TRY(choose_device(&context->env, setting(settings->device, "DET_DEVICE"),
                          setting(settings->cpu, "DET_CPU"), &context->ops));
    DET_TRY(det_pool_create(&context->env, settings->threads, &context->pool));
    snprintf(context->device, sizeof context->device, "cpu: %s, %d thread%s", context->ops->name,
             det_pool_threads(context->pool), det_pool_threads(context->pool) == 1 ? "" : "s");
    *out = context;
    return DET_OK;
fail:
    /* There is no context to ask for the message: the logger gets it. */
    if (context != NULL)
        det_log(&context->env, DET_LOG_ERROR, "%s", context->env.error);
    det_context_destroy(&context);
    return status;
}

void det_context_destroy(det_context **out)
{
    if (out == NULL || *out == NULL)
        return;
    det_context *context = *out;
    struct det_env env = context->env;
    det_pool_destroy(&env, &context->pool);
    det_free(&env, out);
}

const char *det_context_error(const det_context *context)
{
    return context == NULL ? "" : context->env.error;
}

int det_context_threads(const det_context *context)
{
    return context == NULL ? 0 : det_pool_threads(context->pool);
}

const char *det_context_device(const det_context *context)
{
    return context == NULL ? "" : context->device;
}
