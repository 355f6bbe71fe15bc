/* image_kind.c: what a picture is, by its first bytes and by its name. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/image_codec.h"
#include "det/image.h"
#include "support/io.h"

enum { EXTENSIONS = 2 };

static const struct {
    const char *name;
    const char *extensions[EXTENSIONS]; /* the usual one first */
    const char *magic;
    size_t offset, bytes;
} kinds[] = {
    [DET_IMAGE_JPEG] = {"JPEG", {".jpg", ".jpeg"}, "\xff\xd8\xff", 0, 3},
    [DET_IMAGE_PNG] = {"PNG", {".png"}, "\x89PNG\r\n\x1a\n", 0, 8},
    [DET_IMAGE_BMP] = {"BMP", {".bmp"}, "BM", 0, 2},
    [DET_IMAGE_GIF] = {"GIF", {".gif"}, "GIF8", 0, 4},
    [DET_IMAGE_WEBP] = {"WebP", {".webp"}, "WEBP", 8, 4},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

#define EXPECTED "a JPEG, PNG, BMP, GIF or WebP image"

const char *det_image_kind_name(enum det_image_kind kind)
{
    return kind != DET_IMAGE_UNKNOWN ? kinds[kind].name : "picture";
}

const char *det_image_kind_extension(enum det_image_kind kind)
{
    return kinds[kind].extensions[0];
}

enum det_image_kind det_image_kind_of_name(const char *path)
{
    const char *dot = strrchr(det_path_name(path), '.');
    for (int kind = DET_IMAGE_UNKNOWN + 1; dot != NULL && kind < KINDS; kind++)
        for (int i = 0; i < EXTENSIONS && kinds[kind].extensions[i] != NULL; i++)
            if (strcasecmp(dot, kinds[kind].extensions[i]) == 0)
                return (enum det_image_kind)kind;
    return DET_IMAGE_UNKNOWN;
}

const char *det_image_extension(const char *path)
{
    return path != NULL && det_image_kind_of_name(path) != DET_IMAGE_UNKNOWN ? strrchr(path, '.')
                                                                             : NULL;
}

/* What else people put into datasets, so that the message can name it. */
static const struct {
    const char *name;
    const char *magic;
    size_t offset, bytes;
} other_formats[] = {
    {"TIFF", "II*\0", 0, 4},
    {"TIFF", "MM\0*", 0, 4},
    {"AVIF", "ftypavif", 4, 8},
    {"HEIC", "ftyphei", 4, 7},
    {"HEIC", "ftypmif1", 4, 8},
    {"an MP4 video", "ftypisom", 4, 8},
    {"an MP4 video", "ftypmp4", 4, 7},
    {"a QuickTime video", "ftypqt", 4, 6},
    {"HEIC, AVIF or a video", "ftyp", 4, 4},
    {"a Matroska or WebM video", "\x1a\x45\xdf\xa3", 0, 4},
    {"an AVI video", "AVI ", 8, 4},
    {"JPEG 2000", "\0\0\0\x0cjP", 0, 6},
    {"JPEG XL", "\xff\x0a", 0, 2},
    {"JPEG XL", "\0\0\0\x0cJXL ", 0, 8},
    {"PDF", "%PDF", 0, 4},
};

static bool begins(const uint8_t *data, size_t bytes, const char *magic, size_t offset,
                   size_t length)
{
    return bytes >= offset + length && memcmp(data + offset, magic, length) == 0;
}

det_status det_image_sniff(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           enum det_image_kind *kind)
{
    *kind = DET_IMAGE_UNKNOWN;
    if (bytes == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: the image is empty (0 bytes), expected " EXPECTED, name);
    for (int i = DET_IMAGE_UNKNOWN + 1; i < KINDS; i++)
        if (begins(data, bytes, kinds[i].magic, kinds[i].offset, kinds[i].bytes)) {
            if (i == DET_IMAGE_WEBP && det_image_webp_missing() != NULL)
                return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: a WebP image: %s", name,
                                det_image_webp_missing());
            *kind = (enum det_image_kind)i;
            return DET_OK;
        }
    char start[3 * 8 + 1] = "";
    for (size_t i = 0; i < bytes && i < 4; i++)
        snprintf(start + 3 * i, 4, " %02X", data[i]);
    for (size_t i = 0; i < sizeof other_formats / sizeof other_formats[0]; i++)
        if (begins(data, bytes, other_formats[i].magic, other_formats[i].offset,
                   other_formats[i].bytes))
            return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: not " EXPECTED " (starts with%s: %s)",
                            name, start, other_formats[i].name);
    if (begins(data, bytes, "version https://git-lfs", 0, 23))
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: not " EXPECTED " but a Git LFS pointer: run git lfs pull", name);
    return det_fail(env, DET_STATUS_CORRUPT, "%s: not " EXPECTED " (starts with%s)", name, start);
}

const char *det_image_formats(void)
{
    return det_image_webp_missing() == NULL ? "JPEG PNG BMP GIF WebP" : "JPEG PNG BMP GIF";
}
