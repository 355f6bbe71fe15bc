#include "data/exif.h"

#include <string.h>

#include "base/mem.h"

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

int det_exif_orientation(const uint8_t *data, size_t bytes, size_t *value_at)
{
    if (value_at != NULL)
        *value_at = 0;
    if (bytes < 4 || data[0] != 0xff || data[1] != 0xd8)
        return 1;
    size_t at = 2;
    while (bytes - at >= 4 && data[at] == 0xff) {
        const int marker = data[at + 1];
        if (marker == 0xff) { /* fill byte */
            at++;
            continue;
        }
        if (marker == 0xda || marker == 0xd9) /* pixels, or the end */
            return 1;
        const size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
        if (length < 2 || length > bytes - at - 2)
            return 1;
        if (marker == 0xe1 && length >= 8 && memcmp(data + at + 4, "Exif\0\0", 6) == 0) {
            struct tiff tiff = {.data = data + at + 10, .bytes = length - 8};
            const size_t value = find_tag(&tiff);
            const uint32_t orientation = value != 0 ? read_u16(&tiff, value) : 1;
            if (orientation < 1 || orientation > 8)
                return 1;
            if (value != 0 && value_at != NULL)
                *value_at = at + 10 + value + (tiff.big_endian ? 1 : 0);
            return (int)orientation;
        }
        at += 2 + length;
    }
    return 1;
}

bool det_exif_swaps_sides(int orientation)
{
    return orientation >= 5;
}

/* Where the upright pixel (x, y) of a w x h image comes from. */
static void source_of(int orientation, int32_t w, int32_t h, int32_t x, int32_t y, int32_t *sx,
                      int32_t *sy)
{
    const bool swap = det_exif_swaps_sides(orientation);
    /* 2: mirrored, 3: half a turn, 4: flipped; 5 to 8: the same after exchanging the axes */
    const bool mirror_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const int32_t u = swap ? y : x, v = swap ? x : y;
    *sx = mirror_x ? w - 1 - u : u;
    *sy = mirror_y ? h - 1 - v : v;
}

det_status det_exif_turn(struct det_env *env, struct det_image *image, int orientation)
{
    if (orientation < 2 || orientation > 8)
        return DET_OK;
    const int32_t w = image->width, h = image->height;
    const bool swap = det_exif_swaps_sides(orientation);
    struct det_image turned = {0};
    DET_TRY_RETURN(det_image_resize_buffer(env, &turned, swap ? h : w, swap ? w : h));
    for (int32_t y = 0; y < turned.height; y++) {
        uint8_t *to = turned.rgb + (size_t)y * (size_t)turned.width * 3;
        for (int32_t x = 0; x < turned.width; x++, to += 3) {
            int32_t sx, sy;
            source_of(orientation, w, h, x, y, &sx, &sy);
            memcpy(to, image->rgb + ((size_t)sy * (size_t)w + (size_t)sx) * 3, 3);
        }
    }
    det_image_free(env, image);
    *image = turned;
    return DET_OK;
}
