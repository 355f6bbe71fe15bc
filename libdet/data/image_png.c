/* image_png.c: PNG by libpng to RGB8 as TensorFlow's decode_png(channels=3, uint8) does: palettes
 * and grey expanded, the low byte of 16-bit samples dropped, alpha dropped (not blended), gamma and
 * colour profiles ignored.
 *
 * libpng's longjmp is caught here; its messages go into the error text, warnings are dropped (a PNG
 * with an odd profile chunk is common and harmless).
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "data/image_codec.h"
#include "support/mem.h"

struct state {
    struct det_env *env;
    const char *name;
    png_structp png;
    png_infop info;
    const uint8_t *data; /* reading: what is left */
    size_t left;
    uint8_t *out; /* writing */
    size_t out_bytes, out_capacity;
    bool no_memory; /* an allocation failed; libpng may have gone on without it */
    char message[256];
};

/* libpng's memory and zlib's. */
static png_voidp allocate(png_structp png, png_alloc_size_t bytes)
{
    struct state *s = png_get_mem_ptr(png);
    uint8_t *memory = NULL;
    s->no_memory |= det_alloc_raw(s->env, &memory, bytes, 1, "PNG") != DET_OK;
    return memory;
}

static void release(png_structp png, png_voidp memory)
{
    struct state *s = png_get_mem_ptr(png);
    det_free(s->env, &memory);
}

static void on_error(png_structp png, png_const_charp message)
{
    struct state *s = png_get_error_ptr(png);
    snprintf(s->message, sizeof s->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void read_bytes(png_structp png, png_bytep to, size_t bytes)
{
    struct state *s = png_get_io_ptr(png);
    if (bytes > s->left)
        png_error(png, "truncated: the data ends too early");
    memcpy(to, s->data, bytes);
    s->data += bytes;
    s->left -= bytes;
}

static void write_bytes(png_structp png, png_bytep from, size_t bytes)
{
    struct state *s = png_get_io_ptr(png);
    if (det_grow(s->env, &s->out, &s->out_capacity, s->out_bytes + bytes, 1, "PNG data") !=
        DET_OK) {
        s->no_memory = true;
        png_error(png, "out of memory");
    }
    memcpy(s->out + s->out_bytes, from, bytes);
    s->out_bytes += bytes;
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

/* May jump. */
static det_status decode(struct state *s, struct det_image *image)
{
    png_structp png = s->png;
    png_infop info = s->info;
    png_set_read_fn(png, s, read_bytes);
    /* Profiles, texts and the like change no pixel here; unpacked they may take gigabytes. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* checked below */
    png_read_info(png, info);
    const png_uint_32 width = png_get_image_width(png, info);
    const png_uint_32 height = png_get_image_height(png, info);
    const int type = png_get_color_type(png, info);
    DET_TRY_RETURN(det_image_size_check(s->env, s->name, DET_IMAGE_PNG, width, height));
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    if (type == PNG_COLOR_TYPE_GRAY)
        png_set_expand_gray_1_2_4_to_8(png);
    if (!(type & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)width * 3)
        return det_fail(s->env, DET_STATUS_INTERNAL, "%s: PNG rows of %zu bytes, expected %zu",
                        s->name, png_get_rowbytes(png, info), (size_t)width * 3);
    DET_TRY_RETURN(det_image_resize_buffer(s->env, image, (int32_t)width, (int32_t)height));
    for (int pass = 0; pass < passes; pass++) {
        for (png_uint_32 y = 0; y < height; y++)
            png_read_row(png, image->rgb + (size_t)y * width * 3, NULL);
    }
    png_read_end(png, NULL);
    return DET_OK;
}

det_status det_png_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image)
{
    struct state s = {.env = env, .name = name, .data = data, .left = bytes};
    det_status status = DET_OK;
    s.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning, &s, allocate,
                                     release);
    if (s.png != NULL)
        s.info = png_create_info_struct(s.png);
    if (s.info == NULL)
        s.no_memory = true;
    else if (setjmp(png_jmpbuf(s.png)) == 0)
        status = decode(&s, image);
    else
        status = det_fail(env, DET_STATUS_CORRUPT, "%s: PNG: %s", name, s.message);
    if (s.no_memory)
        status = det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: PNG: no memory to decode it", name);
    png_destroy_read_struct(&s.png, &s.info, NULL);
    return status;
}

/* May jump. */
static void encode(struct state *s, const struct det_image *image)
{
    png_set_write_fn(s->png, s, write_bytes, flush_nothing);
    png_set_IHDR(s->png, s->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(s->png, s->info);
    for (int32_t y = 0; y < image->height; y++)
        png_write_row(s->png, image->rgb + (size_t)y * (size_t)image->width * 3);
    png_write_end(s->png, NULL);
}

det_status det_image_encode_png(struct det_env *env, const struct det_image *image, uint8_t **data,
                                size_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    if (image->rgb == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "PNG: there is no image to write");
    struct state s = {.env = env, .name = "PNG"};
    det_status status = DET_OK;
    s.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning, &s, allocate,
                                      release);
    if (s.png != NULL)
        s.info = png_create_info_struct(s.png);
    if (s.info == NULL)
        s.no_memory = true;
    else if (setjmp(png_jmpbuf(s.png)) == 0)
        encode(&s, image);
    else
        status = det_fail(env, DET_STATUS_INTERNAL, "cannot write PNG: %s", s.message);
    if (s.no_memory)
        status = det_fail(env, DET_STATUS_OUT_OF_MEMORY, "cannot write PNG: no memory for it");
    png_destroy_write_struct(&s.png, &s.info);
    if (status != DET_OK) {
        det_free(env, &s.out);
        return status;
    }
    *data = s.out;
    *bytes = s.out_bytes;
    return DET_OK;
}
