/* picture.c: det/image.h on data/exif.h and draw/draw.h. */
#include "det/image.h"

#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "data/exif.h"
#include "data/image_view.h"
#include "detect/results.h"
#include "draw/labels.h"
#include "support/mem.h"

#define LABEL_BYTES 256

struct det_picture {
    det_context *context;
    struct det_image image;
    int orientation;  /* as the file says */
    bool turned;      /* by it */
    uint8_t *encoded; /* by the last det_picture_encode() */
};

static det_status make(det_context *context, det_picture **made)
{
    struct det_env *env = det_context_env(context);
    DET_TRY_RETURN(det_alloc(env, made, 1, sizeof **made, "picture"));
    (*made)->context = context;
    (*made)->turned = true;
    (*made)->orientation = 1;
    return DET_OK;
}

static det_status finish(struct det_env *env, det_status status, det_picture *picture,
                         det_picture **out)
{
    if (status != DET_OK)
        det_free(env, &picture);
    *out = picture;
    return status;
}

static struct det_env *env_of(const det_picture *picture)
{
    return picture == NULL ? NULL : det_context_env(picture->context);
}

/* After a decoding that failed there are none. */
static det_status need_pixels(struct det_env *env, const det_picture *picture)
{
    return picture->image.rgb != NULL
               ? DET_OK
               : det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                          "picture: it has no pixels, as its last decoding failed");
}

det_status det_picture_read(det_context *context, const char *path, det_picture **picture)
{
    struct det_env *env = det_context_env(context);
    if (picture != NULL)
        *picture = NULL;
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED(env, picture);
    det_picture *made = NULL;
    DET_TRY_RETURN(make(context, &made));
    const struct det_image_least whole = {INT32_MAX, INT32_MAX};
    return finish(env, det_image_read_upright(env, path, whole, &made->image, &made->orientation),
                  made, picture);
}

det_status det_picture_decode_reduced(det_context *context, const char *name, const void *data,
                                      size_t bytes, int32_t height, int32_t width,
                                      det_picture **picture)
{
    struct det_env *env = det_context_env(context);
    if (picture != NULL)
        *picture = NULL;
    DET_NEED(env, context);
    DET_NEED_ARRAY(env, data, bytes);
    DET_NEED(env, picture);
    if (name == NULL)
        name = "image";
    det_picture *made = NULL;
    DET_TRY_RETURN(make(context, &made));
    const struct det_image_least least = {height, width};
    return finish(
        env,
        det_image_decode_upright(env, name, data, bytes, least, &made->image, &made->orientation),
        made, picture);
}

det_status det_picture_decode_again(det_picture *picture, const char *name, const void *data,
                                    size_t bytes, int32_t height, int32_t width)
{
    struct det_env *env = env_of(picture);
    DET_NEED(env, picture);
    DET_NEED_ARRAY(env, data, bytes);
    const struct det_image_least least = {height, width};
    picture->turned = true;
    return det_image_decode_upright(env, name != NULL ? name : "image", data, bytes, least,
                                    &picture->image, &picture->orientation);
}

det_status det_picture_decode(det_context *context, const char *name, const void *data,
                              size_t bytes, det_picture **picture)
{
    return det_picture_decode_reduced(context, name, data, bytes, INT32_MAX, INT32_MAX, picture);
}

det_status det_picture_from_pixels(det_context *context, const det_image_view *pixels,
                                   det_picture **picture)
{
    struct det_env *env = det_context_env(context);
    if (picture != NULL)
        *picture = NULL;
    DET_NEED(env, context);
    DET_NEED(env, pixels);
    DET_NEED(env, picture);
    det_picture *made = NULL;
    DET_TRY_RETURN(det_image_view_check(env, pixels));
    DET_TRY_RETURN(make(context, &made));
    return finish(env, det_image_copy_view(env, pixels, &made->image), made, picture);
}

det_status det_picture_to_pixels(const det_picture *picture, det_pixel_format format, void *pixels,
                                 size_t bytes, size_t stride_bytes)
{
    struct det_env *env = env_of(picture);
    DET_NEED(env, picture);
    DET_NEED(env, pixels);
    DET_TRY_RETURN(need_pixels(env, picture));
    return det_image_to_pixels(env, &picture->image, format, pixels, bytes, stride_bytes);
}

