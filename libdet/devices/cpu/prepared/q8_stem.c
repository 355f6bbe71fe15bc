#include "devices/cpu/prepared/q8_stem.h"

#include <string.h>

/* Real 0, which lies outside the image too. */
#define ZERO DETK_Q8_BIAS

static int32_t run_of(const struct detk_view *view)
{
    return view->taps_w * view->c;
}

/* With room for what the last pixel's last copy writes behind it. */
ptrdiff_t detk_q8_slab_plane(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return (ptrdiff_t)(view->out_w + 1) * kernels->words;
}

ptrdiff_t detk_q8_slab_row(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return detk_blocks(view->taps_h * run_of(view)) * detk_q8_slab_plane(kernels, view);
}

static int32_t in_rows(const struct detk_view *view, int32_t rows)
{
    return (rows - 1) * view->step + view->taps_h;
}

/* Bytes of a row of the image with all that windows see beside it, and that copies read behind
 * them; whole cache lines. */
static size_t line_bytes(const struct detk_view *view)
{
    const int64_t bytes = ((int64_t)view->out_w - 1) * view->step * 3 + 2 * (int64_t)DETK_BLOCK;
    return (size_t)detk_lines(bytes / (int64_t)sizeof(float) + 1) * sizeof(float);
}

static ptrdiff_t lines_at(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows)
{
    return (ptrdiff_t)detk_lines(rows * detk_q8_slab_row(kernels, view));
}

size_t detk_q8_slab_words(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows)
{
    return (size_t)lines_at(kernels, view, rows) +
           (size_t)in_rows(view, rows) * (line_bytes(view) / sizeof(float));
}

static void fill_line(const struct detk_blocked *kernels, const struct detk_view *view,
                      const float *source, int32_t image, int64_t y, uint8_t *line)
{
    const int64_t bytes = (int64_t)line_bytes(view);
    const int64_t before = view->x0 < 0 ? -(int64_t)view->x0 : 0;
    const int64_t first = view->x0 < 0 ? 0 : view->x0;
    const int64_t count = detk_max(0, detk_min((view->w - first) * 3, bytes - before * 3));
    memset(line, ZERO, (size_t)bytes);
    if (y < 0 || y >= view->h)
        return;
    source += (((int64_t)image * view->h + y) * view->w + first) * 3;
    kernels->narrow_input(source, (int32_t)count, line + before * 3);
}

/* A pixel's copies to a plane, of whole blocks: what goes beyond its end belongs to the next pixel,
 * whose first copy, to its first value, comes later. */
struct copy {
    const uint8_t *from;
    int32_t to;
};

static inline void copy_bytes(const struct detk_view *view, const struct copy *copies,
                              const int32_t count, uint8_t *plane)
{
    const ptrdiff_t step = (ptrdiff_t)view->step * 3;
    for (int32_t x = 0; x < view->out_w; x++, plane += DETK_BLOCK) {
        for (int32_t i = 0; i < count; i++)
            memcpy(plane + copies[i].to, copies[i].from + x * step, DETK_BLOCK);
    }
}

/* The same for values of 16 bits. */
static void widen_bytes(const struct detk_view *view, const struct copy *copies, int32_t count,
                        uint16_t *plane)
{
    const ptrdiff_t step = (ptrdiff_t)view->step * 3;
    for (int32_t x = 0; x < view->out_w; x++, plane += DETK_BLOCK) {
        for (int32_t i = 0; i < count; i++) {
            const uint8_t *from = copies[i].from + x * step;
            uint16_t *to = plane + copies[i].to;
            for (int32_t j = 0; j < DETK_BLOCK; j++)
                to[j] = from[j];
        }
    }
}

static void fill_row(const struct detk_blocked *kernels, const struct detk_view *view,
                     const uint8_t *lines, float *row)
{
    const int32_t run = run_of(view), bytes = view->taps_h * run;
    const size_t line = line_bytes(view);
    const ptrdiff_t plane = detk_q8_slab_plane(kernels, view);
    for (int32_t begin = 0; begin < bytes; begin += DETK_BLOCK, row += plane) {
        struct copy copies[DETK_BLOCK];
        int32_t count = 0;
        for (int32_t at = begin; at < bytes && at < begin + DETK_BLOCK; at += run - at % run)
            copies[count++] =
                (struct copy){lines + (size_t)(at / run) * line + at % run, at - begin};
        if (detk_q8_word_values(kernels) == 2)
            widen_bytes(view, copies, count, (uint16_t *)(void *)row);
        else if (count == 2) /* as a window of 3 x 3 has it */
            copy_bytes(view, copies, 2, (uint8_t *)row);
        else
            copy_bytes(view, copies, count, (uint8_t *)row);
    }
}

void detk_q8_slab_fill(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int32_t y, int32_t rows, float *slab)
{
    const int32_t count = in_rows(view, rows);
    const size_t line = line_bytes(view);
    uint8_t *lines = (uint8_t *)(slab + lines_at(kernels, view, rows));
    for (int32_t i = 0; i < count; i++)
        fill_line(kernels, view, source, image, (int64_t)y * view->step + view->y0 + i,
                  lines + (size_t)i * line);
    for (int32_t i = 0; i < rows; i++)
        fill_row(kernels, view, lines + (size_t)(i * view->step) * line,
                 slab + i * detk_q8_slab_row(kernels, view));
}
