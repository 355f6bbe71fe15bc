/* pipeline_schema.h: the messages of pipeline.config as tables, the pass that brings a tree to what
 * protobuf's Merge makes of it, and the decoder that fills C structs from it. The tables
 * (pipeline_schema*.c) hold name, type, default, range and destination of each field, or the reason
 * why it is dropped or refused. */
#ifndef DET_FORMATS_PIPELINE_SCHEMA_H
#define DET_FORMATS_PIPELINE_SCHEMA_H

#include "formats/pipeline_stage.h"
#include "formats/prototext.h"

#define DET_SCHEMA_MOST_FIELDS 64 /* of one message */

enum det_schema_type {
    DET_SCHEMA_BOOL,
    DET_SCHEMA_INT,  /* int32_t */
    DET_SCHEMA_UINT, /* uint32_t */
    DET_SCHEMA_FLOAT,
    DET_SCHEMA_STRING,
    DET_SCHEMA_ENUM, /* int32_t */
    DET_SCHEMA_MESSAGE
};

enum det_schema_use {
    DET_SCHEMA_HONOURED,
    DET_SCHEMA_HARMLESS, /* type checked, value dropped */
    DET_SCHEMA_TOLD,     /* the same, with a warning unless it has its default value */
    DET_SCHEMA_REFUSED   /* UNSUPPORTED unless it has its default value */
};

enum det_schema_mark { DET_SCHEMA_MARK_NONE, DET_SCHEMA_MARK_BOOL, DET_SCHEMA_MARK_INT };

struct det_schema_word {
    const char *name; /* NULL ends the list */
    int32_t value;
};

/* Lists are stored as {size_t count; const T *values}; element type by `type`. */
struct det_schema_field {
    const char *name;
    uint8_t type; /* enum det_schema_type */
    uint8_t use;  /* enum det_schema_use */
    bool repeated;
    uint8_t inline_count; /* repeated floats of exactly this number, stored in place; 0: a list */
    uint8_t oneof;        /* members of the same number exclude each other; 0: none */
    uint8_t stage;        /* of a message: enum det_pipeline_stage */
    uint8_t mark;         /* what to set when the field is present */
    int32_t mark_value;   /* for MARK_INT */
    size_t mark_offset;
    size_t offset;
    double fallback; /* default of numbers, bools, enums */
    const char *text_fallback;
    double low, high; /* honoured numbers: allowed range, unless low == high */
    const struct det_schema_message *message;
    const struct det_schema_word *words;
    const char *reason; /* of harmless and refused fields */
};

struct det_schema_message {
    const char *name; /* of the proto message */
    size_t size;      /* of the C struct, for repeated messages */
    const struct det_schema_field *fields;
    size_t count;
    size_t position_offset; /* of a struct det_position in the C struct, if has_position */
    bool has_position;
};

/* TrainEvalPipelineConfig into struct det_pipeline_config, its parts, and PreprocessingStep into
 * struct det_augmentation. */
extern const struct det_schema_message det_schema_pipeline;
extern const struct det_schema_message det_schema_train;
extern const struct det_schema_message det_schema_eval;
extern const struct det_schema_message det_schema_input_reader;
extern const struct det_schema_message det_schema_augmentation;
/* StringIntLabelMap (label_map.c). */
extern const struct det_schema_message det_schema_label_map;

/* The field whose name is like this one, for "did you mean"; NULL when none is. */
const char *det_schema_suggest(const struct det_schema_message *message, const char *name);
/* NULL when the message has no such field. */
const struct det_schema_field *det_schema_find(const struct det_schema_message *message,
                                               const char *name);

/* What text_format.Merge makes of fields that are there more than once, in the tree itself: of a
 * scalar the last one stays, a member of a oneof replaces the others, messages become one, elements
 * of lists stay as they are. Each case is a warning that names both lines; a value written twice
 * alike is none. Whatever the tables do not know is left for the decoder. */
void det_schema_merge(struct det_env *env, const struct det_prototext *document,
                      const struct det_schema_message *message, struct det_prototext_field *tree);

/* Writes all defaults, then what the merged tree gives. `out` must be zeroed. Without `refusals`
 * every stage fails at once. */
det_status det_schema_decode(struct det_env *env, struct det_prototext *document,
                             const struct det_schema_message *message,
                             const struct det_prototext_field *tree,
                             struct det_stage_refusals *refusals, void *out);

/* Table-writing helpers; BASE is the C struct of the message at hand. */
#define DET_AT(member)        .offset = offsetof(BASE, member)
#define DET_MARK_BOOL(member) .mark = DET_SCHEMA_MARK_BOOL, .mark_offset = offsetof(BASE, member)
#define DET_MARK_INT(member, number) \
    .mark = DET_SCHEMA_MARK_INT, .mark_offset = offsetof(BASE, member), .mark_value = (number)
#define DET_FIELD(field, kind) .name = #field, .type = DET_SCHEMA_##kind
#define DET_BOOL(field, value)                                     \
    {                                                              \
        DET_FIELD(field, BOOL), DET_AT(field), .fallback = (value) \
    }
#define DET_NUMBER(kind, field, value, least, most)                                                \
    {                                                                                              \
        DET_FIELD(field, kind), DET_AT(field), .fallback = (value), .low = (least), .high = (most) \
    }
#define DET_INT(field, value, least, most)   DET_NUMBER(INT, field, value, least, most)
#define DET_UINT(field, value, least, most)  DET_NUMBER(UINT, field, value, least, most)
#define DET_FLOAT(field, value, least, most) DET_NUMBER(FLOAT, field, value, least, most)
#define DET_STRING(field, value)                                          \
    {                                                                     \
        DET_FIELD(field, STRING), DET_AT(field), .text_fallback = (value) \
    }
#define DET_ENUM(field, list, value)                                                \
    {                                                                               \
        DET_FIELD(field, ENUM), DET_AT(field), .words = (list), .fallback = (value) \
    }
#define DET_MESSAGE(field, table)                                     \
    {                                                                 \
        DET_FIELD(field, MESSAGE), DET_AT(field), .message = &(table) \
    }
#define DET_LIST(field, kind, member)                            \
    {                                                            \
        DET_FIELD(field, kind), DET_AT(member), .repeated = true \
    }
#define DET_HARMLESS(field, kind, why)                                      \
    {                                                                       \
        DET_FIELD(field, kind), .use = DET_SCHEMA_HARMLESS, .reason = (why) \
    }
#define DET_REFUSED(field, kind, value, why)                                                    \
    {                                                                                           \
        DET_FIELD(field, kind), .use = DET_SCHEMA_REFUSED, .fallback = (value), .reason = (why) \
    }
#define DET_TOLD(field, kind, value, why)                                                    \
    {                                                                                        \
        DET_FIELD(field, kind), .use = DET_SCHEMA_TOLD, .fallback = (value), .reason = (why) \
    }
#define DET_REFUSED_ONEOF(field, why)                                                     \
    {                                                                                     \
        DET_FIELD(field, MESSAGE), .oneof = 1, .use = DET_SCHEMA_REFUSED, .reason = (why) \
    }
#define DET_TABLE(name_text, table)                                   \
    {                                                                 \
        .name = (name_text), .size = sizeof(BASE), .fields = (table), \
        .count = sizeof(table) / sizeof((table)[0])                   \
    }

#endif
