/* det-export: makes of a checkpoint, libdet's or TensorFlow's, the files that other engines run,
 * and libdet's own. */
#include <math.h>
#include <string.h>

#include "common/class_options.h"
#include "common/console.h"
#include "common/countdown.h"
#include "common/options.h"
#include "common/output.h"
#include "common/tf_flags.h"
#include "common/tool.h"
#include "det/det.h"
#include "export/files.h"
#include "export/source.h"
#include "export/tries.h"
#include "support/io.h"
#include "support/mem.h"

struct arguments {
    const char *config, *checkpoint_dir, *checkpoint, *output, *json, *eval;
    struct class_options classes;
    struct option_list recalibrate, images;
    int64_t recalibrate_images, eval_images;
    struct export_choices choices;
    struct eight_bits eight_bits;
    bool weights;
};

#define MODEL_NAME  "model.det"
#define CONFIG_NAME "pipeline.config"

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
    settings.progress = countdown_show;
    settings.progress_user = &(struct countdown){.what = "recalibrating"};
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

/* The training's weights in half precision, to fine-tune from. */
static det_status write_weights(struct tool *tool, const det_model *model, const char *folder)
{
    struct det_env *env = &tool->env;
    char *path = NULL, name[CONSOLE_NAME_BYTES];
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &path, folder, MODEL_NAME));
    DET_TRY(tool_writes_in(tool, "--output_directory", folder, MODEL_NAME));
    DET_TRY(det_model_save_half(tool->context, model, path));
    console_print("weights: %s\n", console_name(name, path));
fail:
    det_free(env, &path);
    return status;
}

/* The files of `model`, or of its copy in 8 bits, evaluated where that is asked for. */
static det_status make_formats(struct tool *tool, const struct arguments *a, const det_model *model,
                               struct export_tries *tries, det_model **quantised)
{
    const bool evaluates = a->eval != NULL;
    if (a->choices.eight_bits && evaluates)
        return export_tries_make(tries, &a->images, model, quantised);
    if (a->choices.eight_bits) {
        DET_TRY_RETURN(
            eight_bits_make(tool, tries->eight_bits, &a->images, model, NULL, quantised));
        DET_TRY_RETURN(eight_bits_tell(tool, *quantised));
        model = *quantised;
    }
    DET_TRY_RETURN(export_files_make(tool, &a->choices, model, tries->files));
    DET_TRY_RETURN(export_files_announce(tool, tries->files, a->output));
    return evaluates ? export_files_evaluate(tool, model, tries->test, tries->files) : DET_OK;
}

static det_status write_formats(struct tool *tool, const struct arguments *a, const char *from,
                                det_pipeline_config *config, const det_model *model)
{
    struct export_test test = {.config = config};
    struct export_files files = {0};
    struct eight_bits eight_bits = a->eight_bits;
    struct export_tries tries = {.tool = tool,
                                 .choices = &a->choices,
                                 .eight_bits = &eight_bits,
                                 .test = &test,
                                 .folder = a->output,
                                 .files = &files};
    det_model *quantised = NULL;
    det_status status = DET_OK;
    eight_bits.only |= a->choices.whole;
    det_evaluation_settings_default(&test.settings);
    test.settings.as_exported = 1;
    test.settings.image_dirs = a->images.values;
    test.settings.image_dir_count = a->images.count;
    test.settings.max_images = a->eval_images;
    if (a->eval != NULL)
        DET_TRY_RETURN(det_pipeline_config_set_eval_path(config, a->eval));
    DET_TRY(eight_bits_check(tool, model, a->choices.precision));
    DET_TRY(make_formats(tool, a, model, &tries, &quantised));
    DET_TRY(export_files_write(tool, &files, a->output));
    DET_TRY(export_files_print(tool, &files, a->output));
    if (a->json != NULL)
        DET_TRY(export_files_json(tool, &files, a->output, from,
                                  quantised != NULL ? quantised : model,
                                  tries.count > 0 ? &tries : NULL, a->json));
fail:
    export_tries_free(&tries);
    export_files_destroy(&files);
    det_model_destroy(&quantised);
    return status;
}

/* The file that says which of a folder's checkpoints is the newest: an exported TensorFlow
 * checkpoint has one of its own. */
