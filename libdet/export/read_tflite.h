/* read_tflite.h: what the reader of our TFLite files consists of: read_tflite.c for tensors,
 * inputs and outputs, read_tflite_ops.c for operators, read_tflite_metadata.c for what describes
 * the model. */
#ifndef DET_EXPORT_READ_TFLITE_H
#define DET_EXPORT_READ_TFLITE_H

#include "export/program.h"
#include "export/tflite_schema.h"
#include "formats/flatbuffer.h"

enum { DET_TFLITE_READ_MOST_DIMS = 4 };

struct det_tflite_read_tensor {
    const char *name;
    enum det_tflite_type type;
    int32_t dims;
    int32_t shape[DET_TFLITE_READ_MOST_DIMS];
    bool any_size; /* rows and columns may be changed */
    bool stored;   /* it is a constant */
    /* What whole numbers stand for; `scales.data` NULL: they are numbers. One scale, or one for
     * each place of `dimension`. */
    struct det_flat_vector scales;
    int32_t zero, dimension;
    int32_t value;  /* of the program; -1: not made yet */
    int32_t kernel; /* of weights of a convolution the value in TensorFlow's order; -1: not yet */
};

struct det_tflite_read_code {
    enum det_tflite_operator kind;
    int32_t version;
};

struct det_tflite_reader {
    struct det_env *env;
    const uint8_t *data;
    size_t bytes;
    struct det_flat_reader flat;
    struct det_flat_table model, subgraph;
    struct det_flat_vector buffers;
    struct det_tflite_read_tensor *tensors;
    struct det_tflite_read_code *codes;
    size_t tensor_count, code_count;
    int32_t input, outputs[4], output_count; /* tensors */
    int32_t postprocess[4];                  /* the custom operator's results; -1: there is none */
    int32_t classes;                         /* K, by the operator or the scores */
    bool raw_in_8_bits;                      /* raw outputs are encodings and logits */
    struct det_program *program;
};

/* CORRUPT with the tensor's place and name. */
det_status det_tflite_read_fail(const struct det_tflite_reader *r, int32_t tensor,
                                const char *what);

/* Bytes of a constant; exactly as many as its shape says. */
det_status det_tflite_read_buffer(struct det_tflite_reader *r, uint32_t index,
                                  struct det_flat_vector *data);

/* The scale and zero of a tensor in 8 bits that has one scale. */
struct det_q8_tensor det_tflite_read_q8(const struct det_tflite_read_tensor *tensor);
/* A node that makes real numbers of a tensor in 8 bits; *value: what it makes. */
det_status det_tflite_read_real(struct det_tflite_reader *r, int32_t tensor, int32_t *value);

/* All operators become nodes of the program. */
det_status det_tflite_read_ops(struct det_tflite_reader *r);

/* What describes the model fits what it is; of raw outputs the boxes are decoded by it, with the
 * node's result as DET_PROBE_BOXES. */
det_status det_tflite_read_metadata(struct det_tflite_reader *r);

#endif
