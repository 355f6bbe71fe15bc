/* image_gif.c: the first frame of a GIF to RGB8.
 *
 *   "GIF87a" or "GIF89a" screen: u16 width, height; u8 flags (80 hex: palette of 2 << (flags & 7)
 *   colours follows), background, aspect [palette: red, green, blue each] blocks, until one is a
 *   picture:
 *     21 LABEL        an extension: blocks of a length byte and so many bytes, until a length of 0.
 *                     Label F9, "graphic control": u8 flags (1: the last byte is the transparent
 *                     colour), u16 delay, u8 colour
 *     2C              the picture: u16 left, top, width, height; u8 flags (80: palette, 40:
 *                     interlaced); [palette]; u8 bits of a code; blocks as above that hold LZW
 *                     codes, the low bits first
 *     3B              the end
 *
 * LZW: codes below 2^bits are colours, 2^bits empties the table, 2^bits + 1 ends. Each code after
 * the first adds an entry, the last one's text and the first colour of this one's, up to 4096; a
 * code grows by a bit when the table is as large as it can name. Source: CompuServe's "Graphics
 * Interchange Format, Version 89a", appendix F.
 *
 * Agrees with TensorFlow's decode_image(expand_animations=False): what the frame does not cover and
 * what is transparent is black. Differs: TensorFlow's picture has the size of the largest frame,
 * libdet's that of the screen (that of the frame where it reaches beyond); all the same for a GIF
 * whose first frame fills the screen.
 */
#include <string.h>

#include "data/image_codec.h"
#include "support/mem.h"

enum { MOST_BITS = 12, MOST_CODES = 1 << MOST_BITS, NONE = -1 };

struct gif {
    const char *name;
    const uint8_t *data;
    size_t bytes, at;
    const uint8_t *palette; /* NULL: none */
    int32_t palette_count;
    int32_t transparent; /* colour, NONE */
    int32_t screen_width, screen_height;
    int32_t left, top, width, height; /* of the frame */
    bool interlaced;
};

static bool take(struct gif *g, size_t bytes, const uint8_t **data)
{
    if (g->bytes - g->at < bytes)
        return false;
    *data = g->data + g->at;
    g->at += bytes;
    return true;
}

static int32_t u16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

static det_status truncated(struct det_env *env, const struct gif *g, const char *what)
{
    return det_fail(env, DET_STATUS_CORRUPT, "%s: truncated GIF: it ends in its %s (%zu bytes)",
                    g->name, what, g->bytes);
}

static det_status read_palette(struct det_env *env, struct gif *g, uint8_t flags)
{
    if ((flags & 0x80) == 0)
        return DET_OK;
    g->palette_count = 2 << (flags & 7);
    if (!take(g, (size_t)g->palette_count * 3, &g->palette))
        return truncated(env, g, "palette");
    return DET_OK;
}

static det_status read_extension(struct det_env *env, struct gif *g)
{
    const uint8_t *label, *length, *data;
    if (!take(g, 1, &label))
        return truncated(env, g, "extension");
    for (;;) {
        if (!take(g, 1, &length) || !take(g, *length, &data))
            return truncated(env, g, "extension");
        if (*length == 0)
            return DET_OK;
        if (*label == 0xf9 && *length >= 4)
            g->transparent = (data[0] & 1) != 0 ? data[3] : NONE;
    }
}

/* Up to the frame's codes. */
static det_status read_headers(struct det_env *env, struct gif *g)
{
    const uint8_t *p, *kind;
    if (!take(g, 13, &p))
        return truncated(env, g, "header");
    g->screen_width = u16(p + 6);
    g->screen_height = u16(p + 8);
    DET_TRY_RETURN(read_palette(env, g, p[10]));
    for (;;) {
        if (!take(g, 1, &kind))
            return truncated(env, g, "blocks");
        if (*kind == 0x2c)
            break;
        if (*kind == 0x3b)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: GIF without a picture", g->name);
        if (*kind != 0x21)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: GIF: byte %zu is %02X, no block begins so", g->name, g->at - 1,
                            *kind);
        DET_TRY_RETURN(read_extension(env, g));
    }
    if (!take(g, 9, &p))
        return truncated(env, g, "frame");
    g->left = u16(p);
    g->top = u16(p + 2);
    g->width = u16(p + 4);
    g->height = u16(p + 6);
    g->interlaced = (p[8] & 0x40) != 0;
    DET_TRY_RETURN(read_palette(env, g, p[8]));
    if (g->palette == NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: GIF without a palette", g->name);
    return DET_OK;
}

/* --- codes --- */

struct codes {
    struct gif *gif;
    size_t block_left; /* bytes of the present block */
    uint32_t bits;     /* not yet used, the next one lowest */
    int bit_count;
    bool ended;
};

