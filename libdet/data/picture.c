#include "data/picture.h"

#include <string.h>

#include "data/augment_ops.h"
#include "support/mem.h"

size_t det_picture_bytes(const struct det_picture *p)
{
    return p->in_float ? det_picture_most_bytes(p->frame_height, p->frame_width)
                       : (size_t)p->height * (size_t)p->width * 3;
}

size_t det_picture_most_bytes(int32_t frame_height, int32_t frame_width)
{
    return (size_t)frame_height * (size_t)frame_width * 3 * sizeof(float);
}

static int32_t count_contrasts(const struct det_picture *p)
{
    int32_t count = 0;
    for (int32_t i = 0; i < p->color_count; i++)
        count += p->colors[i].kind == DET_COLOR_CONTRAST;
    return count;
}

det_status det_picture_take(struct det_env *env, struct det_resizer *resizer,
                            struct det_sample *sample, int32_t frame_height, int32_t frame_width,
                            void *room, struct det_picture *picture)
{
    const struct det_window w = sample->window;
    const size_t row = (size_t)w.width * 3,
                 most = det_picture_most_bytes(frame_height, frame_width);
    picture->pixels = room;
    picture->in_float = sample->in_float || (size_t)w.height * row > most;
    picture->frame_height = frame_height;
    picture->frame_width = frame_width;
    picture->height = picture->in_float ? frame_height : w.height;
    picture->width = picture->in_float ? frame_width : w.width;
    picture->flip_y = !picture->in_float && w.flip_y;
    picture->flip_x = !picture->in_float && w.flip_x;
    picture->color_count = picture->contrast_count = 0;
    if (picture->in_float)
        return det_sample_resize(env, resizer, sample, room, (size_t)frame_width * 3, frame_height,
                                 frame_width);
    for (int32_t y = 0; y < w.height; y++)
        memcpy((uint8_t *)room + (size_t)y * row,
               sample->image.rgb +
                   ((size_t)(w.y + y) * (size_t)sample->image.width + (size_t)w.x) * 3,
               row);
    picture->color_count = sample->color_count;
    memcpy(picture->colors, sample->colors, sizeof picture->colors);
    picture->contrast_count = count_contrasts(picture);
    return DET_OK;
}

det_status det_picture_check(struct det_env *env, const struct det_picture *p, int32_t height,
                             int32_t width)
{
    const bool sizes = p->height >= 1 && p->width >= 1 && p->height <= 65500 && p->width <= 65500 &&
                       p->frame_height >= 1 && p->frame_width >= 1 && p->frame_height <= height &&
                       p->frame_width <= width;
    const bool lists = p->color_count >= 0 && p->color_count <= DET_MOST_COLORS &&
                       p->contrast_count == count_contrasts(p);
    if (!sizes || !lists || det_picture_bytes(p) > det_picture_most_bytes(height, width))
        return det_fail(env, DET_STATUS_INTERNAL,
                        "a picture of %d x %d for a frame of %d x %d in an input of %d x %d, with "
                        "%d colour operations",
                        p->width, p->height, p->frame_width, p->frame_height, width, height,
                        p->color_count);
    return DET_OK;
}

void det_picture_fill_outside(const float outside[3], int32_t frame_height, int32_t frame_width,
                              int32_t height, int32_t width, float *out)
{
    for (int32_t y = 0; y < height; y++) {
        float *row = out + (size_t)y * (size_t)width * 3;
        for (int32_t x = y < frame_height ? frame_width : 0; x < width; x++)
            memcpy(row + (size_t)x * 3, outside, 3 * sizeof *outside);
    }
}

/* The picture as the sample that it was taken from; the pixels stay the picture's. */
static det_status render(struct det_env *env, const struct det_picture *p, float *out,
                         size_t out_stride)
{
    struct det_image image = {.width = p->width, .height = p->height};
    struct det_sample sample = {.image = image, .color_count = p->color_count};
    struct det_resizer resizer = {0};
    /* Nobody writes to an 8-bit image. */
    memcpy(&sample.image.rgb, &p->pixels, sizeof sample.image.rgb);
    sample.window = (struct det_window){0, 0, p->height, p->width, p->flip_y, p->flip_x};
    memcpy(sample.colors, p->colors, sizeof sample.colors);
    const det_status status =
        det_sample_resize(env, &resizer, &sample, out, out_stride, p->frame_height, p->frame_width);
    det_free(env, &sample.pixels);
    det_free(env, &sample.spare);
    det_resizer_free(env, &resizer);
    return status;
}

det_status det_picture_to_floats(struct det_env *env, const struct det_picture *p, int32_t height,
                                 int32_t width, float *out)
{
    const size_t stride = (size_t)width * 3, row = (size_t)p->frame_width * 3;
    DET_TRY_RETURN(det_picture_check(env, p, height, width));
    det_picture_fill_outside(p->outside, p->frame_height, p->frame_width, height, width, out);
    if (!p->in_float)
        return render(env, p, out, stride);
    for (int32_t y = 0; y < p->frame_height; y++)
        memcpy(out + (size_t)y * stride, (const float *)p->pixels + (size_t)y * row,
               row * sizeof *out);
    return DET_OK;
}
