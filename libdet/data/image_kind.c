/* image_kind.c: what a picture is by its name. */
#include <string.h>
#include <strings.h>

#include "base/io.h"
#include "data/image.h"

const char *det_image_kind_extension(enum det_image_kind kind)
{
    return kind == DET_IMAGE_PNG ? ".png" : ".jpg";
}

const char *det_image_extension(const char *path)
{
    static const char *const extensions[] = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"};
    const char *dot = strrchr(det_path_name(path), '.');
    for (size_t i = 0; dot != NULL && i < sizeof extensions / sizeof extensions[0]; i++)
        if (strcasecmp(dot, extensions[i]) == 0)
            return dot;
    return NULL;
}
