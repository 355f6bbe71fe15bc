#include "data/image_view.h"

#include "data/yuv.h"

#define MOST_PLANES 2 /* of colour */

struct layout {
    struct det_pixels pixel; /* nothing but what one is made of */
    const char *name;
    int32_t planes; /* of colour, MOST_PLANES at most; 0: it is with the Y, or there is none */
};

static const struct layout *layout_of(det_pixel_format format)
{
    static const struct layout layouts[] = {
        [DET_PIXEL_RGB8] = {.pixel = {.bytes = 3, .green = 1, .blue = 2}},
        [DET_PIXEL_BGR8] = {.pixel = {.bytes = 3, .red = 2, .green = 1}},
        [DET_PIXEL_GRAY8] = {.pixel = {.bytes = 1}},
        [DET_PIXEL_RGBA8] = {.pixel = {.bytes = 4, .green = 1, .blue = 2}},
        [DET_PIXEL_BGRA8] = {.pixel = {.bytes = 4, .red = 2, .green = 1}},
        [DET_PIXEL_NV12] = {{.bytes = 1, .chroma_step = 2, .chroma_shift = 1}, "NV12", 1},
        [DET_PIXEL_I420] = {{.bytes = 1, .chroma_step = 1, .chroma_shift = 1}, "I420", 2},
        [DET_PIXEL_YUYV] = {.pixel = {.bytes = 2, .chroma_step = 4}},
    };
    return (size_t)format < sizeof layouts / sizeof layouts[0] ? &layouts[format] : NULL;
}

/* Of a row of colour: of NV12 and I420 in one of its planes. */
static ptrdiff_t chroma_bytes(const struct layout *layout, int32_t width)
{
    return ((ptrdiff_t)width + 1) / 2 * layout->pixel.chroma_step;
}

static ptrdiff_t row_bytes(const struct layout *layout, int32_t width)
{
    if (layout->pixel.chroma_step > 0 && layout->planes == 0)
        return chroma_bytes(layout, width);
    return (ptrdiff_t)width * layout->pixel.bytes;
}

static ptrdiff_t stride_or(ptrdiff_t stride, ptrdiff_t row)
{
    return stride == 0 ? row : stride;
}

struct det_pixels det_pixels_of_view(const det_image_view *view)
{
    const struct layout *layout = layout_of(view->format);
    struct det_pixels pixels = layout->pixel;
    pixels.first = view->pixels;
    pixels.height = view->height;
    pixels.width = view->width;
    pixels.stride = stride_or(view->stride_bytes, row_bytes(layout, view->width));
    if (pixels.chroma_step == 0)
        return pixels;
    pixels.yuv = det_yuv_of(view->yuv_color);
    if (layout->planes == 0) {
        pixels.u = pixels.first + 1;
        pixels.v = pixels.first + 3;
        pixels.u_stride = pixels.v_stride = pixels.stride;
        return pixels;
    }
    const ptrdiff_t row = chroma_bytes(layout, view->width);
    const bool apart = layout->planes == 2;
    pixels.u = view->chroma[0];
    pixels.v = apart ? view->chroma[1] : view->chroma[0] + 1;
    pixels.u_stride = stride_or(view->chroma_stride_bytes[0], row);
    pixels.v_stride = apart ? stride_or(view->chroma_stride_bytes[1], row) : pixels.u_stride;
    return pixels;
}

struct det_window det_window_of_view(const det_image_view *view)
{
    const det_region r = view->region;
    if (r.height == 0 && r.width == 0)
        return det_window_whole(view->height, view->width);
    return (struct det_window){.y = r.y, .x = r.x, .height = r.height, .width = r.width};
}

static det_status check_stride(struct det_env *env, const char *field, ptrdiff_t stride,
                               int32_t width, ptrdiff_t row)
{
    /* A negative stride goes up from the last row in memory; -stride must not overflow. */
    if (stride != 0 && stride < row && stride > -row)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: %s is %td bytes, a row of %d pixels has %td", field, stride, width,
                        row);
    if (stride > PTRDIFF_MAX / DET_IMAGE_MOST_SIDE || stride < -(PTRDIFF_MAX / DET_IMAGE_MOST_SIDE))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image: %s of %td bytes is too large",
                        field, stride);
    return DET_OK;
}

static det_status check_color(struct det_env *env, const det_image_view *view,
                              const struct layout *layout)
{
    static const char *const strides[MOST_PLANES] = {"stride of chroma[0]", "stride of chroma[1]"};
    if (layout->pixel.chroma_step == 0)
        return DET_OK;
    if (det_yuv_of(view->yuv_color) == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: yuv_color is %d, expected one of det_yuv_color, 0 to 3",
                        (int)view->yuv_color);
    for (int i = 0; i < MOST_PLANES && i < layout->planes; i++) {
        if (view->chroma[i] == NULL)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "image: chroma[%d] is NULL, %s has %d planes of colour", i,
                            layout->name, layout->planes);
        DET_TRY_RETURN(check_stride(env, strides[i], view->chroma_stride_bytes[i], view->width,
                                    chroma_bytes(layout, view->width)));
    }
    return DET_OK;
}

