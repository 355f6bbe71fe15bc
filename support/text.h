/* text.h: a growing string, and the edit distance behind "did you mean". */
#ifndef DET_SUPPORT_TEXT_H
#define DET_SUPPORT_TEXT_H

#include "support/env.h"

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

/* Writes a double so that it reads back exactly, in the shortest of %.15g, %.16g, %.17g; non-finite
 * values as null, which is all JSON has. Returns `buffer` (at least 32 bytes). */
char *det_format_double(char buffer[32], double value);
/* The same of a float, the shortest of %.6g to %.9g. */
char *det_format_float(char buffer[32], float value);
/* Of what may have been a float: "0.7" for 0.69999998807907104, which reads back as the same float;
 * any other double as det_format_double() has it. */
char *det_format_value(char buffer[32], double value);

/* "%.*f" with a point whatever the locale's separator is. Returns `buffer`. */
char *det_fixed_text(char buffer[64], double value, int decimals);

/* Pixels, to a thousandth, without trailing zeros and not the locale's: "12", "12.5"; "0" for what
 * is no place in a picture. Returns `buffer`. */
char *det_format_pixels(char buffer[32], double value);
/* Shares of a picture's size, to 8 decimals. */
char *det_format_share(char buffer[32], double value);

/* Appends a name as UTF-8, which JSON, XML, YAML, label maps and tables have to be: each byte that
 * belongs to no character as "%" and two hexadecimal digits. "caf\xe9" becomes "caf%E9": different
 * names stay different. */
det_status det_text_utf8(struct det_env *env, struct det_text *text, const char *value);

/* Appends text for between tags or in quotes of XML and HTML, well-formed whatever `value` holds:
 * control characters, tab and line ends among them, become '?', bytes that are no UTF-8 as in
 * det_text_utf8(). */
det_status det_text_xml(struct det_env *env, struct det_text *text, const char *value);

/* Appends what a text from outside looks like to people (support/utf8.h): for messages and
 * tables. */
det_status det_text_shown(struct det_env *env, struct det_text *text, const char *value);
/* The same in XML and HTML, for pages and pictures. */
det_status det_text_xml_shown(struct det_env *env, struct det_text *text, const char *value);
/* The same as a column of a table: cut or filled up with blanks to `width` columns. A table's
 * column of names is as wide as the widest by det_utf8_shown_length(), at most DET_WIDEST_NAME. */
enum { DET_WIDEST_NAME = 40 };
det_status det_text_column(struct det_env *env, struct det_text *text, const char *value,
                           size_t width);

/* Appends a name as a cell of a CSV table (RFC 4180), in quotes where it needs them, as
 * blanks at its ends do. A name that a
 * spreadsheet would take for a formula (behind any apostrophes there is one of = + - @ tab CR LF)
 * gets an apostrophe in front, which det_csv_value() takes off. Bytes that are no UTF-8 as in
 * det_text_utf8(). */
det_status det_text_csv(struct det_env *env, struct det_text *text, const char *value);
/* The name in an unquoted cell; points into it. */
const char *det_csv_value(const char *cell);

#endif
