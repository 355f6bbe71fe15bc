/* det-info: what this build is, or what a file holds. */
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tf_flags.h"
#include "common/tool.h"
#include "det/det.h"
#include "support/json_writer.h"
#include "support/text.h"
#include "video/video.h"

struct info {
    struct tool tool;
    const char *path;            /* of the JSON, NULL: none */
    struct det_json_writer json; /* begun in any case */
    struct det_text text;
};

/* How the instruction set `chosen` does --precision bf16; `missing`: what AVX512-BF16 lacks here,
 * NULL: nothing. */
static void describe_bf16(const char *chosen, const char *missing)
{
    if (strcmp(chosen, "ref") == 0)
        console_print("  --precision bf16: not by ref\n");
    else if (strcmp(chosen, "avx512bf16") == 0)
        console_print("  --precision bf16: by the processor's own instructions, faster than f32\n");
    else
        console_print(
            "  --precision bf16: the same answers by widening to f32, slower than f32: %s\n",
            missing != NULL ? missing : "another instruction set was forced");
}

/* The libraries that are loaded for them. */
static void describe_data_sets(void)
{
    const char *what = NULL, *missing = NULL;
    console_print("data sets:");
    for (size_t i = 0; (what = det_annotation_library(i, &missing)) != NULL; i++)
        console_print("%s %s: %s%s", i == 0 ? "" : ";", what, missing != NULL ? "no: " : "yes",
                      missing != NULL ? missing : "");
    console_print("\n");
}

/* Which CPU code can run here, why not the rest, and what decided. */
static void describe_cpu(struct info *info)
{
    const struct tool *tool = &info->tool;
    const char *missing = NULL, *name = NULL, *best = NULL, *forced = getenv("DET_CPU");
    const char *no_bf16 = "no instruction set of this build has products of bf16", *chosen = NULL;
    console_print("instruction sets of the CPU:\n");
    det_json_open_list(&info->json, "instruction_sets");
    for (int i = 0; (name = det_cpu_instruction_set(i, &missing)) != NULL; i++) {
        console_print("  %-11s %s\n", name, missing != NULL ? missing : "can be used");
        det_json_open_object(&info->json, NULL);
        det_json_put_string(&info->json, "name", name);
        det_json_put_string(&info->json, "missing", missing);
        det_json_close_object(&info->json);
        best = missing == NULL ? name : best;
        if (strcmp(name, "avx512bf16") == 0)
            no_bf16 = missing;
    }
    det_json_close_list(&info->json);
    if (strcmp(tool->cpu, "auto") != 0)
        console_print("  chosen: %s, by --cpu\n", chosen = tool->cpu);
    else if (forced != NULL && forced[0] != '\0' && strcmp(forced, "auto") != 0)
        console_print("  chosen: %s, by the environment variable DET_CPU\n", chosen = forced);
    else
        console_print("  chosen: %s, the best that can be used (--cpu or DET_CPU force another)\n",
                      chosen = best);
    det_json_put_string(&info->json, "instruction_set", chosen);
    det_json_put_int(&info->json, "threads", det_context_threads(tool->context));
    describe_bf16(chosen, no_bf16);
    console_print("threads: %d, %s\n", det_context_threads(tool->context),
                  tool->threads > 0 ? "by --threads"
                                    : "as many as processors this process may use");
}

static void describe_build(struct info *info)
{
    const struct tool *tool = &info->tool;
    console_print("libdet %s, licence Apache-2.0\n", det_version_string());
    console_print("device: %s\n", det_context_device(tool->context));
    console_print("backends that can be had: %s\n", det_backends());
    const char *no_webp = det_image_webp_missing();
    console_print("pictures: %s%s%s\n", det_image_formats(), no_webp != NULL ? "; no WebP: " : "",
                  no_webp != NULL ? no_webp : "");
    describe_data_sets();
    console_print("video: %s\n", video_about());
    det_json_put_string(&info->json, "backends", det_backends());
    det_json_put_string(&info->json, "pictures", det_image_formats());
    det_json_put_string(&info->json, "webp_missing", no_webp);
    const char *mpi = det_mpi_library();
    console_print("several machines: %s\n", mpi != NULL ? mpi : "no MPI");
    det_json_put_string(&info->json, "video", video_about());
    det_json_put_string(&info->json, "mpi", mpi);
    describe_cpu(info);
}

