#include "model/input.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

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

/* A checked view's. */
static struct det_pixels pixels_of(const det_image_view *view)
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
    const struct det_pixels pixels = pixels_of(view);
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

/* Bands of rows, so that all threads can work. */
struct filling {
    const struct det_resizer *resizer;
    float *out;
    int32_t out_height, out_width;
    int32_t band; /* rows of a task */
};

static void fill_band(void *argument, int32_t task, int32_t worker)
{
    const struct filling *f = argument;
    const size_t stride = (size_t)f->out_width * 3, used = (size_t)f->resizer->out_width * 3;
    const int32_t first = task * f->band;
    const int32_t end = first + f->band < f->out_height ? first + f->band : f->out_height;
    float *out = f->out + (size_t)first * stride;
    const int32_t left = f->resizer->out_height - first; /* rows of the picture from here on */
    if (left > 0)
        det_resizer_rows(f->resizer, worker, first, left < end - first ? left : end - first, out,
                         stride);
    for (int32_t y = 0; y < end - first; y++, out += stride) {
        const size_t filled = y < left ? used : 0;
        det_normalize_pixels(out, out, filled);
        memset(out + filled, 0, (stride - filled) * sizeof *out);
    }
}

det_status det_input_fill(struct det_env *env, struct det_resizer *resizer, struct det_pool *pool,
                          const det_image_view *view, const struct det_frame *frame, float *out,
                          int32_t out_height, int32_t out_width)
{
    enum { LEAST_ROWS = 16 }; /* fewer are not worth a task */
    const struct det_pixels pixels = pixels_of(view);
    const struct det_window window = det_window_whole(view->height, view->width);
    const int32_t threads = det_pool_threads(pool);
    DET_TRY_RETURN(
        det_resizer_set(env, resizer, &pixels, &window, frame->height, frame->width, threads));
    int32_t band = out_height / (2 * threads) + 1;
    if (band < LEAST_ROWS)
        band = LEAST_ROWS;
    struct filling filling = {resizer, out, out_height, out_width, band};
    det_pool_run(pool, (out_height + band - 1) / band, fill_band, &filling);
    return DET_OK;
}