/* NONE when the data ends. */
static int32_t next_code(struct codes *c, int size)
{
    const uint8_t *byte;
    while (c->bit_count < size) {
        if (c->block_left == 0) {
            if (c->ended || !take(c->gif, 1, &byte) || *byte == 0) {
                c->ended = true;
                return NONE;
            }
            c->block_left = *byte;
        }
        if (!take(c->gif, 1, &byte))
            return NONE;
        c->block_left--;
        c->bits |= (uint32_t)*byte << c->bit_count;
        c->bit_count += 8;
    }
    const int32_t code = (int32_t)(c->bits & ((1U << size) - 1));
    c->bits >>= size;
    c->bit_count -= size;
    return code;
}

/* The text of a code is that of `before` and one colour more. */
struct table {
    uint16_t before[MOST_CODES];
    uint8_t colour[MOST_CODES];
    uint8_t text[MOST_CODES]; /* of one code, the last colour first */
};

/* Where the frame's next pixel goes. */
struct cursor {
    int32_t x, y;
    int pass;         /* of an interlaced frame */
    size_t done, all; /* pixels */
};

static void next_row(const struct gif *g, struct cursor *to)
{
    static const int32_t first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    to->x = 0;
    to->y += g->interlaced ? step[to->pass] : 1;
    while (g->interlaced && to->y >= g->height && to->pass < 3)
        to->y = first[++to->pass];
}

static det_status put_pixel(struct det_env *env, const struct gif *g, struct det_image *image,
                            struct cursor *to, uint8_t colour)
{
    if (colour >= g->palette_count)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: GIF: a pixel has colour %d of a palette of %d", g->name, colour,
                        g->palette_count);
    if (colour != g->transparent) {
        const size_t y = (size_t)g->top + (size_t)to->y, x = (size_t)g->left + (size_t)to->x;
        memcpy(image->rgb + (y * (size_t)image->width + x) * 3, g->palette + colour * 3, 3);
    }
    to->done++;
    if (++to->x == g->width)
        next_row(g, to);
    return DET_OK;
}

static det_status read_pixels(struct det_env *env, struct gif *g, struct table *t,
                              struct det_image *image)
{
    struct cursor to = {.all = (size_t)g->width * (size_t)g->height};
    struct codes codes = {.gif = g};
    const uint8_t *bits;
    if (!take(g, 1, &bits))
        return truncated(env, g, "frame");
    if (*bits < 1 || *bits > 8)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: GIF: codes of %d bits, expected 1 to 8",
                        g->name, *bits);
    const int32_t clear = 1 << *bits, end = clear + 1;
    int32_t free_code = end + 1, previous = NONE;
    int size = *bits + 1;
    uint8_t first = 0; /* colour of the previous code's text */
    while (to.done < to.all) {
        const int32_t code = next_code(&codes, size);
        if (code == NONE || code == end)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: truncated GIF: the data ends at pixel %zu of %zu (%zu bytes)",
                            g->name, to.done, to.all, g->bytes);
        if (code == clear) {
            free_code = end + 1;
            size = *bits + 1;
            previous = NONE;
            continue;
        }
        if (code > free_code || (previous == NONE && code > clear))
            return det_fail(env, DET_STATUS_CORRUPT, "%s: GIF: code %d is not in the table yet",
                            g->name, code);
        size_t length = 0;
        int32_t rest = code;
        if (code == free_code) { /* the entry that it makes itself */
            t->text[length++] = first;
            rest = previous;
        }
        for (; rest >= clear; rest = t->before[rest])
            t->text[length++] = t->colour[rest];
        t->text[length++] = first = (uint8_t)rest;
        while (length > 0 && to.done < to.all)
            DET_TRY_RETURN(put_pixel(env, g, image, &to, t->text[--length]));
        if (previous != NONE && free_code < MOST_CODES) {
            t->before[free_code] = (uint16_t)previous;
            t->colour[free_code++] = first;
            if (free_code == 1 << size && size < MOST_BITS)
                size++;
        }
        previous = code;
    }
    return DET_OK;
}

static uint32_t larger(int32_t a, int32_t b)
{
    return (uint32_t)(a > b ? a : b);
}

det_status det_gif_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                          struct det_image *image)
{
    struct gif g = {.name = name, .data = data, .bytes = bytes, .transparent = NONE};
    struct table *table = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(read_headers(env, &g));
    if (g.width == 0 || g.height == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: GIF with a frame of %d x %d pixels", name,
                        g.width, g.height);
    const uint32_t width = larger(g.screen_width, g.left + g.width);
    const uint32_t height = larger(g.screen_height, g.top + g.height);
    DET_TRY_RETURN(det_image_size_check(env, name, DET_IMAGE_GIF, width, height));
    DET_TRY(det_alloc_raw(env, &table, 1, sizeof *table, "GIF"));
    DET_TRY(det_image_resize_buffer(env, image, (int32_t)width, (int32_t)height));
    memset(image->rgb, 0, (size_t)width * height * 3);
    DET_TRY(read_pixels(env, &g, table, image));
fail:
    det_free(env, &table);
    return status;
}
