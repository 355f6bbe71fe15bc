#include "devices/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/pool.h"
#include "ops/ops.h"
#include "support/mem.h"

void det_context_settings_init(det_context_settings *settings, size_t struct_size)
{
    static const det_context_settings defaults = {
        .cpu = "auto",
        .device = "auto",
        .precision = "auto",
        .max_image_pixels = DET_DEFAULT_IMAGE_PIXELS,
        .max_jpeg_scans = DET_DEFAULT_JPEG_SCANS,
    };
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

/* DET_CPU, DET_DEVICE and DET_PRECISION stand in for settings left at "auto", so that any program
 * can be forced from outside. */
static const char *setting(const char *value, const char *variable)
{
    if (value != NULL && strcmp(value, "auto") != 0)
        return value;
    const char *from_environment = getenv(variable);
    return from_environment != NULL && from_environment[0] != '\0' ? from_environment : "auto";
}

static det_status choose_ops(struct det_env *env, const char *cpu, const struct det_ops **ops)
{
    const char *reason = NULL;
    *ops = det_ops_cpu(cpu, &reason);
    if (*ops == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "instruction set \"%s\": %s", cpu, reason);
    return DET_OK;
}

const char *det_cpu_instruction_set(int index, const char **missing)
{
    const char *name = det_ops_cpu_name(index), *lacks = NULL;
    if (name != NULL)
        det_ops_cpu(name, &lacks);
    if (missing != NULL)
        *missing = lacks;
    return name;
}

/* "auto" is float32: faster and less exact is for the user to ask for. */
static det_status parse_precision(struct det_env *env, const char *text,
                                  enum det_precision *precision)
{
    static const struct {
        const char *text;
        enum det_precision precision;
    } known[] = {{"auto", DET_PRECISION_F32},
                 {"f32", DET_PRECISION_F32},
                 {"tf32", DET_PRECISION_TF32},
                 {"bf16", DET_PRECISION_BF16},
                 {"int8", DET_PRECISION_INT8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i].text) == 0) {
            *precision = known[i].precision;
            return DET_OK;
        }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "precision \"%s\": expected auto, f32, tf32, bf16 or int8", text);
}

static det_status open_device(struct det_compute *compute, const det_context_settings *settings)
{
    struct det_env *env = &compute->context.env;
    struct det_device_settings device = {
        .no_graph = settings->no_graph != 0,
        .deterministic = settings->deterministic != 0,
        .no_tuning = settings->no_tuning != 0,
        .pool = compute->context.pool,
        .ops = compute->ops,
    };
    DET_TRY_RETURN(
        parse_precision(env, setting(settings->precision, "DET_PRECISION"), &device.precision));
    DET_TRY_RETURN(det_backend_open(env, setting(settings->device, "DET_DEVICE"), &device,
                                    &compute->backend, &compute->device));
    if (compute->backend == det_backend_cpu() && device.precision == DET_PRECISION_BF16)
        compute->ops = compute->ops->bf16; /* what is planned here is what the device runs */
    compute->backend->device_describe(compute->device, compute->device_text,
                                      sizeof compute->device_text);
    return DET_OK;
}

static det_status check_version(struct det_env *env, int abi, int version)
{
    if (abi == DET_ABI_VERSION)
        return DET_OK;
    return det_fail(
        env, DET_STATUS_MISMATCH,
        "the program was built with the headers of libdet %d.%d.%d (ABI %d), the library "
        "is version %s (ABI %d): build the program anew, or use a library with its ABI",
        version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF, abi, DET_VERSION_STRING,
        DET_ABI_VERSION);
}

static det_status take_hooks(struct det_env *env, const det_context_settings *settings)
{
    det_allocator allocator = {0};
    DET_TRY_RETURN(DET_TAKE(env, det_logger, &env->logger, settings->logger));
    DET_TRY_RETURN(DET_TAKE(env, det_allocator, &allocator, settings->allocator));
    if (allocator.allocate == NULL && allocator.release == NULL)
        return DET_OK;
    if (allocator.allocate == NULL || allocator.release == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_allocator: %s is NULL, expected both functions or none",
                        allocator.allocate == NULL ? "allocate" : "release");
    env->allocator = allocator;
    return DET_OK;
}

static det_status take_settings(struct det_env *env, const det_context_settings *given,
                                det_context_settings *settings)
{
    det_context_settings_default(settings);
    DET_TRY_RETURN(DET_TAKE(env, det_context_settings, settings, given));
    DET_TRY_RETURN(det_check_reserved(env, "det_context_settings", settings->reserved));
    DET_TRY_RETURN(take_hooks(env, settings));
    if (settings->max_image_pixels > DET_MOST_IMAGE_PIXELS)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_context_settings: max_image_pixels is %llu, expected at most %llu",
                        (unsigned long long)settings->max_image_pixels,
                        (unsigned long long)DET_MOST_IMAGE_PIXELS);
    if (settings->max_jpeg_scans < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_context_settings: max_jpeg_scans is %d, expected 0 or more",
                        (int)settings->max_jpeg_scans);
    if (settings->max_image_pixels > 0)
        env->limits.max_image_pixels = settings->max_image_pixels;
    if (settings->max_jpeg_scans > 0)
        env->limits.max_jpeg_scans = settings->max_jpeg_scans;
    env->limits.max_file_memory_bytes = settings->max_file_memory_bytes;
    return det_limits_complete(env);
}

static det_status create(struct det_env *env, const det_context_settings *given, det_context **out)
{
    det_context_settings settings;
    det_context *context = NULL;
    struct det_compute *compute = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(take_settings(env, given, &settings));
    DET_TRY_RETURN(det_alloc(env, &compute, 1, sizeof *compute, "context"));
    context = &compute->context;
    context->env = *env;
    DET_TRY(choose_ops(&context->env, setting(settings.cpu, "DET_CPU"), &compute->ops));
    DET_TRY(det_pool_create(&context->env, settings.threads, &context->pool));
    DET_TRY(open_device(compute, &settings));
    *out = context;
    return DET_OK;
fail:
    det_env_adopt_error(env, &context->env);
    det_context_destroy(&context);
    return status;
}

det_status det_context_create_for(int header_abi, int header_version, det_context **context,
                                  const det_context_settings *settings, det_error *error)
{
    struct det_env env;
    det_env_default(&env);
    det_status status = check_version(&env, header_abi, header_version);
    if (status == DET_OK && context == NULL)
        status = det_null_argument(&env, __func__, "context");
    if (context != NULL)
        *context = NULL;
    if (status == DET_OK)
        status = create(&env, settings, context);
    if (error != NULL)
        memcpy(error->text, env.error, sizeof error->text);
    else if (status != DET_OK)
        det_log(&env, DET_LOG_ERROR, "%s", env.error);
    return status;
}

void det_context_destroy(det_context **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_compute *compute = det_context_compute(*out);
    struct det_env env = compute->context.env;
    if (compute->device != NULL)
        compute->backend->device_close(&env, &compute->device);
    det_pool_destroy(&env, &compute->context.pool);
    det_guard_free(&env, &compute->context.guard);
    *out = NULL;
    det_free(&env, &compute);
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
    return context == NULL ? "" : ((const struct det_compute *)context)->device_text;
}
