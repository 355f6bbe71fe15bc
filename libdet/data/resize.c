#include "data/resize.h"

#include <math.h>
#include <string.h>

#include "data/yuv.h"
#include "support/mem.h"

/* The compiler's own vectors, which it turns into what the machine has. */
typedef float four_floats __attribute__((vector_size(16)));
typedef int32_t four_ints __attribute__((vector_size(16)));
typedef uint16_t eight_halves __attribute__((vector_size(16)));
typedef uint8_t sixteen_bytes __attribute__((vector_size(16)));

static inline four_floats load_floats(const float *from)
{
    four_floats a;
    memcpy(&a, from, sizeof a);
    return a;
}

struct det_window det_window_whole(int32_t height, int32_t width)
{
    return (struct det_window){.height = height, .width = width};
}

/* Where an output coordinate reads: two places in the window and the share of the second. */
struct tap {
    int32_t low, high;
    float share;
};

static struct tap tap_at(int32_t out, float scale, int32_t in_size)
{
    const float position = (float)out * scale;
    const float low = floorf(position);
    struct tap tap = {.low = (int32_t)low, .high = (int32_t)ceilf(position)};
    tap.share = position - low;
    /* Rounding of the scale may reach the end. */
    if (tap.low > in_size - 1)
        tap.low = in_size - 1;
    if (tap.high > in_size - 1)
        tap.high = in_size - 1;
    return tap;
}

static int32_t source_row(const struct det_window *window, int32_t y)
{
    return window->y + (window->flip_y ? window->height - 1 - y : y);
}

static int32_t source_column(const struct det_window *window, int32_t x)
{
    return window->x + (window->flip_x ? window->width - 1 - x : x);
}

void det_resize_reference(const struct det_image *image, const struct det_window *window,
                          float *out, size_t out_stride, int32_t out_height, int32_t out_width)
{
    const float y_scale = (float)window->height / (float)out_height;
    const float x_scale = (float)window->width / (float)out_width;
    for (int32_t y = 0; y < out_height; y++) {
        const struct tap ty = tap_at(y, y_scale, window->height);
        const size_t low = (size_t)source_row(window, ty.low) * (size_t)image->width;
        const size_t high = (size_t)source_row(window, ty.high) * (size_t)image->width;
        for (int32_t x = 0; x < out_width; x++) {
            const struct tap tx = tap_at(x, x_scale, window->width);
            const size_t left = (size_t)source_column(window, tx.low);
            const size_t right = (size_t)source_column(window, tx.high);
            for (size_t c = 0; c < 3; c++) {
                const float top_left = image->rgb[(low + left) * 3 + c];
                const float top_right = image->rgb[(low + right) * 3 + c];
                const float bottom_left = image->rgb[(high + left) * 3 + c];
                const float bottom_right = image->rgb[(high + right) * 3 + c];
                const float top = top_left + (top_right - top_left) * tx.share;
                const float bottom = bottom_left + (bottom_right - bottom_left) * tx.share;
                out[(size_t)y * out_stride + (size_t)x * 3 + c] = top + (bottom - top) * ty.share;
            }
        }
    }
}

struct det_pixels det_pixels_of_image(const struct det_image *image)
{
    return (struct det_pixels){.first = image->rgb,
                               .stride = (ptrdiff_t)image->width * 3,
                               .height = image->height,
                               .width = image->width,
                               .bytes = 3,
                               .green = 1,
                               .blue = 2};
}

/* A row of Y with its colour. */
struct yuv_row {
    const uint8_t *y, *u, *v;
    ptrdiff_t y_step, chroma_step;
};

static inline struct yuv_row yuv_row_at(const struct det_pixels *pixels, int32_t y)
{
    const int32_t chroma = y >> pixels->chroma_shift;
    return (struct yuv_row){.y = pixels->first + y * pixels->stride,
                            .u = pixels->u + chroma * pixels->u_stride,
                            .v = pixels->v + chroma * pixels->v_stride,
                            .y_step = pixels->bytes,
                            .chroma_step = pixels->chroma_step};
}

