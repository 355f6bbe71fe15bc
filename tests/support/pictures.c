#include "support/pictures.h"

#include "data/image.h"

void test_append(struct test_bytes *bytes, const void *data, size_t count)
{
    bytes->data = realloc(bytes->data, bytes->count + count + 1);
    assert_non_null(bytes->data);
    if (count > 0)
        memcpy(bytes->data + bytes->count, data, count);
    bytes->count += count;
}

void test_append_number(struct test_bytes *bytes, uint32_t value, size_t count)
{
    const uint8_t parts[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    test_append(bytes, parts, count);
}

uint8_t *test_put_orientation(const uint8_t *jpeg, size_t bytes, int orientation, bool big,
                              size_t *out)
{
    static const uint8_t little[] = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0,    0, 'I', 'I',
                                     42,   0,    8, 0,  0,   0,   1,   0,   0x12, 1, 3,   0,
                                     1,    0,    0, 0,  0,   0,   0,   0,   0,    0, 0,   0};
    static const uint8_t large[] = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0,    'M', 'M',
                                    0,    42,   0, 0,  0,   8,   0,   1,   1, 0x12, 0,   3,
                                    0,    0,    0, 1,  0,   0,   0,   0,   0, 0,    0,   0};
    uint8_t *data = malloc(bytes + sizeof little);
    assert_non_null(data);
    memcpy(data, jpeg, 2);
    memcpy(data + 2, big ? large : little, sizeof little);
    data[2 + (big ? 29 : 28)] = (uint8_t)orientation;
    memcpy(data + 2 + sizeof little, jpeg + 2, bytes - 2);
    *out = bytes + sizeof little;
    return data;
}

static void append_palette(struct test_bytes *bytes, uint32_t count, bool bgr, size_t entry)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t rgb[3] = {(uint8_t)(7 * i), (uint8_t)(255 - 5 * i), (uint8_t)(3 * i)};
        const uint8_t colour[4] = {rgb[bgr ? 2 : 0], rgb[1], rgb[bgr ? 0 : 2], 0};
        test_append(bytes, colour, entry);
    }
}

struct test_bytes test_make_bmp(const struct test_bmp *bmp)
{
    struct test_bytes b = {0};
    const bool core = bmp->header_bytes == 12,
               behind = bmp->masks != NULL && bmp->header_bytes == 40;
    const size_t entry = core ? 3 : 4;
    const size_t at = 14 + bmp->header_bytes + (behind ? 12 : 0) + bmp->colours * entry;
    test_append(&b, "BM", 2);
    test_append_number(&b, (uint32_t)(at + bmp->pixel_bytes), 4);
    test_append_number(&b, 0, 4);
    test_append_number(&b, (uint32_t)at, 4);
    test_append_number(&b, bmp->header_bytes, 4);
    test_append_number(&b, (uint32_t)bmp->width, core ? 2 : 4);
    test_append_number(&b, (uint32_t)bmp->height, core ? 2 : 4);
    test_append_number(&b, 1, 2);
    test_append_number(&b, bmp->bits, 2);
    if (!core) {
        test_append_number(&b, bmp->compression, 4);
        for (int i = 0; i < 3; i++)
            test_append_number(&b, 0, 4);
        test_append_number(&b, bmp->colours, 4);
        test_append_number(&b, 0, 4);
    }
    for (int i = 0; i < 3 && bmp->masks != NULL; i++)
        test_append_number(&b, bmp->masks[i], 4);
    while (b.count < 14 + bmp->header_bytes)
        test_append_number(&b, 0, 1);
    append_palette(&b, bmp->colours, true, entry);
    test_append(&b, bmp->pixels, bmp->pixel_bytes);
    return b;
}

/* --- GIF --- */

struct code_writer {
    struct test_bytes bytes;
    uint32_t bits;
    int count;
};

static void put_code(struct code_writer *w, uint32_t code, int size)
{
    w->bits |= code << w->count;
    for (w->count += size; w->count >= 8; w->count -= 8, w->bits >>= 8)
        test_append_number(&w->bytes, w->bits & 255, 1);
}

