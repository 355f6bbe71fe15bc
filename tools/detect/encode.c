#include "detect/encode.h"

#include "common/tool.h"

det_status encode_image(struct det_env *env, det_context *context, const struct det_image *image,
                        det_picture_kind kind, int quality, det_picture **picture,
                        const uint8_t **data, size_t *bytes)
{
    const det_image_view view = {
        .pixels = image->rgb, .width = image->width, .height = image->height};
    det_status status = det_picture_from_pixels(context, &view, picture);
    if (status == DET_OK)
        status = det_picture_encode(*picture, kind, quality, data, bytes);
    if (status == DET_OK)
        return DET_OK;
    det_picture_destroy(picture);
    return tool_adopt(env, context, status);
}
