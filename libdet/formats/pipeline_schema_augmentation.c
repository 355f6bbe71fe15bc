/* pipeline_schema_augmentation.c: the table of PreprocessingStep (data_augmentation_options);
 * defaults as in preprocessor.proto. */
#include "formats/pipeline_config.h"
#include "formats/pipeline_schema.h"

#define KEYPOINTS "keypoints are not read, so there is nothing to reorder"

#define BASE struct det_augmentation

/* A number inside the union. */
#define IN(kind, field, member, value, least, most)                                     \
    {                                                                                   \
        DET_FIELD(field, kind), DET_AT(as.member), .fallback = (value), .low = (least), \
                                                   .high = (most)                       \
    }
#define IN_BOOL(field, member, value)                                  \
    {                                                                  \
        DET_FIELD(field, BOOL), DET_AT(as.member), .fallback = (value) \
    }

static const struct det_schema_field normalize_image[] = {
    IN(FLOAT, original_minval, normalize_image.original_minval, 0, -3e38, 3e38),
    IN(FLOAT, original_maxval, normalize_image.original_maxval, 0, -3e38, 3e38),
    IN(FLOAT, target_minval, normalize_image.target_minval, 0, -3e38, 3e38),
    IN(FLOAT, target_maxval, normalize_image.target_maxval, 1, -3e38, 3e38),
};
static const struct det_schema_field flip[] = {
    {DET_FIELD(keypoint_flip_permutation, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = KEYPOINTS},
    IN(FLOAT, probability, flip.probability, .5, 0, 1),
};
static const struct det_schema_field rotation90[] = {
    {DET_FIELD(keypoint_rot_permutation, INT), .repeated = true, .use = DET_SCHEMA_HARMLESS,
     .reason = KEYPOINTS},
    IN(FLOAT, probability, flip.probability, .5, 0, 1),
};
static const struct det_schema_field pixel_value_scale[] = {
    IN(FLOAT, minval, random_pixel_value_scale.minval, .9, 0, 1e6),
    IN(FLOAT, maxval, random_pixel_value_scale.maxval, 1.1, 0, 1e6),
};
static const struct det_schema_field image_scale[] = {
    IN(FLOAT, min_scale_ratio, random_image_scale.min_scale_ratio, .5, 1e-3, 1e3),
    IN(FLOAT, max_scale_ratio, random_image_scale.max_scale_ratio, 2, 1e-3, 1e3),
};
static const struct det_schema_field rgb_to_gray_random[] = {
    IN(FLOAT, probability, random_rgb_to_gray.probability, .1, 0, 1),
};
static const struct det_schema_field adjust_brightness[] = {
    IN(FLOAT, max_delta, random_adjust.max_delta, .2, 0, 1),
};
static const struct det_schema_field adjust_hue[] = {
    IN(FLOAT, max_delta, random_adjust.max_delta, .02, 0, .5),
};
static const struct det_schema_field adjust_range[] = {
    IN(FLOAT, min_delta, random_adjust_range.min_delta, .8, 0, 1e6),
    IN(FLOAT, max_delta, random_adjust_range.max_delta, 1.25, 0, 1e6),
};
static const struct det_schema_field distort_color[] = {
    IN(INT, color_ordering, random_distort_color.color_ordering, 0, 0, 1),
};
static const struct det_schema_word jitter_modes[] = {
    {"DEFAULT", DET_JITTER_DEFAULT},
    {"EXPAND", DET_JITTER_EXPAND},
    {"SHRINK", DET_JITTER_SHRINK},
    {"EXPAND_SYMMETRIC", DET_JITTER_EXPAND_SYMMETRIC},
    {"SHRINK_SYMMETRIC", DET_JITTER_SHRINK_SYMMETRIC},
    {"EXPAND_SYMMETRIC_XY", DET_JITTER_EXPAND_SYMMETRIC_XY},
    {"SHRINK_SYMMETRIC_XY", DET_JITTER_SHRINK_SYMMETRIC_XY},
    {NULL, 0}};
static const struct det_schema_field jitter_boxes[] = {
    IN(FLOAT, ratio, random_jitter_boxes.ratio, .05, 0, 1),
    {DET_FIELD(jitter_mode, ENUM), DET_AT(as.random_jitter_boxes.jitter_mode),
     .words = jitter_modes},
};
/* random_crop_image and random_crop_pad_image have these defaults, the ssd family has zeros. */
#define CROP_RULE(prefix, covered, aspect_least, aspect_most, area_least, area_most, overlap)      \
    {DET_FIELD(min_object_covered, FLOAT), DET_AT(prefix min_object_covered), .fallback = covered, \
     .low = 0, .high = 1},                                                                         \
        {DET_FIELD(min_aspect_ratio, FLOAT), DET_AT(prefix min_aspect_ratio),                      \
         .fallback = aspect_least, .low = 0, .high = 1e6},                                         \
        {DET_FIELD(max_aspect_ratio, FLOAT), DET_AT(prefix max_aspect_ratio),                      \
         .fallback = aspect_most, .low = 0, .high = 1e6},                                          \
        {DET_FIELD(min_area, FLOAT), DET_AT(prefix min_area), .fallback = area_least, .low = 0,    \
         .high = 1},                                                                               \
        {DET_FIELD(max_area, FLOAT), DET_AT(prefix max_area), .fallback = area_most, .low = 0,     \
         .high = 1},                                                                               \
        {DET_FIELD(overlap_thresh, FLOAT), DET_AT(prefix overlap_thresh), .fallback = overlap,     \
         .low = 0, .high = 1},                                                                     \
        {DET_FIELD(clip_boxes, BOOL), DET_AT(prefix clip_boxes), .fallback = 1},                   \
    {                                                                                              \
        DET_FIELD(random_coef, FLOAT), DET_AT(prefix random_coef), .low = 0, .high = 1             \
    }
#define PAD_RATIOS(prefix)                                                             \
    {DET_FIELD(min_padded_size_ratio, FLOAT), DET_AT(prefix min_padded_size_ratio),    \
     .repeated = true, .inline_count = 2, .fallback = 1},                              \
    {                                                                                  \
        DET_FIELD(max_padded_size_ratio, FLOAT), DET_AT(prefix max_padded_size_ratio), \
            .repeated = true, .inline_count = 2, .fallback = 2                         \
    }
static const struct det_schema_field crop_image[] = {CROP_RULE(as.crop., 1, .75, 1.33, .1, 1, .3)};
static const struct det_schema_field crop_pad_image[] = {
    CROP_RULE(as.crop., 1, .75, 1.33, .1, 1, .3),
    PAD_RATIOS(as.crop.),
    {DET_FIELD(pad_color, FLOAT), DET_AT(as.crop.pad_color), .repeated = true, .inline_count = 3,
     DET_MARK_BOOL(as.crop.has_pad_color)},
};
static const struct det_schema_field pad_image[] = {
    IN(INT, min_image_height, random_pad_image.min_image_height, 0, 1, 65535),
    IN(INT, min_image_width, random_pad_image.min_image_width, 0, 1, 65535),
    IN(INT, max_image_height, random_pad_image.max_image_height, 0, 1, 65535),
    IN(INT, max_image_width, random_pad_image.max_image_width, 0, 1, 65535),
    DET_LIST(pad_color, FLOAT, as.random_pad_image.pad_color),
};
static const struct det_schema_field absolute_pad_image[] = {
    IN(INT, max_height_padding, random_absolute_pad_image.max_height_padding, 1, 1, 65535),
    IN(INT, max_width_padding, random_absolute_pad_image.max_width_padding, 1, 1, 65535),
    DET_LIST(pad_color, FLOAT, as.random_absolute_pad_image.pad_color),
};
static const struct det_schema_field crop_to_aspect_ratio[] = {
    IN(FLOAT, aspect_ratio, random_crop_to_aspect_ratio.aspect_ratio, 1, 1e-3, 1e3),
    IN(FLOAT, overlap_thresh, random_crop_to_aspect_ratio.overlap_thresh, .3, 0, 1),
    IN_BOOL(clip_boxes, random_crop_to_aspect_ratio.clip_boxes, 1),
};
static const struct det_schema_field black_patches[] = {
    IN(INT, max_black_patches, random_black_patches.max_black_patches, 10, 0, 1000000),
    IN(FLOAT, probability, random_black_patches.probability, .5, 0, 1),
    IN(FLOAT, size_to_image_ratio, random_black_patches.size_to_image_ratio, .1, 0, 1),
};
static const struct det_schema_field resize_method[] = {
    IN(INT, target_height, random_resize_method.target_height, 0, 1, 65535),
    IN(INT, target_width, random_resize_method.target_width, 0, 1, 65535),
};
static const struct det_schema_word resize_methods[] = {
    {"AREA", DET_RESIZE_IMAGE_AREA},
    {"BICUBIC", DET_RESIZE_IMAGE_BICUBIC},
    {"BILINEAR", DET_RESIZE_IMAGE_BILINEAR},
    {"NEAREST_NEIGHBOR", DET_RESIZE_IMAGE_NEAREST_NEIGHBOR},
    {NULL, 0}};
static const struct det_schema_field resize_image[] = {
    IN(INT, new_height, resize_image.new_height, 0, 1, 65535),
    IN(INT, new_width, resize_image.new_width, 0, 1, 65535),
    {DET_FIELD(method, ENUM), DET_AT(as.resize_image.method), .words = resize_methods,
     .fallback = DET_RESIZE_IMAGE_BILINEAR},
};
static const struct det_schema_field channel_mean[] = {
    DET_LIST(means, FLOAT, as.subtract_channel_mean.means),
};
static const struct det_schema_field logits_to_softmax[] = {
    IN(FLOAT, temperature, convert_class_logits_to_softmax.temperature, 1, 1e-6, 1e6),
};
static const struct det_schema_field self_concat[] = {
    IN(FLOAT, concat_vertical_probability, random_self_concat_image.concat_vertical_probability, .1,
       0, 1),
    IN(FLOAT, concat_horizontal_probability, random_self_concat_image.concat_horizontal_probability,
       .1, 0, 1),
};
static const struct det_schema_field autoaugment[] = {
    {DET_FIELD(policy_name, STRING), DET_AT(as.autoaugment_image.policy_name),
     .text_fallback = "v0"},
};
static const struct det_schema_field drop_label[] = {
    IN(INT, label, drop_label_probabilistically.label, 0, 1, 1000000),
    IN(FLOAT, drop_probability, drop_label_probabilistically.drop_probability, 1, 0, 1),
};
static const struct det_schema_field remap_labels[] = {
    DET_LIST(original_labels, INT, as.remap_labels.original_label_count),
    IN(INT, new_label, remap_labels.new_label, 0, 1, 1000000),
};
static const struct det_schema_field jpeg_quality[] = {
    IN(FLOAT, random_coef, random_jpeg_quality.random_coef, 0, 0, 1),
    IN(INT, min_jpeg_quality, random_jpeg_quality.min_jpeg_quality, 0, 0, 100),
    IN(INT, max_jpeg_quality, random_jpeg_quality.max_jpeg_quality, 100, 0, 100),
};
static const struct det_schema_field downscale[] = {
    IN(FLOAT, random_coef, random_downscale_to_target_pixels.random_coef, 0, 0, 1),
    IN(INT, min_target_pixels, random_downscale_to_target_pixels.min_target_pixels, 300000, 1,
       2147483647),
    IN(INT, max_target_pixels, random_downscale_to_target_pixels.max_target_pixels, 500000, 1,
       2147483647),
};
static const struct det_schema_field patch_gaussian[] = {
    IN(FLOAT, random_coef, random_patch_gaussian.random_coef, 0, 0, 1),
    IN(INT, min_patch_size, random_patch_gaussian.min_patch_size, 1, 1, 65535),
    IN(INT, max_patch_size, random_patch_gaussian.max_patch_size, 250, 1, 65535),
    IN(FLOAT, min_gaussian_stddev, random_patch_gaussian.min_gaussian_stddev, 0, 0, 1e6),
    IN(FLOAT, max_gaussian_stddev, random_patch_gaussian.max_gaussian_stddev, 1, 0, 1e6),
};
static const struct det_schema_field square_crop[] = {
    IN(INT, max_border, random_square_crop_by_scale.max_border, 128, 1, 65535),
    IN(FLOAT, scale_min, random_square_crop_by_scale.scale_min, .6, 1e-3, 1e3),
    IN(FLOAT, scale_max, random_square_crop_by_scale.scale_max, 1.3, 1e-3, 1e3),
    IN(INT, num_scales, random_square_crop_by_scale.num_scales, 8, 1, 1000000),
};
static const struct det_schema_field scale_crop_pad[] = {
    IN(INT, output_size, random_scale_crop_and_pad_to_square.output_size, 512, 1, 65535),
    IN(FLOAT, scale_min, random_scale_crop_and_pad_to_square.scale_min, .1, 1e-3, 1e3),
    IN(FLOAT, scale_max, random_scale_crop_and_pad_to_square.scale_max, 2, 1e-3, 1e3),
};
static const struct det_schema_field adjust_gamma[] = {
    IN(FLOAT, gamma, adjust_gamma.gamma, 1, 0, 1e3),
    IN(FLOAT, gain, adjust_gamma.gain, 1, 0, 1e3),
};
#undef BASE

#define BASE struct det_crop_rule
static const struct det_schema_field ssd_crop_operation[] = {CROP_RULE(, 0, 0, 0, 0, 0, 0)};
static const struct det_schema_field ssd_crop_pad_operation[] = {
    CROP_RULE(, 0, 0, 0, 0, 0, 0),
    PAD_RATIOS(),
    {DET_FIELD(pad_color_r, FLOAT), DET_AT(pad_color[0]), .low = 0, .high = 255},
    {DET_FIELD(pad_color_g, FLOAT), DET_AT(pad_color[1]), .low = 0, .high = 255},
    {DET_FIELD(pad_color_b, FLOAT), DET_AT(pad_color[2]), .low = 0, .high = 255},
};
static const struct det_schema_field ssd_crop_fixed_operation[] = {
    DET_FLOAT(min_object_covered, 0, 0, 1),
    DET_FLOAT(min_area, 0, 0, 1),
    DET_FLOAT(max_area, 0, 0, 1),
    DET_FLOAT(overlap_thresh, 0, 0, 1),
    DET_BOOL(clip_boxes, 1),
    DET_FLOAT(random_coef, 0, 0, 1),
};
static const struct det_schema_message ssd_crop_operation_message =
    DET_TABLE("SSDRandomCropOperation", ssd_crop_operation);
static const struct det_schema_message ssd_crop_pad_operation_message =
    DET_TABLE("SSDRandomCropPadOperation", ssd_crop_pad_operation);
static const struct det_schema_message ssd_crop_fixed_operation_message =
    DET_TABLE("SSDRandomCropFixedAspectRatioOperation", ssd_crop_fixed_operation);
static const struct det_schema_message ssd_crop_pad_fixed_operation_message =
    DET_TABLE("SSDRandomCropPadFixedAspectRatioOperation", ssd_crop_operation);
#undef BASE

#define BASE struct det_augmentation
#define OPERATIONS(table)                                                                     \
    {                                                                                         \
        DET_FIELD(operations, MESSAGE), DET_AT(as.ssd_random_crop.count), .repeated = true,   \
                                                                          .message = &(table) \
    }
static const struct det_schema_field ssd_crop[] = {OPERATIONS(ssd_crop_operation_message)};
static const struct det_schema_field ssd_crop_pad[] = {OPERATIONS(ssd_crop_pad_operation_message)};
static const struct det_schema_field ssd_crop_fixed[] = {
    OPERATIONS(ssd_crop_fixed_operation_message),
    IN(FLOAT, aspect_ratio, ssd_random_crop.aspect_ratio, 1, 1e-3, 1e3),
};
static const struct det_schema_field ssd_crop_pad_fixed[] = {
    OPERATIONS(ssd_crop_pad_fixed_operation_message),
    IN(FLOAT, aspect_ratio, ssd_random_crop.aspect_ratio, 1, 1e-3, 1e3),
    DET_LIST(min_padded_size_ratio, FLOAT, as.ssd_random_crop.min_padded_size_ratio),
    DET_LIST(max_padded_size_ratio, FLOAT, as.ssd_random_crop.max_padded_size_ratio),
};

/* X(kind, field, proto message, table) */
#define STEPS(X)                                                                                  \
    X(NORMALIZE_IMAGE, normalize_image, "NormalizeImage", normalize_image)                        \
    X(RANDOM_HORIZONTAL_FLIP, random_horizontal_flip, "RandomHorizontalFlip", flip)               \
    X(RANDOM_PIXEL_VALUE_SCALE, random_pixel_value_scale, "RandomPixelValueScale",                \
      pixel_value_scale)                                                                          \
    X(RANDOM_IMAGE_SCALE, random_image_scale, "RandomImageScale", image_scale)                    \
    X(RANDOM_RGB_TO_GRAY, random_rgb_to_gray, "RandomRGBtoGray", rgb_to_gray_random)              \
    X(RANDOM_ADJUST_BRIGHTNESS, random_adjust_brightness, "RandomAdjustBrightness",               \
      adjust_brightness)                                                                          \
    X(RANDOM_ADJUST_CONTRAST, random_adjust_contrast, "RandomAdjustContrast", adjust_range)       \
    X(RANDOM_ADJUST_HUE, random_adjust_hue, "RandomAdjustHue", adjust_hue)                        \
    X(RANDOM_ADJUST_SATURATION, random_adjust_saturation, "RandomAdjustSaturation", adjust_range) \
    X(RANDOM_DISTORT_COLOR, random_distort_color, "RandomDistortColor", distort_color)            \
    X(RANDOM_JITTER_BOXES, random_jitter_boxes, "RandomJitterBoxes", jitter_boxes)                \
    X(RANDOM_CROP_IMAGE, random_crop_image, "RandomCropImage", crop_image)                        \
    X(RANDOM_PAD_IMAGE, random_pad_image, "RandomPadImage", pad_image)                            \
    X(RANDOM_CROP_PAD_IMAGE, random_crop_pad_image, "RandomCropPadImage", crop_pad_image)         \
    X(RANDOM_CROP_TO_ASPECT_RATIO, random_crop_to_aspect_ratio, "RandomCropToAspectRatio",        \
      crop_to_aspect_ratio)                                                                       \
    X(RANDOM_BLACK_PATCHES, random_black_patches, "RandomBlackPatches", black_patches)            \
    X(RANDOM_RESIZE_METHOD, random_resize_method, "RandomResizeMethod", resize_method)            \
    X(RESIZE_IMAGE, resize_image, "ResizeImage", resize_image)                                    \
    X(SUBTRACT_CHANNEL_MEAN, subtract_channel_mean, "SubtractChannelMean", channel_mean)          \
    X(SSD_RANDOM_CROP, ssd_random_crop, "SSDRandomCrop", ssd_crop)                                \
    X(SSD_RANDOM_CROP_PAD, ssd_random_crop_pad, "SSDRandomCropPad", ssd_crop_pad)                 \
    X(SSD_RANDOM_CROP_FIXED_ASPECT_RATIO, ssd_random_crop_fixed_aspect_ratio,                     \
      "SSDRandomCropFixedAspectRatio", ssd_crop_fixed)                                            \
    X(SSD_RANDOM_CROP_PAD_FIXED_ASPECT_RATIO, ssd_random_crop_pad_fixed_aspect_ratio,             \
      "SSDRandomCropPadFixedAspectRatio", ssd_crop_pad_fixed)                                     \
    X(RANDOM_VERTICAL_FLIP, random_vertical_flip, "RandomVerticalFlip", flip)                     \
    X(RANDOM_ROTATION90, random_rotation90, "RandomRotation90", rotation90)                       \
    X(CONVERT_CLASS_LOGITS_TO_SOFTMAX, convert_class_logits_to_softmax,                           \
      "ConvertClassLogitsToSoftmax", logits_to_softmax)                                           \
    X(RANDOM_ABSOLUTE_PAD_IMAGE, random_absolute_pad_image, "RandomAbsolutePadImage",             \
      absolute_pad_image)                                                                         \
    X(RANDOM_SELF_CONCAT_IMAGE, random_self_concat_image, "RandomSelfConcatImage", self_concat)   \
    X(AUTOAUGMENT_IMAGE, autoaugment_image, "AutoAugmentImage", autoaugment)                      \
    X(DROP_LABEL_PROBABILISTICALLY, drop_label_probabilistically, "DropLabelProbabilistically",   \
      drop_label)                                                                                 \
    X(REMAP_LABELS, remap_labels, "RemapLabels", remap_labels)                                    \
    X(RANDOM_JPEG_QUALITY, random_jpeg_quality, "RandomJpegQuality", jpeg_quality)                \
    X(RANDOM_DOWNSCALE_TO_TARGET_PIXELS, random_downscale_to_target_pixels,                       \
      "RandomDownscaleToTargetPixels", downscale)                                                 \
    X(RANDOM_PATCH_GAUSSIAN, random_patch_gaussian, "RandomPatchGaussian", patch_gaussian)        \
    X(RANDOM_SQUARE_CROP_BY_SCALE, random_square_crop_by_scale, "RandomSquareCropByScale",        \
      square_crop)                                                                                \
    X(RANDOM_SCALE_CROP_AND_PAD_TO_SQUARE, random_scale_crop_and_pad_to_square,                   \
      "RandomScaleCropAndPadToSquare", scale_crop_pad)                                            \
    X(ADJUST_GAMMA, adjust_gamma, "AdjustGamma", adjust_gamma)

#define STEP_TABLE(kind, field, proto, table) \
    static const struct det_schema_message field##_message = DET_TABLE(proto, table);
STEPS(STEP_TABLE)
static const struct det_schema_message rgb_to_gray_message = {.name = "RGBtoGray"};
static const struct det_schema_message pixel_coordinates_message = {
    .name = "ScaleBoxesToPixelCoordinates"};

#define STEP(step, field, table)                                                         \
    {DET_FIELD(field, MESSAGE), .oneof = 1, DET_MARK_INT(kind, DET_AUGMENTATION_##step), \
     .message = &(table)},
#define STEP_FIELD(step, field, proto, table) STEP(step, field, field##_message)
static const struct det_schema_field preprocessing_step[] = {
    STEPS(STEP_FIELD) STEP(RGB_TO_GRAY, rgb_to_gray, rgb_to_gray_message)
        STEP(SCALE_BOXES_TO_PIXEL_COORDINATES, scale_boxes_to_pixel_coordinates,
             pixel_coordinates_message)};

const struct det_schema_message det_schema_augmentation = {
    .name = "PreprocessingStep",
    .size = sizeof(struct det_augmentation),
    .fields = preprocessing_step,
    .count = sizeof preprocessing_step / sizeof preprocessing_step[0],
    .position_offset = offsetof(struct det_augmentation, position),
    .has_position = true,
};
