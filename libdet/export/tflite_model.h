/* tflite_model.h: a TFLite model while it is made: tensors, operators and the bytes of constants;
 * and its file. What is computed says tflite_network.c, what describes it tflite_metadata.c. */
#ifndef DET_EXPORT_TFLITE_MODEL_H
#define DET_EXPORT_TFLITE_MODEL_H

#include "export/tflite_schema.h"
#include "formats/flatbuffer.h"

enum {
    DET_TFLITE_MOST_DIMS = 4,
    DET_TFLITE_MOST_INPUTS = 8, /* levels of a pyramid in a CONCATENATION */
    DET_TFLITE_MOST_OUTPUTS = 4,
    DET_TFLITE_MOST_OPTIONS = 7,
};

/* Of whole numbers that stand for value * (number - zero): one value, or one for each place of
 * `dimension`. */
struct det_tflite_scales {
    float *values;
    int32_t count, dimension, zero;
};

struct det_tflite_tensor {
    char *name;
    enum det_tflite_type type;
    int32_t dims;
    int32_t shape[DET_TFLITE_MOST_DIMS];
    uint32_t buffer; /* 0: computed */
    bool any_size;   /* of an input image: rows and columns may be changed by the caller */
    /* `values` NULL: whole numbers are what they are */
    struct det_tflite_scales scales;
};

struct det_tflite_buffer {
    void *data;
    size_t bytes;
    uint32_t sum;
};

struct det_tflite_code {
    enum det_tflite_operator kind;
    int32_t version;
    const char *custom;
};

struct det_tflite_op {
    enum det_tflite_operator kind;
    int32_t version;
    int32_t in[DET_TFLITE_MOST_INPUTS], out[DET_TFLITE_MOST_OUTPUTS]; /* tensors */
    int32_t in_count, out_count;
    enum det_tflite_options options_type;
    struct det_flat_field options[DET_TFLITE_MOST_OPTIONS];
    int32_t option_count;
    struct det_text custom_options; /* of CUSTOM */
    uint32_t code;                  /* set when it is added */
};

/* A name of the signature `serving_default` for a tensor. */
struct det_tflite_signature {
    const char *name;
    int32_t tensor;
};

struct det_tflite_model {
    struct det_tflite_tensor *tensors;
    struct det_tflite_op *ops;
    struct det_tflite_buffer *buffers; /* the first is empty */
    struct det_tflite_code *codes;
    size_t tensor_count, op_count, buffer_count, code_count;
    size_t tensor_capacity, op_capacity, buffer_capacity, code_capacity;
    int32_t input, outputs[DET_TFLITE_MOST_OUTPUTS], output_count;
    struct det_tflite_signature signature_input, signature_outputs[DET_TFLITE_MOST_OUTPUTS];
    struct det_text metadata; /* a FlatBuffer of TFLite Metadata */
};

det_status det_tflite_model_init(struct det_env *env, struct det_tflite_model *model);
void det_tflite_model_free(struct det_env *env, struct det_tflite_model *model);

/* A tensor that is computed; the name is copied. */
det_status det_tflite_add_tensor(struct det_env *env, struct det_tflite_model *model,
                                 const char *name, enum det_tflite_type type, int32_t dims,
                                 const int32_t *shape, int32_t *tensor);
/* What its whole numbers stand for; copied. */
det_status det_tflite_set_scales(struct det_env *env, struct det_tflite_model *model,
                                 int32_t tensor, const struct det_tflite_scales *scales);
/* A constant; the bytes are copied. One with the same contents, type and shape is taken again;
 * the same bytes of another shape are stored once too. */
det_status det_tflite_add_constant(struct det_env *env, struct det_tflite_model *model,
                                   const char *name, enum det_tflite_type type, int32_t dims,
                                   const int32_t *shape, const void *data, int32_t *tensor);
/* A constant with scales: a tensor of its own, the same bytes are stored once. */
det_status det_tflite_add_scaled_constant(struct det_env *env, struct det_tflite_model *model,
                                          const char *name, enum det_tflite_type type, int32_t dims,
                                          const int32_t *shape, const void *data,
                                          const struct det_tflite_scales *scales, int32_t *tensor);
/* Takes custom_options over, whatever it returns. */
det_status det_tflite_add_op(struct det_env *env, struct det_tflite_model *model,
                             struct det_tflite_op *op);

/* Appends the file, without the archive of label files. */
det_status det_tflite_model_write(struct det_env *env, struct det_tflite_model *model,
                                  struct det_text *text);

#endif
