/* zip.h: zip archives for convert/files.h. libzip reads them (libzip_zip.c); a build without it has
 * none_zip.c, which says so. */
#ifndef DET_TOOLS_DATA_ZIP_H
#define DET_TOOLS_DATA_ZIP_H

#include "convert/files.h"

/* Refused when opened, with the reason: what is encrypted or packed in a way that libzip does not
 * know; an entry that claims to inflate to more than 64 MiB and more than 100 times its size in the
 * archive, or all of them to more than 1 GiB and 100 times the archive's; entries that overlap. An
 * entry that is not what it claims to be is refused when it is read. */
extern const struct det_archive_ops zip_archive_ops;

/* libzip's version, or "no zip: ..." */
const char *zip_about(void);

#endif
