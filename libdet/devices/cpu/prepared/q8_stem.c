#include "devices/cpu/prepared/q8_stem.h"

#include <string.h>

#include "support/mem.h"

/* Real 0, which lies outside the image too. */
#define ZERO 0

det_status detk_q8_stem_weights(struct det_env *env, const struct detk_view *view, int32_t out_c,
                                const int8_t *weights, int8_t **to)
{
    const size_t run = (size_t)view->taps_w * 3 * (size_t)out_c;
    const size_t block = (size_t)out_c * DETK_BLOCK;
    DET_TRY_RETURN(det_alloc(env, to, (size_t)view->taps_h, block, "packed weights"));
    for (size_t y = 0; y < (size_t)view->taps_h; y++)
        memcpy(*to + y * block, weights + y * run, run);
    return DET_OK;
}

ptrdiff_t detk_q8_slab_pitch(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return (ptrdiff_t)view->out_w * kernels->words;
}

static int32_t in_rows(const struct detk_view *view, int32_t rows)
{
    return (rows - 1) * view->step + view->taps_h;
}

/* Bytes of a row of the image with all that windows see beside it, and that blocks read behind
 * them. */
static size_t line_bytes(const struct detk_view *view)
{
    return ((size_t)(view->out_w - 1) * (size_t)view->step) * 3 + DETK_BLOCK;
}

size_t detk_q8_slab_words(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows)
{
    return (size_t)detk_lines(in_rows(view, rows) * detk_q8_slab_pitch(kernels, view)) +
           (size_t)detk_lines((int64_t)(line_bytes(view) / sizeof(float) + 1));
}

static void fill_line(const struct detk_blocked *kernels, const struct detk_view *view,
                      const float *source, uint8_t *line)
{
    const int64_t bytes = (int64_t)line_bytes(view);
    const int64_t before = view->x0 < 0 ? -(int64_t)view->x0 : 0;
    const int64_t first = view->x0 < 0 ? 0 : view->x0;
    const int64_t count = detk_max(0, detk_min((view->w - first) * 3, bytes - before * 3));
    memset(line, ZERO + DETK_Q8_BIAS, (size_t)bytes);
    kernels->narrow_input(source + first * 3, (int32_t)count, line + before * 3);
}

/* Windows of 16 bytes, `step` apart, as blocks. */
static void fill_row(const struct detk_blocked *kernels, const uint8_t *line, int32_t step,
                     int32_t count, float *row)
{
    if (detk_q8_word_values(kernels) == 4) {
        for (int32_t x = 0; x < count; x++)
            memcpy(row + (ptrdiff_t)x * kernels->words, line + (ptrdiff_t)x * step, DETK_BLOCK);
        return;
    }
    for (int32_t x = 0; x < count; x++) {
        uint16_t values[DETK_BLOCK];
        for (int32_t j = 0; j < DETK_BLOCK; j++)
            values[j] = line[(ptrdiff_t)x * step + j];
        memcpy(row + (ptrdiff_t)x * kernels->words, values, sizeof values);
    }
}

void detk_q8_slab_fill(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int32_t y, int32_t rows, float *slab)
{
    const ptrdiff_t pitch = detk_q8_slab_pitch(kernels, view);
    const int32_t count = in_rows(view, rows), step = view->step * 3;
    uint8_t *line = (uint8_t *)(slab + detk_lines(count * pitch));
    for (int32_t i = 0; i < count; i++, slab += pitch) {
        const int64_t from = (int64_t)y * view->step + view->y0 + i;
        if (from < 0 || from >= view->h) {
            detk_fill_zeros(kernels, ZERO, slab, (size_t)pitch);
            continue;
        }
        fill_line(kernels, view, source + ((int64_t)image * view->h + from) * view->w * 3, line);
        fill_row(kernels, line, step, view->out_w, slab);
    }
}
