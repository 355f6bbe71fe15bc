/* det-info: what this build is, or what a file holds. */
#include <stdlib.h>
#include <string.h>

#include "common/console.h"
#include "common/options.h"
#include "common/tool.h"
#include "det/det.h"
#include "support/text.h"
#include "video/video.h"

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
static void describe_cpu(const struct tool *tool)
{
    const char *missing = NULL, *name = NULL, *best = NULL, *forced = getenv("DET_CPU");
    const char *no_bf16 = "no instruction set of this build has products of bf16", *chosen = NULL;
    console_print("instruction sets of the CPU:\n");
    for (int i = 0; (name = det_cpu_instruction_set(i, &missing)) != NULL; i++) {
        console_print("  %-11s %s\n", name, missing != NULL ? missing : "can be used");
        best = missing == NULL ? name : best;
        if (strcmp(name, "avx512bf16") == 0)
            no_bf16 = missing;
    }
    if (strcmp(tool->cpu, "auto") != 0)
        console_print("  chosen: %s, by --cpu\n", chosen = tool->cpu);
    else if (forced != NULL && forced[0] != '\0' && strcmp(forced, "auto") != 0)
        console_print("  chosen: %s, by the environment variable DET_CPU\n", chosen = forced);
    else
        console_print("  chosen: %s, the best that can be used (--cpu or DET_CPU force another)\n",
                      chosen = best);
    describe_bf16(chosen, no_bf16);
    console_print("threads: %d, %s\n", det_context_threads(tool->context),
                  tool->threads > 0 ? "by --threads"
                                    : "as many as processors this process may use");
}

static void describe_build(struct tool *tool)
{
    console_print("libdet %s, licence Apache-2.0\n", det_version_string());
    console_print("device: %s\n", det_context_device(tool->context));
    console_print("backends that can be had: %s\n", det_backends());
    const char *no_webp = det_image_webp_missing();
    console_print("pictures: %s%s%s\n", det_image_formats(), no_webp != NULL ? "; no WebP: " : "",
                  no_webp != NULL ? no_webp : "");
    describe_data_sets();
    console_print("video: %s\n", video_about());
    describe_cpu(tool);
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

static int describe_model(struct tool *tool, const char *path)
{
    det_model *model = NULL;
    det_status status = det_model_load(tool->context, path, &model);
    if (status != DET_OK)
        return tool_fail(tool, status);
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
    status = print_classes(&tool->env, model);
    det_model_destroy(&model);
    return status == DET_OK ? 0 : tool_fail(tool, status);
}

static int describe_config(struct tool *tool, const char *path)
{
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
    det_pipeline_config_destroy(&config);
    return 0;
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t length = strlen(text), tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

int main(int argc, char **argv)
{
    console_begin("det-info");
    struct tool tool = TOOL_INIT("det-info");
    const struct option table[] = {TOOL_OPTIONS(&tool), {0}};
    struct options options = {
        .program = "det-info",
        .usage = "[FILE...]",
        .description = "Shows version, device and instruction set, or what .det files and "
                       "pipeline.configs hold.",
        .table = table,
        .positional_max = 1000,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (tool_open(&tool, &result)) {
        if (options.positional.count == 0)
            describe_build(&tool);
        for (size_t i = 0; i < options.positional.count; i++) {
            const char *path = options.positional.values[i];
            const int failed = ends_with(path, ".config") || ends_with(path, ".pbtxt")
                                   ? describe_config(&tool, path)
                                   : describe_model(&tool, path);
            if (failed != 0)
                result = failed;
        }
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