static inline det_yuv_floats yuv_pixel(const struct yuv_row *row, const struct det_yuv *yuv,
                                       int32_t x)
{
    const ptrdiff_t chroma = (x >> 1) * row->chroma_step;
    return det_yuv_to_rgb(yuv, row->y[x * row->y_step], row->u[chroma], row->v[chroma]);
}

void det_pixels_row(const struct det_pixels *pixels, int32_t y, int32_t x, int32_t width,
                    uint8_t *rgb)
{
    if (pixels->yuv != NULL) {
        const struct yuv_row row = yuv_row_at(pixels, y);
        for (const int32_t end = x + width; x < end; x++, rgb += 3) {
            const det_yuv_floats value = yuv_pixel(&row, pixels->yuv, x);
            for (int c = 0; c < 3; c++)
                rgb[c] = (uint8_t)value[c];
        }
        return;
    }
    const uint8_t *from = pixels->first + y * pixels->stride + (ptrdiff_t)x * pixels->bytes;
    for (; width > 0; width--, rgb += 3, from += pixels->bytes) {
        rgb[0] = from[pixels->red];
        rgb[1] = from[pixels->green];
        rgb[2] = from[pixels->blue];
    }
}

void det_resizer_free(struct det_env *env, struct det_resizer *resizer)
{
    det_free(env, &resizer->left);
    det_free(env, &resizer->right);
    det_free(env, &resizer->x_share);
    det_free(env, &resizer->rows);
    *resizer = (struct det_resizer){0};
}

size_t det_resizer_bytes(const struct det_resizer *r)
{
    return r->left_capacity * sizeof *r->left + r->right_capacity * sizeof *r->right +
           r->share_capacity * sizeof *r->x_share + r->row_capacity * sizeof *r->rows;
}

/* Floats of a row buffer: four are written at a time, one more than a pixel has. */
static size_t row_floats(const struct det_resizer *r)
{
    return (size_t)r->out_width * 3 + 1;
}

/* The tables for a source whose pixels are `step` elements apart. */
static det_status prepare(struct det_env *env, struct det_resizer *r,
                          const struct det_window *window, int32_t source_height,
                          int32_t source_width, int32_t step, int32_t out_height, int32_t out_width,
                          int32_t workers)
{
    if (window->height < 1 || window->width < 1 || window->y < 0 || window->x < 0 ||
        window->height > source_height - window->y || window->width > source_width - window->x)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "resize: window %d,%d of %d x %d is outside the image of %d x %d pixels",
                        window->x, window->y, window->width, window->height, source_width,
                        source_height);
    if (out_height < 1 || out_width < 1 || out_height > 65500 || out_width > 65500)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "resize: output of %d x %d pixels: each side must be 1 to 65500", out_width,
                        out_height);
    const size_t width = (size_t)out_width;
    r->window = *window;
    r->out_height = out_height;
    r->out_width = out_width;
    DET_TRY_RETURN(
        det_grow(env, &r->left, &r->left_capacity, width, sizeof *r->left, "resize table"));
    DET_TRY_RETURN(
        det_grow(env, &r->right, &r->right_capacity, width, sizeof *r->right, "resize table"));
    DET_TRY_RETURN(
        det_grow(env, &r->x_share, &r->share_capacity, width, sizeof *r->x_share, "resize table"));
    DET_TRY_RETURN(det_grow(env, &r->rows, &r->row_capacity, (size_t)workers * 2 * row_floats(r),
                            sizeof *r->rows, "resize rows"));
    const float scale = (float)window->width / (float)out_width;
    for (int32_t x = 0; x < out_width; x++) {
        const struct tap tap = tap_at(x, scale, window->width);
        r->left[x] = step * source_column(window, tap.low);
        r->right[x] = step * source_column(window, tap.high);
        r->x_share[x] = tap.share;
    }
    return DET_OK;
}

static void stretch_grey(const struct det_resizer *r, const uint8_t *row, float *out)
{
    for (int32_t x = 0; x < r->out_width; x++, out += 3) {
        const float a = row[r->left[x]], b = row[r->right[x]];
        out[0] = out[1] = out[2] = a + (b - a) * r->x_share[x];
    }
}

