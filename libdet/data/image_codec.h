/* image_codec.h: the decoders behind data/image.h, one file each: image_jpeg.c, image_png.c,
 * image_bmp.c, image_gif.c, image_webp.c (or none_webp.c, where the build found no headers of
 * libwebp). */
#ifndef DET_DATA_IMAGE_CODEC_H
#define DET_DATA_IMAGE_CODEC_H

#include "data/image.h"

/* What each asks before it takes memory for a picture of that size: UNSUPPORTED above the env's
 * max_image_pixels or 65500 a side, CORRUPT for a side of 0. */
det_status det_image_size_check(struct det_env *env, const char *name, enum det_image_kind kind,
                                uint32_t width, uint32_t height);

det_status det_jpeg_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image_least least, struct det_image *image);
det_status det_png_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image);
det_status det_bmp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image);
det_status det_gif_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image);
det_status det_webp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image *image);

#endif
