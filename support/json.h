/* json.h: reading JSON (RFC 8259) where it lies. det_json_parse() checks a whole text; values are
 * then places in it, found by walking, so that a file of any size costs no memory beside its text:
 * COCO's annotation files are hundreds of megabytes, most of them polygons that nobody asks for. As
 * in Python, the last of equal keys counts and a UTF-8 mark at the start is no content; unlike
 * there, NaN and Infinity are errors. Nothing depends on the locale.
 */
#ifndef DET_SUPPORT_JSON_H
#define DET_SUPPORT_JSON_H

#include "support/env.h"

/* Lists and objects in each other. */
#define DET_JSON_MOST_DEPTH 512

enum det_json_kind {
    DET_JSON_NONE, /* no value: a key that is not there */
    DET_JSON_NULL,
    DET_JSON_BOOL,
    DET_JSON_NUMBER,
    DET_JSON_STRING,
    DET_JSON_LIST,
    DET_JSON_OBJECT,
};

/* Valid as long as the text that was parsed. All zero: DET_JSON_NONE. */
struct det_json {
    const char *at, *end; /* its first character; the end of the text */
};

/* A place in a list or an object. */
struct det_json_entry {
    struct det_json key; /* NONE in a list */
    struct det_json value;
};

/* PARSE with "name:line:column: what was found" unless `text` is one JSON value; it must not change
 * afterwards. */
det_status det_json_parse(struct det_env *env, const char *name, const void *text, size_t bytes,
                          struct det_json *root);

enum det_json_kind det_json_kind(struct det_json value);
/* "a number", "nothing", ... for messages. */
const char *det_json_kind_text(struct det_json value);

/* for (bool more = det_json_first(list, &entry); more; more = det_json_next(&entry)). False at the
 * end, and for what is neither list nor object. */
bool det_json_first(struct det_json container, struct det_json_entry *entry);
bool det_json_next(struct det_json_entry *entry);
/* Entries of a list or object, 0 for anything else. */
size_t det_json_count(struct det_json container);
/* NONE when there is no such key, or it is no object. */
struct det_json det_json_get(struct det_json object, const char *key);

/* False and 0 when it is no number. */
bool det_json_number(struct det_json value, double *number);
bool det_json_is_true(struct det_json value);
/* True for a string with this text. */
bool det_json_equals(struct det_json value, const char *text);
/* A string in UTF-8, freed with det_free; half a surrogate pair and \u0000 become U+FFFD. For any
 * other kind *text is NULL. */
det_status det_json_string(struct det_env *env, struct det_json value, char **text);
/* The value as it is written. */
const char *det_json_source(struct det_json value, size_t *bytes);

#endif