det_status det_picture_encode(det_picture *picture, det_picture_kind kind, int quality,
                              const uint8_t **data, size_t *bytes)
{
    struct det_env *env = env_of(picture);
    if (data != NULL)
        *data = NULL;
    if (bytes != NULL)
        *bytes = 0;
    DET_NEED(env, picture);
    DET_NEED(env, data);
    DET_NEED(env, bytes);
    det_free(env, &picture->encoded);
    DET_TRY_RETURN(need_pixels(env, picture));
    if (quality < 0 || quality > 100)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: quality is %d, expected 1 to 100, or 0", quality);
    if (kind == DET_PICTURE_JPEG)
        DET_TRY_RETURN(det_image_encode_jpeg(env, &picture->image,
                                             quality == 0 ? DET_IMAGE_WRITE_QUALITY : quality,
                                             &picture->encoded, bytes));
    else if (kind == DET_PICTURE_PNG)
        DET_TRY_RETURN(det_image_encode_png(env, &picture->image, &picture->encoded, bytes));
    else
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: kind is %d, expected one of det_picture_kind, 0 or 1", (int)kind);
    *data = picture->encoded;
    return DET_OK;
}

int det_picture_orientation(const det_picture *picture)
{
    return picture == NULL ? 1 : picture->orientation;
}

det_status det_picture_as_stored(det_picture *picture)
{
    DET_NEED(NULL, picture);
    DET_TRY_RETURN(need_pixels(env_of(picture), picture));
    if (!picture->turned)
        return DET_OK;
    /* A quarter turn is undone by the other one, all else by itself. */
    const int back = picture->orientation == 6   ? 8
                     : picture->orientation == 8 ? 6
                                                 : picture->orientation;
    const det_status status =
        det_exif_turn(det_context_env(picture->context), &picture->image, back);
    picture->turned = status != DET_OK;
    return status;
}

void det_picture_file_size(const det_picture *picture, int32_t *height, int32_t *width)
{
    if (height != NULL)
        *height = picture == NULL ? 0 : picture->image.file_height;
    if (width != NULL)
        *width = picture == NULL ? 0 : picture->image.file_width;
}

det_status det_picture_write(const det_picture *picture, const char *path)
{
    struct det_env *env = env_of(picture);
    DET_NEED(env, picture);
    DET_NEED(env, path);
    DET_TRY_RETURN(need_pixels(env, picture));
    return det_image_write(env, path, &picture->image);
}

void det_picture_destroy(det_picture **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_env *env = det_context_env((*out)->context);
    det_image_free(env, &(*out)->image);
    det_free(env, &(*out)->encoded);
    det_free(env, out);
}

det_image_view det_picture_view(const det_picture *picture)
{
    if (picture == NULL)
        return (det_image_view){0};
    return (det_image_view){.pixels = picture->image.rgb,
                            .width = picture->image.width,
                            .height = picture->image.height,
                            .format = DET_PIXEL_RGB8};
}

det_canvas det_picture_canvas(det_picture *picture)
{
    if (picture == NULL)
        return (det_canvas){0};
    return (det_canvas){.pixels = picture->image.rgb,
                        .width = picture->image.width,
                        .height = picture->image.height,
                        .format = DET_PIXEL_RGB8};
}

det_status det_picture_draw(det_picture *picture, const det_model *model,
                            const det_detection *detections, size_t count)
{
    struct det_env *env = env_of(picture);
    DET_NEED(env, picture);
    DET_NEED_ARRAY(env, detections, count);
    const struct det_surface to = det_surface_of(&picture->image);
    struct det_labels taken;
    taken.count = 0;
    /* The surest one last, so that its frame is on top; its label first, so that it has its
     * place. */
    for (size_t i = count; i-- > 0;)
        det_draw_detection(to, &detections[i]);
    for (size_t i = 0; i < count; i++) {
        char label[LABEL_BYTES];
        det_draw_detection_label(&taken, to, &detections[i],
                                 det_detection_label(model, &detections[i], label, sizeof label));
    }
    return DET_OK;
}
