#include "data/exif.h"

#include <string.h>

#include "support/io.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, ENTRY_BYTES = 12 };

struct tiff {
    const uint8_t *data;
    size_t bytes;
    bool big_endian;
};

static uint32_t read_u16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->data + at;
    return t->big_endian ? (uint32_t)p[0] << 8 | p[1] : (uint32_t)p[1] << 8 | p[0];
}

static uint32_t read_u32(const struct tiff *t, size_t at)
{
    return t->big_endian ? read_u16(t, at) << 16 | read_u16(t, at + 2)
                         : read_u16(t, at + 2) << 16 | read_u16(t, at);
}

/* Offset of the tag's value in the TIFF block, 0 when there is none. */
static size_t find_tag(struct tiff *t)
{
    if (t->bytes < 8)
        return 0;
    t->big_endian = t->data[0] == 'M';
    if (memcmp(t->data, t->big_endian ? "MM" : "II", 2) != 0 || read_u16(t, 2) != 42)
        return 0;
    const size_t ifd = read_u32(t, 4);
    if (ifd > t->bytes || t->bytes - ifd < 2)
        return 0;
    const size_t count = read_u16(t, ifd);
    for (size_t i = 0; i < count; i++) {
        const size_t at = ifd + 2 + i * ENTRY_BYTES;
        if (at > t->bytes || t->bytes - at < ENTRY_BYTES)
            return 0;
        if (read_u16(t, at) == TAG_ORIENTATION)
            return read_u16(t, at + 2) == TYPE_SHORT && read_u32(t, at + 4) == 1 ? at + 8 : 0;
    }
    return 0;
}

/* The TIFF block of one EXIF block, which some writers begin as in a JPEG. */
static struct tiff tiff_of(const uint8_t *data, size_t at, size_t bytes)
{
    const size_t head = bytes >= 6 && memcmp(data + at, "Exif\0\0", 6) == 0 ? 6 : 0;
    return (struct tiff){.data = data + at + head, .bytes = bytes - head};
}

static struct tiff find_in_jpeg(const uint8_t *data, size_t bytes)
{
    size_t at = 2;
    while (bytes - at >= 4 && data[at] == 0xff) {
        const int marker = data[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) /* pixels, or the end */
            break;
        const size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > bytes - at - 2)
            break;
        if (marker == 0xe1 && length >= 8 && memcmp(data + at + 4, "Exif\0\0", 6) == 0)
            return tiff_of(data, at + 4, length - 2);
        at += 2 + length;
    }
    return (struct tiff){0};
}

/* Chunks: u32 length, four letters, so many bytes, u32 checksum, all the high byte first. */
static struct tiff find_in_png(const uint8_t *data, size_t bytes)
{
    const struct tiff file = {.data = data, .bytes = bytes, .big_endian = true};
    for (size_t at = 8; bytes - at >= 12;) {
        const size_t length = read_u32(&file, at);
        if (length > bytes - at - 12)
            break;
        if (memcmp(data + at + 4, "eXIf", 4) == 0)
            return tiff_of(data, at + 8, length);
        at += 12 + length;
    }
    return (struct tiff){0};
}

/* Chunks: four letters, u32 length, so many bytes and one more where that is odd, the low byte
 * first. */
static struct tiff find_in_webp(const uint8_t *data, size_t bytes)
{
    const struct tiff file = {.data = data, .bytes = bytes};
    for (size_t at = 12; bytes - at >= 8;) {
        const size_t length = read_u32(&file, at + 4), padded = length + length % 2;
        if (length > bytes - at - 8)
            break;
        if (memcmp(data + at, "EXIF", 4) == 0)
            return tiff_of(data, at + 8, length);
        if (padded > bytes - at - 8)
            break;
        at += 8 + padded;
    }
    return (struct tiff){0};
}

int det_exif_orientation(const uint8_t *data, size_t bytes, size_t *value_at)
{
    struct tiff tiff = {0};
    bool checked = false; /* a checksum covers the value */
    if (value_at != NULL)
        *value_at = 0;
    if (bytes >= 4 && memcmp(data, "\xff\xd8", 2) == 0) {
        tiff = find_in_jpeg(data, bytes);
    } else if (bytes >= 8 && memcmp(data, "\x89PNG", 4) == 0) {
        tiff = find_in_png(data, bytes);
        checked = true;
    } else if (bytes >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0) {
        tiff = find_in_webp(data, bytes);
    }
    const size_t value = find_tag(&tiff);
    const uint32_t orientation = value != 0 ? read_u16(&tiff, value) : 1;
    if (orientation < 1 || orientation > 8)
        return 1;
    if (value != 0 && value_at != NULL && !checked)
        *value_at = (size_t)(tiff.data - data) + value + (tiff.big_endian ? 1 : 0);
    return (int)orientation;
}

det_status det_image_decode_upright(struct det_env *env, const char *name, const uint8_t *data,
                                    size_t bytes, struct det_image_least least,
                                    struct det_image *image, int *orientation)
{
    *orientation = det_exif_orientation(data, bytes, NULL);
    if (det_exif_swaps_sides(*orientation))
        least = (struct det_image_least){.height = least.width, .width = least.height};
    DET_TRY_RETURN(det_image_decode_reduced(env, name, data, bytes, least, image));
    const det_status status = det_exif_turn(env, image, *orientation);
    if (status != DET_OK)
        det_image_free(env, image);
    return status;
}

det_status det_image_read_upright(struct det_env *env, const char *path,
                                  struct det_image_least least, struct det_image *image,
                                  int *orientation)
{
    struct det_file_bytes contents;
    *orientation = 1;
    det_status status = det_file_read(env, path, &contents);
    if (status != DET_OK) {
        det_image_free(env, image);
        return status;
    }
    status = det_image_decode_upright(env, path, contents.data, contents.bytes, least, image,
                                      orientation);
    det_file_release(&contents);
    return status;
}
