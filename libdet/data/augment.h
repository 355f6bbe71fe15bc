/* augment.h: the random data augmentation of the TF Object Detection API (core/preprocessor.py), on
 * one sample.
 *
 * A sample starts as an 8-bit image and its objects. Flips and crops only change the window on the
 * image, which the resize then reads; operations on colours are only listed (data/picture.h). The
 * first operation that changes pixels otherwise, or the size, copies the window into float pixels
 * of 0..255 and applies the list to them; later ones work on those. The resize does the same with a
 * list that is left. An operation draws from the generator it is given and from nothing else. What
 * operations do to the objects: flips mirror the boxes, crops drop the objects too little of which
 * is left and clip the boxes of the others.
 *
 * The operations are in augment_ops.h, their parameters in struct det_augment_option.
 */
#ifndef DET_DATA_AUGMENT_H
#define DET_DATA_AUGMENT_H

#include "base/rng.h"
#include "data/ground_truth.h"
#include "data/image.h"
#include "data/picture.h"
#include "data/resize.h"

struct det_sample {
    struct det_image image;
    struct det_window window; /* of the image, or of `pixels` once those are in use */
    bool in_float;            /* `pixels` holds the picture, not `image` */
    float *pixels;            /* [.][stride][3], 0..255 */
    int32_t stride;
    size_t pixels_capacity;
    /* where an operation that cannot work in place writes; then the two are swapped */
    float *spare;
    size_t spare_capacity;
    int32_t color_count; /* to be applied to what is seen of `image`; 0 with `in_float` */
    struct det_color_op colors[DET_MOST_COLORS];
    struct det_ground_truth truth;
};

/* To be called after image and truth were filled in: sees the whole image. */
void det_sample_reset(struct det_sample *sample);
/* Resizes what is seen into [out_height][out_width][3], 0..255. */
det_status det_sample_resize(struct det_env *env, struct det_resizer *resizer,
                             struct det_sample *sample, float *out, size_t out_stride,
                             int32_t out_height, int32_t out_width);
/* What is seen as an 8-bit image, rounded and clipped to 0..255. */
det_status det_sample_to_image(struct det_env *env, struct det_sample *sample,
                               struct det_image *image);
void det_sample_free(struct det_env *env, struct det_sample *sample);

/* X(kind, name in the config) */
#define DET_AUGMENT_KINDS(X)                                               \
    X(HORIZONTAL_FLIP, "random_horizontal_flip")                           \
    X(VERTICAL_FLIP, "random_vertical_flip")                               \
    X(ROTATION90, "random_rotation90")                                     \
    X(CROP_IMAGE, "random_crop_image")                                     \
    X(CROP_PAD_IMAGE, "random_crop_pad_image")                             \
    X(CROP_TO_ASPECT, "random_crop_to_aspect_ratio")                       \
    X(SSD_CROP, "ssd_random_crop")                                         \
    X(SSD_CROP_PAD, "ssd_random_crop_pad")                                 \
    X(SSD_CROP_FIXED_ASPECT, "ssd_random_crop_fixed_aspect_ratio")         \
    X(SSD_CROP_PAD_FIXED_ASPECT, "ssd_random_crop_pad_fixed_aspect_ratio") \
    X(PAD_IMAGE, "random_pad_image")                                       \
    X(ABSOLUTE_PAD, "random_absolute_pad_image")                           \
    X(SQUARE_CROP, "random_square_crop_by_scale")                          \
    X(SCALE_CROP_PAD, "random_scale_crop_and_pad_to_square")               \
    X(SELF_CONCAT, "random_self_concat_image")                             \
    X(IMAGE_SCALE, "random_image_scale")                                   \
    X(DOWNSCALE, "random_downscale_to_target_pixels")                      \
    X(RESIZE, "resize_image")                                              \
    X(RESIZE_METHOD, "random_resize_method")                               \
    X(BRIGHTNESS, "random_adjust_brightness")                              \
    X(CONTRAST, "random_adjust_contrast")                                  \
    X(SATURATION, "random_adjust_saturation")                              \
    X(HUE, "random_adjust_hue")                                            \
    X(DISTORT_COLOR, "random_distort_color")                               \
    X(RGB_TO_GRAY, "random_rgb_to_gray")                                   \
    X(PIXEL_VALUE_SCALE, "random_pixel_value_scale")                       \
    X(GAMMA, "adjust_gamma")                                               \
    X(NORMALIZE, "normalize_image")                                        \
    X(SUBTRACT_MEAN, "subtract_channel_mean")                              \
    X(BLACK_PATCHES, "random_black_patches")                               \
    X(PATCH_GAUSSIAN, "random_patch_gaussian")                             \
    X(JPEG_QUALITY, "random_jpeg_quality")                                 \
    X(JITTER_BOXES, "random_jitter_boxes")                                 \
    X(DROP_LABEL, "drop_label_probabilistically")                          \
    X(REMAP_LABELS, "remap_labels")

enum det_augment_kind {
#define DET_AUGMENT_ENUM(kind, name) DET_AUGMENT_##kind,
    DET_AUGMENT_KINDS(DET_AUGMENT_ENUM)
#undef DET_AUGMENT_ENUM
};

