#include "devices/cpu/prepared/q8_stem.h"

#include <string.h>

#include "support/mem.h"

/* Kernels read such windows where they lie. */
static bool in_place(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return kernels->pair_lines != NULL && view->c == 3 && view->taps_h == 3 && view->taps_w == 3 &&
           view->step == 2;
}

static int32_t run_of(const struct detk_view *view)
{
    return view->taps_w * view->c;
}

static int32_t in_rows(const struct detk_view *view, int32_t rows)
{
    return (rows - 1) * view->step + view->taps_h;
}

/* Bytes of a stored value. */
static size_t value_bytes(const struct detk_blocked *kernels)
{
    return sizeof(float) / (size_t)detk_q8_word_values(kernels);
}

/* Values of a row of the image with all that windows see beside it, and that copies read behind
 * them; whole cache lines. */
static size_t line_values(const struct detk_view *view)
{
    const int64_t values = ((int64_t)view->out_w - 1) * view->step * 3 + 2 * (int64_t)DETK_BLOCK;
    return (size_t)detk_lines(values / (int64_t)sizeof(float) + 1) * sizeof(float);
}

static size_t line_bytes(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return line_values(view) * value_bytes(kernels);
}

static ptrdiff_t line_words(const struct detk_blocked *kernels, const struct detk_view *view)
{
    return (ptrdiff_t)(line_bytes(kernels, view) / sizeof(float));
}

/* In the order of words of two rows, then of the third. */
static det_status pack_in_place(struct det_env *env, const struct detk_blocked *kernels,
                                int32_t out_c, const struct det_q8_conv *layer, float real_scale,
                                struct detk_pointwise *to)
{
    const int32_t row = 3 * 3, terms = 3 * row;
    const size_t bytes = (size_t)out_c;
    int8_t *weights = NULL;
    struct det_q8_conv ordered = *layer;
    DET_TRY_RETURN(det_alloc(env, &weights, (size_t)terms, bytes, "packed weights"));
    for (int32_t k = 0; k < terms; k++) {
        const int32_t from = k < 2 * row ? k / 2 + k % 2 * row : k;
        memcpy(weights + (size_t)k * bytes, layer->weights + (size_t)from * bytes, bytes);
    }
    ordered.weights = weights;
    const det_status status =
        detk_q8_pointwise_pack(env, kernels, terms, out_c, &ordered, real_scale, to);
    to->windows = true;
    det_free(env, &weights);
    return status;
}

det_status detk_q8_stem_pack(struct det_env *env, const struct detk_blocked *kernels,
                             const struct detk_view *view, int32_t out_c,
                             const struct det_q8_conv *layer, float real_scale,
                             struct detk_pointwise *to)
{
    if (in_place(kernels, view))
        return pack_in_place(env, kernels, out_c, layer, real_scale, to);
    return detk_q8_pointwise_pack(env, kernels, (int32_t)detk_view_terms(view), out_c, layer,
                                  real_scale, to);
}

/* With room for what the last pixel's last copy writes behind it. */
ptrdiff_t detk_q8_slab_plane(const struct detk_blocked *kernels, const struct detk_view *view)
{
    if (in_place(kernels, view))
        return 2 * line_words(kernels, view);
    return (ptrdiff_t)(view->out_w + 1) * kernels->words;
}

ptrdiff_t detk_q8_slab_row(const struct detk_blocked *kernels, const struct detk_view *view)
{
    if (in_place(kernels, view))
        return 3 * line_words(kernels, view);
    return detk_blocks(view->taps_h * run_of(view)) * detk_q8_slab_plane(kernels, view);
}

static ptrdiff_t lines_at(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows)
{
    return (ptrdiff_t)detk_lines(rows * detk_q8_slab_row(kernels, view));
}

size_t detk_q8_slab_words(const struct detk_blocked *kernels, const struct detk_view *view,
                          int32_t rows)
{
    const int32_t lines = in_place(kernels, view) ? 2 : in_rows(view, rows);
    return (size_t)(lines_at(kernels, view, rows) + lines * line_words(kernels, view));
}

/* Values first .. end - 1 are real 0. */
static void fill(const struct detk_blocked *kernels, int64_t first, int64_t end, char *line)
{
    const size_t bytes = value_bytes(kernels);
    const uint64_t each = bytes == 2 ? 0x0001000100010001 : 0x0101010101010101;
    const uint64_t zeros = each * DETK_Q8_BIAS;
    const char *last = line + (size_t)end * bytes;
    char *to = line + (size_t)first * bytes;
    for (; last - to >= (ptrdiff_t)sizeof zeros; to += sizeof zeros)
        memcpy(to, &zeros, sizeof zeros);
    for (; to < last; to += bytes)
        memcpy(to, &zeros, bytes);
}

