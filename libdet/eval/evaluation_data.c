#include "eval/evaluation_data.h"

#include <string.h>

#include "formats/pipeline_paths.h"
#include "model/class_match.h"
#include "model/model.h"
#include "support/mem.h"

/* What the config asks for beside what is always worked out. */
static void tell_other_metrics(const struct det_env *env, const struct det_pipeline_config *config)
{
    const struct det_string_list *metrics = &config->eval.metrics_set;
    const int line = (int)det_pipeline_config_position(config, "eval_config.metrics_set").line;
    for (size_t i = 0; i < metrics->count; i++)
        if (strcmp(metrics->values[i], "coco_detection_metrics") != 0 &&
            strcmp(metrics->values[i], "pascal_voc_detection_metrics") != 0)
            det_log(env, DET_LOG_WARNING,
                    "%s:%d: metrics \"%.80s\" are not worked out: COCO's and Pascal VOC's of boxes "
                    "are",
                    config->path, line, metrics->values[i]);
}

static det_status read_labels(struct det_env *env, const struct det_pipeline_config *config,
                              const struct det_input_reader_config *reader,
                              struct det_label_map *labels)
{
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_pipeline_path_find(env, config, reader->label_map_path, DET_PATH_FILE, &path));
    DET_TRY(det_label_map_read(env, path, labels));
    DET_TRY(det_label_map_fit(env, labels, config));
fail:
    det_free(env, &path);
    return status;
}

static det_status open_data(struct det_env *env, const struct det_pipeline_config *config,
                            const det_evaluation_settings *settings,
                            struct det_evaluation_data *data)
{
    const bool samples = settings->samples != NULL;
    if (config->eval_input_reader_count == 0 ||
        (config->eval_input_readers[0].input_paths.count == 0 && !samples))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: has no eval_input_reader with %s",
                        config->path,
                        samples ? "label_map_path" : "tf_record_input_reader.input_path");
    const struct det_input_reader_config *reader = &config->eval_input_readers[0];
    const struct det_pipeline_reading reading = {.eval_input = true, .eval_samples = samples};
    struct det_path_list patterns = {0};
    det_status status = DET_OK;
    DET_TRY(det_pipeline_config_check_stage(env, config, DET_STAGE_EVALUATION));
    tell_other_metrics(env, config);
    if (config->eval_input_reader_count > 1)
        det_log(env, DET_LOG_WARNING, "%s: the first of its %zu eval_input_readers is evaluated",
                config->path, config->eval_input_reader_count);
    DET_TRY(det_pipeline_paths_check(env, config, reading));
    DET_TRY(read_labels(env, config, reader, &data->labels));
    if (!samples)
        DET_TRY(det_pipeline_path_records(env, config, reader, &patterns));
    const struct det_dataset_settings records = {
        .role = "eval",
        .patterns = (const char *const *)patterns.paths,
        .pattern_count = patterns.count,
        .source = settings->samples,
        .labels = &data->labels,
        .class_count = data->labels.count,
        .image_dirs = settings->image_dirs,
        .image_dir_count = settings->image_dir_count,
        .strict = config->strict,
    };
    DET_TRY(det_dataset_open(env, &records, &data->dataset));
fail:
    det_path_list_free(env, &patterns);
    return status;
}

det_status det_evaluation_data_open(struct det_env *env, const struct det_pipeline_config *config,
                                    const det_evaluation_settings *settings,
                                    struct det_evaluation_data *data)
{
    struct det_env silent;
    if (!settings->quiet)
        return open_data(env, config, settings, data);
    det_env_fork(&silent, env);
    silent.logger.write = NULL;
    const det_status status = open_data(&silent, config, settings, data);
    if (status != DET_OK)
        det_env_adopt_error(env, &silent);
    return status;
}

/* The objects' class indices become the model's. */
static det_status renumber(struct det_env *env, const struct det_class_order *order,
                           struct det_evaluation_data *data)
{
    int32_t *index = data->dataset.objects.class_index;
    for (int32_t i = 0; i < data->dataset.objects.count; i++) {
        if (order->from[index[i]] < 0)
            return det_fail(env, DET_STATUS_MISMATCH,
                            "eval: an object has class number %d, for which %s has no name that "
                            "the model's classes could be compared by",
                            (int)index[i] + 1, data->labels.path);
        index[i] = order->from[index[i]];
    }
    return DET_OK;
}

det_status det_evaluation_data_match(struct det_env *env, const struct det_pipeline_config *config,
                                     const det_model *model, struct det_evaluation_data *data)
{
    const struct det_label_map *labels = &data->labels;
    const bool remap = config->class_match == DET_CLASSES_REMAP;
    const struct det_known_classes theirs = {"the model", (const char *const *)model->class_names,
                                             model->class_count};
    struct det_class_order order = {0};
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &data->class_names, (size_t)model->class_count,
                      sizeof *data->class_names, "class names"));
    DET_TRY(det_alloc(env, &data->is_category, (size_t)model->class_count,
                      sizeof *data->is_category, "class names"));
    DET_TRY(det_class_order_make(env, &theirs, labels, &order));
    if (!order.same && config->class_match == DET_CLASSES_CHECK)
        DET_TRY(det_class_order_fail(
            env, &theirs, labels, "--remap_classes compares them by name, --rename_classes by id"));
    if (remap) {
        DET_TRY(det_class_order_require_all(env, &theirs, labels, &order));
        DET_TRY(renumber(env, &order, data));
    }
    for (int32_t m = 0; m < model->class_count; m++)
        data->class_names[m] = model->class_names[m];
    for (int32_t c = 0; c < labels->count; c++) {
        const int32_t m = remap ? order.from[c] : c;
        if (labels->display_names[c] == NULL || m < 0)
            continue;
        data->class_names[m] = labels->display_names[c];
        data->is_category[m] = true;
    }
fail:
    det_free(env, &order.from);
    return status;
}

void det_evaluation_data_close(struct det_env *env, struct det_evaluation_data *data)
{
    det_dataset_close(env, &data->dataset);
    det_label_map_free(env, &data->labels);
    det_free(env, &data->class_names);
    det_free(env, &data->is_category);
}
