/* pipeline_config.c: reading pipeline.config, and the checks that look at more than one field. */
#include "formats/pipeline_config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "formats/pipeline_architecture.h"
#include "formats/pipeline_edit.h"
#include "formats/pipeline_paths.h"
#include "formats/pipeline_schema.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"

#define FIELD_BYTES 200

const char *det_augmentation_name(int32_t kind)
{
    static const char *const names[] = {"none",
#define NAME(name, field) #field,
                                        DET_AUGMENTATION_TABLE(NAME)
#undef NAME
    };
    return kind >= 0 && kind < DET_AUGMENTATION_COUNT_ ? names[kind] : "unknown";
}

/* The field a path names, or the innermost one on the way that exists (*whole false). */
static const struct det_prototext_field *walk(const struct det_pipeline_config *config,
                                              const char *field, bool *whole)
{
    const struct det_prototext_field *at = &config->document.root;
    *whole = true;
    while (*field != '\0') {
        char name[FIELD_BYTES];
        const size_t length = strcspn(field, ".");
        snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
                 field);
        const struct det_prototext_field *next = det_prototext_find(at, name);
        if (next == NULL) {
            *whole = false;
            return at;
        }
        at = next;
        field += length + (field[length] == '.');
    }
    return at;
}

struct det_position det_pipeline_config_position(const struct det_pipeline_config *config,
                                                 const char *field)
{
    bool whole = false;
    return walk(config, field, &whole)->position;
}

/* The field that holds this very string, NULL for one from elsewhere. */
static const struct det_prototext_field *holder(const struct det_prototext_field *tree,
                                                const char *value)
{
    for (const struct det_prototext_field *at = tree->first; at != NULL; at = at->next) {
        const struct det_prototext_field *found =
            at->kind == DET_PROTOTEXT_MESSAGE ? holder(at, value) : NULL;
        if (found != NULL || at->text == value)
            return found != NULL ? found : at;
    }
    return NULL;
}

struct det_position det_pipeline_config_value_position(const struct det_pipeline_config *config,
                                                       const char *value)
{
    const struct det_prototext_field *at = holder(&config->document.root, value);
    return at != NULL ? at->position : (struct det_position){0, 0};
}

static bool is_set(const struct det_pipeline_config *config, const char *field)
{
    bool whole = false;
    walk(config, field, &whole);
    return whole;
}

det_status det_pipeline_config_fail(struct det_env *env, det_status status,
                                    const struct det_pipeline_config *config, const char *field,
                                    const char *format, ...)
{
    char detail[DET_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    return det_prototext_fail(env, status, &config->document,
                              det_pipeline_config_position(config, field), "%s", detail);
}

/* ---- checks ---- */

static det_status require(struct det_env *env, const struct det_pipeline_config *config,
                          const char *field)
{
    if (is_set(config, field))
        return DET_OK;
    return det_pipeline_config_fail(env, DET_STATUS_PARSE, config, field, "field `%s` is missing",
                                    field);
}

static det_status check_finite_list(struct det_env *env, const struct det_pipeline_config *config,
                                    const char *field, const struct det_float_list *list,
                                    size_t count, double low, double high)
{
    if (list->count != 0 && count != 0 && list->count != count)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config, field,
                                        "field `%s`: found %zu values, expected %zu", field,
                                        list->count, count);
    for (size_t i = 0; i < list->count; i++)
        if (!((double)list->values[i] >= low && (double)list->values[i] <= high))
            return det_pipeline_config_fail(env, DET_STATUS_PARSE, config, field,
                                            "field `%s`: found %g, expected %g to %g", field,
                                            (double)list->values[i], low, high);
    return DET_OK;
}

