/* zip_stored.h: a zip archive (PKWARE's APPNOTE.TXT) of files that are stored, not compressed,
 * behind other data: how TFLite Metadata packs files into a model. Sizes and places are below 4
 * GB. */
#ifndef DET_FORMATS_ZIP_STORED_H
#define DET_FORMATS_ZIP_STORED_H

#include "support/env.h"
#include "support/text.h"

struct det_zip_file {
    const char *name; /* UTF-8 */
    const void *data;
    size_t bytes;
};

/* Appends the archive; places in it are counted from the beginning of `text`. */
det_status det_zip_append(struct det_env *env, struct det_text *text,
                          const struct det_zip_file *files, size_t count);

/* The file of that name in the archive that `data` ends with, its sum checked. NOT_FOUND, CORRUPT;
 * UNSUPPORTED when it is compressed. */
det_status det_zip_find(struct det_env *env, const void *data, size_t bytes, const char *name,
                        struct det_zip_file *file);

#endif
