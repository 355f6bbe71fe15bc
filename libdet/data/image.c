/* image.c: files of pictures. The codecs are in files of their own, see image_codec.h. */
#include "data/image.h"

#include <string.h>
#include <strings.h>

#include "data/image_codec.h"
#include "support/io.h"
#include "support/mem.h"

det_status det_image_size_check(struct det_env *env, const char *name, enum det_image_kind kind,
                                uint32_t width, uint32_t height)
{
    const char *format = det_image_kind_name(kind);
    if (width == 0 || height == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %s of %u x %u pixels: it has no pixel", name,
                        format, width, height);
    if (width > DET_IMAGE_MOST_SIDE || height > DET_IMAGE_MOST_SIDE)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: %s of %u x %u pixels: a side may have %d at most", name, format, width,
                        height, DET_IMAGE_MOST_SIDE);
    if ((uint64_t)width * height > env->limits.max_image_pixels)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: %s of %u x %u pixels is too large: max_image_pixels allows %llu", name,
                        format, width, height, (unsigned long long)env->limits.max_image_pixels);
    return DET_OK;
}

/* No file is that large: decoded as it is. */
static const struct det_image_least whole = {INT32_MAX, INT32_MAX};

det_status det_image_decode_reduced(struct det_env *env, const char *name, const uint8_t *data,
                                    size_t bytes, struct det_image_least least,
                                    struct det_image *image)
{
    enum det_image_kind kind = DET_IMAGE_UNKNOWN;
    det_status status = det_image_sniff(env, name, data, bytes, &kind);
    if (status == DET_OK)
        status = kind == DET_IMAGE_JPEG  ? det_jpeg_decode(env, name, data, bytes, least, image)
                 : kind == DET_IMAGE_PNG ? det_png_decode(env, name, data, bytes, image)
                 : kind == DET_IMAGE_BMP ? det_bmp_decode(env, name, data, bytes, image)
                 : kind == DET_IMAGE_GIF ? det_gif_decode(env, name, data, bytes, image)
                                         : det_webp_decode(env, name, data, bytes, image);
    if (status != DET_OK)
        det_image_free(env, image);
    return status;
}

det_status det_image_decode(struct det_env *env, const char *name, const uint8_t *data,
                            size_t bytes, struct det_image *image)
{
    return det_image_decode_reduced(env, name, data, bytes, whole, image);
}

det_status det_image_read_reduced(struct det_env *env, const char *path,
                                  struct det_image_least least, struct det_image *image)
{
    struct det_file_bytes contents;
    det_status status = det_file_read(env, path, &contents);
    if (status != DET_OK) {
        det_image_free(env, image);
        return status;
    }
    status = det_image_decode_reduced(env, path, contents.data, contents.bytes, least, image);
    det_file_release(&contents);
    return status;
}

det_status det_image_read(struct det_env *env, const char *path, struct det_image *image)
{
    return det_image_read_reduced(env, path, whole, image);
}

det_status det_image_write(struct det_env *env, const char *path, const struct det_image *image)
{
    const char *dot = strrchr(det_path_name(path), '.');
    uint8_t *data = NULL;
    size_t bytes = 0;
    if (dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0))
        DET_TRY_RETURN(det_image_encode_jpeg(env, image, DET_IMAGE_WRITE_QUALITY, &data, &bytes));
    else if (dot != NULL && strcasecmp(dot, ".png") == 0)
        DET_TRY_RETURN(det_image_encode_png(env, image, &data, &bytes));
    else
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: the name must end in .jpg, .jpeg or .png", path);
    const det_status status = det_write_file(env, path, data, bytes);
    det_free(env, &data);
    return status;
}
