/* image.c: pixel buffers, telling formats apart, files. The codecs are in image_jpeg.c and
 * image_png.c. */
#include "data/image.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "base/mem.h"
#include "data/image_codec.h"

#define MOST_SIDE     65500
#define WRITE_QUALITY 95
/* Behind the pixels, not counted as room: the tools hand them to FFmpeg's scaler, which reads whole vectors. */
#define SLACK_BYTES 64

det_status det_image_resize_buffer(struct det_env *env, struct det_image *image, int32_t width,
                                   int32_t height)
{
    if (width < 1 || height < 1 || width > MOST_SIDE || height > MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image of %d x %d pixels: each side must be 1 to %d", width, height,
                        MOST_SIDE);
    const size_t need = (size_t)width * (size_t)height * 3;
    const size_t present = (size_t)image->width * (size_t)image->height * 3;
    const size_t room = image->capacity_bytes > present ? image->capacity_bytes : present;
    if (image->rgb == NULL || need > room) {
        det_image_free(env, image);
        DET_TRY_RETURN(det_alloc_raw(env, &image->rgb, need + SLACK_BYTES, 1, "image"));
        memset(image->rgb + need, 0, SLACK_BYTES); /* read, whatever comes of it */
        image->capacity_bytes = need;
    }
    image->width = width;
    image->height = height;
    image->file_width = width;
    image->file_height = height;
    return DET_OK;
}

void det_image_free(struct det_env *env, struct det_image *image)
{
    det_free(env, &image->rgb);
    *image = (struct det_image){0};
}

/* What else people put into datasets, so that the message can name it. */
static const struct {
    const char *name;
    const char *magic;
    size_t offset, bytes;
} other_formats[] = {
    {"GIF", "GIF8", 0, 4},
    {"BMP", "BM", 0, 2},
    {"TIFF", "II*\0", 0, 4},
    {"TIFF", "MM\0*", 0, 4},
    {"WebP", "WEBP", 8, 4},
    {"an MP4 video", "ftypisom", 4, 8},
    {"an MP4 video", "ftypmp4", 4, 7},
    {"a QuickTime video", "ftypqt", 4, 6},
    {"HEIC, AVIF or a video", "ftyp", 4, 4},
    {"a Matroska or WebM video", "\x1a\x45\xdf\xa3", 0, 4},
    {"an AVI video", "AVI ", 8, 4},
    {"JPEG 2000", "\0\0\0\x0cjP", 0, 6},
    {"JPEG XL", "\xff\x0a", 0, 2},
    {"PDF", "%PDF", 0, 4},
};

det_status det_image_sniff(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           enum det_image_kind *kind)
{
    *kind = DET_IMAGE_UNKNOWN;
    if (bytes == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: the image is empty (0 bytes), expected a JPEG or PNG", name);
    if (bytes >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0) {
        *kind = DET_IMAGE_JPEG;
        return DET_OK;
    }
    if (bytes >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0) {
        *kind = DET_IMAGE_PNG;
        return DET_OK;
    }
    char start[3 * 8 + 1] = "";
    for (size_t i = 0; i < bytes && i < 4; i++)
        snprintf(start + 3 * i, 4, " %02X", data[i]);
    for (size_t i = 0; i < sizeof other_formats / sizeof other_formats[0]; i++) {
        const size_t end = other_formats[i].offset + other_formats[i].bytes;
        if (bytes >= end && memcmp(data + other_formats[i].offset, other_formats[i].magic,
                                   other_formats[i].bytes) == 0)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "%s: not a JPEG or PNG image (starts with%s: %s)", name, start,
                            other_formats[i].name);
    }
    if (bytes >= 23 && memcmp(data, "version https://git-lfs", 23) == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: not a JPEG or PNG image but a Git LFS pointer: run git lfs pull",
                        name);
    return det_fail(env, DET_STATUS_CORRUPT, "%s: not a JPEG or PNG image (starts with%s)", name,
                    start);
}

/* No file is that large: decoded as it is. */
static const struct det_image_least whole = {INT32_MAX, INT32_MAX};

det_status det_image_decode_reduced(struct det_env *env, const char *name, const uint8_t *data,
                                    size_t bytes, struct det_image_least least,
                                    struct det_image *image)
{
    enum det_image_kind kind = DET_IMAGE_UNKNOWN;
    det_status status = det_image_sniff(env, name, data, bytes, &kind);
    if (status == DET_OK)
        status = kind == DET_IMAGE_JPEG ? det_jpeg_decode(env, name, data, bytes, least, image)
                                        : det_png_decode(env, name, data, bytes, image);
    if (status != DET_OK)
        det_image_free(env, image);
    return status;
}

det_status det_image_decode(struct det_env *env, const char *name, const uint8_t *data,
                            size_t bytes, struct det_image *image)
{
    return det_image_decode_reduced(env, name, data, bytes, whole, image);
}

det_status det_image_read_reduced(struct det_env *env, const char *path,
                                  struct det_image_least least, struct det_image *image)
{
    struct det_file_map map;
    det_status status = det_file_map_open(env, path, &map);
    if (status != DET_OK) {
        det_image_free(env, image);
        return status;
    }
    status = det_image_decode_reduced(env, path, map.data, map.bytes, least, image);
    det_file_map_close(&map);
    return status;
}

det_status det_image_read(struct det_env *env, const char *path, struct det_image *image)
{
    return det_image_read_reduced(env, path, whole, image);
}

det_status det_image_write(struct det_env *env, const char *path, const struct det_image *image)
{
    const char *dot = strrchr(det_path_name(path), '.');
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0))
        DET_TRY_RETURN(det_image_encode_jpeg(env, image, WRITE_QUALITY, &data, &bytes));
    else if (dot != NULL && strcasecmp(dot, ".png") == 0)
        DET_TRY_RETURN(det_image_encode_png(env, image, &data, &bytes));
    else
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: the name must end in .jpg, .jpeg or .png", path);
    const det_status status = det_write_file(env, path, data, bytes);
    det_free(env, &data);
    return status;
}
