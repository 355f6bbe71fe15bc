/* zip.h: zip archives, for files.h. libzip reads them (libzip_zip.c), which is loaded for each
 * archive; a build without its headers has none_zip.c, which says so. */
#ifndef DET_CONVERT_ZIP_H
#define DET_CONVERT_ZIP_H

#include "support/env.h"

struct det_zip;

/* A file, or where `data` is not NULL these bytes, which stay until it is closed; `path` begins
 * messages. Refused, with the reason: what is encrypted or packed in a way that libzip does not
 * know; an entry that claims to inflate to more than 64 MiB and more than 100 times its size in the
 * archive, or all of them to more than 1 GiB and 100 times the archive's; entries that overlap.
 * UNSUPPORTED, too: there is no libzip. */
det_status det_zip_open(struct det_env *env, const char *path, const void *data, size_t bytes,
                        struct det_zip **zip);
/* *zip may be NULL. */
void det_zip_close(struct det_env *env, struct det_zip **zip);

size_t det_zip_count(const struct det_zip *zip);
/* As the archive has it: whatever somebody wrote there. */
const char *det_zip_name(const struct det_zip *zip, size_t entry);
/* All of an entry, allocated; several threads may ask at once. `path` begins messages. One that is
 * not what it claims to be is CORRUPT. */
det_status det_zip_read(struct det_env *env, struct det_zip *zip, size_t entry, const char *path,
                        uint8_t **data, size_t *bytes);

/* Why archives cannot be read here; NULL: they can. */
const char *det_zip_missing(void);

#endif
