#include "export/eight_bits.h"

#include <string.h>

#include "common/console.h"
#include "common/countdown.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"
#include "support/text.h"

enum {
    TOLD = 8,  /* layers that are listed */
    WORST = 3, /* ... that a message names */
};

static det_quantisation_observer observer_of(const char *name, bool *known)
{
    for (int o = DET_OBSERVER_AUTO; o <= DET_OBSERVER_SQUARES; o++) {
        if (name == NULL ||
            strcmp(name, det_quantisation_observer_name((det_quantisation_observer)o)) == 0)
            return (det_quantisation_observer)o;
    }
    *known = false;
    return DET_OBSERVER_AUTO;
}

const char *eight_bits_fault(const struct eight_bits *e, bool wanted, bool evaluates)
{
    bool known = true;
    observer_of(e->observer, &known);
    if (!wanted && (e->calibration.count > 0 || e->images != DET_QUANTISATION_IMAGES ||
                    e->observer != NULL || e->only || e->max_drop != EIGHT_BITS_MAX_DROP))
        return "--calibration, --calibration_images, --observer, --int8_only and --max_drop are "
               "for --precision int8";
    if (e->images < 1)
        return "--calibration_images: expected at least 1";
    if (!known)
        return "--observer: expected auto, minmax, average, percentile or squares";
    if (!evaluates && e->max_drop != EIGHT_BITS_MAX_DROP)
        return "--max_drop needs --eval RECORDS to judge by";
    if (!(e->max_drop >= 0 && e->max_drop <= 1))
        return "--max_drop: expected 0 to 1";
    return NULL;
}

det_status eight_bits_check(struct tool *tool, const det_model *model, const char *precision)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(tool->context, model, &info));
    if (!info.is_quantised || precision == NULL)
        return DET_OK;
    return det_fail(&tool->env, DET_STATUS_INVALID_ARGUMENT,
                    "--precision %s: the model is in 8 bits already and is exported so without "
                    "--precision; for another one take the float32 model that it was made of",
                    precision);
}

/* --- pictures --- */

/* Image files of folders, as samples. */
struct pictures {
    struct det_env *env;
    struct det_path_list paths;
};

static int fill(void *user, size_t index, det_labelled_sample *sample)
{
    const struct pictures *p = user;
    struct det_file_bytes *bytes = NULL;
    struct det_env env; /* this thread's */
    det_env_fork(&env, p->env);
    sample->id = p->paths.paths[index];
    if (!sample->needs_image)
        return 0;
    if (det_alloc(&env, &bytes, 1, sizeof *bytes, "picture") != DET_OK)
        return 1;
    if (det_file_read(&env, p->paths.paths[index], bytes) != DET_OK) {
        det_free(&env, &bytes);
        sample->error = "it cannot be read";
        return 1;
    }
    sample->encoded = bytes->data;
    sample->encoded_bytes = bytes->bytes;
    sample->own = bytes;
    return 0;
}

static void release(void *user, size_t index, det_labelled_sample *sample)
{
    const struct pictures *p = user;
    struct det_file_bytes *bytes = sample->own;
    struct det_env env;
    (void)index;
    if (bytes == NULL)
        return;
    det_env_fork(&env, p->env);
    det_file_release(bytes);
    det_free(&env, &bytes);
}

static det_status add_folder(struct det_env *env, struct pictures *pictures, const char *folder)
{
    struct det_path_list files = {0};
    const size_t before = pictures->paths.count;
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        if (det_image_extension(files.paths[i]) != NULL && !det_is_directory(files.paths[i]))
            DET_TRY(det_path_list_add(env, &pictures->paths, files.paths[i]));
    }
    if (pictures->paths.count == before)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "--calibration: the folder %s holds no image file (%s)", folder,
                         det_image_formats()));
fail:
    det_path_list_free(env, &files);
    return status;
}

/* All folders, or no folder: which pictures are taken goes over all of them. */
static det_status find_pictures(struct det_env *env, const struct option_list *calibration,
                                struct pictures *pictures)
{
    size_t folders = 0;
    pictures->env = env;
    for (size_t i = 0; i < calibration->count; i++) {
        if (!det_is_directory(calibration->values[i]))
            continue;
        DET_TRY_RETURN(add_folder(env, pictures, calibration->values[i]));
        folders++;
    }
    if (folders > 0 && folders < calibration->count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "--calibration: folders and records are given, expected one kind");
    return DET_OK;
}

