/* Stands in for image_webp.c. */
#include "data/image_codec.h"

const char *det_image_webp_missing(void)
{
    return "built without libwebp; install libwebp-dev and build again";
}

det_status det_webp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image *image)
{
    (void)data;
    (void)bytes;
    (void)image;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: a WebP image: %s", name,
                    det_image_webp_missing());
}
