/* det-export: turns a checkpoint, libdet's or TensorFlow's, into one .det file for inference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/options.h"
#include "common/tool.h"
#include "det/det.h"

struct arguments {
    const char *config, *checkpoint_dir, *checkpoint, *output;
    struct option_list recalibrate, images;
    int64_t recalibrate_images;
    bool weights;
};

/* mkdir -p, then DIR/NAME. */
static bool output_path(struct tool *tool, const char *directory, const char *name, char path[4096])
{
    if ((size_t)snprintf(path, 4096, "%s/%s", directory, name) >= 4096) {
        tool_error(tool, "%s: path is too long", directory);
        return false;
    }
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0777); /* a failure shows when the file is written */
        *at = '/';
    }
    return true;
}

static int copy_config(struct tool *tool, const char *from, const char *to)
{
    char resolved_from[4096], resolved_to[4096];
    if (realpath(from, resolved_from) != NULL && realpath(to, resolved_to) != NULL &&
        strcmp(resolved_from, resolved_to) == 0)
        return 0;
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.tmp", to);
    FILE *in = fopen(from, "rb"), *out = in != NULL ? fopen(temporary, "wb") : NULL;
    bool good = out != NULL;
    char buffer[4096];
    size_t bytes = 0;
    while (good && (bytes = fread(buffer, 1, sizeof buffer, in)) > 0)
        good = fwrite(buffer, 1, bytes, out) == bytes;
    if (in != NULL)
        good = !ferror(in) && good;
    if (in != NULL)
        fclose(in);
    if (out != NULL)
        good = fclose(out) == 0 && good;
    if (good)
        good = rename(temporary, to) == 0;
    if (good)
        return 0;
    remove(temporary);
    return tool_error(tool, "%s: cannot copy to %s", from, to);
}

static int recalibrating(void *tool, int64_t done, int64_t total)
{
    tool_progress(tool, "recalibrating %lld/%lld", (long long)done, (long long)total);
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
    settings.progress_user = tool;
    const det_status status =
        det_model_recalibrate(tool->context, config, *model, &settings, &recalibrated);
    tool_progress_clear(tool);
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
    const det_decay_advice advice = det_model_decay_advice(model);
    if (advice.warn)
        tool_log(tool, DET_LOG_WARNING,
                 "batch_norm { decay: %g } leaves %.0f %% of the statistics that the batch norms "
                 "began with after %lld steps: the exported model is worse than the trained one; "
                 "--recalibrate TRAIN_RECORDS takes them anew; a training with decay: %g would not "
                 "need it",
                 advice.decay, 100 * advice.left, (long long)det_model_step(model), advice.fitting);
}

static int export_model(struct tool *tool, const struct arguments *a)
{
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_checkpoint_info from;
    char model_path[4096], config_path[4096];
    if (!output_path(tool, a->output, "model.det", model_path) ||
        !output_path(tool, a->output, "pipeline.config", config_path))
        return TOOL_EXIT_ERROR;
    const char *source = a->checkpoint != NULL ? a->checkpoint : a->checkpoint_dir;
    det_status status = det_pipeline_config_load(tool->context, a->config, &config);
    if (status == DET_OK)
        status = det_checkpoint_find(tool->context, source, &from);
    if (status == DET_OK)
        status = det_model_load_checkpoint(tool->context, config, from.path, &model);
    if (status == DET_OK && a->recalibrate.count > 0)
        status = recalibrate(tool, a, config, &model);
    if (status == DET_OK && !a->weights)
        advise(tool, model);
    if (status == DET_OK)
        status = a->weights ? det_model_save_half(tool->context, model, model_path)
                            : det_model_export(tool->context, model, model_path);
    int result = 0;
    if (status != DET_OK) {
        result = tool_fail(tool, status);
    } else {
        result = copy_config(tool, a->config, config_path);
        struct stat info;
        if (result == 0 && stat(model_path, &info) == 0)
            printf("%s: %d classes, %d x %d, step %lld, %.1f MB (from %s)\n", model_path,
                   det_model_class_count(model), det_model_input_height(model),
                   det_model_input_width(model), (long long)det_model_step(model),
                   (double)info.st_size / 1e6, from.path);
    }
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    return result;
}

int main(int argc, char **argv)
{
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
        return result;
    if (a.config == NULL || a.output == NULL ||
        (a.checkpoint_dir == NULL) == (a.checkpoint == NULL))
        result = options_error(&options, "--pipeline_config_path, --output_directory and one of "
                                         "--trained_checkpoint_dir and --checkpoint are needed");
    else if (a.weights && a.recalibrate.count > 0)
        result = options_error(&options, "--recalibrate is for the exported form, --weights writes "
                                         "the training's");
    else if (a.recalibrate_images < 0)
        result = options_error(&options, "--recalibrate_images: expected at least 0");
    else if (tool_open(&tool, &result)) {
        tool_catch_signals(NULL);
        result = export_model(&tool, &a);
        tool_close(&tool);
    }
    options_free(&options);
    return result;
}