static det_status check_input(struct det_env *env, const struct det_pipeline_config *config)
{
    const struct det_resizer_config *resizer = &config->ssd.image_resizer;
    const char *field = "model.ssd.image_resizer.keep_aspect_ratio_resizer.min_dimension";
    if (resizer->kind == DET_RESIZER_NONE)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config, "model.ssd.image_resizer",
            "field `model.ssd.image_resizer` must have a fixed_shape_resizer or a "
            "keep_aspect_ratio_resizer");
    if (resizer->kind == DET_RESIZER_KEEP_ASPECT_RATIO) {
        if (resizer->min_dimension > resizer->max_dimension)
            return det_pipeline_config_fail(
                env, DET_STATUS_PARSE, config, field, "min_dimension %d exceeds max_dimension %d",
                (int)resizer->min_dimension, (int)resizer->max_dimension);
        if (!resizer->pad_to_max_dimension)
            return det_pipeline_config_fail(
                env, DET_STATUS_UNSUPPORTED, config,
                "model.ssd.image_resizer.keep_aspect_ratio_resizer.pad_to_max_dimension",
                "field `pad_to_max_dimension: false` is not supported: images of a batch need one "
                "size, set it to true");
        DET_TRY_RETURN(check_finite_list(
            env, config, "model.ssd.image_resizer.keep_aspect_ratio_resizer.per_channel_pad_value",
            &resizer->per_channel_pad_value, 3, -255, 255));
    }
    int32_t height = 0, width = 0;
    det_pipeline_config_input_size(config, &height, &width);
    const int32_t multiple = config->ssd.feature_extractor.pad_to_multiple;
    if (height % multiple != 0 || width % multiple != 0)
        return det_pipeline_config_fail(
            env, DET_STATUS_UNSUPPORTED, config, "model.ssd.feature_extractor.pad_to_multiple",
            "field `pad_to_multiple: %d` is not supported: the input of %d x %d is not a multiple "
            "of it",
            (int)multiple, (int)height, (int)width);
    return DET_OK;
}

static det_status check_hyperparams(struct det_env *env, const struct det_pipeline_config *config,
                                    const char *message, const struct det_hyperparams *hyperparams)
{
    char field[FIELD_BYTES];
    if (hyperparams->activation == DET_CONFIG_ACTIVATION_SWISH_) {
        snprintf(field, sizeof field, "%s.activation", message);
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                        "field `%s` is not supported as SWISH: NONE, RELU and "
                                        "RELU_6 are",
                                        field);
    }
    return DET_OK;
}

static det_status check_model(struct det_env *env, const struct det_pipeline_config *config)
{
    static const char *const required[] = {
        "model",
        "model.ssd",
        "model.ssd.num_classes",
        "model.ssd.image_resizer",
        "model.ssd.feature_extractor",
        "model.ssd.feature_extractor.type",
        "model.ssd.box_coder.faster_rcnn_box_coder",
        "model.ssd.matcher.argmax_matcher",
        "model.ssd.similarity_calculator.iou_similarity",
        "model.ssd.box_predictor.weight_shared_convolutional_box_predictor",
        "model.ssd.box_predictor.weight_shared_convolutional_box_predictor.depth",
        "model.ssd.anchor_generator.multiscale_anchor_generator",
        "model.ssd.anchor_generator.multiscale_anchor_generator.aspect_ratios",
        "model.ssd.loss.localization_loss",
        "model.ssd.loss.classification_loss",
    };
    const struct det_ssd_config *ssd = &config->ssd;
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        DET_TRY_RETURN(require(env, config, required[i]));
    DET_TRY_RETURN(check_input(env, config));
    DET_TRY_RETURN(check_hyperparams(env, config, "model.ssd.feature_extractor.conv_hyperparams",
                                     &ssd->feature_extractor.conv_hyperparams));
    DET_TRY_RETURN(check_hyperparams(
        env, config,
        "model.ssd.box_predictor.weight_shared_convolutional_box_predictor.conv_hyperparams",
        &ssd->box_predictor.conv_hyperparams));
    const struct det_fpn_config *fpn = &ssd->feature_extractor.fpn;
    const struct det_anchor_config *anchors = &ssd->anchor_generator;
    if (fpn->min_level > fpn->max_level)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config, "model.ssd.feature_extractor.fpn.min_level",
            "min_level %d exceeds max_level %d", (int)fpn->min_level, (int)fpn->max_level);
    if (anchors->min_level != fpn->min_level || anchors->max_level != fpn->max_level)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config, "model.ssd.anchor_generator.multiscale_anchor_generator",
            "anchors for levels %d to %d, but the feature pyramid has levels %d to %d",
            (int)anchors->min_level, (int)anchors->max_level, (int)fpn->min_level,
            (int)fpn->max_level);
    const char *field = "model.ssd.anchor_generator.multiscale_anchor_generator.aspect_ratios";
    DET_TRY_RETURN(check_finite_list(env, config, field, &anchors->aspect_ratios, 0, 1e-3, 1e3));
    field = "model.ssd.box_predictor.weight_shared_convolutional_box_predictor.kernel_size";
    if (ssd->box_predictor.kernel_size % 2 == 0)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                        "field `kernel_size: %d` is not supported: odd sizes are",
                                        (int)ssd->box_predictor.kernel_size);
    field = "model.ssd.box_predictor.weight_shared_convolutional_box_predictor.depth";
    if (ssd->box_predictor.depth < 1)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config, field,
                                        "field `depth`: found 0, expected at least 1");
    if (ssd->matcher.unmatched_threshold > ssd->matcher.matched_threshold)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config, "model.ssd.matcher.argmax_matcher.unmatched_threshold",
            "unmatched_threshold %g exceeds matched_threshold %g",
            (double)ssd->matcher.unmatched_threshold, (double)ssd->matcher.matched_threshold);
    const struct det_clip_range *range = &ssd->box_predictor.box_encodings_clip_range;
    if (range->min > range->max)
        return det_pipeline_config_fail(
            env, DET_STATUS_PARSE, config,
            "model.ssd.box_predictor.weight_shared_convolutional_box_predictor."
            "box_encodings_clip_range",
            "min %g exceeds max %g", (double)range->min, (double)range->max);
    if (!ssd->encode_background_as_zeros)
        return det_pipeline_config_fail(
            env, DET_STATUS_UNSUPPORTED, config, "model.ssd.encode_background_as_zeros",
            "field `encode_background_as_zeros: false` is not supported: set it to true");
    if (ssd->loss.localization.kind == DET_LOCALIZATION_LOSS_NONE)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config,
                                        "model.ssd.loss.localization_loss",
                                        "no localization loss is chosen: expected "
                                        "weighted_smooth_l1");
    if (ssd->loss.classification.kind == DET_CLASSIFICATION_LOSS_NONE)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config,
                                        "model.ssd.loss.classification_loss",
                                        "no classification loss is chosen: expected "
                                        "weighted_sigmoid_focal or weighted_sigmoid");
    return DET_OK;
}