static void fill_line(const struct detk_blocked *kernels, const struct detk_view *view,
                      const float *source, int32_t image, int64_t y, char *line)
{
    const int64_t values = (int64_t)line_values(view);
    const int64_t before = view->x0 < 0 ? -(int64_t)view->x0 : 0;
    const int64_t first = view->x0 < 0 ? 0 : view->x0;
    const int64_t count = detk_max(0, detk_min((view->w - first) * 3, values - before * 3));
    const bool outside = y < 0 || y >= view->h;
    const int64_t left = outside ? values : before * 3, right = outside ? values : left + count;
    fill(kernels, 0, left, line);
    fill(kernels, right, values, line);
    if (outside)
        return;
    source += (((int64_t)image * view->h + y) * view->w + first) * 3;
    kernels->narrow_input(source, (int32_t)count, line + (size_t)before * 3 * value_bytes(kernels));
}

/* A pixel's copies to a plane, of whole blocks: what goes beyond its end belongs to the next pixel,
 * whose first copy, to its first value, comes later. */
struct copy {
    const char *from;
    size_t to;
};

static inline void copy_blocks(const struct detk_view *view, const struct copy *copies,
                               const int32_t count, const size_t bytes, char *plane)
{
    const size_t step = (size_t)view->step * 3 * bytes / DETK_BLOCK;
    for (int32_t x = 0; x < view->out_w; x++, plane += bytes) {
        for (int32_t i = 0; i < count; i++)
            memcpy(plane + copies[i].to, copies[i].from + (size_t)x * step, bytes);
    }
}

/* Two as a window of 3 x 3 has it. */
static void copy_values(const struct detk_view *view, const struct copy *copies, int32_t count,
                        size_t value, char *plane)
{
    if (value == 2 && count == 2)
        copy_blocks(view, copies, 2, 2 * DETK_BLOCK, plane);
    else if (count == 2)
        copy_blocks(view, copies, 2, DETK_BLOCK, plane);
    else
        copy_blocks(view, copies, count, value * DETK_BLOCK, plane);
}

static void fill_row(const struct detk_blocked *kernels, const struct detk_view *view,
                     const char *lines, float *row)
{
    const int32_t run = run_of(view), values = view->taps_h * run;
    const size_t line = line_bytes(kernels, view), value = value_bytes(kernels);
    const ptrdiff_t plane = detk_q8_slab_plane(kernels, view);
    for (int32_t begin = 0; begin < values; begin += DETK_BLOCK, row += plane) {
        struct copy copies[DETK_BLOCK];
        int32_t count = 0;
        for (int32_t at = begin; at < values && at < begin + DETK_BLOCK; at += run - at % run)
            copies[count++] =
                (struct copy){lines + (size_t)(at / run) * line + (size_t)(at % run) * value,
                              (size_t)(at - begin) * value};
        copy_values(view, copies, count, value, (char *)row);
    }
}

/* Each line of the image once: a row's third is the next one's first. */
static void fill_pairs(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int64_t y, int32_t rows, float *slab,
                       float *lines)
{
    const ptrdiff_t words = line_words(kernels, view);
    const int64_t values = (int64_t)line_values(view);
    char *first = (char *)lines, *second = (char *)(lines + words);
    fill_line(kernels, view, source, image, y, first);
    for (int32_t i = 0; i < rows; i++, y += 2, slab += 3 * words) {
        char *third = (char *)(slab + 2 * words);
        fill_line(kernels, view, source, image, y + 1, second);
        fill_line(kernels, view, source, image, y + 2, third);
        kernels->pair_lines(first, second, values, (char *)slab);
        first = third;
    }
}

/* Lines, and of each row's a copy of what its windows see. */
static void fill_windows(const struct detk_blocked *kernels, const struct detk_view *view,
                         const float *source, int32_t image, int64_t y, int32_t rows, float *slab,
                         float *lines)
{
    const size_t line = line_bytes(kernels, view);
    const int32_t count = in_rows(view, rows);
    char *first = (char *)lines;
    for (int32_t i = 0; i < count; i++)
        fill_line(kernels, view, source, image, y + i, first + (size_t)i * line);
    for (int32_t i = 0; i < rows; i++)
        fill_row(kernels, view, first + (size_t)(i * view->step) * line,
                 slab + i * detk_q8_slab_row(kernels, view));
}

void detk_q8_slab_fill(const struct detk_blocked *kernels, const struct detk_view *view,
                       const float *source, int32_t image, int32_t y, int32_t rows, float *slab)
{
    float *lines = slab + lines_at(kernels, view, rows);
    const int64_t first = (int64_t)y * view->step + view->y0;
    if (in_place(kernels, view))
        fill_pairs(kernels, view, source, image, first, rows, slab, lines);
    else
        fill_windows(kernels, view, source, image, first, rows, slab, lines);
}
