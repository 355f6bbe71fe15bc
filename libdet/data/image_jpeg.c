/* image_jpeg.c: JPEG by libjpeg-turbo, with the settings of TensorFlow's decode_jpeg
 * (tensorflow/core/lib/jpeg/ jpeg_mem.cc): fast integer DCT, fancy upsampling, CMYK and YCCK
 * decoded as CMYK and multiplied out here.
 *
 * libjpeg reports through callbacks: a fatal error jumps back with its text, a warning (damage that
 * it reads over) is kept and logged, nothing is printed.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/mem.h"
#include "data/image_codec.h"

struct errors {
    struct jpeg_error_mgr manager; /* first: libjpeg hands back its address */
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    char warning[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr common)
{
    struct errors *errors = (struct errors *)(void *)common->err;
    common->err->format_message(common, errors->message);
    longjmp(errors->jump, 1);
}

static void on_message(j_common_ptr common, int level)
{
    struct errors *errors = (struct errors *)(void *)common->err;
    if (level >= 0)
        return; /* trace */
    if (common->err->num_warnings++ == 0)
        common->err->format_message(common, errors->warning);
}

static void no_output(j_common_ptr common)
{
    (void)common;
}

static void errors_init(struct errors *errors)
{
    memset(errors, 0, sizeof *errors);
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = on_error;
    errors->manager.emit_message = on_message;
    errors->manager.output_message = no_output;
}

/* Input from memory. jpeg_mem_src would put an end marker behind truncated data and give a grey
 * rest; saying "no more" instead makes the decoder stop, which is what TensorFlow does. */
static void source_init(j_decompress_ptr info)
{
    (void)info;
}

static boolean source_fill(j_decompress_ptr info)
{
    (void)info;
    return FALSE;
}

static void source_skip(j_decompress_ptr info, long bytes)
{
    struct jpeg_source_mgr *source = info->src;
    if (bytes <= 0)
        return;
    const size_t step =
        (size_t)bytes < source->bytes_in_buffer ? (size_t)bytes : source->bytes_in_buffer;
    source->next_input_byte += step;
    source->bytes_in_buffer -= step;
}

struct decoder {
    struct jpeg_decompress_struct info;
    struct jpeg_source_mgr source;
    struct errors errors;
    uint8_t *cmyk; /* one row */
    bool truncated;
};

static void cmyk_row_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int32_t width, bool inverted)
{
    for (int32_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        /* Adobe's files hold 255 - ink. */
        const int k = inverted ? cmyk[3] : 255 - cmyk[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(k * (inverted ? cmyk[c] : 255 - cmyk[c]) / 255);
    }
}

/* The smallest of the sizes that libjpeg-turbo has quick inverse DCTs for, 1, 1/2, 1/4 and 1/8, that
 * is not below `least`. */
static void choose_scale(struct jpeg_decompress_struct *info, struct det_image_least least)
{
    unsigned parts = 8; /* libjpeg rounds each side up */
    while (parts > 1 && least.height <= (int32_t)((info->image_height * (parts / 2) + 7) / 8) &&
           least.width <= (int32_t)((info->image_width * (parts / 2) + 7) / 8))
        parts /= 2;
    info->scale_num = parts;
    info->scale_denom = 8;
}

/* Everything that may jump; what must be released is in the decoder and the image. */
static det_status decode(struct det_env *env, const char *name, struct decoder *d,
                         struct det_image_least least, struct det_image *image)
{
    struct jpeg_decompress_struct *info = &d->info;
    if (jpeg_read_header(info, TRUE) != JPEG_HEADER_OK) {
        d->truncated = true;
        return DET_OK;
    }
    const bool is_cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_IFAST;
    info->do_fancy_upsampling = TRUE;
    choose_scale(info, least);
    jpeg_calc_output_dimensions(info);
    const size_t total =
        (size_t)info->image_width * info->image_height * (size_t)info->num_components;
    if (total >= DET_IMAGE_MOST_BYTES)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: JPEG of %u x %u pixels is too large",
                        name, info->image_width, info->image_height);
    if (!jpeg_start_decompress(info)) {
        d->truncated = true;
        return DET_OK;
    }
    const int32_t width = (int32_t)info->output_width, height = (int32_t)info->output_height;
    DET_TRY_RETURN(det_image_resize_buffer(env, image, width, height));
    image->file_width = (int32_t)info->image_width;
    image->file_height = (int32_t)info->image_height;
    if (is_cmyk)
        DET_TRY_RETURN(det_alloc_raw(env, &d->cmyk, (size_t)width, 4, "CMYK row"));
    while (info->output_scanline < info->output_height) {
        uint8_t *rgb = image->rgb + (size_t)info->output_scanline * (size_t)width * 3;
        JSAMPROW row = is_cmyk ? d->cmyk : rgb;
        if (jpeg_read_scanlines(info, &row, 1) == 0) {
            d->truncated = true;
            return DET_OK;
        }
        if (is_cmyk)
            cmyk_row_to_rgb(d->cmyk, rgb, width, info->saw_Adobe_marker);
    }
    /* What follows the last row does not matter: the pixels are complete. */
    return DET_OK;
}