/* ---- augmentations ---- */

static det_status fail_step(struct det_env *env, const struct det_pipeline_config *config,
                            const struct det_augmentation *step, const char *text)
{
    return det_prototext_fail(env, DET_STATUS_PARSE, &config->document, step->position, "%s: %s",
                              det_augmentation_name(step->kind), text);
}

static bool is_colour(const struct det_float_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (!(list->values[i] >= 0 && list->values[i] <= 255))
            return false;
    return list->count == 0 || list->count == 3;
}

static const char *crop_rule_fault(const struct det_crop_rule *rule, bool aspect)
{
    if (aspect && !(rule->min_aspect_ratio > 0 && rule->min_aspect_ratio <= rule->max_aspect_ratio))
        return "min_aspect_ratio must be above 0 and at most max_aspect_ratio";
    if (rule->min_area > rule->max_area || !(rule->max_area > 0))
        return "max_area must be above 0 and at least min_area";
    for (int i = 0; i < 2; i++)
        if (rule->min_padded_size_ratio[i] > rule->max_padded_size_ratio[i])
            return "min_padded_size_ratio exceeds max_padded_size_ratio";
    return NULL;
}

/* What core/preprocessor.py has as defaults of its ssd_random_crop functions. */
static det_status fill_ssd_rules(struct det_env *env, struct det_pipeline_config *config,
                                 struct det_augmentation *step)
{
    static const float overlaps[] = {0, .1f, .3f, .5f, .7f, .9f, 1};
    const size_t skipped = step->kind == DET_AUGMENTATION_SSD_RANDOM_CROP_PAD ? 1 : 0;
    const size_t count = sizeof overlaps / sizeof overlaps[0] - skipped;
    struct det_crop_rule *rules = NULL;
    DET_TRY_RETURN(det_prototext_allocate(env, &config->document, &rules, count, sizeof *rules));
    for (size_t i = 0; i < count; i++) {
        const float overlap = overlaps[i + skipped];
        rules[i] = (struct det_crop_rule){.min_object_covered = overlap,
                                          .min_aspect_ratio = .5f,
                                          .max_aspect_ratio = 2,
                                          .min_area = .1f,
                                          .max_area = 1,
                                          .overlap_thresh = overlap,
                                          .clip_boxes = true,
                                          .random_coef = .15f,
                                          .min_padded_size_ratio = {1, 1},
                                          .max_padded_size_ratio = {2, 2}};
    }
    step->as.ssd_random_crop.count = count;
    step->as.ssd_random_crop.operations = rules;
    return DET_OK;
}