/* LZW with a search through the whole table, which is cleared when it is full. */
static struct test_bytes compress(const struct test_gif *gif, int bits)
{
    enum { CODES = 4096 };
    struct code_writer w = {0};
    static int before[CODES], colour[CODES];
    const int clear = 1 << bits;
    int next = clear + 2, size = bits + 1, current = -1;
    put_code(&w, (uint32_t)clear, size);
    for (int i = 0; i < gif->width * gif->height; i++) {
        /* Interlaced: the rows in the order of the four passes. */
        int row = i / gif->width;
        if (gif->interlaced) {
            static const int first[4] = {0, 4, 2, 1}, step[4] = {8, 8, 4, 2};
            int left = row;
            for (int pass = 0; pass < 4; pass++) {
                const int rows = gif->height > first[pass]
                                     ? (gif->height - first[pass] + step[pass] - 1) / step[pass]
                                     : 0;
                if (left < rows) {
                    row = first[pass] + left * step[pass];
                    break;
                }
                left -= rows;
            }
        }
        const int pixel = gif->colours[row * gif->width + i % gif->width];
        if (current < 0) {
            current = pixel;
            continue;
        }
        int found = -1;
        for (int k = clear + 2; k < next && found < 0; k++)
            if (before[k] == current && colour[k] == pixel)
                found = k;
        if (found >= 0) {
            current = found;
            continue;
        }
        put_code(&w, (uint32_t)current, size);
        if (next < CODES) {
            before[next] = current;
            colour[next] = pixel;
            if (next++ == 1 << size && size < 12)
                size++;
        } else {
            put_code(&w, (uint32_t)clear, size);
            next = clear + 2;
            size = bits + 1;
        }
        current = pixel;
    }
    put_code(&w, (uint32_t)current, size);
    put_code(&w, (uint32_t)clear + 1, size);
    put_code(&w, 0, 7);
    return w.bytes;
}

struct test_bytes test_make_gif(const struct test_gif *gif)
{
    struct test_bytes b = {0};
    const uint32_t palette = 0x80 | ((uint32_t)gif->bits - 1);
    const int code_bits = gif->bits < 2 ? 2 : gif->bits;
    test_append(&b, "GIF89a", 6);
    test_append_number(&b, (uint32_t)gif->screen_width, 2);
    test_append_number(&b, (uint32_t)gif->screen_height, 2);
    test_append_number(&b, gif->local_palette ? 0 : palette, 3);
    if (!gif->local_palette)
        append_palette(&b, 1U << gif->bits, false, 3);
    test_append(&b, "\x21\xfe\x05hello\0", 9);
    if (gif->transparent >= 0) {
        test_append(&b, "\x21\xf9\x04\x01\0\0", 6);
        test_append_number(&b, (uint32_t)gif->transparent, 2);
    }
    test_append(&b, "\x2c", 1);
    test_append_number(&b, (uint32_t)gif->left, 2);
    test_append_number(&b, (uint32_t)gif->top, 2);
    test_append_number(&b, (uint32_t)gif->width, 2);
    test_append_number(&b, (uint32_t)gif->height, 2);
    test_append_number(&b, (gif->local_palette ? palette : 0) | (gif->interlaced ? 0x40 : 0), 1);
    if (gif->local_palette)
        append_palette(&b, 1U << gif->bits, false, 3);
    test_append_number(&b, (uint32_t)code_bits, 1);
    struct test_bytes codes = compress(gif, code_bits);
    for (size_t at = 0; at < codes.count; at += 255) {
        const size_t part = codes.count - at < 255 ? codes.count - at : 255;
        test_append_number(&b, (uint32_t)part, 1);
        test_append(&b, codes.data + at, part);
    }
    free(codes.data);
    test_append(&b, "\0\x3b", 2);
    return b;
}

void test_damage_picture(struct test_env *t, const struct test_bytes *file)
{
    struct det_image image = {0};
    for (size_t cut = 0; cut < file->count; cut += 1 + cut / 300) {
        uint8_t *part = malloc(cut ? cut : 1);
        assert_non_null(part);
        memcpy(part, file->data, cut);
        const det_status status = det_image_decode(&t->env, "cut", part, cut, &image);
        assert_true(status == DET_OK || status == DET_STATUS_CORRUPT ||
                    status == DET_STATUS_UNSUPPORTED);
        free(part);
    }
    for (size_t at = 0; at < file->count; at += 1 + at / 300)
        for (int change = 0; change < 3; change++) {
            static const uint8_t changes[3] = {0xff, 0x01, 0x80};
            file->data[at] ^= changes[change];
            t->env.error[0] = '\0';
            const det_status status =
                det_image_decode(&t->env, "flip", file->data, file->count, &image);
            assert_true(status == DET_OK || t->env.error[0] != '\0');
            file->data[at] ^= changes[change];
        }
    det_image_free(&t->env, &image);
}
