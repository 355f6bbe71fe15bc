/* onnx_proto.h: writing an ONNX model (onnx/onnx.proto of github.com/onnx/onnx, IR version 7), node
 * by node into its final bytes. Values are numbers that the builder gives out; the first failure is
 * kept and the calls behind it do nothing, so that a network reads as a list of layers. A call
 * whose arguments hold two others has them in no order: files would differ from compiler to
 * compiler. */
#ifndef DET_EXPORT_ONNX_PROTO_H
#define DET_EXPORT_ONNX_PROTO_H

#include "formats/protowire.h"

enum {
    DET_ONNX_OPSET = 13,
    /* Clip has its bounds as attributes: the only form that OpenCV before 4.7 takes. */
    DET_ONNX_OPSET_OLD = 10,
    DET_ONNX_IR = 7,
    DET_ONNX_NO_VALUE = -1, /* an optional input that is left out */
    DET_ONNX_FREE = -1,     /* a dimension that is any number */
};

/* TensorProto.DataType */
enum det_onnx_type {
    DET_ONNX_FLOAT = 1,
    DET_ONNX_UINT8 = 2,
    DET_ONNX_INT8 = 3,
    DET_ONNX_INT32 = 6,
    DET_ONNX_INT64 = 7,
    DET_ONNX_BOOL = 9,
    DET_ONNX_FLOAT16 = 10,
};

struct det_onnx {
    struct det_env *env;
    struct det_text *text; /* borrowed; the graph is open in it between begin and end */
    det_status status;
    int32_t opset;
    char **names; /* of values */
    int32_t name_count;
    size_t name_capacity;
    int32_t node_count;
    size_t graph, node; /* marks of what is open */
    const char *domain; /* of the open node, NULL: ONNX's own */
    const char *operator_name;
};

/* Opens a model and its graph. `domain`: one more that its nodes may be of, or NULL. */
void det_onnx_begin(struct det_onnx *onnx, struct det_env *env, struct det_text *text,
                    int32_t opset, const char *producer_version, const char *graph_name,
                    const char *domain);
/* Closes the graph; metadata may follow, then det_onnx_end(). */
void det_onnx_end_graph(struct det_onnx *onnx);
void det_onnx_put_metadata(struct det_onnx *onnx, const char *key, const char *value);
/* The first failure; releases what the builder has. */
det_status det_onnx_end(struct det_onnx *onnx);

/* A named input, or a value that is an output; `free_names` has the name of dimension i where shape
 * [i] is DET_ONNX_FREE. */
int32_t det_onnx_input(struct det_onnx *onnx, const char *name, enum det_onnx_type type,
                       int32_t dims, const int64_t *shape, const char *const *free_names);
void det_onnx_output(struct det_onnx *onnx, int32_t value, enum det_onnx_type type, int32_t dims,
                     const int64_t *shape, const char *const *free_names);

/* Initialisers. */
int32_t det_onnx_floats(struct det_onnx *onnx, const char *name, int32_t dims, const int64_t *shape,
                        const float *values);
/* Rounded to half precision. */
int32_t det_onnx_halves(struct det_onnx *onnx, const char *name, int32_t dims, const int64_t *shape,
                        const float *values);
int32_t det_onnx_float(struct det_onnx *onnx, const char *name, float value); /* no dimension */
int32_t det_onnx_bytes(struct det_onnx *onnx, const char *name, int32_t dims, const int64_t *shape,
                       const int8_t *values);
int32_t det_onnx_byte(struct det_onnx *onnx, const char *name, uint8_t value); /* no dimension */
int32_t det_onnx_ints(struct det_onnx *onnx, const char *name, int32_t count,
                      const int32_t *values); /* [count] */
/* [count]; of a scalar count -1. */
int32_t det_onnx_wholes(struct det_onnx *onnx, const char *name, int32_t count,
                        const int64_t *values);

/* A node: open, attributes, close. Its result is called `name`, NULL: "OPERATOR_NUMBER". */
void det_onnx_open(struct det_onnx *onnx, const char *operator_name, int32_t input_count,
                   const int32_t *inputs);
void det_onnx_put_int(struct det_onnx *onnx, const char *name, int64_t value);
void det_onnx_put_ints(struct det_onnx *onnx, const char *name, int32_t count,
                       const int64_t *values);
void det_onnx_put_float(struct det_onnx *onnx, const char *name, float value);
void det_onnx_put_string(struct det_onnx *onnx, const char *name, const char *value);
/* The node is of the domain that det_onnx_begin() was told. */
void det_onnx_put_domain(struct det_onnx *onnx, const char *domain);
int32_t det_onnx_close(struct det_onnx *onnx, const char *name);
void det_onnx_close_many(struct det_onnx *onnx, int32_t count, const char *const *names,
                         int32_t *values);

/* Nodes without attributes, or with one. */
int32_t det_onnx_unary(struct det_onnx *onnx, const char *operator_name, int32_t x);
int32_t det_onnx_binary(struct det_onnx *onnx, const char *operator_name, int32_t a, int32_t b);
int32_t det_onnx_cast(struct det_onnx *onnx, int32_t x, enum det_onnx_type type);
int32_t det_onnx_concat(struct det_onnx *onnx, int32_t count, const int32_t *values, int64_t axis,
                        const char *name);
int32_t det_onnx_gather(struct det_onnx *onnx, int32_t x, int32_t indices, int64_t axis);

/* Bounds that many nodes clip to: initialisers, or attributes of each with the old opset. */
struct det_onnx_bounds {
    float low, high;
    int32_t low_value, high_value;
};
struct det_onnx_bounds det_onnx_put_bounds(struct det_onnx *onnx, const char *low_name, float low,
                                           const char *high_name, float high);
int32_t det_onnx_clip(struct det_onnx *onnx, int32_t x, const struct det_onnx_bounds *bounds);

#endif