static det_status check_ssd_crop(struct det_env *env, struct det_pipeline_config *config,
                                 struct det_augmentation *step)
{
    static const float least[] = {1, 1}, most[] = {2, 2};
    struct det_float_list *ratios[2] = {&step->as.ssd_random_crop.min_padded_size_ratio,
                                        &step->as.ssd_random_crop.max_padded_size_ratio};
    if (step->kind == DET_AUGMENTATION_SSD_RANDOM_CROP_PAD_FIXED_ASPECT_RATIO) {
        if ((ratios[0]->count != 0 && ratios[0]->count != 2) ||
            (ratios[1]->count != 0 && ratios[1]->count != 2))
            return fail_step(env, config, step, "padded size ratios have two values");
        if (ratios[0]->count == 0)
            *ratios[0] = (struct det_float_list){2, least};
        if (ratios[1]->count == 0)
            *ratios[1] = (struct det_float_list){2, most};
    }
    if (step->as.ssd_random_crop.count == 0)
        return fill_ssd_rules(env, config, step);
    const bool aspect = step->kind != DET_AUGMENTATION_SSD_RANDOM_CROP_FIXED_ASPECT_RATIO;
    /* The list was made by the decoder in the document's own memory. */
    struct det_crop_rule *rules = NULL;
    memcpy(&rules, &step->as.ssd_random_crop.operations, sizeof(void *));
    for (size_t i = 0; i < step->as.ssd_random_crop.count; i++) {
        /* Rules of the config always have a colour, black if it names none. */
        rules[i].has_pad_color = step->kind == DET_AUGMENTATION_SSD_RANDOM_CROP_PAD;
        const char *fault = crop_rule_fault(&step->as.ssd_random_crop.operations[i], aspect);
        if (fault != NULL)
            return fail_step(env, config, step, fault);
    }
    return DET_OK;
}

