/* det/image.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_IMAGE_H
#define DET_IMAGE_H
#include "det/context.h"
#include "det/detector.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_picture det_picture;
DET_API const char *det_image_formats(void);
DET_API const char *det_image_webp_missing(void);
DET_API const char *det_image_extension(const char *path);
DET_NODISCARD DET_API det_status det_picture_read(det_context *context, const char *path,
                                                  det_picture **picture);
DET_NODISCARD DET_API det_status det_picture_decode(det_context *context, const char *name,
                                                    const void *data, size_t bytes,
                                                    det_picture **picture);
DET_NODISCARD DET_API det_status det_picture_decode_reduced(det_context *context, const char *name,
                                                            const void *data, size_t bytes,
                                                            int32_t height, int32_t width,
                                                            det_picture **picture);
DET_NODISCARD DET_API det_status det_picture_decode_again(det_picture *picture, const char *name,
                                                          const void *data, size_t bytes,
                                                          int32_t height, int32_t width);
DET_NODISCARD DET_API det_status det_picture_from_pixels(det_context *context,
                                                         const det_image_view *pixels,
                                                         det_picture **picture);
DET_API int det_picture_orientation(const det_picture *picture);
DET_NODISCARD DET_API det_status det_picture_as_stored(det_picture *picture);
DET_NODISCARD DET_API det_status det_picture_to_pixels(const det_picture *picture,
                                                       det_pixel_format format, void *pixels,
                                                       size_t bytes, size_t stride_bytes);
typedef enum det_picture_kind { DET_PICTURE_JPEG = 0, DET_PICTURE_PNG = 1 } det_picture_kind;
DET_NODISCARD DET_API det_status det_picture_encode(det_picture *picture, det_picture_kind kind,
                                                    int quality, const uint8_t **data,
                                                    size_t *bytes);
DET_NODISCARD DET_API det_status det_picture_write(const det_picture *picture, const char *path);
DET_API void det_picture_destroy(det_picture **picture);
DET_API void det_picture_file_size(const det_picture *picture, int32_t *height, int32_t *width);
DET_API det_image_view det_picture_view(const det_picture *picture);
typedef struct det_canvas {
    uint8_t *pixels;
    int32_t width, height;
    ptrdiff_t stride_bytes;
    det_pixel_format format;
} det_canvas;
DET_API det_canvas det_picture_canvas(det_picture *picture);
DET_NODISCARD DET_API det_status det_picture_draw(det_picture *picture, const det_model *model,
                                                  const det_detection *detections, size_t count);
#ifdef __cplusplus
}
#endif
#endif
