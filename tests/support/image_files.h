/* image_files.h: JPEG and PNG files of a pattern, of every kind that the libraries write. */
#ifndef DET_TESTS_SUPPORT_IMAGE_FILES_H
#define DET_TESTS_SUPPORT_IMAGE_FILES_H

#include <stdio.h>

#include <jpeglib.h>
#include <png.h>

#include "support/pictures.h"

uint8_t pixel_pattern(int y, int x, int c);

/* `components` 1, 3 or 4; 4 is CMYK with the pattern as ink and no black, written as `space`. */
struct test_bytes make_jpeg_file(int width, int height, int components, J_COLOR_SPACE space,
                                 bool progressive);

/* Any colour type; rows hold the pattern by channel (high byte for 16 bits; the index x % 4 for a
 * palette). */
struct test_bytes make_png_file(int width, int height, int type, int depth, int interlace);

#endif
