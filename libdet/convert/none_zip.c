/* Stands in for libzip_zip.c. */
#include "convert/zip.h"

det_status det_zip_open(struct det_env *env, const char *path, const void *data, size_t bytes,
                        struct det_zip **zip)
{
    (void)data, (void)bytes;
    *zip = NULL;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: a zip archive: %s, or unpack it", path,
                    det_zip_missing());
}

void det_zip_close(struct det_env *env, struct det_zip **zip)
{
    (void)env, (void)zip;
}

/* No archive is ever open. */
size_t det_zip_count(const struct det_zip *zip)
{
    (void)zip;
    return 0;
}

const char *det_zip_name(const struct det_zip *zip, size_t entry)
{
    (void)zip, (void)entry;
    return "";
}

det_status det_zip_read(struct det_env *env, struct det_zip *zip, size_t entry, const char *path,
                        uint8_t **data, size_t *bytes)
{
    (void)zip, (void)entry, (void)data, (void)bytes;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s", path, det_zip_missing());
}

const char *det_zip_missing(void)
{
    return "libdet was built without libzip; install libzip-dev and build again";
}