static det_status check_region(struct det_env *env, const det_image_view *view)
{
    const det_region r = view->region;
    if (r.y == 0 && r.x == 0 && r.height == 0 && r.width == 0)
        return DET_OK;
    if (r.y < 0 || r.x < 0 || r.height < 1 || r.width < 1 || r.height > view->height - r.y ||
        r.width > view->width - r.x)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: region of %d x %d pixels at column %d, row %d is not inside the "
                        "image of %d x %d",
                        r.width, r.height, r.x, r.y, view->width, view->height);
    return DET_OK;
}

det_status det_image_view_check(struct det_env *env, const det_image_view *view)
{
    if (view == NULL || view->pixels == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image: pixels are NULL");
    if (view->width < 1 || view->height < 1 || view->width > DET_IMAGE_MOST_SIDE ||
        view->height > DET_IMAGE_MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image of %d x %d pixels: each side must be 1 to %d", view->width,
                        view->height, DET_IMAGE_MOST_SIDE);
    const struct layout *layout = layout_of(view->format);
    if (layout == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: format is %d, expected one of det_pixel_format, 0 to 7",
                        (int)view->format);
    DET_TRY_RETURN(check_stride(env, "stride", view->stride_bytes, view->width,
                                row_bytes(layout, view->width)));
    DET_TRY_RETURN(check_color(env, view, layout));
    return check_region(env, view);
}

det_status det_image_copy_view(struct det_env *env, const det_image_view *view,
                               struct det_image *image)
{
    const struct det_pixels pixels = det_pixels_of_view(view);
    const struct det_window window = det_window_of_view(view);
    DET_TRY_RETURN(det_image_resize_buffer(env, image, window.width, window.height));
    for (int32_t y = 0; y < window.height; y++)
        det_pixels_row(&pixels, window.y + y, window.x, window.width,
                       image->rgb + (size_t)y * (size_t)window.width * 3);
    return DET_OK;
}

det_status det_image_of_view(struct det_env *env, struct det_image *buffer,
                             const det_image_view *view, struct det_image *image)
{
    const struct det_pixels pixels = det_pixels_of_view(view);
    const struct det_window window = det_window_of_view(view);
    if (view->format == DET_PIXEL_RGB8 && pixels.stride == (ptrdiff_t)window.width * 3) {
        /* Only read from here on. */
        *image = (struct det_image){
            .width = window.width,
            .height = window.height,
            .rgb = (uint8_t *)(uintptr_t)(view->pixels + window.y * pixels.stride)};
        return DET_OK;
    }
    DET_TRY_RETURN(det_image_copy_view(env, view, buffer));
    *image = *buffer;
    return DET_OK;
}

/* Weights of 16 bits that add up to 1. */
uint8_t det_grey_of_rgb(const uint8_t *rgb)
{
    return (uint8_t)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16);
}

static void write_row(const uint8_t *rgb, int32_t width, const struct det_pixels *pixel,
                      uint8_t *to)
{
    for (int32_t x = 0; x < width; x++, rgb += 3, to += pixel->bytes) {
        if (pixel->bytes == 1) {
            to[0] = det_grey_of_rgb(rgb);
            continue;
        }
        to[pixel->red] = rgb[0];
        to[pixel->green] = rgb[1];
        to[pixel->blue] = rgb[2];
        if (pixel->bytes == 4)
            to[3] = 255;
    }
}

det_status det_image_to_pixels(struct det_env *env, const struct det_image *image,
                               det_pixel_format format, uint8_t *pixels, size_t bytes,
                               size_t stride)
{
    const struct layout *layout = layout_of(format);
    if (layout == NULL || layout->pixel.chroma_step != 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: format is %d, expected RGB8, BGR8, GRAY8, RGBA8 or BGRA8",
                        (int)format);
    const size_t row = (size_t)row_bytes(layout, image->width), last = (size_t)image->height - 1;
    const size_t step = stride == 0 ? row : stride;
    if (step < row)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: stride is %zu bytes, a row of %d pixels has %zu", stride,
                        image->width, row);
    if (step > (SIZE_MAX - row) / DET_IMAGE_MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: stride of %zu bytes is too large", stride);
    if (last * step + row > bytes)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "picture: %zu bytes are too few for %d rows of %zu bytes, %zu apart, which "
                        "take %zu",
                        bytes, image->height, row, step, last * step + row);
    for (size_t y = 0; y <= last; y++)
        write_row(image->rgb + y * (size_t)image->width * 3, image->width, &layout->pixel,
                  pixels + y * step);
    return DET_OK;
}
