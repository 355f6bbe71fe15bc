/* encoding.h: text files as UTF-8. Programs on Windows write what the
 * system's language suggests (GBK, Shift_JIS, ISO-8859-1, ...), Excel UTF-16. iconv of the C
 * library decodes them. */
#ifndef DET_SUPPORT_ENCODING_H
#define DET_SUPPORT_ENCODING_H

#include "support/text.h"

/* Whether the C library knows an encoding by this name. */
bool det_encoding_is_known(const char *encoding);

/* Appends `data` as UTF-8, without a byte order mark. What the bytes are is said by, in this order:
 * a byte order mark (UTF-8, UTF-16), zeros in every second byte (UTF-16), `encoding`, which may be
 * NULL: UTF-8. GB2312, Shift_JIS and EUC-KR are read as the larger sets that Windows means by them.
 * Bytes that are not of the encoding, and one that is not known, are PARSE with `name` and line. */
det_status det_decode_text(struct det_env *env, const char *name, const void *data, size_t bytes,
                           const char *encoding, struct det_text *text);

#endif
