#include "data/picture_libraries.h"

#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#define TEXT_OF(value) #value
#define TEXT(value)    TEXT_OF(value)
#ifdef LIBJPEG_TURBO_VERSION
#define JPEG_NAME    "libjpeg-turbo"
#define JPEG_VERSION TEXT(LIBJPEG_TURBO_VERSION)
#else
#define JPEG_NAME    "libjpeg"
#define JPEG_VERSION TEXT(JPEG_LIB_VERSION)
#endif

const char *det_picture_library(int index, const char **name)
{
    static const char *const names[] = {JPEG_NAME, "libpng", "zlib"};
    *name = index < 3 ? names[index] : NULL;
    return index == 0   ? JPEG_VERSION /* the library does not tell its own */
           : index == 1 ? png_get_libpng_ver(NULL)
           : index == 2 ? zlibVersion()
                        : NULL;
}