/* --- making --- */

/* The layers by falling error. */
struct layers {
    det_quantisation_layer *list;
    size_t count;
};

static det_status find_layers(struct tool *tool, const det_model *model, struct layers *layers)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(tool->context, model, &info));
    DET_TRY_RETURN(
        det_alloc(&tool->env, &layers->list, (size_t)info.layers, sizeof *layers->list, "layers"));
    for (; layers->count < (size_t)info.layers; layers->count++) {
        det_quantisation_layer layer = {.struct_size = sizeof layer};
        size_t at = layers->count;
        DET_TRY_RETURN(det_model_quantisation_layer(tool->context, model, at, &layer));
        for (; at > 0 && layers->list[at - 1].error < layer.error; at--)
            layers->list[at] = layers->list[at - 1];
        layers->list[at] = layer;
    }
    return DET_OK;
}

/* The same weights at another level. */
static bool is_repeated(const struct layers *layers, size_t i)
{
    return i > 0 && strcmp(layers->list[i].name, layers->list[i - 1].name) == 0;
}

det_status eight_bits_name_worst(struct tool *tool, const det_model *quantised,
                                 struct det_text *text)
{
    struct layers layers = {0};
    size_t named = 0;
    det_status status = DET_OK;
    DET_TRY(find_layers(tool, quantised, &layers));
    for (size_t i = 0; i < layers.count && named < WORST; i++) {
        if (layers.list[i].is_float || layers.list[i].error == 0 || is_repeated(&layers, i))
            continue;
        DET_TRY(det_text_printf(&tool->env, text, "%s%s (%.2g)", named == 0 ? "" : ", ",
                                layers.list[i].name, layers.list[i].error));
        named++;
    }
fail:
    det_free(&tool->env, &layers.list);
    return status;
}

static det_status tell(struct tool *tool, const det_model *model, const det_quantisation_info *info)
{
    struct det_env *env = &tool->env;
    struct layers layers = {0};
    struct det_text text = {0};
    char name[CONSOLE_NAME_BYTES];
    det_status status = DET_OK;
    DET_TRY(find_layers(tool, model, &layers));
    DET_TRY(det_text_printf(
        env, &text,
        "int8: %d of %d convolutions, ranges by %s over %lld pictures%s%s\n"
        "  outputs differ from float32's by %.2g of the scores and %.2g of the boxes; layers that "
        "alone make the most:\n",
        info->layers - info->float_layers, info->layers,
        det_quantisation_observer_name(info->observer), (long long)info->images,
        info->equalised ? ", channels equalised" : "",
        info->biases_corrected ? ", biases corrected" : "", info->score_error, info->box_error));
    for (size_t i = 0, named = 0; i < layers.count && named < TOLD; i++) {
        if (is_repeated(&layers, i))
            continue;
        DET_TRY(det_text_printf(env, &text, "  %8.4f  %s%s\n", layers.list[i].error,
                                console_name(name, layers.list[i].name),
                                layers.list[i].is_float ? "  (float32)" : ""));
        named++;
    }
    console_print_text(text.data);
fail:
    det_free(env, &layers.list);
    det_text_free(env, &text);
    return status;
}

det_status eight_bits_tell(struct tool *tool, const det_model *quantised)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(tool->context, quantised, &info));
    if (info.observer != DET_OBSERVER_TRAINED)
        return tell(tool, quantised, &info);
    console_print("int8: all %d convolutions, ranges and rounding as they were trained\n",
                  info.layers);
    return DET_OK;
}

static void set_judge(det_quantisation_settings *settings, const struct eight_bits_judge *judge)
{
    if (judge != NULL) {
        settings->accept = judge->accept;
        settings->accept_user = judge->user;
    }
}

