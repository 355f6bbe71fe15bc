#include "support/image_files.h"

uint8_t pixel_pattern(int y, int x, int c)
{
    return (uint8_t)(c == 0 ? x * 7 + y : c == 1 ? y * 5 : 255 - x * 3 - y);
}

struct test_bytes make_jpeg_file(int width, int height, int components, J_COLOR_SPACE space,
                                 bool progressive)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char *data = NULL;
    unsigned long count = 0;
    jpeg_mem_dest(&info, &data, &count);
    info.image_width = (JDIMENSION)width;
    info.image_height = (JDIMENSION)height;
    info.input_components = components;
    info.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&info);
    if (components == 4)
        jpeg_set_colorspace(&info, space);
    jpeg_set_quality(&info, 98, TRUE);
    if (progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    uint8_t *row = malloc((size_t)(width * components));
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < components; c++)
                row[x * components + c] = c < 3 ? pixel_pattern(y / 4, x / 4, c) : 200;
        }
        JSAMPROW rows = row;
        jpeg_write_scanlines(&info, &rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    free(row);
    return (struct test_bytes){data, count};
}

static void append(png_structp png, png_bytep from, size_t count)
{
    test_append(png_get_io_ptr(png), from, count);
}

static void nothing(png_structp png)
{
    (void)png;
}

struct test_bytes make_png_file(int width, int height, int type, int depth, int interlace)
{
    struct test_bytes bytes = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &bytes, append, nothing);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type, interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    const png_color palette[4] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 128}, {9, 8, 7}};
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 4);
    png_write_info(png, info);
    const int channels = type == PNG_COLOR_TYPE_RGB_ALPHA    ? 4
                         : type == PNG_COLOR_TYPE_RGB        ? 3
                         : type == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                             : 1;
    const int sample = depth == 16 ? 2 : 1;
    const size_t row_bytes = (size_t)(width * channels * sample);
    png_bytep *rows = calloc((size_t)height, sizeof *rows);
    for (int y = 0; y < height; y++) {
        rows[y] = calloc(row_bytes, 1);
        for (int x = 0; x < width; x++) {
            for (int c = 0; c < channels; c++) {
                const int at = (x * channels + c) * sample;
                rows[y][at] =
                    (uint8_t)(type == PNG_COLOR_TYPE_PALETTE ? x % 4 : pixel_pattern(y, x, c));
                if (sample == 2)
                    rows[y][at + 1] = 0xf7; /* dropped, not rounded */
            }
        }
    }
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    for (int y = 0; y < height; y++)
        free(rows[y]);
    free(rows);
    return bytes;
}
