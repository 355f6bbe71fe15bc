/* picture.c: det/image.h on data/exif.h and draw/draw.h. */
#include "det/image.h"

#include "base/context.h"
#include "base/mem.h"
#include "data/exif.h"
#include "detect/results.h"
#include "draw/draw.h"

#define LABEL_BYTES 256

struct det_picture {
    det_context *context;
    struct det_image image;
    int orientation; /* as the file says */
    bool turned;     /* by it */
};

static det_status finish(struct det_env *env, det_status status, det_picture *picture,
                         det_picture **out)
{
    if (status != DET_OK)
        det_free(env, &picture);
    *out = picture;
    return status;
}

det_status det_picture_read(det_context *context, const char *path, det_picture **out)
{
    if (context == NULL || out == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(context);
    *out = NULL;
    if (path == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "picture: path is NULL");
    det_picture *picture = NULL;
    DET_TRY_RETURN(det_alloc(env, &picture, 1, sizeof *picture, "picture"));
    picture->context = context;
    picture->turned = true;
    const struct det_image_least whole = {INT32_MAX, INT32_MAX};
    return finish(env,
                  det_image_read_upright(env, path, whole, &picture->image, &picture->orientation),
                  picture, out);
}

det_status det_picture_decode_reduced(det_context *context, const char *name, const void *data,
                                      size_t bytes, int32_t height, int32_t width,
                                      det_picture **out)
{
    if (context == NULL || out == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(context);
    *out = NULL;
    if (name == NULL)
        name = "image";
    if (data == NULL && bytes > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: data is NULL", name);
    det_picture *picture = NULL;
    DET_TRY_RETURN(det_alloc(env, &picture, 1, sizeof *picture, "picture"));
    picture->context = context;
    picture->turned = true;
    const struct det_image_least least = {height, width};
    return finish(env,
                  det_image_decode_upright(env, name, data, bytes, least, &picture->image,
                                           &picture->orientation),
                  picture, out);
}

det_status det_picture_decode(det_context *context, const char *name, const void *data,
                              size_t bytes, det_picture **out)
{
    return det_picture_decode_reduced(context, name, data, bytes, INT32_MAX, INT32_MAX, out);
}

int det_picture_orientation(const det_picture *picture)
{
    return picture == NULL ? 1 : picture->orientation;
}

det_status det_picture_as_stored(det_picture *picture)
{
    if (picture == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
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
    *height = picture == NULL ? 0 : picture->image.file_height;
    *width = picture == NULL ? 0 : picture->image.file_width;
}

det_status det_picture_write(const det_picture *picture, const char *path)
{
    if (picture == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    struct det_env *env = det_context_env(picture->context);
    if (path == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "picture: path is NULL");
    return det_image_write(env, path, &picture->image);
}

void det_picture_destroy(det_picture **out)
{
    if (out == NULL || *out == NULL)
        return;
    struct det_env *env = det_context_env((*out)->context);
    det_image_free(env, &(*out)->image);
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

det_status det_picture_draw(det_picture *picture, const det_model *model,
                            const det_detection *detections, size_t count)
{
    if (picture == NULL)
        return DET_STATUS_INVALID_ARGUMENT;
    if (detections == NULL && count > 0)
        return det_fail(det_context_env(picture->context), DET_STATUS_INVALID_ARGUMENT,
                        "picture: detections are NULL");
    /* The surest one last, so that its label is on top. */
    for (size_t i = count; i-- > 0;) {
        const det_detection *d = &detections[i];
        const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
        char label[LABEL_BYTES];
        det_results_label(label, sizeof label, model, d);
        det_draw_box(&picture->image, box, d->class_id - 1, label);
    }
    return DET_OK;
}
