/* image.h: pictures of files, as struct det_image. */
#ifndef DET_DATA_IMAGE_H
#define DET_DATA_IMAGE_H

#include "det/image.h"
#include "support/image.h"

/* What a reduced decoding must leave at least. */
struct det_image_least {
    int32_t height, width;
};

/* The kinds told apart by their first bytes. */
enum det_image_kind {
    DET_IMAGE_UNKNOWN,
    DET_IMAGE_JPEG,
    DET_IMAGE_PNG,
    DET_IMAGE_BMP,
    DET_IMAGE_GIF,
    DET_IMAGE_WEBP
};
/* "JPEG", ...; "picture" for UNKNOWN. */
const char *det_image_kind_name(enum det_image_kind kind);
/* ".jpg", ...; not of UNKNOWN. */
const char *det_image_kind_extension(enum det_image_kind kind);
/* By the extension of its name, where that begins (det_image_extension()). */
enum det_image_kind det_image_kind_of_name(const char *path);

/* Looks at the first bytes only. Anything else is an error that says what it is: UNSUPPORTED for a
 * picture of another format, or of one that this build cannot read, else CORRUPT. */
det_status det_image_sniff(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           enum det_image_kind *kind);

/* Decodes a picture, told apart by content. `name` is for messages. Pixels are the same bits as
 * TensorFlow's decode_image gives (libjpeg-turbo, JDCT_IFAST, fancy upsampling). Any JPEG that
 * libjpeg reads (grey, YCbCr, CMYK, YCCK, progressive), any PNG (palette, grey, alpha, 16 bits),
 * any BMP (image_bmp.c), a GIF's first frame (image_gif.c) and, where the build has libwebp, a
 * WebP's becomes RGB8; alpha is dropped, not blended. What is larger than the env's limits is
 * UNSUPPORTED. A truncated file is an error, as it is for TensorFlow; damage that libjpeg can read
 * over is logged at debug level. An EXIF rotation is not applied, as in TensorFlow (data/exif.h
 * does). After a failure the image is empty. */
det_status det_image_decode(struct det_env *env, const char *name, const uint8_t *data,
                            size_t bytes, struct det_image *image);
det_status det_image_read(struct det_env *env, const char *path, struct det_image *image);

/* The same for whoever makes the image smaller anyway: a JPEG is decoded at a half, a quarter or an
 * eighth of its size, the least that still has `least` rows and columns. That skips most of the
 * inverse DCT, upsampling and colour conversion and averages instead of sampling: quicker, but not
 * TensorFlow's pixels. All other kinds are decoded as they are. file_width and file_height say the
 * real size. */
det_status det_image_decode_reduced(struct det_env *env, const char *name, const uint8_t *data,
                                    size_t bytes, struct det_image_least least,
                                    struct det_image *image);
det_status det_image_read_reduced(struct det_env *env, const char *path,
                                  struct det_image_least least, struct det_image *image);

/* Of JPEGs, where nothing else is said. */
#define DET_IMAGE_WRITE_QUALITY 95

/* Encodes into memory that the caller frees with det_free; quality 1..100. */
det_status det_image_encode_jpeg(struct det_env *env, const struct det_image *image, int quality,
                                 uint8_t **data, size_t *bytes);
det_status det_image_encode_png(struct det_env *env, const struct det_image *image, uint8_t **data,
                                size_t *bytes);
/* By the extension of `path` (.jpg, .jpeg, .png); atomic. */
det_status det_image_write(struct det_env *env, const char *path, const struct det_image *image);

#endif
