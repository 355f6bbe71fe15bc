/* augment.h: the random data augmentation of the TF Object Detection API (core/preprocessor.py), on
 * one sample.
 *
 * A sample starts as an 8-bit image and its objects. Flips and crops only change the window on the
 * image, which the resize then reads; the first colour operation copies the window into float
 * pixels of 0..255, and later ones work in place. Each function draws from the generator it is
 * given and from nothing else. What an operation does to the objects: flips mirror the boxes, crops
 * drop the objects too little of which is left and clip the boxes of the others.
 */
#ifndef DET_DATA_AUGMENT_H
#define DET_DATA_AUGMENT_H

#include "base/rng.h"
#include "data/ground_truth.h"
#include "data/image.h"
#include "data/resize.h"

struct det_sample {
    struct det_image image;
    struct det_window window; /* of the image, or of `pixels` once those are in use */
    bool in_float;            /* `pixels` holds the picture, not `image` */
    float *pixels;            /* [.][stride][3], 0..255 */
    int32_t stride;
    size_t pixels_capacity;
    struct det_ground_truth truth;
};

/* To be called after image and truth were filled in: sees the whole image. */
void det_sample_reset(struct det_sample *sample);
/* Resizes what is seen into [out_height][out_width][3], 0..255. */
det_status det_sample_resize(struct det_env *env, struct det_resizer *resizer,
                             const struct det_sample *sample, float *out, size_t out_stride,
                             int32_t out_height, int32_t out_width);
void det_sample_free(struct det_env *env, struct det_sample *sample);

enum det_augment_kind {
    DET_AUGMENT_HORIZONTAL_FLIP,   /* random_horizontal_flip */
    DET_AUGMENT_VERTICAL_FLIP,     /* random_vertical_flip */
    DET_AUGMENT_CROP_IMAGE,        /* random_crop_image */
    DET_AUGMENT_SSD_CROP,          /* ssd_random_crop */
    DET_AUGMENT_BRIGHTNESS,        /* random_adjust_brightness */
    DET_AUGMENT_CONTRAST,          /* random_adjust_contrast */
    DET_AUGMENT_SATURATION,        /* random_adjust_saturation */
    DET_AUGMENT_HUE,               /* random_adjust_hue */
    DET_AUGMENT_DISTORT_COLOR,     /* random_distort_color */
    DET_AUGMENT_RGB_TO_GRAY,       /* random_rgb_to_gray */
    DET_AUGMENT_PIXEL_VALUE_SCALE, /* random_pixel_value_scale */
};

struct det_crop_settings {
    float min_object_covered;
    float min_aspect, max_aspect; /* width / height in pixels */
    float min_area, max_area;     /* shares of the image */
    float overlap_thresh;         /* share of an object's area that must be left */
    float random_coef;            /* probability of leaving the image as it is */
    bool clip_boxes;
};

#define DET_AUGMENT_MOST_CROPS 16

struct det_augment_option {
    enum det_augment_kind kind;
    float probability;  /* flips, RGB_TO_GRAY */
    float low, high;    /* range of the draw: CONTRAST, SATURATION, PIXEL_VALUE_SCALE; high alone is
                          max_delta of BRIGHTNESS, HUE */
    int32_t ordering;   /* DISTORT_COLOR: 0 or 1 */
    int32_t crop_count; /* CROP_IMAGE: 1, SSD_CROP: as many as there are operations */
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

/* Applies the options in their order. */
det_status det_augment_apply(struct det_env *env, const struct det_augment_option *options,
                             size_t count, struct det_rng *rng, struct det_sample *sample);

/* The single operations; see their definitions for the distributions. */
void det_augment_horizontal_flip(struct det_rng *rng, float probability, struct det_sample *sample);
void det_augment_vertical_flip(struct det_rng *rng, float probability, struct det_sample *sample);
void det_augment_crop_image(struct det_rng *rng, const struct det_crop_settings *settings,
                            struct det_sample *sample);
void det_augment_ssd_crop(struct det_rng *rng, const struct det_crop_settings *settings,
                          int32_t count, struct det_sample *sample);

/* Copies the window into float pixels; nothing to do when they are in use. */
det_status det_sample_to_float(struct det_env *env, struct det_sample *sample);
/* Colour operations, on float pixels. */
void det_augment_brightness(struct det_rng *rng, float max_delta, struct det_sample *sample);
void det_augment_contrast(struct det_rng *rng, float low, float high, struct det_sample *sample);
void det_augment_saturation(struct det_rng *rng, float low, float high, struct det_sample *sample);
void det_augment_hue(struct det_rng *rng, float max_delta, struct det_sample *sample);
void det_augment_distort_color(struct det_rng *rng, int32_t ordering, struct det_sample *sample);
void det_augment_pixel_value_scale(struct det_rng *rng, float low, float high,
                                   struct det_sample *sample);
/* Makes the float pixels grey; whether to do so is drawn in det_augment_apply, so that most samples
 * stay 8-bit. */
void det_augment_to_gray(struct det_sample *sample);

#endif
