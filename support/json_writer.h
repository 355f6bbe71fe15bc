/* json_writer.h: the one way in which the library and its tools write JSON (RFC 8259): entry by
 * entry into a text, with commas and quotes where they belong, so that what a name, a path or a
 * number holds cannot break it. What is there already of a document may be taken out of the text
 * between any two calls, so a file of any length costs no memory.
 *
 * Strings come from outside (class names, paths, which are bytes):
 *   - `"` and `\` are escaped, control characters (below U+0020) become \u00XX
 *   - a byte that belongs to no character of UTF-8 becomes "%" and two hexadecimal digits, as in
 *     every text that has to be UTF-8 (det_text_utf8() of support/text.h): "caf\xe9" is "caf%E9"
 *   - a NULL string is null
 * Numbers read back as exactly what they were, whatever the locale is, or have as many decimals as
 * asked for; NaN and infinity, which JSON has not, are null: readers see that there is no value,
 * none takes it for a number.
 *
 * The first failure (no memory) is kept and the calls behind it do nothing: det_json_end() returns
 * it. A `key` is that of an entry of an object, NULL for an entry of a list. */
#ifndef DET_SUPPORT_JSON_WRITER_H
#define DET_SUPPORT_JSON_WRITER_H

#include "support/text.h"

enum det_json_style {
    DET_JSON_SPACED, /* {"a": 1, "b": 2} */
    DET_JSON_COMPACT /* {"a":1,"b":2} */
};

struct det_json_writer {
    struct det_env *env;
    struct det_text *text;
    enum det_json_style style;
    det_status status; /* the first that was not OK */
    bool follows;      /* an entry stands before in this list or object */
    int blanks;        /* that begin the next line; -1: what comes stays in this line */
};

/* Appends to `text` (borrowed). */
void det_json_begin(struct det_json_writer *json, struct det_env *env, struct det_text *text,
                    enum det_json_style style);
/* Ends the line where det_json_line() asked for it. */
det_status det_json_end(struct det_json_writer *json);

/* The next entry, bracket or end begins a line, with so many blanks. */
void det_json_line(struct det_json_writer *json, int blanks);

void det_json_open_object(struct det_json_writer *json, const char *key);
void det_json_close_object(struct det_json_writer *json);
void det_json_open_list(struct det_json_writer *json, const char *key);
void det_json_close_list(struct det_json_writer *json);

void det_json_put_string(struct det_json_writer *json, const char *key, const char *value);
void det_json_put_int(struct det_json_writer *json, const char *key, int64_t value);
void det_json_put_size(struct det_json_writer *json, const char *key, size_t value);
void det_json_put_bool(struct det_json_writer *json, const char *key, bool value);
/* The shortest text that reads back as the same double, or the same float. */
void det_json_put_double(struct det_json_writer *json, const char *key, double value);
void det_json_put_float(struct det_json_writer *json, const char *key, float value);
/* Of what may have been a float (det_format_value()). */
void det_json_put_value(struct det_json_writer *json, const char *key, double value);
void det_json_put_fixed(struct det_json_writer *json, const char *key, double value, int decimals);
/* Lists of numbers. */
void det_json_put_doubles(struct det_json_writer *json, const char *key, const double *values,
                          size_t count);
void det_json_put_values(struct det_json_writer *json, const char *key, const double *values,
                         size_t count);
void det_json_put_floats(struct det_json_writer *json, const char *key, const float *values,
                         size_t count);
/* A value that is JSON already. */
void det_json_put_made(struct det_json_writer *json, const char *key, const char *value);

#endif
