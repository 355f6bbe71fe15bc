#include "data/zip.h"

static det_status open_archive(struct det_env *env, const char *path, void **archive)
{
    *archive = NULL;
    return det_fail(
        env, DET_STATUS_UNSUPPORTED,
        "%s: this det-data was built without libzip and reads no zip: unpack it, or install "
        "libzip-dev and build again",
        path);
}

/* Nothing else is ever called. */
const struct det_archive_ops zip_archive_ops = {.open = open_archive};

const char *zip_about(void)
{
    return "no zip: built without libzip";
}
