/* det/image.h: image files in and out, and boxes drawn into them (det/draw.h: piece by piece). */
#ifndef DET_IMAGE_H
#define DET_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A decoded image, 8-bit RGB. Belongs to its context's thread. */
typedef struct det_picture det_picture;

/** Kinds of pictures that this build reads, separated by spaces: "JPEG PNG BMP GIF WebP", or
 * without the last where it was built without libwebp's headers. libwebp is loaded when a picture
 * needs it (UNSUPPORTED where it is not installed). Static. */
DET_API const char *det_image_formats(void);
/** Why there is no "WebP" among them; NULL: it is there. Static. */
DET_API const char *det_image_webp_missing(void);
/** Where the extension begins in the name of a picture's file (".jpg" and what else files of these
 * kinds are called, in capitals or not), whatever the file holds; NULL: it has none. */
DET_API const char *det_image_extension(const char *path);

/** Reads a picture of one of det_image_formats(), told apart by content; grey, palettes, CMYK, 16
 * bits become RGB, alpha is dropped, of an animation the first frame is read. What is larger than
 * the context's max_image_pixels or has more scans than max_jpeg_scans is UNSUPPORTED. The picture
 * stands upright, as viewers show it: a rotation that a camera has noted (EXIF) is applied, so
 * boxes are in the upright picture's frame. TensorFlow, and training with libdet, take the pixels
 * as stored: det_picture_as_stored(). */
DET_NODISCARD DET_API det_status det_picture_read(det_context *context, const char *path,
                                                  det_picture **picture);
/** The same from memory; `name` is for messages; NULL: "image". */
DET_NODISCARD DET_API det_status det_picture_decode(det_context *context, const char *name,
                                                    const void *data, size_t bytes,
                                                    det_picture **picture);
/** The same for a picture that only goes into a detector whose input is `height` x `width`: a JPEG
 * that is larger is decoded at a half, a quarter or an eighth of its size, never below these.
 * Quicker, but not TensorFlow's pixels. */
DET_NODISCARD DET_API det_status det_picture_decode_reduced(det_context *context, const char *name,
                                                            const void *data, size_t bytes,
                                                            int32_t height, int32_t width,
                                                            det_picture **picture);
/** The same into a picture that is there, whose memory is used again where it is large enough: for
 * one file after the other. Views of it end; after a failure it has no pixels. */
DET_NODISCARD DET_API det_status det_picture_decode_again(det_picture *picture, const char *name,
                                                          const void *data, size_t bytes,
                                                          int32_t height, int32_t width);
/** A picture of the caller's pixels, of any format; of a view with a region that part. They are
 *  copied. */
DET_NODISCARD DET_API det_status det_picture_from_pixels(det_context *context,
                                                         const det_image_view *pixels,
                                                         det_picture **picture);
/** What the file says about how its pixels lie, 1 to 8 as in EXIF; 1: upright, or nothing. */
DET_API int det_picture_orientation(const det_picture *picture);
/** Turns the picture back to the pixels as they are stored, which TensorFlow's decoder gives. Views
 * of it end. */
DET_NODISCARD DET_API det_status det_picture_as_stored(det_picture *picture);

/** Writes the picture's pixels, of its view's height and width, into the caller's memory of `bytes`
 *  bytes, from row to row `stride_bytes` apart (0: without padding): RGB, BGR, RGBA or BGRA (alpha
 *  255), or grey (.299 R + .587 G + .114 B, rounded, as libjpeg has it). What lies between rows is
 *  left as it is. INVALID_ARGUMENT, with the size it takes, where it does not fit. */
DET_NODISCARD DET_API det_status det_picture_to_pixels(const det_picture *picture,
                                                       det_pixel_format format, void *pixels,
                                                       size_t bytes, size_t stride_bytes);

typedef enum det_picture_kind { DET_PICTURE_JPEG = 0, DET_PICTURE_PNG = 1 } det_picture_kind;
/** The picture as the bytes of a file. `quality` of a JPEG is 1 to 100; 0: 95, as
 *  det_picture_write(). *data belongs to the picture and holds until the next call or its end. */
DET_NODISCARD DET_API det_status det_picture_encode(det_picture *picture, det_picture_kind kind,
                                                    int quality, const uint8_t **data,
                                                    size_t *bytes);
/** Writes .jpg, .jpeg or .png by the extension; atomic. */
DET_NODISCARD DET_API det_status det_picture_write(const det_picture *picture, const char *path);
DET_API void det_picture_destroy(det_picture **picture);

/** Size of the picture in its file (upright, as its view): larger than its view's after a reduced
 * decoding. */
DET_API void det_picture_file_size(const det_picture *picture, int32_t *height, int32_t *width);

/** Its pixels, valid as long as the picture. */
DET_API det_image_view det_picture_view(const det_picture *picture);

/** Pixels that are drawn into, by det/draw.h or by the program: the caller's, or a picture's. */
typedef struct det_canvas {
    uint8_t *pixels; /**< first pixel of the top row */
    int32_t width, height;
    /** from one row to the next, negative where they go upwards in memory; 0: no padding */
    ptrdiff_t stride_bytes;
    det_pixel_format format;
} det_canvas;
/** The same pixels as its view, to be drawn into. */
DET_API det_canvas det_picture_canvas(det_picture *picture);

/** Draws boxes with a label plate "name 87%". */
DET_NODISCARD DET_API det_status det_picture_draw(det_picture *picture, const det_model *model,
                                                  const det_detection *detections, size_t count);

#ifdef __cplusplus
}
#endif
#endif
