/* read_onnx.h: ONNX back into a program: the file (read_onnx.c), its initialisers, inputs and
 * outputs (read_onnx_values.c) and its nodes (read_onnx_nodes.c). It knows what the writer writes,
 * and says of anything else what it is. */
#ifndef DET_EXPORT_READ_ONNX_H
#define DET_EXPORT_READ_ONNX_H

#include "export/export.h"
#include "export/program.h"
#include "formats/protowire.h"

enum { DET_ONNX_MOST_ATTRIBUTES = 12 };

/* A string in the file, without a NUL. */
typedef struct det_wire det_onnx_span;

struct det_onnx_attribute {
    det_onnx_span name;
    int32_t type; /* AttributeProto.AttributeType */
    int64_t whole;
    float number;
    det_onnx_span string;
    int64_t wholes[DET_ARRAY_MOST_DIMS];
    int32_t count; /* of wholes */
    bool used;
};

struct det_onnx_node {
    det_onnx_span name, operator_name, domain;
    det_onnx_span inputs[DET_PROGRAM_MOST_INPUTS], outputs[DET_PROGRAM_MOST_OUTPUTS];
    int32_t input_count, output_count;
    struct det_onnx_attribute attributes[DET_ONNX_MOST_ATTRIBUTES];
    int32_t attribute_count;
};

/* What a name stands for; several may stand for one value. */
struct det_onnx_name {
    char *name;
    int32_t value;
    int32_t type; /* TensorProto.DataType of an initialiser; 0: of something else */
};

struct det_onnx_reader {
    struct det_env *env;
    struct det_program *program;
    int64_t opset; /* 0: the file has not said it */
    struct det_onnx_name *names;
    size_t name_count, name_capacity;
};

bool det_onnx_span_is(det_onnx_span span, const char *text);

/* The value of a name; CORRUPT when there is none. -1 for an empty name. */
det_status det_onnx_value(struct det_onnx_reader *reader, det_onnx_span name, int32_t *value);
/* The type of the initialiser of a name; 0 when there is none. */
int32_t det_onnx_type_of(const struct det_onnx_reader *reader, det_onnx_span name);
/* Makes a name stand for a value; CORRUPT when it is taken. */
det_status det_onnx_add_name(struct det_onnx_reader *reader, det_onnx_span name, int32_t value);
/* A new value of this name. */
det_status det_onnx_add_value(struct det_onnx_reader *reader, det_onnx_span name, int32_t *value);

/* A field that must be of this wire type; `what` is for messages. */
det_status det_onnx_take_string(struct det_onnx_reader *reader, const struct det_wire_field *field,
                                const char *what, det_onnx_span *span);
det_status det_onnx_take_varint(struct det_onnx_reader *reader, const struct det_wire_field *field,
                                const char *what, int64_t *value);
/* One number more of a repeated field. */
det_status det_onnx_take_whole(struct det_onnx_reader *reader, const struct det_wire_field *field,
                               const char *what, int64_t values[DET_ARRAY_MOST_DIMS],
                               int32_t *count);
/* UNSUPPORTED */
det_status det_onnx_unknown_field(struct det_onnx_reader *reader, const char *message,
                                  const struct det_wire_field *field);

/* TensorProto, and ValueInfoProto of the graph's input and of an output. */
det_status det_onnx_read_initialiser(struct det_onnx_reader *reader, struct det_wire wire);
det_status det_onnx_read_input(struct det_onnx_reader *reader, struct det_wire wire);
det_status det_onnx_read_output(struct det_onnx_reader *reader, struct det_wire wire);

/* Appends the program's node for it. */
det_status det_onnx_read_node(struct det_onnx_reader *reader, struct det_onnx_node *node);

/* The reader of the format "onnx". */
det_status det_onnx_read(struct det_env *env, const struct det_export *exported,
                         struct det_program *program);

#endif