det_status det_jpeg_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image_least least, struct det_image *image)
{
    struct decoder d = {
        .source =
            {
                .next_input_byte = data,
                .bytes_in_buffer = bytes,
                .init_source = source_init,
                .fill_input_buffer = source_fill,
                .skip_input_data = source_skip,
                .resync_to_restart = jpeg_resync_to_restart,
                .term_source = source_init,
            },
    };
    det_status status = DET_OK;
    errors_init(&d.errors);
    d.info.err = &d.errors.manager;
    if (setjmp(d.errors.jump) == 0) {
        jpeg_create_decompress(&d.info);
        d.info.src = &d.source;
        status = decode(env, name, &d, least, image);
        if (status == DET_OK && d.truncated)
            status = det_fail(env, DET_STATUS_CORRUPT,
                              "%s: truncated JPEG: the data ends at row %u of %u (%zu bytes)", name,
                              d.info.output_scanline, d.info.output_height, bytes);
    } else {
        status = det_fail(env,
                          d.errors.manager.msg_code == JERR_OUT_OF_MEMORY ? DET_STATUS_OUT_OF_MEMORY
                                                                          : DET_STATUS_CORRUPT,
                          "%s: JPEG: %s", name, d.errors.message);
    }
    jpeg_destroy_decompress(&d.info);
    det_free(env, &d.cmyk);
    if (status == DET_OK && d.errors.manager.num_warnings > 0)
        det_log(env, DET_LOG_DEBUG, "%s: JPEG: %s", name, d.errors.warning);
    return status;
}

struct encoder {
    struct jpeg_compress_struct info;
    struct errors errors;
    unsigned char *data; /* malloc by libjpeg */
    unsigned long bytes;
};

static void encode(struct encoder *e, const struct det_image *image, int quality)
{
    struct jpeg_compress_struct *info = &e->info;
    jpeg_create_compress(info);
    jpeg_mem_dest(info, &e->data, &e->bytes);
    info->image_width = (JDIMENSION)image->width;
    info->image_height = (JDIMENSION)image->height;
    info->input_components = 3;
    info->in_color_space = JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_quality(info, quality, TRUE);
    jpeg_start_compress(info, TRUE);
    while (info->next_scanline < info->image_height) {
        JSAMPROW row = image->rgb + (size_t)info->next_scanline * (size_t)image->width * 3;
        jpeg_write_scanlines(info, &row, 1);
    }
    jpeg_finish_compress(info);
}

det_status det_image_encode_jpeg(struct det_env *env, const struct det_image *image, int quality,
                                 uint8_t **data, size_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    if (image->rgb == NULL || quality < 1 || quality > 100)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "JPEG: needs an image and a quality of 1 to 100, got %d", quality);
    struct encoder e = {.data = NULL};
    det_status status = DET_OK;
    errors_init(&e.errors);
    e.info.err = &e.errors.manager;
    if (setjmp(e.errors.jump) == 0) {
        encode(&e, image, quality);
        status = det_alloc_raw(env, data, e.bytes, 1, "JPEG data");
        if (status == DET_OK) {
            memcpy(*data, e.data, e.bytes);
            *bytes = e.bytes;
        }
    } else {
        status = det_fail(env,
                          e.errors.manager.msg_code == JERR_OUT_OF_MEMORY ? DET_STATUS_OUT_OF_MEMORY
                                                                          : DET_STATUS_INTERNAL,
                          "cannot write JPEG: %s", e.errors.message);
    }
    jpeg_destroy_compress(&e.info);
    free(e.data);
    return status;
}