static det_status reads_state(struct tool *tool, const char *folder)
{
    char *state = NULL;
    DET_TRY_RETURN(det_path_join(&tool->env, &state, folder, "checkpoint"));
    const det_status status = tool_reads(tool, state);
    det_free(&tool->env, &state);
    return status;
}

/* What is read and written, as far as it is known before the model is. */
static det_status announce(struct tool *tool, const struct arguments *a,
                           const det_checkpoint_info *from, const char *config_path)
{
    struct det_env *env = &tool->env;
    char *folder = NULL;
    det_status status = DET_OK;
    DET_TRY(tool_reads(tool, a->config));
    DET_TRY(tool_reads_checkpoint(tool, from));
    if (a->checkpoint_dir != NULL)
        DET_TRY(reads_state(tool, a->checkpoint_dir));
    DET_TRY(det_path_directory(env, &folder, from->path));
    if (strncmp(det_path_name(from->path), "ckpt-", 5) == 0)
        DET_TRY(reads_state(tool, folder));
    if (a->config != NULL && !det_same_file(a->config, config_path))
        DET_TRY(tool_writes_in(tool, "--output_directory", a->output, CONFIG_NAME));
    DET_TRY(tool_writes(tool, "--json", a->json));
fail:
    det_free(env, &folder);
    return status;
}

static det_status export_model(struct tool *tool, const struct arguments *a)
{
    struct det_env *env = &tool->env;
    det_pipeline_config *config = NULL;
    det_model *model = NULL;
    det_checkpoint_info from;
    char *config_path = NULL, name[CONSOLE_NAME_BYTES];
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &config_path, a->output, CONFIG_NAME));
    DET_TRY(a->checkpoint != NULL ? det_checkpoint_find(tool->context, a->checkpoint, &from)
                                  : export_source_find(tool, a->checkpoint_dir, &from));
    DET_TRY(det_make_directories(env, a->output));
    DET_TRY(announce(tool, a, &from, config_path));
    if (a->config != NULL) {
        DET_TRY(det_pipeline_config_load(tool->context, a->config, &config));
        DET_TRY(class_options_apply(&a->classes, config));
    }
    DET_TRY(export_source_load(tool, config, &from,
                               export_choices_have(&a->choices, "tf_checkpoint"), &model));
    if (a->recalibrate.count > 0)
        DET_TRY(recalibrate(tool, a, config, &model));
    if (!a->weights)
        advise(tool, model);
    console_print("%s: %d classes, %d x %d, step %lld\n", console_name(name, from.path),
                  tool_used_classes(model), det_model_input_height(model),
                  det_model_input_width(model), (long long)det_model_step(model));
    DET_TRY(a->weights ? write_weights(tool, model, a->output)
                       : write_formats(tool, a, from.path, config, model));
    if (a->config != NULL)
        DET_TRY(copy_config(env, a->config, config_path));
fail:
    det_model_destroy(&model);
    det_pipeline_config_destroy(&config);
    det_free(env, &config_path);
    return status;
}

/* What is wrong with the options together; NULL: nothing. */
static const char *fault(const struct arguments *a)
{
    if (a->output == NULL || (a->checkpoint_dir == NULL) == (a->checkpoint == NULL))
        return "--output_directory and one of --trained_checkpoint_dir and --checkpoint are needed";
    if (class_options_fault(&a->classes) != NULL)
        return class_options_fault(&a->classes);
    if (a->config == NULL && (a->recalibrate.count > 0 || a->classes.remap || a->classes.rename))
        return "--recalibrate, --remap_classes and --rename_classes need --pipeline_config_path";
    if (a->config == NULL && a->eval != NULL)
        return "--eval needs --pipeline_config_path, for the label map";
    if (a->eval_images < 0 || (a->eval_images > 0 && a->eval == NULL))
        return "--eval_images: expected a number of images of --eval RECORDS";
    if (a->weights && a->eval != NULL)
        return "--eval is for what is exported, --weights writes the training's";
    if (a->weights && a->recalibrate.count > 0)
        return "--recalibrate is for the exported form, --weights writes the training's";
    if (a->weights && (a->choices.formats.count > 0 || a->json != NULL))
        return "--weights writes a .det file and nothing else: it goes without --format and --json";
    if (a->recalibrate_images < 0)
        return "--recalibrate_images: expected at least 0";
    if (a->recalibrate.count == 0 && a->recalibrate_images != DET_RECALIBRATION_IMAGES)
        return "--recalibrate_images is for --recalibrate RECORDS, which is not given";
    if (a->recalibrate.count == 0 && a->eval == NULL && a->eight_bits.calibration.count == 0 &&
        a->images.count > 0)
        return "--images is for --recalibrate, --calibration and --eval RECORDS, which are not "
               "given";
    return NULL;
}