static det_status print_classes(struct det_env *env, const det_model *model)
{
    struct det_text text = {0};
    const int32_t count = det_model_class_count(model), used = tool_used_classes(model);
    const char *before = ": ";
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "  %d classes", used));
    if (used < count)
        DET_TRY(det_text_printf(env, &text, " of %d ids", count));
    for (int32_t id = 1; id <= count; id++) {
        if (!det_model_class_is_used(model, id))
            continue;
        DET_TRY(det_text_printf(env, &text, "%s%d ", before, id));
        DET_TRY(det_text_shown(env, &text, det_model_class_name(model, id)));
        before = ", ";
    }
    DET_TRY(det_text_append(env, &text, "\n", 1));
    console_print_text(text.data);
fail:
    det_text_free(env, &text);
    return status;
}

static void put_8_bits(struct det_json_writer *json, const det_quantisation_info *info)
{
    if (!info->is_quantised)
        return;
    det_json_open_object(json, "int8");
    det_json_put_int(json, "layers", info->layers);
    det_json_put_int(json, "float_layers", info->float_layers);
    det_json_put_int(json, "images", info->images);
    det_json_put_string(json, "observer", det_quantisation_observer_name(info->observer));
    det_json_put_bool(json, "equalised", info->equalised != 0);
    det_json_put_bool(json, "biases_corrected", info->biases_corrected != 0);
    det_json_close_object(json);
}

static void put_model(struct det_json_writer *json, const char *path, const det_model *model,
                      const det_quantisation_info *quantisation)
{
    det_json_open_object(json, NULL);
    det_json_put_string(json, "path", path);
    det_json_put_string(json, "kind", det_model_is_folded(model) ? "model" : "checkpoint");
    det_json_put_int(json, "height", det_model_input_height(model));
    det_json_put_int(json, "width", det_model_input_width(model));
    det_json_put_int(json, "anchors", det_model_anchor_count(model));
    det_json_put_int(json, "weights", det_model_parameter_count(model));
    det_json_put_int(json, "step", det_model_step(model));
    det_json_put_int(json, "recalibrated_images", det_model_recalibrated_images(model));
    tool_put_classes(json, model);
    put_8_bits(json, quantisation);
    det_json_close_object(json);
}

static int describe_model(struct info *info, const char *path)
{
    struct tool *tool = &info->tool;
    det_model *model = NULL;
    det_quantisation_info quantisation = {.struct_size = sizeof quantisation};
    det_status status = det_model_load(tool->context, path, &model);
    if (status == DET_OK)
        status = det_model_quantisation(tool->context, model, &quantisation);
    if (status != DET_OK) {
        det_model_destroy(&model);
        return tool_fail(tool, status);
    }
    char name[CONSOLE_NAME_BYTES];
    console_print("%s: %s\n", console_name(name, path),
                  det_model_is_folded(model) ? "model for inference" : "training checkpoint");
    console_print("  input %d x %d, %d anchors, %lld weights, step %lld\n",
                  det_model_input_height(model), det_model_input_width(model),
                  det_model_anchor_count(model), (long long)det_model_parameter_count(model),
                  (long long)det_model_step(model));
    if (det_model_recalibrated_images(model) > 0)
        console_print("  batch norm statistics taken anew over %lld pictures\n",
                      (long long)det_model_recalibrated_images(model));
    if (det_model_is_trained_in_8_bits(model))
        console_print("  trained in 8 bits\n");
    if (quantisation.is_quantised && quantisation.observer == DET_OBSERVER_TRAINED)
        console_print("  int8: all %d convolutions, as they were trained\n", quantisation.layers);
    else if (quantisation.is_quantised)
        console_print("  int8: %d of %d convolutions, ranges by %s over %lld pictures%s%s\n",
                      quantisation.layers - quantisation.float_layers, quantisation.layers,
                      det_quantisation_observer_name(quantisation.observer),
                      (long long)quantisation.images,
                      quantisation.equalised ? ", channels equalised" : "",
                      quantisation.biases_corrected ? ", biases corrected" : "");
    status = print_classes(&tool->env, model);
    put_model(&info->json, path, model, &quantisation);
    det_model_destroy(&model);
    return status == DET_OK ? 0 : tool_fail(tool, status);
}

