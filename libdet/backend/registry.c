/* registry.c: which backends this build has. The one place that knows whether CUDA was compiled in. */
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "det/context.h"

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

#ifdef DET_WITH_CUDA
const char *det_backends(void)
{
    return "cpu cuda";
}

static det_status open_cuda(struct det_env *env, const struct det_device_settings *settings,
                            const char *device_text, const struct det_backend **backend,
                            struct det_device **device)
{
    (void)device_text;
    *backend = det_backend_cuda();
    return (*backend)->device_open(env, settings, device);
}
#else
const char *det_backends(void)
{
    return "cpu";
}

static det_status open_cuda(struct det_env *env, const struct det_device_settings *settings,
                            const char *device_text, const struct det_backend **backend,
                            struct det_device **device)
{
    (void)settings;
    *backend = NULL;
    *device = NULL;
    return det_fail(env, DET_STATUS_DEVICE,
                    "device \"%s\": this libdet was built without the CUDA backend", device_text);
}
#endif

static det_status open_cpu(struct det_env *env, const struct det_device_settings *settings,
                           const struct det_backend **backend, struct det_device **device)
{
    *backend = det_backend_cpu();
    return (*backend)->device_open(env, settings, device);
}

det_status det_backend_open(struct det_env *env, const char *device_text,
                            const struct det_device_settings *wanted,
                            const struct det_backend **backend, struct det_device **device)
{
    struct det_device_settings settings = *wanted;
    settings.index = -1;
    if (strcmp(device_text, "cpu") == 0)
        return open_cpu(env, &settings, backend, device);
    if (strcmp(device_text, "auto") == 0) {
        if (open_cuda(env, &settings, device_text, backend, device) == DET_OK)
            return DET_OK;
        det_log(env, DET_LOG_DEBUG, "the CPU computes: %s", env->error);
        det_forget_error(env);
        return open_cpu(env, &settings, backend, device);
    }
    if (!is_cuda(device_text, &settings.index))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "device \"%s\": expected auto, cpu, cuda or cuda:I", device_text);
    return open_cuda(env, &settings, device_text, backend, device);
}
