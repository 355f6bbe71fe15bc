/* det-export: turns a checkpoint, libdet's or TensorFlow's, into one .det file for inference. */
#include <sys/stat.h>

#include "common/class_options.h"
#include "common/console.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tool.h"
#include "det/det.h"
#include "support/io.h"
#include "support/mem.h"

struct arguments {
    const char *config, *checkpoint_dir, *checkpoint, *output;
    struct class_options classes;
    struct option_list recalibrate, images;
    int64_t recalibrate_images;
    bool weights;
};

/* The config beside the model, unless it is the one that lies there. */
static det_status copy_config(struct det_env *env, const char *from, const char *to)
{
    struct det_file_bytes contents;
    if (det_same_file(from, to))
        return DET_OK;
    DET_TRY_RETURN(det_file_read(env, from, &contents));
    const det_status status = det_write_file(env, to, contents.data, contents.bytes);
    det_file_release(&contents);
    return status;
}

static int recalibrating(void *user, int64_t done, int64_t total)
{
    (void)user;
    console_progress("recalibrating %lld/%lld", (long long)done, (long long)total);
    return tool_interrupted();
}

/* Puts a model with new statistics in the place of *model. */
static det_status recalibrate(struct tool *tool, const struct arguments *a,
                              const det_pipeline_config *config, det_model **model)
{
    det_recalibration_settings settings;
    det_model *recalibrated = NULL;
    det_recalibration_settings_default(&settings);
    settings.records = a->recalibrate.values;
    settings.record_count = a->recalibrate.count;
    settings.image_dirs = a->images.values;
    settings.image_dir_count = a->images.count;
    settings.images = a->recalibrate_images;
    settings.progress = recalibrating;
    const det_status status =
        det_model_recalibrate(tool->context, config, *model, &settings, &recalibrated);
    console_progress_clear();
    if (status != DET_OK)
        return status;
    tool_log(tool, DET_LOG_INFO, "batch norm statistics taken anew over %lld pictures",
             (long long)det_model_recalibrated_images(recalibrated));
    det_model_destroy(model);
    *model = recalibrated;
    return DET_OK;
}

/* What an export of moving averages would lose. */
static void advise(struct tool *tool, const det_model *model)
{
    det_decay_advice advice = {.struct_size = sizeof advice};
    if (det_model_decay_advice(model, &advice) == DET_OK && advice.warn)
        tool_log(tool, DET_LOG_WARNING,
                 "batch_norm { decay: %g } leaves %.0f %% of the statistics that the batch norms "
                 "began with after %lld steps: the exported model is worse than the trained one; "
                 "--recalibrate TRAIN_RECORDS takes them anew; a training with decay: %g would not "
                 "need it",
                 advice.decay, 100 * advice.left, (long long)det_model_step(model), advice.fitting);
}

static det_status export_model(struct tool *tool, const struct arguments *a)
{
    static const char model_name[] = "model.det", config_name[] = "pipeline.config";
    struct det_env *env = &tool->env;
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
    DET_TRY(class_options_apply(&a->classes, config));
    DET_TRY(det_model_load_checkpoint(tool->context, config, from.path, &model));
    if (a->recalibrate.count > 0)
        DET_TRY(recalibrate(tool, a, config, &model));
    if (!a->weights)
        advise(tool, model);
    DET_TRY(a->weights ? det_model_save_half(tool->context, model, model_path)
                       : det_model_export(tool->context, model, model_path));
    DET_TRY(copy_config(env, a->config, config_path));
    if (stat(model_path, &info) == 0)
        console_print("%s: %d classes, %d x %d, step %lld, %.1f MB (from %s)\n",
                      console_name(names[0], model_path), tool_used_classes(model),
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
    struct arguments a = {.recalibrate_images = DET_RECALIBRATION_IMAGES};
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a.config, "FILE", "the pipeline.config"},
        {"trained_checkpoint_dir", OPTION_STRING, &a.checkpoint_dir, "DIR",
         "folder whose newest checkpoint is exported, libdet's or TensorFlow's"},
        {"checkpoint", OPTION_STRING, &a.checkpoint, "FILE",
         "export this .det checkpoint or TensorFlow prefix instead"},
        {"weights", OPTION_FLAG, &a.weights, NULL,
         "write training weights in half precision instead, to fine-tune from"},
        {"recalibrate", OPTION_LIST, &a.recalibrate, "RECORDS",
         "take the batch norms' statistics anew over the pictures of these training records: after "
         "a short training the moving averages are not what the network was trained with; may be "
         "repeated. det-train does it at the end of a run"},
        {"recalibrate_images", OPTION_INT, &a.recalibrate_images, "N",
         "pictures of --recalibrate, 0: all"},
        {"images", OPTION_LIST, &a.images, "DIR",
         "folder of the image files, for records of --recalibrate without image/encoded; may be "
         "repeated"},
        {"output_directory", OPTION_STRING, &a.output, "DIR",
         "model.det and pipeline.config are written there"},
        CLASS_OPTIONS(&a.classes),
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
    else if (class_options_fault(&a.classes) != NULL)
        result = options_error(&options, "%s", class_options_fault(&a.classes));
    else if (a.weights && a.recalibrate.count > 0)
        result = options_error(&options, "--recalibrate is for the exported form, --weights writes "
                                         "the training's");
    else if (a.recalibrate_images < 0)
        result = options_error(&options, "--recalibrate_images: expected at least 0");
    else if (a.recalibrate.count == 0 &&
             (a.images.count > 0 || a.recalibrate_images != DET_RECALIBRATION_IMAGES))
        result = options_error(&options, "--recalibrate_images and --images are for --recalibrate "
                                         "RECORDS, which is not given");
    else if (tool_open(&tool, &result)) {
        tool_catch_signals(NULL);
        const det_status status = export_model(&tool, &a);
        result = status == DET_OK ? 0 : tool_fail(&tool, status);
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