static void put_config(struct det_json_writer *json, const char *path,
                       const det_pipeline_config *config)
{
    det_json_open_object(json, NULL);
    det_json_put_string(json, "path", path);
    det_json_put_string(json, "kind", "config");
    det_json_put_int(json, "num_classes", det_pipeline_config_num_classes(config));
    det_json_put_int(json, "height", det_pipeline_config_input_height(config));
    det_json_put_int(json, "width", det_pipeline_config_input_width(config));
    det_json_put_int(json, "batch_size", det_pipeline_config_batch_size(config));
    det_json_put_int(json, "num_steps", det_pipeline_config_num_steps(config));
    det_json_put_float(json, "learning_rate", det_pipeline_config_learning_rate(config));
    det_json_put_string(json, "label_map", det_pipeline_config_label_map_path(config));
    det_json_open_list(json, "train");
    for (size_t i = 0; i < det_pipeline_config_train_path_count(config); i++)
        det_json_put_string(json, NULL, det_pipeline_config_train_path(config, i));
    det_json_close_list(json);
    det_json_open_list(json, "eval");
    for (size_t i = 0; i < det_pipeline_config_eval_path_count(config); i++)
        det_json_put_string(json, NULL, det_pipeline_config_eval_path(config, i));
    det_json_close_list(json);
    det_json_put_string(json, "fine_tune_checkpoint",
                        det_pipeline_config_fine_tune_checkpoint(config));
    det_json_close_object(json);
}

static int describe_config(struct info *info, const char *path)
{
    struct tool *tool = &info->tool;
    det_pipeline_config *config = NULL;
    const det_status status = det_pipeline_config_load(tool->context, path, &config);
    if (status != DET_OK)
        return tool_fail(tool, status);
    char name[CONSOLE_NAME_BYTES];
    console_print("%s: SSD MobileNetV2 FPN, %d classes, %d x %d\n", console_name(name, path),
                  det_pipeline_config_num_classes(config), det_pipeline_config_input_height(config),
                  det_pipeline_config_input_width(config));
    console_print("  batch size %u, %u steps, learning rate %g\n",
                  det_pipeline_config_batch_size(config), det_pipeline_config_num_steps(config),
                  (double)det_pipeline_config_learning_rate(config));
    console_print("  label map %s\n",
                  console_name(name, det_pipeline_config_label_map_path(config)));
    for (size_t i = 0; i < det_pipeline_config_train_path_count(config); i++)
        console_print("  train %s\n",
                      console_name(name, det_pipeline_config_train_path(config, i)));
    for (size_t i = 0; i < det_pipeline_config_eval_path_count(config); i++)
        console_print("  eval %s\n", console_name(name, det_pipeline_config_eval_path(config, i)));
    console_print("  fine-tune checkpoint %s\n",
                  console_name(name, det_pipeline_config_fine_tune_checkpoint(config)));
    put_config(&info->json, path, config);
    det_pipeline_config_destroy(&config);
    return 0;
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

static det_status announce(struct info *info, const struct option_list *files)
{
    for (size_t i = 0; i < files->count; i++)
        DET_TRY_RETURN(tool_reads(&info->tool, files->values[i]));
    return tool_writes(&info->tool, "--json", info->path);
}

/* The last of the files that cannot be read has the exit status. */
static int describe(struct info *info, const struct option_list *files)
{
    struct det_json_writer *json = &info->json;
    int result = 0;
    det_json_begin(json, &info->tool.env, &info->text, DET_JSON_SPACED);
    det_json_open_object(json, NULL);
    det_json_put_string(json, "version", det_version_string());
    det_json_put_string(json, "device", det_context_device(info->tool.context));
    if (files->count == 0)
        describe_build(info);
    det_json_open_list(json, "files");
    for (size_t i = 0; i < files->count; i++) {
        const char *path = files->values[i];
        const int failed = ends_with(path, ".config") || ends_with(path, ".pbtxt")
                               ? describe_config(info, path)
                               : describe_model(info, path);
        if (failed != 0)
            result = failed;
    }
    det_json_close_list(json);
    det_json_close_object(json);
    det_json_line(json, 0);
    det_status status = det_json_end(json);
    if (status == DET_OK && info->path != NULL)
        status = output_write(&info->tool.env, info->path, info->text.data, info->text.length);
    det_text_free(&info->tool.env, &info->text);
    return status == DET_OK ? result : tool_fail(&info->tool, status);
}

int main(int argc, char **argv)
{
    console_begin("det-info");
    struct info info = {.tool = TOOL_INIT("det-info")};
    const struct option table[] = {
        {"json", OPTION_OUTPUT, &info.path, "FILE",
         "the same as one JSON object; -: standard output, all else then goes to standard error"},
        TOOL_OPTIONS(&info.tool),
        {0},
    };
    struct options options = {
        .program = "det-info",
        .usage = "[FILE...]",
        .description = "Shows version, device and instruction set, or what .det files and "
                       "pipeline.configs hold.",
        .table = table,
        .aliases = tf_flags_of_all,
        .positional_max = 1000,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (tool_open(&info.tool, &result)) {
        const det_status status = announce(&info, &options.positional);
        result =
            status == DET_OK ? describe(&info, &options.positional) : tool_fail(&info.tool, status);
        tool_close(&info.tool);
    }
    options_free(&options);
    return console_end(result);
}
