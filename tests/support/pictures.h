/* pictures.h: pictures of the kinds that libdet reads and does not write, made for tests. All
 * results are malloc'ed. */
#ifndef DET_TESTS_SUPPORT_PICTURES_H
#define DET_TESTS_SUPPORT_PICTURES_H

#include "support/test.h"

struct test_bytes {
    uint8_t *data;
    size_t count;
};

void test_append(struct test_bytes *bytes, const void *data, size_t count);
/* Little-endian, 1 to 4 bytes. */
void test_append_number(struct test_bytes *bytes, uint32_t value, size_t count);

/* The JPEG with an EXIF orientation in an APP1 segment behind SOI; big: its numbers have the high
 * byte first. */
uint8_t *test_put_orientation(const uint8_t *jpeg, size_t bytes, int orientation, bool big,
                              size_t *out);

struct test_bmp {
    uint32_t header_bytes; /* 12, 40, 108, ... */
    int32_t width, height; /* negative: top row first */
    uint32_t bits, compression;
    const uint32_t *masks; /* NULL or [3], in the header or behind one of 40 bytes */
    uint32_t colours;      /* of the palette, which is (7 i, 255 - 5 i, 3 i); 0: none */
    const uint8_t *pixels; /* as they stand in the file */
    size_t pixel_bytes;
};
struct test_bytes test_make_bmp(const struct test_bmp *bmp);

struct test_gif {
    int screen_width, screen_height;
    int left, top, width, height;
    int bits; /* 1 to 8: a palette of 2^bits colours (7 i, 255 - 5 i, 3 i) */
    bool local_palette, interlaced;
    int transparent;        /* colour, -1 */
    const uint8_t *colours; /* [height][width] */
};
/* "GIF89a", one comment, one frame. */
struct test_bytes test_make_gif(const struct test_gif *gif);

/* Every cut and every flipped byte of a file ends in a picture or a message; in a block of its own,
 * so that a sanitizer sees a step too far. */
void test_damage_picture(struct test_env *t, const struct test_bytes *file);

#endif
