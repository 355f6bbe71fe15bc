/* image_bmp.c: BMP (Windows' and OS/2's device-independent bitmaps) to RGB8.
 *
 *   offset  bytes  what
 *   0       2      "BM"
 *   10      4      where the pixels begin
 *   14      4 size of the next header: 12 (core: width and height are 16 bits), 40, 52, 56, 64,
 *           108, 124
 *   18      4, 4   width, height; a negative height: top row first, else the bottom row
 *   28      2      bits a pixel: 1, 2, 4, 8 (indices), 16, 24, 32
 *   30      4      0 plain, 1 RLE8, 2 RLE4, 3 and 6 with a mask for each colour
 *   46      4      colours of the palette, 0: all
 *   54      12     masks of red, green, blue; in the header, or behind one of 40 bytes
 *   then           palette: blue, green, red, unused (in a core header without the unused byte)
 *
 * Rows are padded to 4 bytes. Source: Microsoft's "Bitmap Storage" (wingdi.h), OS/2's for the core
 * header.
 *
 * Agrees with TensorFlow's decode_bmp(channels=3) on what that reads (24 and 32 bits, and grey of
 * 8). Differs: of 8 bits with a palette TensorFlow gives the indices, libdet the colours; bytes
 * behind the pixels are allowed.
 */
#include <limits.h>
#include <string.h>

#include "data/image_codec.h"
#include "support/mem.h"

enum { PLAIN, RLE8, RLE4, MASKS, WITH_ALPHA_MASK = 6 };
enum { FILE_HEADER = 14, CORE_HEADER = 12, INFO_HEADER = 40 };

/* One colour of a pixel of 16 or 32 bits. */
struct channel {
    uint32_t mask;
    int shift;
    uint32_t most; /* value of a full channel; 0: there is none */
};

struct bmp {
    const char *name;
    const uint8_t *data;
    size_t bytes;
    uint32_t header_bytes, pixels_at, compression, colours;
    int32_t width, height;
    bool top_down;
    uint32_t bits;
    uint8_t palette[256][3]; /* RGB */
    uint32_t palette_count;
    struct channel channels[3];
};

static uint32_t u16(const struct bmp *b, size_t at)
{
    return (uint32_t)b->data[at] | (uint32_t)b->data[at + 1] << 8;
}

static uint32_t u32(const struct bmp *b, size_t at)
{
    return u16(b, at) | u16(b, at + 2) << 16;
}

static det_status truncated(struct det_env *env, const struct bmp *b, const char *what)
{
    return det_fail(env, DET_STATUS_CORRUPT, "%s: truncated BMP: it ends in its %s (%zu bytes)",
                    b->name, what, b->bytes);
}

static det_status read_sizes(struct det_env *env, struct bmp *b)
{
    uint32_t width, height;
    if (b->bytes < FILE_HEADER + CORE_HEADER)
        return truncated(env, b, "header");
    b->pixels_at = u32(b, 10);
    b->header_bytes = u32(b, FILE_HEADER);
    const bool core = b->header_bytes == CORE_HEADER;
    if (!core && (b->header_bytes < INFO_HEADER || b->header_bytes > 1024))
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: BMP with a header of %u bytes, expected 12 or 40 to 124", b->name,
                        b->header_bytes);
    if (b->bytes < FILE_HEADER + b->header_bytes)
        return truncated(env, b, "header");
    if (core) {
        width = u16(b, 18);
        height = u16(b, 20);
        b->bits = u16(b, 24);
    } else {
        width = u32(b, 18);
        height = u32(b, 22);
        b->top_down = height > INT32_MAX;
        height = b->top_down ? 0 - height : height;
        b->bits = u16(b, 28);
        b->compression = u32(b, 30);
        b->colours = u32(b, 46);
    }
    DET_TRY_RETURN(det_image_size_check(env, b->name, DET_IMAGE_BMP, width, height));
    b->width = (int32_t)width;
    b->height = (int32_t)height;
    return DET_OK;
}

