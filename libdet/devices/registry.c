/* registry.c: which backends there are. */
#include <stdlib.h>
#include <string.h>

#include "det/context.h"
#include "devices/backend.h"

/* "cuda" or "cuda:I"; -1 in *index for the first usable one. */
static bool is_cuda(const char *text, int32_t *index)
{
    *index = -1;
    if (strncmp(text, "cuda", 4) != 0)
        return false;
    if (text[4] == '\0')
        return true;
    char *end;
    const long value = strtol(text + 5, &end, 10);
    if (text[4] != ':' || text[5] < '0' || text[5] > '9' || *end != '\0' || value > 1023)
        return false;
    *index = (int32_t)value;
    return true;
}

const char *det_backends(void)
{
    struct det_env env;
    const struct det_backend *backend;
    det_env_default(&env);
    return det_backend_find_cuda(&env, &backend) == DET_OK ? "cpu cuda" : "cpu";
}

static det_status open_cuda(struct det_env *env, const struct det_device_settings *settings,
                            const char *device_text, const struct det_backend **backend,
                            struct det_device **device)
{
    *device = NULL;
    const det_status status = det_backend_find_cuda(env, backend);
    if (status != DET_OK)
        return det_fail_prefix(env, status, "device \"%s\"", device_text);
    return (*backend)->device_open(env, settings, device);
}

static det_status open_cpu(struct det_env *env, const struct det_device_settings *settings,
                           const struct det_backend **backend, struct det_device **device)
{
    *backend = det_backend_cpu();
    return (*backend)->device_open(env, settings, device);
}

/* The CPU where there is no CUDA backend, or no GPU that it can use. */
static det_status open_best(struct det_env *env, const struct det_device_settings *settings,
                            const struct det_backend **backend, struct det_device **device)
{
    det_status status = det_backend_find_cuda(env, backend);
    if (status == DET_STATUS_OUT_OF_MEMORY) /* here, not on a GPU */
        return status;
    if (status == DET_OK)
        status = (*backend)->device_open(env, settings, device);
    if (status == DET_OK)
        return DET_OK;
    det_log(env, DET_LOG_DEBUG, "the CPU computes: %s", env->error);
    det_forget_error(env);
    return open_cpu(env, settings, backend, device);
}

det_status det_backend_open(struct det_env *env, const char *device_text,
                            const struct det_device_settings *wanted,
                            const struct det_backend **backend, struct det_device **device)
{
    struct det_device_settings settings = *wanted;
    settings.index = -1;
    if (strcmp(device_text, "cpu") == 0)
        return open_cpu(env, &settings, backend, device);
    if (strcmp(device_text, "auto") == 0)
        return open_best(env, &settings, backend, device);
    if (!is_cuda(device_text, &settings.index))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "device \"%s\": expected auto, cpu, cuda or cuda:I", device_text);
    return open_cuda(env, &settings, device_text, backend, device);
}
