/* image_codec.h: the two codecs behind data/image.h. */
#ifndef DET_DATA_IMAGE_CODEC_H
#define DET_DATA_IMAGE_CODEC_H

#include "data/image.h"

/* Most pixels x components, as TensorFlow's decoder: larger sizes are rather a damaged header. */
#define DET_IMAGE_MOST_BYTES ((size_t)1 << 29)

det_status det_jpeg_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image_least least, struct det_image *image);
det_status det_png_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image);

#endif