static det_status check_kind(struct det_env *env, const struct bmp *b)
{
    const uint32_t bits = b->bits, c = b->compression;
    const bool indexed = bits == 1 || bits == 2 || bits == 4 || bits == 8;
    const bool masked = (c == MASKS || c == WITH_ALPHA_MASK) && b->header_bytes != 64;
    if ((c == PLAIN && (indexed || bits == 16 || bits == 24 || bits == 32)) ||
        (c == RLE8 && bits == 8 && !b->top_down) || (c == RLE4 && bits == 4 && !b->top_down) ||
        (masked && (bits == 16 || bits == 32)))
        return DET_OK;
    return det_fail(
        env, DET_STATUS_UNSUPPORTED,
        "%s: BMP with %u bits a pixel and compression %u%s: only 1, 2, 4, 8, 16, 24, 32 "
        "bits, RLE and masks are read",
        b->name, bits, c, b->top_down ? ", top row first" : "");
}

static struct channel channel_of(uint32_t mask)
{
    struct channel c = {.mask = mask};
    while (mask != 0 && (mask >> c.shift & 1) == 0)
        c.shift++;
    c.most = mask >> c.shift;
    return c;
}

static det_status read_masks(struct det_env *env, struct bmp *b)
{
    enum { MASKS_AT = FILE_HEADER + INFO_HEADER };
    static const uint32_t of_16[3] = {0x7c00, 0x3e0, 0x1f}, of_32[3] = {0xff0000, 0xff00, 0xff};
    if (b->compression != PLAIN && b->bytes < MASKS_AT + 12)
        return truncated(env, b, "masks");
    for (size_t i = 0; i < 3; i++)
        b->channels[i] = channel_of(b->compression != PLAIN ? u32(b, MASKS_AT + 4 * i)
                                    : b->bits == 16         ? of_16[i]
                                                            : of_32[i]);
    return DET_OK;
}

static det_status read_palette(struct det_env *env, struct bmp *b)
{
    const size_t at = (size_t)FILE_HEADER + b->header_bytes;
    const size_t entry = b->header_bytes == CORE_HEADER ? 3 : 4;
    const uint32_t most = 1U << b->bits;
    uint32_t count = b->colours == 0 || b->colours > most ? most : b->colours;
    /* Some writers give fewer colours than they say: the pixels begin earlier. */
    if (b->pixels_at > at && (b->pixels_at - at) / entry < count)
        count = (uint32_t)((b->pixels_at - at) / entry);
    if ((b->bytes - at) / entry < count)
        return truncated(env, b, "palette");
    for (uint32_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++)
            b->palette[i][c] = b->data[at + i * entry + 2 - c];
    b->palette_count = count;
    if (b->pixels_at == 0)
        b->pixels_at = (uint32_t)(at + count * entry);
    return DET_OK;
}

static det_status put_index(struct det_env *env, const struct bmp *b, uint32_t index, uint8_t *rgb)
{
    if (index >= b->palette_count)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: BMP: a pixel has colour %u of a palette of %u", b->name, index,
                        b->palette_count);
    memcpy(rgb, b->palette[index], 3);
    return DET_OK;
}

static uint8_t *row_of(const struct bmp *b, const struct det_image *image, int32_t row)
{
    const int32_t y = b->top_down ? row : b->height - 1 - row;
    return image->rgb + (size_t)y * (size_t)b->width * 3;
}

static det_status convert_row(struct det_env *env, const struct bmp *b, const uint8_t *from,
                              uint8_t *rgb)
{
    for (int32_t x = 0; x < b->width; x++, rgb += 3) {
        if (b->bits <= 8) {
            const size_t bit = (size_t)x * b->bits;
            const uint32_t shift = 8 - b->bits - (uint32_t)(bit % 8);
            const uint32_t index = from[bit / 8] >> shift & ((1U << b->bits) - 1);
            DET_TRY_RETURN(put_index(env, b, index, rgb));
        } else if (b->bits == 24) {
            const uint8_t *p = from + (size_t)x * 3;
            rgb[0] = p[2];
            rgb[1] = p[1];
            rgb[2] = p[0];
        } else {
            const uint8_t *p = from + (size_t)x * (b->bits / 8);
            uint32_t pixel = (uint32_t)p[0] | (uint32_t)p[1] << 8;
            if (b->bits == 32)
                pixel |= (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
            for (int c = 0; c < 3; c++) {
                const struct channel *k = &b->channels[c];
                const uint64_t value = (pixel & k->mask) >> k->shift;
                if (k->most == 0)
                    rgb[c] = 0;
                else
                    rgb[c] = (uint8_t)((value * 255 + k->most / 2) / k->most);
            }
        }
    }
    return DET_OK;
}

static det_status read_plain(struct det_env *env, const struct bmp *b, struct det_image *image)
{
    const uint64_t row_bits = (uint64_t)b->width * b->bits;
    const size_t used = (size_t)((row_bits + 7) / 8), stride = (size_t)((row_bits + 31) / 32 * 4);
    for (int32_t row = 0; row < b->height; row++) {
        const size_t at = b->pixels_at + (size_t)row * stride;
        if (at > b->bytes || b->bytes - at < used) /* the last row's padding may be missing */
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: truncated BMP: the data ends at row %d of %d (%zu bytes)", b->name,
                            row, b->height, b->bytes);
        DET_TRY_RETURN(convert_row(env, b, b->data + at, row_of(b, image, row)));
    }
    return DET_OK;
}

