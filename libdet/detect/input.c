#include "detect/input.h"

#include <string.h>

#include "base/mem.h"

#define MOST_SIDE 65500 /* as det_image_resize_buffer() */

struct det_frame det_frame_of(const struct det_model_spec *spec, int32_t height, int32_t width)
{
    struct det_frame frame = {spec->input_height, spec->input_width, {0, 0, 1, 1}};
    if (spec->resize_mode != DET_RESIZE_KEEP_ASPECT)
        return frame;
    det_keep_aspect_size(height, width, spec->min_dimension, spec->max_dimension, &frame.height,
                         &frame.width);
    /* The spec says how large the result may be; a damaged one must not write beyond it. */
    if (frame.height > spec->input_height)
        frame.height = spec->input_height;
    if (frame.width > spec->input_width)
        frame.width = spec->input_width;
    frame.window[2] = (float)frame.height / (float)spec->input_height;
    frame.window[3] = (float)frame.width / (float)spec->input_width;
    return frame;
}

/* Bytes of a pixel and where its red, green and blue are. */
struct layout {
    int32_t bytes, red, green, blue;
};

static bool layout_of(det_pixel_format format, struct layout *layout)
{
    switch (format) {
    case DET_PIXEL_RGB8:
        *layout = (struct layout){3, 0, 1, 2};
        return true;
    case DET_PIXEL_BGR8:
        *layout = (struct layout){3, 2, 1, 0};
        return true;
    case DET_PIXEL_GRAY8:
        *layout = (struct layout){1, 0, 0, 0};
        return true;
    case DET_PIXEL_RGBA8:
        *layout = (struct layout){4, 0, 1, 2};
        return true;
    case DET_PIXEL_BGRA8:
        *layout = (struct layout){4, 2, 1, 0};
        return true;
    }
    return false;
}

det_status det_image_view_check(struct det_env *env, const det_image_view *view)
{
    struct layout layout;
    if (view == NULL || view->pixels == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "image: pixels are NULL");
    if (view->width < 1 || view->height < 1 || view->width > MOST_SIDE || view->height > MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image of %d x %d pixels: each side must be 1 to %d", view->width,
                        view->height, MOST_SIDE);
    if (!layout_of(view->format, &layout))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image: format is %d, expected one of det_pixel_format, 0 to 4",
                        (int)view->format);
    const ptrdiff_t row = (ptrdiff_t)view->width * layout.bytes, stride = view->stride_bytes;
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

void det_input_free(struct det_env *env, struct det_input *input)
{
    det_image_free(env, &input->rgb);
    det_resizer_free(env, &input->resizer);
}

size_t det_input_bytes(const struct det_input *input)
{
    const struct det_resizer *r = &input->resizer;
    return input->rgb.capacity_bytes + r->left_capacity * sizeof *r->left +
           r->right_capacity * sizeof *r->right + r->share_capacity * sizeof *r->x_share +
           (r->row_capacity[0] + r->row_capacity[1]) * sizeof *r->rows[0];
}

static void convert_row(uint8_t *to, const uint8_t *from, int32_t width, struct layout layout)
{
    for (int32_t x = 0; x < width; x++, to += 3, from += layout.bytes) {
        to[0] = from[layout.red];
        to[1] = from[layout.green];
        to[2] = from[layout.blue];
    }
}

det_status det_image_of_view(struct det_env *env, struct det_image *buffer,
                             const det_image_view *view, struct det_image *image)
{
    struct layout layout = {0};
    layout_of(view->format, &layout);
    const ptrdiff_t row = (ptrdiff_t)view->width * layout.bytes;
    const ptrdiff_t stride = view->stride_bytes == 0 ? row : view->stride_bytes;
    if (view->format == DET_PIXEL_RGB8 && stride == row) {
        /* Only read from here on. */
        *image = (struct det_image){.width = view->width,
                                    .height = view->height,
                                    .rgb = (uint8_t *)(uintptr_t)view->pixels};
        return DET_OK;
    }
    DET_TRY_RETURN(det_image_resize_buffer(env, buffer, view->width, view->height));
    uint8_t *to = buffer->rgb;
    for (int32_t y = 0; y < view->height; y++, to += (size_t)view->width * 3) {
        const uint8_t *from = view->pixels + (ptrdiff_t)y * stride;
        if (view->format == DET_PIXEL_RGB8)
            memcpy(to, from, (size_t)row);
        else
            convert_row(to, from, view->width, layout);
    }
    *image = *buffer;
    return DET_OK;
}

det_status det_input_fill(struct det_env *env, struct det_input *input, const det_image_view *view,
                          const struct det_frame *frame, float *out, int32_t out_height,
                          int32_t out_width)
{
    struct det_image image;
    DET_TRY_RETURN(det_image_of_view(env, &input->rgb, view, &image));
    const struct det_window window = det_window_whole(image.height, image.width);
    const size_t stride = (size_t)out_width * 3, used = (size_t)frame->width * 3;
    DET_TRY_RETURN(det_resize_rgb8(env, &input->resizer, &image, &window, out, stride,
                                   frame->height, frame->width));
    for (int32_t y = 0; y < out_height; y++, out += stride) {
        const size_t filled = y < frame->height ? used : 0;
        det_normalize_pixels(out, out, filled);
        memset(out + filled, 0, (stride - filled) * sizeof *out);
    }
    return DET_OK;
}
