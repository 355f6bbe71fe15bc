/* python_json.h: Python's json module writes NaN, Infinity and -Infinity, which JSON does not have
 * (RFC 8259, 6). */
#ifndef DET_FORMATS_PYTHON_JSON_H
#define DET_FORMATS_PYTHON_JSON_H

#include "support/text.h"

/* Appends the text with a number beyond double's range for each of the words: what reads it finds
 * infinity there. *count: of such words outside strings. */
det_status det_python_json_replace(struct det_env *env, const char *data, size_t bytes,
                                   struct det_text *json, size_t *count);

#endif