/* Where the next pixel of run lengths goes. */
struct cursor {
    int32_t x, row;
};

static det_status put_run(struct det_env *env, const struct bmp *b, struct det_image *image,
                          struct cursor *at, uint32_t index)
{
    if (at->x >= b->width || at->row >= b->height) /* encoders fill up rows of an odd width */
        return DET_OK;
    return put_index(env, b, index, row_of(b, image, at->row) + (size_t)at->x++ * 3);
}

/* The n-th index of a run's bytes. */
static uint32_t run_index(const struct bmp *b, const uint8_t *bytes, uint32_t n)
{
    const uint32_t pair = bytes[n / 2];
    return b->bits == 8 ? bytes[n] : (n % 2 == 0 ? pair >> 4 : pair & 15);
}

/* Pairs of a count and what is repeated; a count of 0 escapes: 0 end of the row, 1 end of the
 * picture, 2 moves by the two bytes that follow, 3 and more are so many pixels as they are, padded
 * to 16 bits. What no run reaches has colour 0. */
static det_status read_runs(struct det_env *env, const struct bmp *b, struct det_image *image)
{
    struct cursor to = {0, 0};
    size_t at = b->pixels_at;
    for (int32_t row = 0; row < b->height; row++)
        for (int32_t x = 0; x < b->width; x++)
            DET_TRY_RETURN(put_index(env, b, 0, row_of(b, image, row) + (size_t)x * 3));
    while (at <= b->bytes && b->bytes - at >= 2) {
        const uint32_t count = b->data[at], value = b->data[at + 1];
        at += 2;
        if (count > 0) {
            const uint8_t pattern[2] = {(uint8_t)value, (uint8_t)value};
            for (uint32_t i = 0; i < count; i++)
                DET_TRY_RETURN(put_run(env, b, image, &to, run_index(b, pattern, i % 2)));
        } else if (value == 0) {
            to = (struct cursor){0, to.row < b->height ? to.row + 1 : to.row};
        } else if (value == 1) {
            return DET_OK;
        } else if (value == 2) {
            if (b->bytes - at < 2)
                break;
            to.x += b->data[at];
            to.row += b->data[at + 1];
            at += 2;
            if (to.x > b->width || to.row > b->height)
                return det_fail(env, DET_STATUS_CORRUPT,
                                "%s: BMP: a run begins outside the picture", b->name);
        } else {
            const size_t length = b->bits == 8 ? value : (value + 1) / 2;
            if (b->bytes - at < length)
                break;
            for (uint32_t i = 0; i < value; i++)
                DET_TRY_RETURN(put_run(env, b, image, &to, run_index(b, b->data + at, i)));
            at += (length + 1) / 2 * 2;
        }
    }
    /* Without an end, but with all its rows. */
    if (to.row >= b->height || (to.row == b->height - 1 && to.x >= b->width))
        return DET_OK;
    return det_fail(env, DET_STATUS_CORRUPT,
                    "%s: truncated BMP: the data ends at row %d of %d (%zu bytes)", b->name, to.row,
                    b->height, b->bytes);
}

det_status det_bmp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image)
{
    struct bmp b = {.name = name, .data = data, .bytes = bytes};
    DET_TRY_RETURN(read_sizes(env, &b));
    DET_TRY_RETURN(check_kind(env, &b));
    if (b.bits <= 8)
        DET_TRY_RETURN(read_palette(env, &b));
    else if (b.bits != 24)
        DET_TRY_RETURN(read_masks(env, &b));
    if (b.pixels_at < FILE_HEADER + b.header_bytes)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: BMP: its pixels begin at byte %u, in its header", name, b.pixels_at);
    DET_TRY_RETURN(det_image_resize_buffer(env, image, b.width, b.height));
    return b.compression == RLE8 || b.compression == RLE4 ? read_runs(env, &b, image)
                                                          : read_plain(env, &b, image);
}