static void stretch_pixel(const struct det_resizer *r, const uint8_t *row, int32_t x, float *out)
{
    const int32_t places[3] = {r->pixels.red, r->pixels.green, r->pixels.blue};
    for (int c = 0; c < 3; c++) {
        const float a = row[r->left[x] + places[c]], b = row[r->right[x] + places[c]];
        out[c] = a + (b - a) * r->x_share[x];
    }
}

static inline four_floats load_bytes(const uint8_t *from)
{
    int32_t word;
    memcpy(&word, from, sizeof word);
    const sixteen_bytes bytes = (sixteen_bytes)(four_ints){word}, no_bytes = {0};
    const eight_halves no_halves = {0};
    /* Zeros between the bytes, then between pairs of them: two instructions where there are
     * vectors. */
    const eight_halves halves = (eight_halves)__builtin_shufflevector(
        bytes, no_bytes, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const four_ints ints =
        (four_ints)__builtin_shufflevector(halves, no_halves, 0, 8, 1, 9, 2, 10, 3, 11);
    return __builtin_convertvector(ints, four_floats);
}

/* A row of pixels of three or four bytes. The last pixel of a row of three is read byte by byte:
 * nothing need follow it. */
static inline void stretch_color(const struct det_resizer *r, const uint8_t *row, bool reversed,
                                 float *out)
{
    const int32_t last = r->pixels.width * r->pixels.bytes - 4, width = r->out_width;
    const int32_t *const lefts = r->left, *const rights = r->right;
    const float *const shares = r->x_share;
    for (int32_t x = 0; x < width; x++, out += 3) {
        const int32_t left = lefts[x], right = rights[x];
        if (left <= last && right <= last) {
            const four_floats a = load_bytes(row + left), b = load_bytes(row + right);
            four_floats value = a + (b - a) * shares[x];
            if (reversed)
                value = __builtin_shufflevector(value, value, 2, 1, 0, 3);
            /* The fourth value falls into the next pixel's place, which is written later. */
            memcpy(out, &value, sizeof value);
            continue;
        }
        stretch_pixel(r, row, x, out);
    }
}

static void stretch_yuv(const struct det_resizer *r, int32_t y, float *out)
{
    const struct yuv_row row = yuv_row_at(&r->pixels, y);
    /* A copy stays in registers while `out` is written. */
    const struct det_yuv yuv = *r->pixels.yuv;
    const int32_t *const lefts = r->left, *const rights = r->right, width = r->out_width;
    const float *const shares = r->x_share;
    for (int32_t x = 0; x < width; x++, out += 3) {
        const four_floats a = yuv_pixel(&row, &yuv, lefts[x]);
        const four_floats b = yuv_pixel(&row, &yuv, rights[x]);
        const four_floats value = a + (b - a) * shares[x];
        /* The fourth value falls into the next pixel's place, which is written later. */
        memcpy(out, &value, sizeof value);
    }
}

static void stretch_floats(const struct det_resizer *r, const float *row, float *out)
{
    for (int32_t x = 0; x < r->out_width; x++, out += 3) {
        const float share = r->x_share[x];
        for (int c = 0; c < 3; c++) {
            const float a = row[r->left[x] + c], b = row[r->right[x] + c];
            out[c] = a + (b - a) * share;
        }
    }
}

/* Row `y` of the window stretched to the output's width. */
static void stretch(const struct det_resizer *r, int32_t y, float *out)
{
    const int32_t at = source_row(&r->window, y);
    if (r->floats != NULL) {
        stretch_floats(r, r->floats + (size_t)at * (size_t)r->floats_stride * 3, out);
        return;
    }
    if (r->pixels.yuv != NULL) {
        stretch_yuv(r, at, out);
        return;
    }
    const uint8_t *row = r->pixels.first + at * r->pixels.stride;
    if (r->pixels.bytes == 1)
        stretch_grey(r, row, out);
    else if (r->pixels.red > r->pixels.blue)
        stretch_color(r, row, true, out);
    else
        stretch_color(r, row, false, out);
}

static void blend_rows(float *out, const float *top, const float *bottom, float share, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const four_floats a = load_floats(top + i), b = load_floats(bottom + i);
        const four_floats value = a + (b - a) * share;
        memcpy(out + i, &value, sizeof value);
    }
    for (; i < count; i++)
        out[i] = top[i] + (bottom[i] - top[i]) * share;
}