static det_status check_step(struct det_env *env, struct det_pipeline_config *config,
                             struct det_augmentation *step)
{
    const char *fault = NULL;
    switch (step->kind) {
    case DET_AUGMENTATION_NONE:
        return det_prototext_fail(env, DET_STATUS_PARSE, &config->document, step->position,
                                  "data_augmentation_options is empty, expected one option");
    case DET_AUGMENTATION_RANDOM_CROP_IMAGE:
    case DET_AUGMENTATION_RANDOM_CROP_PAD_IMAGE:
        fault = crop_rule_fault(&step->as.crop, true);
        break;
    case DET_AUGMENTATION_SSD_RANDOM_CROP:
    case DET_AUGMENTATION_SSD_RANDOM_CROP_PAD:
    case DET_AUGMENTATION_SSD_RANDOM_CROP_FIXED_ASPECT_RATIO:
    case DET_AUGMENTATION_SSD_RANDOM_CROP_PAD_FIXED_ASPECT_RATIO:
        return check_ssd_crop(env, config, step);
    case DET_AUGMENTATION_RANDOM_PAD_IMAGE:
        if (!is_colour(&step->as.random_pad_image.pad_color))
            fault = "pad_color has three values from 0 to 255";
        if ((step->as.random_pad_image.min_image_height == 0) !=
                (step->as.random_pad_image.min_image_width == 0) ||
            (step->as.random_pad_image.max_image_height == 0) !=
                (step->as.random_pad_image.max_image_width == 0))
            fault = "height and width must both be set or both be left out";
        break;
    case DET_AUGMENTATION_RANDOM_ABSOLUTE_PAD_IMAGE:
        if (!is_colour(&step->as.random_absolute_pad_image.pad_color))
            fault = "pad_color has three values from 0 to 255";
        break;
    case DET_AUGMENTATION_SUBTRACT_CHANNEL_MEAN:
        if (step->as.subtract_channel_mean.means.count != 3)
            fault = "means has three values";
        break;
    case DET_AUGMENTATION_NORMALIZE_IMAGE:
        if (!(step->as.normalize_image.original_minval < step->as.normalize_image.original_maxval))
            fault = "original_minval must be below original_maxval";
        break;
    case DET_AUGMENTATION_RANDOM_IMAGE_SCALE:
        if (step->as.random_image_scale.min_scale_ratio >
            step->as.random_image_scale.max_scale_ratio)
            fault = "min_scale_ratio exceeds max_scale_ratio";
        break;
    case DET_AUGMENTATION_RANDOM_PIXEL_VALUE_SCALE:
        if (step->as.random_pixel_value_scale.minval > step->as.random_pixel_value_scale.maxval)
            fault = "minval exceeds maxval";
        break;
    case DET_AUGMENTATION_RANDOM_ADJUST_CONTRAST:
    case DET_AUGMENTATION_RANDOM_ADJUST_SATURATION:
        if (step->as.random_adjust_range.min_delta > step->as.random_adjust_range.max_delta)
            fault = "min_delta exceeds max_delta";
        break;
    case DET_AUGMENTATION_RANDOM_SQUARE_CROP_BY_SCALE:
        if (step->as.random_square_crop_by_scale.scale_min >
            step->as.random_square_crop_by_scale.scale_max)
            fault = "scale_min exceeds scale_max";
        break;
    case DET_AUGMENTATION_RANDOM_SCALE_CROP_AND_PAD_TO_SQUARE:
        if (step->as.random_scale_crop_and_pad_to_square.scale_min >
            step->as.random_scale_crop_and_pad_to_square.scale_max)
            fault = "scale_min exceeds scale_max";
        break;
    case DET_AUGMENTATION_RESIZE_IMAGE:
        if (step->as.resize_image.new_height == 0 || step->as.resize_image.new_width == 0)
            fault = "new_height and new_width must be set";
        break;
    case DET_AUGMENTATION_RANDOM_RESIZE_METHOD:
        if (step->as.random_resize_method.target_height == 0 ||
            step->as.random_resize_method.target_width == 0)
            fault = "target_height and target_width must be set";
        break;
    case DET_AUGMENTATION_DROP_LABEL_PROBABILISTICALLY:
        if (step->as.drop_label_probabilistically.label == 0)
            fault = "label must be set";
        break;
    case DET_AUGMENTATION_REMAP_LABELS:
        if (step->as.remap_labels.new_label == 0)
            fault = "new_label must be set";
        break;
    case DET_AUGMENTATION_RANDOM_JPEG_QUALITY:
        if (step->as.random_jpeg_quality.min_jpeg_quality >
            step->as.random_jpeg_quality.max_jpeg_quality)
            fault = "min_jpeg_quality exceeds max_jpeg_quality";
        break;
    case DET_AUGMENTATION_RANDOM_DOWNSCALE_TO_TARGET_PIXELS:
        if (step->as.random_downscale_to_target_pixels.min_target_pixels >
            step->as.random_downscale_to_target_pixels.max_target_pixels)
            fault = "min_target_pixels exceeds max_target_pixels";
        break;
    case DET_AUGMENTATION_RANDOM_PATCH_GAUSSIAN:
        if (step->as.random_patch_gaussian.min_patch_size >
                step->as.random_patch_gaussian.max_patch_size ||
            step->as.random_patch_gaussian.min_gaussian_stddev >
                step->as.random_patch_gaussian.max_gaussian_stddev)
            fault = "a minimum exceeds its maximum";
        break;
    default:
        break;
    }
    return fault != NULL ? fail_step(env, config, step, fault) : DET_OK;
}

/* ---- train_config, eval_config, readers ---- */