/* Once it is known what --precision is. */
static bool eight_bits_take(const struct arguments *a, const struct options *options, int *result)
{
    const char *wrong = eight_bits_fault(&a->eight_bits, a->choices.eight_bits, a->eval != NULL);
    if (wrong == NULL && a->weights && a->choices.eight_bits)
        wrong = "--weights writes the training's weights, --precision int8 is for what is exported";
    if (wrong != NULL)
        *result = options_error(options, "%s", wrong);
    return wrong == NULL;
}

int main(int argc, char **argv)
{
    console_begin("det-export");
    struct tool tool = TOOL_INIT("det-export");
    struct arguments a = {.recalibrate_images = DET_RECALIBRATION_IMAGES,
                          .choices = EXPORT_CHOICES_INIT,
                          .eight_bits = EIGHT_BITS_INIT};
    const struct option table[] = {
        {"pipeline_config_path", OPTION_STRING, &a.config, "FILE",
         "the pipeline.config; a .det file can do without"},
        {"trained_checkpoint_dir", OPTION_STRING, &a.checkpoint_dir, "DIR",
         "folder of a training: its best checkpoint is exported (DIR/best, of det-train "
         "--eval_every), else the newest, libdet's or TensorFlow's"},
        {"checkpoint", OPTION_STRING, &a.checkpoint, "FILE",
         "export this .det file or TensorFlow prefix instead"},
        EXPORT_CHOICES_OPTIONS(&a.choices),
        EIGHT_BITS_OPTIONS(&a.eight_bits),
        {"weights", OPTION_FLAG, &a.weights, NULL,
         "write training weights in half precision instead, to fine-tune from"},
        {"recalibrate", OPTION_LIST, &a.recalibrate, "RECORDS",
         "take the batch norms' statistics anew over the pictures of these training records: after "
         "a short training the moving averages are not what the network was trained with; may be "
         "repeated. det-train does it at the end of a run"},
        {"recalibrate_images", OPTION_INT, &a.recalibrate_images, "N",
         "pictures of --recalibrate, 0: all"},
        {"images", OPTION_LIST, &a.images, "DIR",
         "folder of the image files, for records of --recalibrate and --eval without "
         "image/encoded; may be repeated"},
        {"eval", OPTION_STRING, &a.eval, "RECORDS",
         "AP of each format's file on these records, as libdet reads it back and runs it by plain "
         "operations; nothing is written when they cannot be read"},
        {"eval_images", OPTION_INT, &a.eval_images, "N", "images of --eval, 0: all"},
        {"output_directory", OPTION_STRING, &a.output, "DIR",
         "the files are written there, called model, of tf_checkpoint ckpt-STEP, and the "
         "pipeline.config"},
        {"json", OPTION_OUTPUT, &a.json, "FILE",
         "what was written as JSON: files, inputs and outputs, what the proof found; -: standard "
         "output"},
        CLASS_OPTIONS(&a.classes),
        TOOL_DEVICE_OPTIONS(&tool),
        {0},
    };
    struct options options = {
        .program = "det-export",
        .description =
            "Makes of a checkpoint, libdet's or TensorFlow's, or a .det file what other engines "
            "run: "
            "ONNX, TFLite, a TensorFlow checkpoint, ncnn, or libdet's own .det. Each is read back "
            "and compared with libdet's own network before anything is written.",
        .table = table,
        .aliases = tf_flags_of_export,
    };
    int result = 0;
    if (!options_parse(&options, argc, argv, &result))
        return console_end(result);
    if (fault(&a) != NULL)
        result = options_error(&options, "%s", fault(&a));
    else if (export_choices_take(&a.choices, &options, &result) &&
             eight_bits_take(&a, &options, &result) && tool_open(&tool, &result)) {
        tool_catch_signals(NULL);
        const det_status status = export_model(&tool, &a);
        result = status == DET_OK ? 0 : tool_fail(&tool, status);
        tool_close(&tool);
    }
    options_free(&options);
    return console_end(result);
}
