/* prototext.h: protobuf text format (what pipeline.config and label_map.pbtxt are written in) as a
 * tree that knows the line and column of every field. The tree knows no message types: the readers
 * above decide what a name means.
 *
 *   name: 1        name: "text" 'joined'      name: WORD      name: [1, 2, 3]
 *   name { ... }   name: { ... }              name < ... >    [package.extension] { ... }
 *   # comment
 *
 * Fields may be separated by `;` or `,`. Source of the rules: the "Text Format Language
 * Specification" of protobuf. Differs from it: no `Any` expansion; a list adds one field per
 * element, as the specification means it.
 */
#ifndef DET_FORMATS_PROTOTEXT_H
#define DET_FORMATS_PROTOTEXT_H

#include "support/env.h"

/* Messages inside messages, far above any real file; deeper ones are an error instead of a stack
 * overflow. */
#define DET_PROTOTEXT_MAX_DEPTH 64

struct det_position {
    int32_t line;   /* from 1; 0 = not in the file */
    int32_t column; /* from 1, in bytes */
};

enum det_prototext_kind {
    DET_PROTOTEXT_MESSAGE,
    DET_PROTOTEXT_STRING,
    DET_PROTOTEXT_NUMBER, /* as written: -1, 0x1f, 017, 1.5e3f, -inf */
    DET_PROTOTEXT_WORD    /* enum value, true, false, inf, nan */
};

struct det_prototext_field {
    const char *name;             /* extensions keep their brackets */
    enum det_prototext_kind kind; /* of the value */
    struct det_position position; /* of the name */
    struct det_position value_position;
    const char *text;  /* string: unescaped bytes, NUL-terminated; number, word: as written */
    size_t text_bytes; /* strings may hold NUL bytes */
    /* bytes of the text: from the name to behind the value; of a list all of it */
    size_t begin, end;
    struct det_prototext_field *first; /* message: its fields in the order of the file */
    struct det_prototext_field *next;  /* next field of the same message */
};

struct det_prototext {
    char *name;                         /* file name for messages */
    struct det_prototext_field root;    /* a message without a name; position 1:1 */
    struct det_prototext_block *blocks; /* memory of everything above */
};

/* `name` is only used in messages. `text` need not be NUL-terminated and is not referred to
 * afterwards. */
det_status det_prototext_parse(struct det_env *env, const char *name, const char *text,
                               size_t bytes, struct det_prototext *document);
void det_prototext_free(struct det_env *env, struct det_prototext *document);

/* Zeroed memory that lives as long as the document. */
det_status det_prototext_allocate(struct det_env *env, struct det_prototext *document, void *out,
                                  size_t count, size_t size);

/* The first field of that name, NULL if there is none. */
const struct det_prototext_field *det_prototext_find(const struct det_prototext_field *message,
                                                     const char *name);

/* The values of one field. Each fails with "name:LINE:COL: field `x`: found X, expected Y" when the
 * field has another type or the value does not fit. */
det_status det_prototext_int(struct det_env *env, const struct det_prototext *document,
                             const struct det_prototext_field *field, int64_t low, int64_t high,
                             int64_t *out);
det_status det_prototext_float(struct det_env *env, const struct det_prototext *document,
                               const struct det_prototext_field *field, float *out);
det_status det_prototext_bool(struct det_env *env, const struct det_prototext *document,
                              const struct det_prototext_field *field, bool *out);
/* Strings with a NUL byte inside are refused: names and paths cannot hold one. */
det_status det_prototext_string(struct det_env *env, const struct det_prototext *document,
                                const struct det_prototext_field *field, const char **out);

/* det_fail with "name:LINE:COL: " in front. */
det_status det_prototext_fail(struct det_env *env, det_status status,
                              const struct det_prototext *document, struct det_position position,
                              const char *format, ...) DET_PRINTF(5, 6);

/* Locale-independent strtod for numbers of text format (optional sign, decimal with fraction and
 * exponent, hex and octal integers, inf, infinity, nan, suffix f). False when the whole text is not
 * one number. */
bool det_parse_double(const char *text, double *out);

/* Appends `value` as a string in quotes. */
struct det_text;
det_status det_prototext_put_string(struct det_env *env, struct det_text *text, const char *value);

#endif
