/* image_jpeg.c: JPEG by libjpeg-turbo, with the settings of TensorFlow's decode_jpeg
 * (tensorflow/core/lib/jpeg/ jpeg_mem.cc): fast integer DCT, fancy upsampling, CMYK and YCCK
 * decoded as CMYK and multiplied out here.
 *
 * libjpeg reports through callbacks: a fatal error jumps back with its text, a warning (damage that
 * it reads over) is kept and logged, nothing is printed.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "data/image_codec.h"
#include "support/mem.h"

/* A pass over the largest picture takes a tenth of a second where the file makes the most of it. */
#define MOST_PASSES 20

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

/* Also what libjpeg would keep in a file, which this one cannot, where the variable JPEGMEM bounds
 * its memory. */
static bool lacked_memory(const struct errors *errors)
{
    const int code = errors->manager.msg_code;
    return code == JERR_OUT_OF_MEMORY || code == JERR_NO_BACKING_STORE;
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
    struct jpeg_progress_mgr progress;
    struct errors errors;
    int most_scans;
    bool too_many_scans;
    uint8_t *cmyk; /* one row */
    bool truncated;
};

/* libjpeg calls this before each row of blocks of each scan. */
static void watch_scans(j_common_ptr common)
{
    struct decoder *d = common->client_data;
    if (d->info.input_scan_number <= d->most_scans)
        return;
    d->too_many_scans = true;
    longjmp(d->errors.jump, 1);
}

static int most_scans(const struct det_limits *limits, uint64_t pixels)
{
    const uint64_t within = MOST_PASSES * limits->max_image_pixels / pixels;
    return within < (uint64_t)limits->max_jpeg_scans ? (int)within : limits->max_jpeg_scans;
}

static void cmyk_row_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int32_t width, bool inverted)
{
    for (int32_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
        /* Adobe's files hold 255 - ink. */
        const int k = inverted ? cmyk[3] : 255 - cmyk[3];
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(k * (inverted ? cmyk[c] : 255 - cmyk[c]) / 255);
    }
}

/* The smallest of the sizes that libjpeg-turbo has quick inverse DCTs for, 1, 1/2, 1/4 and 1/8,
 * that is not below `least`. */
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
    DET_TRY_RETURN(
        det_image_size_check(env, name, DET_IMAGE_JPEG, info->image_width, info->image_height));
    const bool is_cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    info->out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    info->dct_method = JDCT_IFAST;
    info->do_fancy_upsampling = TRUE;
    choose_scale(info, least);
    jpeg_calc_output_dimensions(info);
    d->most_scans = most_scans(&env->limits, (uint64_t)info->image_width * info->image_height);
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
        .progress = {.progress_monitor = watch_scans},
    };
    det_status status = DET_OK;
    errors_init(&d.errors);
    d.info.err = &d.errors.manager;
    if (setjmp(d.errors.jump) == 0) {
        jpeg_create_decompress(&d.info);
        d.info.src = &d.source;
        d.info.progress = &d.progress;
        d.info.client_data = &d;
        status = decode(env, name, &d, least, image);
        if (status == DET_OK && d.truncated)
            status = det_fail(env, DET_STATUS_CORRUPT,
                              "%s: truncated JPEG: the data ends at row %u of %u (%zu bytes)", name,
                              d.info.output_scanline, d.info.output_height, bytes);
    } else if (d.too_many_scans) {
        status = det_fail(env, DET_STATUS_UNSUPPORTED,
                          "%s: progressive JPEG of %u x %u pixels with more than %d scans: "
                          "max_jpeg_scans and max_image_pixels allow no more",
                          name, d.info.image_width, d.info.image_height, d.most_scans);
    } else {
        status =
            det_fail(env, lacked_memory(&d.errors) ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_CORRUPT,
                     "%s: JPEG: %s", name, d.errors.message);
    }
    jpeg_destroy_decompress(&d.info);
    det_free(env, &d.cmyk);
    if (status == DET_OK && d.errors.manager.num_warnings > 0)
        det_log(env, DET_LOG_DEBUG, "%s: JPEG: %s", name, d.errors.warning);
    return status;
}

/* --- encoding --- */

struct encoder {
    struct jpeg_compress_struct info;
    struct jpeg_destination_mgr destination;
    struct errors errors;
    struct det_env *env;
    uint8_t *data;
    size_t capacity;
};

/* The rest of the block, twice as large as before, is what libjpeg writes next. */
static void make_room(struct encoder *e, size_t used)
{
    enum { FIRST_BYTES = 65536 };
    const size_t need = used > 0 ? used + 1 : FIRST_BYTES;
    if (det_grow(e->env, &e->data, &e->capacity, need, 1, "JPEG data") != DET_OK)
        ERREXIT1(&e->info, JERR_OUT_OF_MEMORY, 0);
    e->destination.next_output_byte = e->data + used;
    e->destination.free_in_buffer = e->capacity - used;
}

static void destination_init(j_compress_ptr info)
{
    make_room(info->client_data, 0);
}

/* libjpeg takes the whole block for used, whatever free_in_buffer says. */
static boolean destination_empty(j_compress_ptr info)
{
    struct encoder *e = info->client_data;
    make_room(e, e->capacity);
    return TRUE;
}

static void destination_term(j_compress_ptr info)
{
    (void)info;
}

static void encode(struct encoder *e, const struct det_image *image, int quality)
{
    struct jpeg_compress_struct *info = &e->info;
    jpeg_create_compress(info);
    info->dest = &e->destination;
    info->client_data = e;
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
    struct encoder e = {
        .destination =
            {
                .init_destination = destination_init,
                .empty_output_buffer = destination_empty,
                .term_destination = destination_term,
            },
        .env = env,
    };
    det_status status = DET_OK;
    errors_init(&e.errors);
    e.info.err = &e.errors.manager;
    if (setjmp(e.errors.jump) == 0) {
        encode(&e, image, quality);
        *data = e.data;
        *bytes = e.capacity - e.destination.free_in_buffer;
    } else {
        status =
            det_fail(env, lacked_memory(&e.errors) ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_INTERNAL,
                     "cannot write JPEG: %s", e.errors.message);
        det_free(env, &e.data);
    }
    jpeg_destroy_compress(&e.info);
    return status;
}