void det_resizer_rows(const struct det_resizer *r, int32_t worker, int32_t y, int32_t count,
                      float *out, size_t out_stride)
{
    const float scale = (float)r->window.height / (float)r->out_height;
    float *const first = r->rows + (size_t)worker * 2 * row_floats(r);
    float *const rows[2] = {first, first + row_floats(r)};
    int32_t held[2] = {-1, -1}; /* which window row each buffer holds */
    for (const int32_t end = y + count; y < end; y++, out += out_stride) {
        const struct tap tap = tap_at(y, scale, r->window.height);
        int place[2] = {0, 0};
        for (int i = 0; i < 2; i++) {
            const int32_t wanted = i == 0 ? tap.low : tap.high;
            if (held[0] == wanted || held[1] == wanted) {
                place[i] = held[0] == wanted ? 0 : 1;
                continue;
            }
            /* Do not overwrite the row that this output row needs as well. */
            place[i] = i == 1 ? 1 - place[0] : held[0] == tap.high ? 1 : 0;
            held[place[i]] = wanted;
            stretch(r, wanted, rows[place[i]]);
        }
        blend_rows(out, rows[place[0]], rows[place[1]], tap.share, (size_t)r->out_width * 3);
    }
}

det_status det_resizer_set(struct det_env *env, struct det_resizer *r,
                           const struct det_pixels *pixels, const struct det_window *window,
                           int32_t out_height, int32_t out_width, int32_t workers)
{
    r->pixels = *pixels;
    r->floats = NULL;
    /* Of Y and its colour the tables have columns, as their bytes lie apart differently. */
    return prepare(env, r, window, pixels->height, pixels->width,
                   pixels->yuv != NULL ? 1 : pixels->bytes, out_height, out_width, workers);
}

det_status det_resize_rgb8(struct det_env *env, struct det_resizer *r,
                           const struct det_image *image, const struct det_window *window,
                           float *out, size_t out_stride, int32_t out_height, int32_t out_width)
{
    const struct det_pixels pixels = det_pixels_of_image(image);
    DET_TRY_RETURN(det_resizer_set(env, r, &pixels, window, out_height, out_width, 1));
    det_resizer_rows(r, 0, 0, out_height, out, out_stride);
    return DET_OK;
}

det_status det_resize_float(struct det_env *env, struct det_resizer *r, const float *pixels,
                            int32_t stride, const struct det_window *window, float *out,
                            size_t out_stride, int32_t out_height, int32_t out_width)
{
    r->floats = pixels;
    r->floats_stride = stride;
    /* The caller vouches for the rows below the window. */
    DET_TRY_RETURN(
        prepare(env, r, window, window->y + window->height, stride, 3, out_height, out_width, 1));
    det_resizer_rows(r, 0, 0, out_height, out, out_stride);
    return DET_OK;
}

void det_keep_aspect_size(int32_t height, int32_t width, int32_t min_dimension,
                          int32_t max_dimension, int32_t *out_height, int32_t *out_width)
{
    const float h = (float)height, w = (float)width;
    const float large = (float)min_dimension / fminf(h, w);
    *out_height = (int32_t)rintf(h * large);
    *out_width = (int32_t)rintf(w * large);
    if (max_dimension > 0 && (*out_height > max_dimension || *out_width > max_dimension)) {
        const float small = (float)max_dimension / fmaxf(h, w);
        *out_height = (int32_t)rintf(h * small);
        *out_width = (int32_t)rintf(w * small);
    }
    /* A very long image: TensorFlow would fail on a side of 0. */
    *out_height = *out_height < 1 ? 1 : *out_height;
    *out_width = *out_width < 1 ? 1 : *out_width;
}

void det_normalize_pixels(float *out, const float *in, size_t count)
{
    const float factor = 2.0f / 255.0f;
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const four_floats value = factor * load_floats(in + i) - 1.0f;
        memcpy(out + i, &value, sizeof value);
    }
    for (; i < count; i++)
        out[i] = factor * in[i] - 1.0f;
}
