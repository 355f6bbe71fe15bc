/* pipeline_config_api.c: the public face of pipeline_config.h. */
#include "det/pipeline_config.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "formats/pipeline_config.h"
#include "support/mem.h"

static det_status finish(struct det_env *env, det_status status, det_pipeline_config **config)
{
    if (status != DET_OK)
        det_free(env, config);
    else
        (*config)->env = env;
    return status;
}

det_status det_pipeline_config_load(det_context *context, const char *path,
                                    det_pipeline_config **config)
{
    struct det_env *env = det_context_env(context);
    if (config != NULL)
        *config = NULL;
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED(env, config);
    DET_TRY_RETURN(det_alloc(env, config, 1, sizeof **config, "pipeline configuration"));
    return finish(env, det_pipeline_config_read(env, path, *config), config);
}

det_status det_pipeline_config_load_with(det_context *context, const char *path,
                                         const char *const *assignments, size_t count,
                                         det_pipeline_config **config)
{
    struct det_env *env = det_context_env(context);
    if (config != NULL)
        *config = NULL;
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED_ARRAY(env, assignments, count);
    DET_NEED(env, config);
    DET_TRY_RETURN(det_check_strings(env, "assignments", assignments, count));
    DET_TRY_RETURN(det_alloc(env, config, 1, sizeof **config, "pipeline configuration"));
    return finish(env, det_pipeline_config_read_with(env, path, assignments, count, *config),
                  config);
}

det_status det_pipeline_config_parse(det_context *context, const char *name, const char *text,
                                     size_t bytes, det_pipeline_config **config)
{
    struct det_env *env = det_context_env(context);
    if (config != NULL)
        *config = NULL;
    DET_NEED(env, context);
    DET_NEED(env, name);
    DET_NEED_ARRAY(env, text, bytes);
    DET_NEED(env, config);
    DET_TRY_RETURN(det_alloc(env, config, 1, sizeof **config, "pipeline configuration"));
    return finish(
        env, det_pipeline_config_read_text(env, name, text != NULL ? text : "", bytes, *config),
        config);
}

void det_pipeline_config_destroy(det_pipeline_config **config)
{
    if (config == NULL || *config == NULL)
        return;
    struct det_env *env = (*config)->env;
    det_pipeline_config_free(env, *config);
    det_free(env, config);
}

const char *det_pipeline_config_path(const det_pipeline_config *config)
{
    return config == NULL ? "" : config->path;
}

int32_t det_pipeline_config_num_classes(const det_pipeline_config *config)
{
    return config == NULL ? 0 : config->ssd.num_classes;
}

int32_t det_pipeline_config_input_height(const det_pipeline_config *config)
{
    int32_t height = 0, width = 0;
    if (config == NULL)
        return 0;
    det_pipeline_config_input_size(config, &height, &width);
    return height;
}

int32_t det_pipeline_config_input_width(const det_pipeline_config *config)
{
    int32_t height = 0, width = 0;
    if (config == NULL)
        return 0;
    det_pipeline_config_input_size(config, &height, &width);
    return width;
}

uint32_t det_pipeline_config_batch_size(const det_pipeline_config *config)
{
    return config != NULL && config->has_train_config ? config->train.batch_size : 0;
}

uint32_t det_pipeline_config_num_steps(const det_pipeline_config *config)
{
    return config == NULL ? 0 : config->train.num_steps;
}

float det_pipeline_config_learning_rate(const det_pipeline_config *config)
{
    return config == NULL ? 0 : det_pipeline_config_base_learning_rate(config);
}

const char *det_pipeline_config_fine_tune_checkpoint(const det_pipeline_config *config)
{
    return config == NULL ? "" : config->train.fine_tune_checkpoint;
}

const char *det_pipeline_config_label_map_path(const det_pipeline_config *config)
{
    if (config == NULL)
        return "";
    if (config->has_train_input_reader)
        return config->train_input_reader.label_map_path;
    return config->eval_input_reader_count > 0 ? config->eval_input_readers[0].label_map_path : "";
}

size_t det_pipeline_config_train_path_count(const det_pipeline_config *config)
{
    return config == NULL ? 0 : config->train_input_reader.input_paths.count;
}

const char *det_pipeline_config_train_path(const det_pipeline_config *config, size_t index)
{
    return index < det_pipeline_config_train_path_count(config)
               ? config->train_input_reader.input_paths.values[index]
               : NULL;
}

size_t det_pipeline_config_eval_path_count(const det_pipeline_config *config)
{
    return config != NULL && config->eval_input_reader_count > 0
               ? config->eval_input_readers[0].input_paths.count
               : 0;
}

const char *det_pipeline_config_eval_path(const det_pipeline_config *config, size_t index)
{
    return index < det_pipeline_config_eval_path_count(config)
               ? config->eval_input_readers[0].input_paths.values[index]
               : NULL;
}

/* ---- overrides ---- */

static det_status missing(const det_pipeline_config *config, const char *message)
{
    return det_fail(config->env, DET_STATUS_INVALID_ARGUMENT, "%s has no %s", config->path,
                    message);
}