bool det_pipeline_config_knows_checkpoint_type(const char *type)
{
    static const char *const types[] = {"", "classification", "detection", "fine_tune", "full"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static det_status check_train(struct det_env *env, struct det_pipeline_config *config)
{
    struct det_train_config *train = &config->train;
    if (!config->has_train_config)
        return DET_OK;
    if (train->optimizer.kind == DET_OPTIMIZER_NONE)
        return det_pipeline_config_fail(env, DET_STATUS_PARSE, config, "train_config.optimizer",
                                        "field `train_config.optimizer` must have a "
                                        "momentum_optimizer, rms_prop_optimizer or adam_optimizer");
    DET_TRY_RETURN(det_pipeline_config_check_learning_rate(env, config));
    if (!det_pipeline_config_knows_checkpoint_type(train->fine_tune_checkpoint_type))
        return det_pipeline_config_fail(
            env, DET_STATUS_UNSUPPORTED, config, "train_config.fine_tune_checkpoint_type",
            "fine_tune_checkpoint_type \"%.80s\" is not supported: " DET_CHECKPOINT_TYPES " are",
            train->fine_tune_checkpoint_type);
    /* The list was made by the decoder in the document's own memory. */
    struct det_augmentation *steps = NULL;
    memcpy(&steps, &train->augmentations, sizeof(void *));
    for (size_t i = 0; i < train->augmentation_count; i++)
        DET_TRY_RETURN(check_step(env, config, &steps[i]));
    return DET_OK;
}

/* ---- public to the library ---- */

det_status det_pipeline_config_read_text(struct det_env *env, const char *name, const char *text,
                                         size_t bytes, struct det_pipeline_config *config)
{
    det_status status = DET_OK;
    memset(config, 0, sizeof *config);
    DET_TRY(det_prototext_parse(env, name, text, bytes, &config->document));
    DET_TRY(det_strdup(env, &config->path, name));
    DET_TRY(det_path_directory(env, &config->directory, name));
    DET_TRY(det_strndup(env, &config->text, text, bytes));
    config->text_bytes = bytes;
    det_schema_merge(env, &config->document, &det_schema_pipeline, &config->document.root);
    DET_TRY(det_pipeline_config_check_architecture(env, config));
    DET_TRY(det_schema_decode(env, &config->document, &det_schema_pipeline, &config->document.root,
                              &config->refusals, config));
    DET_TRY(check_model(env, config));
    DET_TRY(check_train(env, config));
    DET_TRY(det_pipeline_paths_bring_over(env, config));
    return DET_OK;
fail:
    det_pipeline_config_free(env, config);
    return status;
}

det_status det_pipeline_config_read_with(struct det_env *env, const char *path,
                                         const char *const *assignments, size_t count,
                                         struct det_pipeline_config *config)
{
    struct det_file_bytes contents;
    struct det_text text = {0};
    det_status status = DET_OK;
    memset(config, 0, sizeof *config);
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    DET_TRY(det_text_append(env, &text, (const char *)contents.data, contents.bytes));
    for (size_t i = 0; i < count; i++)
        DET_TRY(det_pipeline_edit(env, path, assignments[i], &text));
    DET_TRY(det_pipeline_config_read_text(env, path, text.data, text.length, config));
fail:
    det_text_free(env, &text);
    det_file_release(&contents);
    return status;
}

det_status det_pipeline_config_read(struct det_env *env, const char *path,
                                    struct det_pipeline_config *config)
{
    return det_pipeline_config_read_with(env, path, NULL, 0, config);
}

void det_pipeline_config_free(struct det_env *env, struct det_pipeline_config *config)
{
    det_free(env, &config->path);
    det_free(env, &config->directory);
    det_free(env, &config->text);
    det_prototext_free(env, &config->document);
    memset(config, 0, sizeof *config);
}

det_status det_pipeline_config_check_stage(struct det_env *env,
                                           const struct det_pipeline_config *config,
                                           enum det_pipeline_stage stage)
{
    const char *const field = "model.ssd.post_processing.score_converter";
    for (int at = DET_STAGE_INFERENCE; at <= (int)stage; at++)
        if (config->refusals.messages[at] != NULL)
            return det_fail(env, DET_STATUS_UNSUPPORTED, "%s", config->refusals.messages[at]);
    if (stage != DET_STAGE_ALL && config->ssd.post_processing.score_converter != DET_SCORE_SIGMOID)
        return det_pipeline_config_fail(env, DET_STATUS_UNSUPPORTED, config, field,
                                        "field `%s` must be SIGMOID, others are not supported",
                                        field);
    return DET_OK;
}

void det_pipeline_config_input_size(const struct det_pipeline_config *config, int32_t *height,
                                    int32_t *width)
{
    const struct det_resizer_config *resizer = &config->ssd.image_resizer;
    const bool fixed = resizer->kind == DET_RESIZER_FIXED_SHAPE;
    *height = fixed ? resizer->height : resizer->max_dimension;
    *width = fixed ? resizer->width : resizer->max_dimension;
}

det_status det_pipeline_config_override_string(struct det_env *env,
                                               struct det_pipeline_config *config,
                                               const char **field, const char *value)
{
    char *copy = NULL;
    const size_t length = strlen(value);
    DET_TRY_RETURN(det_prototext_allocate(env, &config->document, &copy, length + 1, 1));
    memcpy(copy, value, length);
    *field = copy;
    return DET_OK;
}
