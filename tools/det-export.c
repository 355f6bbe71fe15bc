/* det-export: turns a checkpoint, libdet's or TensorFlow's, into one .det file for inference. */
#include <sys/stat.h>

#include "base/context.h"
#include "base/io.h"
#include "base/mem.h"
#include "common/console.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tool.h"
#include "det/det.h"

struct arguments {
    const char *config, *checkpoint_dir, *checkpoint, *output;
    bool weights;
};

/* The config beside the model, unless it is the one that lies there. */
static det_status copy_config(struct det_env *env, const char *from, const char *to)
{
    struct det_file_map map;
    if (det_same_file(from, to))
        return DET_OK;
    DET_TRY_RETURN(det_file_map_open(env, from, &map));
    const det_status status = det_write_file(env, to, map.data, map.bytes);
    det_file_map_close(&map);
    return status;
}

static det_status export_model(struct tool *tool, const struct arguments *a)
{
    static const char model_name[] = "model.det", config_name[] = "pipeline.config";
    struct det_env *env = det_context_env(tool->context);
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_checkpoint_info from;
    struct stat info;
    char *model_path = NULL, *config_path = NULL, names[2][CONSOLE_NAME_BYTES];
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &model_path, a->output, model_name));
    DET_TRY(det_path_join(env, &config_path, a->output, config_name));
    DET_TRY(det_checkpoint_find(tool->context,
                                a->checkpoint != NULL ? a->checkpoint : a->checkpoint_dir, &from));
    DET_TRY(tool_reads_checkpoint(tool, &from));
    DET_TRY(tool_writes_in(tool, "--output_directory", a->output, model_name));
    if (!det_same_file(a->config, config_path))
        DET_TRY(tool_writes_in(tool, "--output_directory", a->output, config_name));
    DET_TRY(det_pipeline_config_load(tool->context, a->config, &config));
    DET_TRY(det_model_load_checkpoint(tool->context, config, from.path, &model));
    DET_TRY(a->weights ? det_model_save_half(tool->context, model, model_path)
                       : det_model_export(tool->context, model, model_path));
    DET_TRY(copy_config(env, a->config, config_path));
    if (stat(model_path, &info) == 0)
        console_print("%s: %d classes, %d x %d, step %lld, %.1f MB (from %s)\n",
                      console_name(names[0], model_path), det_model_class_count(model),
                      det_model_input_height(model), det_model_input_width(model),
                      (long long)det_model_step(model), (double)info.st_size / 1e6,
                      console_name(names[1], from.path));
fail:
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_free(env, &model_path);
    det_free(env, &config_path);
    return status;
}

int main(int argc, char **argv)
{
    console_begin("det-export");
    struct tool tool = TOOL_INIT("det-export");
    struct arguments a = {0};
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a.config, "FILE", "the pipeline.config"},
        {"trained_checkpoint_dir", OPTION_STRING, &a.checkpoint_dir, "DIR",
         "folder whose newest checkpoint is exported, libdet's or TensorFlow's"},
        {"checkpoint", OPTION_STRING, &a.checkpoint, "FILE",
         "export this .det checkpoint or TensorFlow prefix instead"},
        {"weights", OPTION_FLAG, &a.weights, NULL,
         "write training weights in half precision instead, to fine-tune from"},
        {"output_directory", OPTION_STRING, &a.output, "DIR",
         "model.det and pipeline.config are written there"},
        TOOL_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-export",
        .description =
            "Turns a checkpoint, libdet's or TensorFlow's, into one .det file for inference.",
        .table = table,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (a.config == NULL || a.output == NULL ||
        (a.checkpoint_dir == NULL) == (a.checkpoint == NULL))
        result = options_error(&options, "--pipeline_config_path, --output_directory and one of "
                                         "--trained_checkpoint_dir and --checkpoint are needed");
    else if (tool_open(&tool, &result)) {
        const det_status status = export_model(&tool, &a);
        result = status == DET_OK ? 0 : tool_fail(&tool, status);
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
