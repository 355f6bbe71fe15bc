/* text.h: a growing string, and the edit distance behind "did you mean". */
#ifndef DET_BASE_TEXT_H
#define DET_BASE_TEXT_H

#include "base/env.h"

struct det_text {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t length;
    size_t capacity;
};

det_status det_text_append(struct det_env *env, struct det_text *text, const char *data,
                           size_t bytes);
det_status det_text_printf(struct det_env *env, struct det_text *text, const char *format, ...)
    DET_PRINTF(3, 4);
void det_text_free(struct det_env *env, struct det_text *text);

/* Levenshtein distance of two words, compared up to 63 characters. */
int det_edit_distance(const char *a, const char *b);

/* Writes a double so that it reads back exactly, in the shortest of %.15g, %.16g, %.17g; non-finite values as null,
 * which is all JSON has. Returns `buffer` (at least 32 bytes). */
char *det_format_double(char buffer[32], double value);

/* "%.*f" with a point whatever the locale's separator is. Returns `buffer`. */
char *det_fixed_text(char buffer[64], double value, int decimals);

/* Appends a JSON string literal with quotes. */
det_status det_text_json_string(struct det_env *env, struct det_text *text, const char *value);

/* Appends text for between tags or in quotes of XML. XML 1.0 has no control characters but tab and line ends: any of them becomes
 * '?'. */
det_status det_text_xml(struct det_env *env, struct det_text *text, const char *value);

/* Appends a name as UTF-8, which JSON, XML, YAML and label maps have to be: each byte that belongs
 * to no character as "%" and two hexadecimal digits. "caf\xe9" becomes "caf%E9": different names
 * stay different. */
det_status det_text_utf8(struct det_env *env, struct det_text *text, const char *value);

/* Appends a name as a cell of a CSV table (RFC 4180), in quotes where it needs them. A name that a
 * spreadsheet would take for a formula (behind any apostrophes there is one of = + - @ tab CR LF)
 * gets an apostrophe in front, which det_csv_value() takes off. */
det_status det_text_csv(struct det_env *env, struct det_text *text, const char *value);
/* The name in an unquoted cell; points into it. */
const char *det_csv_value(const char *cell);

#endif
