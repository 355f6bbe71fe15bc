/* det/image.h: image files in and out, and boxes drawn into them. */
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

/** Reads a JPEG or PNG (told apart by content; grey, palette, CMYK, 16 bits become RGB). */
DET_API det_status det_picture_read(det_context *context, const char *path, det_picture **picture);
/** The same from memory; `name` is for messages. */
DET_API det_status det_picture_decode(det_context *context, const char *name, const void *data,
                                      size_t bytes, det_picture **picture);
/** The same for a picture that only goes into a detector whose input is `height` x `width`: a JPEG that is larger is
 *  decoded at a half, a quarter or an eighth of its size, never below these. Quicker, but not TensorFlow's pixels. */
DET_API det_status det_picture_decode_reduced(det_context *context, const char *name,
                                              const void *data, size_t bytes, int32_t height,
                                              int32_t width, det_picture **picture);
/** Writes .jpg, .jpeg or .png by the extension; atomic. */
DET_API det_status det_picture_write(const det_picture *picture, const char *path);
DET_API void det_picture_destroy(det_picture **picture);

/** Size of the picture in its file: larger than its view's after a reduced decoding. */
DET_API void det_picture_file_size(const det_picture *picture, int32_t *height, int32_t *width);

/** Its pixels, valid as long as the picture. */
DET_API det_image_view det_picture_view(const det_picture *picture);

/** Draws boxes with a label plate "name 87%". */
DET_API det_status det_picture_draw(det_picture *picture, const det_model *model,
                                    const det_detection *detections, size_t count);

#ifdef __cplusplus
}
#endif
#endif