static det_status make_of_pictures(struct tool *tool, const struct eight_bits *e,
                                   const struct option_list *image_dirs, const det_model *model,
                                   const struct eight_bits_judge *judge, det_model **quantised)
{
    struct det_env *env = &tool->env;
    struct pictures pictures = {0};
    det_quantisation_settings settings;
    bool known = true;
    det_status status = DET_OK;
    det_quantisation_settings_default(&settings);
    DET_TRY(find_pictures(env, &e->calibration, &pictures));
    const det_sample_source source = {.struct_size = sizeof source,
                                      .count = pictures.paths.count,
                                      .user = &pictures,
                                      .fill = fill,
                                      .release = release};
    settings.samples = pictures.paths.count > 0 ? &source : NULL;
    settings.records = e->calibration.values;
    settings.record_count = settings.samples != NULL ? 0 : e->calibration.count;
    settings.image_dirs = image_dirs->values;
    settings.image_dir_count = image_dirs->count;
    settings.images = e->images;
    settings.observer = observer_of(e->observer, &known);
    settings.floats = e->only ? DET_QUANTISATION_FLOATS_NONE : DET_QUANTISATION_FLOATS_AUTO;
    settings.progress = countdown_show;
    settings.progress_user = &(struct countdown){.what = "int8"};
    set_judge(&settings, judge);
    status = det_model_quantise(tool->context, model, &settings, quantised);
    console_progress_clear();
fail:
    det_path_list_free(env, &pictures.paths);
    return status;
}

/* What only pictures are for is not passed over in silence. */
static det_status make_trained(struct tool *tool, const struct eight_bits *e,
                               const det_model *model, const struct eight_bits_judge *judge,
                               det_model **quantised)
{
    det_quantisation_settings settings;
    if (e->calibration.count > 0 || e->images != DET_QUANTISATION_IMAGES || e->observer != NULL)
        return det_fail(&tool->env, DET_STATUS_INVALID_ARGUMENT,
                        "the checkpoint was trained in 8 bits and has its ranges: leave out "
                        "--calibration, --calibration_images and --observer");
    det_quantisation_settings_default(&settings);
    set_judge(&settings, judge);
    return det_model_quantise(tool->context, model, &settings, quantised);
}

det_status eight_bits_make(struct tool *tool, const struct eight_bits *e,
                           const struct option_list *image_dirs, const det_model *model,
                           const struct eight_bits_judge *judge, det_model **quantised)
{
    if (det_model_is_trained_in_8_bits(model))
        return make_trained(tool, e, model, judge, quantised);
    if (e->calibration.count == 0)
        return det_fail(&tool->env, DET_STATUS_INVALID_ARGUMENT,
                        "--precision int8 needs --calibration: pictures that the ranges are taken "
                        "from (a checkpoint that was trained in 8 bits has them)");
    return make_of_pictures(tool, e, image_dirs, model, judge, quantised);
}

/* --- as JSON --- */

det_status eight_bits_json(struct tool *tool, const det_model *quantised,
                           struct det_json_writer *json)
{
    det_quantisation_info info = {.struct_size = sizeof info};
    DET_TRY_RETURN(det_model_quantisation(tool->context, quantised, &info));
    det_json_put_int(json, "layers", info.layers);
    det_json_put_int(json, "float_layers", info.float_layers);
    det_json_put_value(json, "float_share", info.float_share);
    det_json_put_string(json, "observer", det_quantisation_observer_name(info.observer));
    det_json_put_int(json, "images", info.images);
    det_json_put_bool(json, "equalised", info.equalised != 0);
    det_json_put_bool(json, "biases_corrected", info.biases_corrected != 0);
    det_json_put_value(json, "score_error", info.score_error);
    det_json_put_value(json, "box_error", info.box_error);
    det_json_open_list(json, "sensitivity");
    for (int32_t i = 0; i < info.layers; i++) {
        det_quantisation_layer layer = {.struct_size = sizeof layer};
        DET_TRY_RETURN(det_model_quantisation_layer(tool->context, quantised, (size_t)i, &layer));
        det_json_line(json, 4);
        det_json_open_object(json, NULL);
        det_json_put_string(json, "name", layer.name);
        det_json_put_bool(json, "float32", layer.is_float != 0);
        det_json_put_value(json, "error", layer.error);
        det_json_close_object(json);
    }
    det_json_close_list(json);
    return DET_OK;
}
