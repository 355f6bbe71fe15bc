/* augment_ops.h: the single operations of augmentation. Distributions stand with the definitions;
 * the functions of core/preprocessor.py they agree with have the same names. */
#ifndef DET_DATA_AUGMENT_OPS_H
#define DET_DATA_AUGMENT_OPS_H

#include "data/augment.h"

/* --- the sample --- */

/* Copies the window into float pixels and applies the listed colours; nothing to do when they are
 * in use. */
det_status det_sample_to_float(struct det_env *env, struct det_sample *sample);
/* The same, and the window is all of them, unmirrored: [height][width][3] without gaps. */
det_status det_sample_settle(struct det_env *env, struct det_sample *sample);
/* Room for a picture of this size in sample->spare. */
det_status det_sample_reserve_spare(struct det_env *env, struct det_sample *sample, int64_t height,
                                    int64_t width);
/* The picture in `spare`, of this size, becomes the sample's. */
void det_sample_take_spare(struct det_sample *sample, int32_t height, int32_t width);
/* Boxes relative to a window (ymin, xmin, ymax, xmax in the present coordinates). */
void det_sample_move_boxes(struct det_sample *sample, const float window[4]);
/* Drops boxes wholly outside 0..1 and clips the others. */
void det_sample_clip_boxes(struct det_sample *sample);
/* [low, high); low when they are equal. */
int32_t det_draw_integer(struct det_rng *rng, int32_t low, int32_t high);

/* --- augment.c: mirrors --- */

void det_augment_horizontal_flip(struct det_rng *rng, float probability, struct det_sample *sample);
void det_augment_vertical_flip(struct det_rng *rng, float probability, struct det_sample *sample);

/* --- augment_crop.c --- */

void det_augment_crop_image(struct det_rng *rng, const struct det_crop_settings *settings,
                            struct det_sample *sample);
void det_augment_ssd_crop(struct det_rng *rng, const struct det_crop_settings *settings,
                          int32_t count, struct det_sample *sample);
void det_augment_crop_to_aspect(struct det_rng *rng, float aspect, float overlap_thresh,
                                bool clip_boxes, struct det_sample *sample);

/* --- augment_pad.c --- */

det_status det_augment_rotation90(struct det_env *env, struct det_sample *sample);
det_status det_augment_pad_image(struct det_env *env, struct det_rng *rng,
                                 const int32_t min_size[2], const int32_t max_size[2],
                                 const float *color, struct det_sample *sample);
det_status det_augment_crop_pad_image(struct det_env *env, struct det_rng *rng,
                                      const struct det_crop_settings *settings,
                                      struct det_sample *sample);
det_status det_augment_pad_to_aspect(struct det_env *env, struct det_rng *rng, float aspect,
                                     const float min_padded[2], const float max_padded[2],
                                     struct det_sample *sample);
det_status det_augment_square_crop(struct det_env *env, struct det_rng *rng,
                                   const struct det_augment_option *option,
                                   struct det_sample *sample);
det_status det_augment_scale_crop_pad(struct det_env *env, struct det_rng *rng,
                                      const struct det_augment_option *option,
                                      struct det_sample *sample);
det_status det_augment_self_concat(struct det_env *env, struct det_rng *rng, float probability_y,
                                   float probability_x, struct det_sample *sample);

/* --- augment_resize.c --- */

/* tf.compat.v1.image.resize_images of what is seen. */
det_status det_sample_resample(struct det_env *env, struct det_sample *sample,
                               enum det_resample method, bool align_corners, int32_t height,
                               int32_t width);
det_status det_augment_image_scale(struct det_env *env, struct det_rng *rng, float low, float high,
                                   struct det_sample *sample);
det_status det_augment_downscale(struct det_env *env, struct det_rng *rng,
                                 const struct det_augment_option *option,
                                 struct det_sample *sample);

/* --- augment_color.c --- */

/* To be called before an option of this kind: float pixels where the list of colours has no room
 * for it, or where its mean could not be taken of 8-bit pixels (contrast behind LINEAR, which
 * leaves 0..255). */
det_status det_sample_reserve_colors(struct det_env *env, struct det_sample *sample,
                                     enum det_augment_kind kind);
/* Float pixels where the list has a contrast: its mean is over what is seen now. For what will
 * change that. */
det_status det_sample_keep_means(struct det_env *env, struct det_sample *sample);
/* To float pixels [height][width][3], rows `stride` pixels apart. */
void det_color_apply(const struct det_color_op *op, float *pixels, int32_t stride, int32_t height,
                     int32_t width);

/* Listed, or applied to float pixels where those are in use. */
void det_augment_brightness(struct det_rng *rng, float max_delta, struct det_sample *sample);
void det_augment_contrast(struct det_rng *rng, float low, float high, struct det_sample *sample);
void det_augment_saturation(struct det_rng *rng, float low, float high, struct det_sample *sample);
void det_augment_hue(struct det_rng *rng, float max_delta, struct det_sample *sample);
void det_augment_distort_color(struct det_rng *rng, int32_t ordering, struct det_sample *sample);
/* value * factor + offset for each channel, not clipped: normalize_image, subtract_channel_mean. */
void det_augment_linear(const float factor[3], const float offset[3], struct det_sample *sample);
/* Whether to do so is drawn in det_augment_apply. */
void det_augment_to_gray(struct det_sample *sample);

/* On float pixels. */
void det_augment_pixel_value_scale(struct det_rng *rng, float low, float high,
                                   struct det_sample *sample);
void det_augment_gamma(float gamma, float gain, struct det_sample *sample);

/* --- augment_noise.c --- */

det_status det_augment_black_patches(struct det_env *env, struct det_rng *rng,
                                     const struct det_augment_option *option,
                                     struct det_sample *sample);
det_status det_augment_patch_gaussian(struct det_env *env, struct det_rng *rng,
                                      const struct det_augment_option *option,
                                      struct det_sample *sample);
det_status det_augment_jpeg_quality(struct det_env *env, struct det_rng *rng,
                                    const struct det_augment_option *option,
                                    struct det_sample *sample);

/* --- augment_boxes.c --- */

void det_augment_jitter_boxes(struct det_rng *rng, float ratio, enum det_jitter mode,
                              struct det_sample *sample);
void det_augment_drop_label(struct det_rng *rng, int32_t class_id, float probability,
                            struct det_sample *sample);
void det_augment_remap_labels(const int32_t *class_ids, int32_t count, int32_t new_class_id,
                              struct det_sample *sample);

#endif
