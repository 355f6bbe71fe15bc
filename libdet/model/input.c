#include "model/input.h"

#include <string.h>

#include "base/pool.h"

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
    const struct det_pixels pixels = det_pixels_of_view(view);
    const struct det_window window = det_window_of_view(view);
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