det_status det_pipeline_config_set_batch_size(det_pipeline_config *config, uint32_t batch_size)
{
    DET_NEED(NULL, config);
    if (!config->has_train_config)
        return missing(config, "train_config");
    if (batch_size < 1 || batch_size > 1000000)
        return det_fail(config->env, DET_STATUS_INVALID_ARGUMENT,
                        "batch size %u, expected 1 to 1000000", batch_size);
    config->train.batch_size = batch_size;
    return DET_OK;
}

det_status det_pipeline_config_set_num_steps(det_pipeline_config *config, uint32_t num_steps,
                                             int stretch_schedule)
{
    DET_NEED(NULL, config);
    if (!config->has_train_config)
        return missing(config, "train_config");
    struct det_learning_rate_config *rate = &config->train.optimizer.learning_rate;
    if (stretch_schedule != 0 && num_steps > 0 && rate->kind == DET_LEARNING_RATE_COSINE_DECAY) {
        const double factor = (double)num_steps / (double)rate->as.cosine_decay.total_steps;
        uint32_t *const steps[2] = {&rate->as.cosine_decay.warmup_steps,
                                    &rate->as.cosine_decay.hold_base_rate_steps};
        for (int i = 0; i < 2; i++) {
            const double scaled = floor((double)*steps[i] * factor);
            *steps[i] = scaled < (double)num_steps ? (uint32_t)scaled : num_steps;
        }
        rate->as.cosine_decay.total_steps = num_steps;
    }
    config->train.num_steps = num_steps;
    return DET_OK;
}

det_status det_pipeline_config_scale_rates(det_pipeline_config *config, float factor)
{
    DET_NEED(NULL, config);
    if (!config->has_train_config)
        return missing(config, "train_config");
    if (!(factor > 0) || !isfinite(factor))
        return det_fail(config->env, DET_STATUS_INVALID_ARGUMENT,
                        "learning rate factor %g, expected a number above 0", (double)factor);
    det_pipeline_config_scale_learning_rate(config, factor);
    return DET_OK;
}

det_status det_pipeline_config_set_fine_tune_checkpoint(det_pipeline_config *config,
                                                        const char *prefix, const char *type)
{
    DET_NEED(NULL, config);
    DET_NEED(config->env, prefix);
    if (!config->has_train_config)
        return missing(config, "train_config");
    if (type != NULL && !det_pipeline_config_knows_checkpoint_type(type))
        return det_fail(
            config->env, DET_STATUS_UNSUPPORTED,
            "fine_tune_checkpoint_type \"%.80s\" is not supported: " DET_CHECKPOINT_TYPES " are",
            type);
    const char *copy = NULL;
    DET_TRY_RETURN(det_pipeline_config_override_string(config->env, config, &copy, prefix));
    if (type != NULL)
        DET_TRY_RETURN(det_pipeline_config_override_string(
            config->env, config, &config->train.fine_tune_checkpoint_type, type));
    config->train.fine_tune_checkpoint = copy;
    return DET_OK;
}

/* The decoder made the list in the configuration's own memory, so that it may be written. */
static struct det_input_reader_config *eval_readers(const det_pipeline_config *config)
{
    struct det_input_reader_config *readers = NULL;
    memcpy(&readers, &config->eval_input_readers, sizeof(void *));
    return readers;
}

det_status det_pipeline_config_set_label_map_path(det_pipeline_config *config, const char *path)
{
    DET_NEED(NULL, config);
    DET_NEED(config->env, path);
    const char *copy = NULL;
    if (!config->has_train_input_reader && config->eval_input_reader_count == 0)
        return missing(config, "input reader");
    DET_TRY_RETURN(det_pipeline_config_override_string(config->env, config, &copy, path));
    config->train_input_reader.label_map_path = copy;
    for (size_t i = 0; i < config->eval_input_reader_count; i++)
        eval_readers(config)[i].label_map_path = copy;
    return DET_OK;
}

static det_status set_path(det_pipeline_config *config, struct det_input_reader_config *reader,
                           const char *path)
{
    const char **values = NULL;
    DET_TRY_RETURN(
        det_prototext_allocate(config->env, &config->document, &values, 1, sizeof *values));
    DET_TRY_RETURN(det_pipeline_config_override_string(config->env, config, values, path));
    reader->input_paths = (struct det_string_list){1, values};
    return DET_OK;
}

det_status det_pipeline_config_set_train_path(det_pipeline_config *config, const char *path)
{
    DET_NEED(NULL, config);
    DET_NEED(config->env, path);
    if (!config->has_train_input_reader)
        return missing(config, "train_input_reader");
    return set_path(config, &config->train_input_reader, path);
}

det_status det_pipeline_config_set_eval_path(det_pipeline_config *config, const char *path)
{
    DET_NEED(NULL, config);
    DET_NEED(config->env, path);
    if (config->eval_input_reader_count == 0)
        return missing(config, "eval_input_reader");
    return set_path(config, &eval_readers(config)[0], path);
}

det_status det_pipeline_config_set_class_match(det_pipeline_config *config, det_class_match match)
{
    DET_NEED(NULL, config);
    if (match < DET_CLASSES_CHECK || match > DET_CLASSES_RENAME)
        return det_fail(config->env, DET_STATUS_INVALID_ARGUMENT, "class match %d does not exist",
                        (int)match);
    config->class_match = match;
    return DET_OK;
}

void det_pipeline_config_set_strict(det_pipeline_config *config, int strict)
{
    if (config != NULL)
        config->strict = strict != 0;
}
