#include "data/image_view.h"

#define MOST_SIDE 65500 /* as det_image_resize_buffer() */

/* A pixel of the format, nothing else yet. */
static bool set_format(struct det_pixels *pixels, det_pixel_format format)
{
    static const struct det_pixels formats[] = {
        [DET_PIXEL_RGB8] = {.bytes = 3, .green = 1, .blue = 2},
        [DET_PIXEL_BGR8] = {.bytes = 3, .red = 2, .green = 1},
        [DET_PIXEL_GRAY8] = {.bytes = 1},
        [DET_PIXEL_RGBA8] = {.bytes = 4, .green = 1, .blue = 2},
        [DET_PIXEL_BGRA8] = {.bytes = 4, .red = 2, .green = 1},
    };
    if ((size_t)format >= sizeof formats / sizeof formats[0])
        return false;
    *pixels = formats[format];
    return true;
}

struct det_pixels det_pixels_of_view(const det_image_view *view)
{
    struct det_pixels pixels = {0};
    set_format(&pixels, view->format);
    pixels.first = view->pixels;
    pixels.height = view->height;
    pixels.width = view->width;
    pixels.stride =
        view->stride_bytes == 0 ? (ptrdiff_t)view->width * pixels.bytes : view->stride_bytes;
    return pixels;
}

det_status det_image_view_check(struct det_env *env, const det_image_view *view)
{
    struct det_pixels pixels;
    if (view == NULL || view->pixels == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image: pixels are NULL");
    if (view->width < 1 || view->height < 1 || view->width > MOST_SIDE || view->height > MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image of %d x %d pixels: each side must be 1 to %d", view->width,
                        view->height, MOST_SIDE);
    if (!set_format(&pixels, view->format))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: format is %d, expected one of det_pixel_format, 0 to 4",
                        (int)view->format);
    const ptrdiff_t row = (ptrdiff_t)view->width * pixels.bytes, stride = view->stride_bytes;
    /* A negative stride goes up from the last row in memory; -stride must not overflow. */
    if (stride != 0 && stride < row && stride > -row)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: stride is %td bytes, a row of %d pixels has %td", stride,
                        view->width, row);
    if (stride > PTRDIFF_MAX / MOST_SIDE || stride < -(PTRDIFF_MAX / MOST_SIDE))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image: stride of %td bytes is too large",
                        stride);
    return DET_OK;
}

static void convert_row(uint8_t *to, const uint8_t *from, const struct det_pixels *pixels)
{
    for (int32_t x = 0; x < pixels->width; x++, to += 3, from += pixels->bytes) {
        to[0] = from[pixels->red];
        to[1] = from[pixels->green];
        to[2] = from[pixels->blue];
    }
}

det_status det_image_of_view(struct det_env *env, struct det_image *buffer,
                             const det_image_view *view, struct det_image *image)
{
    const struct det_pixels pixels = det_pixels_of_view(view);
    const size_t row = (size_t)view->width * 3;
    if (view->format == DET_PIXEL_RGB8 && pixels.stride == (ptrdiff_t)row) {
        /* Only read from here on. */
        *image = (struct det_image){.width = view->width,
                                    .height = view->height,
                                    .rgb = (uint8_t *)(uintptr_t)view->pixels};
        return DET_OK;
    }
    DET_TRY_RETURN(det_image_resize_buffer(env, buffer, view->width, view->height));
    for (int32_t y = 0; y < view->height; y++)
        convert_row(buffer->rgb + (size_t)y * row, pixels.first + y * pixels.stride, &pixels);
    *image = *buffer;
    return DET_OK;
}