struct det_crop_settings {
    float min_object_covered;
    float min_aspect, max_aspect; /* width / height in pixels */
    float min_area, max_area;     /* shares of the image */
    float overlap_thresh;         /* share of an object's area that must be left */
    float random_coef;            /* probability of leaving the image as it is */
    bool clip_boxes;
    /* Of the kinds that also pad: height and width of the result as multiples of the image before
     * the crop. */
    float min_padded[2], max_padded[2];
    bool has_color; /* false: the mean colour of the crop */
    float color[3]; /* 0..255 */
};

/* How resize_image and random_resize_method resample; the order of random_resize_method's draw. */
enum det_resample {
    DET_RESAMPLE_BILINEAR,
    DET_RESAMPLE_NEAREST,
    DET_RESAMPLE_BICUBIC,
    DET_RESAMPLE_AREA,
};

/* What random_jitter_boxes does to the sides: moves each by its own draw; only outward; only
 * inward; moves opposite sides alike, by one draw for each direction (SYMMETRIC) or one for both
 * (_XY). */
enum det_jitter {
    DET_JITTER_SIDES,
    DET_JITTER_SIDES_OUT,
    DET_JITTER_SIDES_IN,
    DET_JITTER_SYMMETRIC_OUT,
    DET_JITTER_SYMMETRIC_IN,
    DET_JITTER_SYMMETRIC_XY_OUT,
    DET_JITTER_SYMMETRIC_XY_IN,
};

#define DET_AUGMENT_MOST_CROPS  16
#define DET_AUGMENT_MOST_LABELS 64

/* One operation with its parameters; each says which kinds read it. */
struct det_augment_option {
    enum det_augment_kind kind;
    float probability;   /* flips, ROTATION90, RGB_TO_GRAY, BLACK_PATCHES (of each), DROP_LABEL,
                          SELF_CONCAT (one above the other) */
    float probability_x; /* SELF_CONCAT: side by side */
    float random_coef;   /* JPEG_QUALITY, DOWNSCALE, PATCH_GAUSSIAN: probability of doing nothing */
    float low, high;     /* range of the draw: CONTRAST, SATURATION, PIXEL_VALUE_SCALE, IMAGE_SCALE,
                             SQUARE_CROP, SCALE_CROP_PAD (scales), PATCH_GAUSSIAN (deviation);
                             NORMALIZE: what becomes target_low and target_high; high alone is
                             max_delta of BRIGHTNESS, HUE, the ratio of JITTER_BOXES, the size of
                             BLACK_PATCHES as a share of the image's smaller side */
    float target_low, target_high; /* NORMALIZE */
    float gamma, gain;             /* GAMMA */
    int32_t ordering;              /* DISTORT_COLOR: 0 or 1 */
    enum det_jitter jitter;        /* JITTER_BOXES */
    enum det_resample resample;    /* RESIZE */
    int32_t from, to; /* drawn from `from` up to and without `to`: JPEG_QUALITY, DOWNSCALE (pixels),
                         PATCH_GAUSSIAN (side); `from` itself when they are equal */
    int32_t count;    /* BLACK_PATCHES: tries; SQUARE_CROP: scales between low and high */
    int32_t border_px;             /* SQUARE_CROP */
    int32_t min_height, min_width; /* PAD_IMAGE, 0: the image's own */
    int32_t max_height, max_width; /* PAD_IMAGE, 0: twice the image's own; ABSOLUTE_PAD: most to
                                        add; RESIZE, RESIZE_METHOD, SCALE_CROP_PAD: the new size */
    bool has_color;                /* pads: false: the image's mean colour */
    float color[3];                /* pads, SUBTRACT_MEAN; 0..255 */
    float aspect;                  /* CROP_TO_ASPECT, the two FIXED_ASPECT */
    int32_t label, label_count;    /* class ids: DROP_LABEL what, REMAP_LABELS to what */
    int32_t labels[DET_AUGMENT_MOST_LABELS]; /* REMAP_LABELS */
    /* CROP_IMAGE, CROP_PAD_IMAGE, CROP_TO_ASPECT: 1; SSD_CROP*: as many as there are operations */
    int32_t crop_count;
    struct det_crop_settings crops[DET_AUGMENT_MOST_CROPS];
};

/* An option with the API's defaults (protos/preprocessor.proto). */
struct det_augment_option det_augment_option_default(enum det_augment_kind kind);
/* The API's defaults of one operation of random_crop_image. */
struct det_crop_settings det_crop_settings_default(void);
/* "random_horizontal_flip", ...; NULL for a value out of range. */
const char *det_augment_name(enum det_augment_kind kind);
/* Checks ranges; the message names option and field. */
det_status det_augment_check(struct det_env *env, const struct det_augment_option *option);

/* Applies the options in their order. A side that grows beyond 65,500 pixels is
 * INVALID_ARGUMENT. */
det_status det_augment_apply(struct det_env *env, const struct det_augment_option *options,
                             size_t count, struct det_rng *rng, struct det_sample *sample);

#endif
