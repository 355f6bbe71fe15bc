/* image_view.h: a caller's pixels, of any of the formats of det_image_view. */
#ifndef DET_DATA_IMAGE_VIEW_H
#define DET_DATA_IMAGE_VIEW_H

#include "data/image.h"
#include "data/resize.h"
#include "det/detector.h"

/* INVALID_ARGUMENT unless pixels, sides (1..65500), format, strides and region fit together. */
det_status det_image_view_check(struct det_env *env, const det_image_view *view);

/* What is looked at of a checked view as packed RGB: *image points at the view's own pixels where
 * they are that already, else at a converted copy in `buffer`. Only to be read; lives as long as
 * the shorter-lived of the two. */
det_status det_image_of_view(struct det_env *env, struct det_image *buffer,
                             const det_image_view *view, struct det_image *image);

/* The same, always copied: packed RGB of its own. */
det_status det_image_copy_view(struct det_env *env, const det_image_view *view,
                               struct det_image *image);

/* Writes an image's pixels into a caller's memory: det_picture_to_pixels() of det/image.h. */
det_status det_image_to_pixels(struct det_env *env, const struct det_image *image,
                               det_pixel_format format, uint8_t *pixels, size_t bytes,
                               size_t stride);

/* A pixel's brightness, as libjpeg has it. */
uint8_t det_grey_of_rgb(const uint8_t *rgb);

/* A checked view's pixels, all of them, and the window that is looked at, for det_resizer_set(). */
struct det_pixels det_pixels_of_view(const det_image_view *view);
struct det_window det_window_of_view(const det_image_view *view);

#endif
