/* program.h: a network that was read back from another engine's file: values and nodes in the order
 * in which they run, and what runs them by plain C (program_run.c).
 *
 * It knows no format. A reader (read_NAME.c) says with attributes what its format leaves to
 * conventions, and turns weights into TensorFlow's order; activations keep the order that the file
 * has. Arithmetic is float32, whole numbers of any width are int64_t.
 *
 * Readers are strict: what they do not know is UNSUPPORTED, what does not fit is CORRUPT, with the
 * file's own names. Running checks every shape, so that a damaged file fails and nothing else.
 */
#ifndef DET_EXPORT_PROGRAM_H
#define DET_EXPORT_PROGRAM_H

#include "ops/q8.h"

enum {
    DET_ARRAY_MOST_DIMS = 6,
    DET_PROGRAM_MOST_INPUTS = 8,
    DET_PROGRAM_MOST_OUTPUTS = 4,
};

/* Rows of the last dimension without gaps. */
struct det_array {
    int32_t dims; /* 0: one value */
    int64_t shape[DET_ARRAY_MOST_DIMS];
    size_t count;
    bool whole; /* which of the two it is */
    union {
        float *floats;
        int64_t *wholes; /* integers of all widths, booleans as 0 and 1 */
        void *data;
    };
};

/* Zeros of this shape. CORRUPT when it is no shape; `what` is for messages. */
det_status det_array_create(struct det_env *env, bool whole, int32_t dims, const int64_t *shape,
                            const char *what, struct det_array *array);
void det_array_free(struct det_env *env, struct det_array *array);
/* Image n of a float input [N, H, W, 3], or [N, 3, H, W] with channels_first, which is the upper
 * left of a frame [rows][row_pixels][3]. */
void det_array_put_frame(struct det_array *input, int64_t n, bool channels_first,
                         const float *frame, int32_t row_pixels);

/* Inputs and attributes in parentheses; `[]` of a node are its inputs in order. */
enum det_node_kind {
    /* x [N, H, W, C], or [N, C, H, W] with channels_first; weights [kh, kw, C, O], of a depthwise
     * one [kh, kw, C, 1]; bias [O] or none. (conv) */
    DET_NODE_CONV,
    DET_NODE_CLIP,    /* (clip) */
    DET_NODE_SIGMOID, /* 1 / (1 + exp(-x)) */
    DET_NODE_EXP,
    DET_NODE_ROUND,    /* halves to even */
    DET_NODE_TO_FLOAT, /* of floats: a copy */
    DET_NODE_TO_WHOLE, /* towards zero */
    /* x, scale, whole zero, one of each -> whole round(x / scale) + zero, halves to even, clamped;
     * NaN becomes zero. (rounding) */
    DET_NODE_QUANTIZE,
    /* whole x, scale, whole zero or none -> scale * (x - zero); one of each, or as many as x has
     * places along an axis. (axis) */
    DET_NODE_DEQUANTIZE,
    /* Two inputs of one type, NumPy's broadcasting. */
    DET_NODE_ADD,
    DET_NODE_SUB,
    DET_NODE_MUL,
    DET_NODE_DIV,
    DET_NODE_MIN,
    DET_NODE_MAX,
    DET_NODE_GREATER, /* whole numbers 0 and 1, as the one below */
    DET_NODE_EQUAL,
    DET_NODE_WHERE,      /* condition, if so, if not; broadcasting */
    DET_NODE_SHAPE,      /* whole [dims] */
    DET_NODE_RESHAPE,    /* x, whole shape with 0 for "as it is" and one -1 for "what is left" */
    DET_NODE_TRANSPOSE,  /* (order) */
    DET_NODE_CONCAT,     /* (axis) */
    DET_NODE_SLICE,      /* (slice) */
    DET_NODE_PAD,        /* x, whole [2 * dims]: all begins, then all ends; with zeros */
    DET_NODE_GATHER,     /* x, whole indices of any shape along an axis (axis) */
    DET_NODE_GATHER_ND,  /* x, whole [..., n]: places in the first n dimensions */
    DET_NODE_RANGE,      /* start, limit, step: whole scalars -> whole [n] */
    DET_NODE_REDUCE_SUM, /* along one axis, which goes unless it is kept with size 1 (reduce) */
    /* x, or x and the whole sizes of the result; output pixel i reads at i * in / out, TF1's way:
     * the nearest is the one below. Up to two dimensions may change size. Whole numbers are not
     * interpolated. (resize) */
    DET_NODE_RESIZE,
    /* x, whole [1] k -> largest k along the last dimension, falling, and their places; of equals
     * the lower place comes first. */
    DET_NODE_TOP_K,
    /* boxes [N, A, 4] corners, scores [N, K, A], whole limit of a class, iou threshold, score
     * threshold, all [1] or scalars -> whole [M, 3] image, class, anchor; by image, class, falling
     * score. (ONNX NonMaxSuppression) */
    DET_NODE_NMS,
    /* boxes [N, A, 4] corners, scores [N, A, K] -> whole [N, 1] count, boxes [N, T, 4], scores
     * [N, T], whole classes [N, T]. (efficient_nms; TensorRT's EfficientNMS_TRT) */
    DET_NODE_EFFICIENT_NMS,
    /* encodings [N, A, 4], anchors [A, 4] as centre and size -> boxes [N, A, 4] corners (decode) */
    DET_NODE_DECODE,
    /* boxes [N, A, 4] corners, scores [N, A, K] or [N, A, K + 1] with the background first -> boxes
     * [N, T, 4], classes [N, T] as floats, scores [N, T], counts [N] as floats. (detections;
     * TFLite_Detection_PostProcess behind its decoding) */
    DET_NODE_DETECTIONS,
    /* In 8 bits (ops/q8.h): whole numbers of -128 .. 127, of scales and zeros that are the node's
     * (q8). */
    /* x [N, H, W, C], weights as of CONV of -127 .. 127, whole bias [O] in steps of the sum, scales
     * of the weights [O] (conv, q8) */
    DET_NODE_Q8_CONV,
    DET_NODE_Q8_ADD,        /* two of one shape (q8) */
    DET_NODE_Q8_FROM_FLOAT, /* (q8.out) */
    DET_NODE_Q8_TO_FLOAT,   /* (q8.in) */
    DET_NODE_KINDS
};

struct det_node {
    enum det_node_kind kind;
    char *name;                          /* in the file's words, for messages */
    int32_t in[DET_PROGRAM_MOST_INPUTS]; /* values; -1: an optional one that is not there */
    int32_t in_count;
    int32_t out[DET_PROGRAM_MOST_OUTPUTS]; /* -1: nobody wants it */
    int32_t out_count;
    struct {
        struct det_q8_tensor in, in2, out;
    } q8;
    union {
        struct {
            bool channels_first, depthwise;
            int32_t stride;
            int32_t pad_top, pad_left, pad_bottom, pad_right; /* zeros */
            enum det_activation act;
        } conv;
        struct {
            float low, high;
        } clip;
        struct {
            int32_t low, high; /* the type's least and largest number */
        } rounding;
        struct {
            bool linear;
            float scales[DET_ARRAY_MOST_DIMS]; /* without sizes: result is floor(size * scale) */
        } resize;
        struct {
            /* [dims]; beyond the end, and begin and end below 0, as NumPy has them */
            int64_t begin[DET_ARRAY_MOST_DIMS], end[DET_ARRAY_MOST_DIMS];
        } slice;
        struct {
            float score_threshold, iou_threshold;
            int32_t limit; /* T */
        } efficient_nms;
        struct {
            float y_scale, x_scale, height_scale, width_scale;
        } decode;
        struct {
            float score_threshold, iou_threshold; /* what is above them */
            int32_t classes;                      /* K */
            int32_t class_limit, limit;           /* of a class; T */
            bool across_classes; /* one suppression of all, by each anchor's best class */
        } detections;
        struct {
            int32_t axis; /* below 0: from the end */
            bool keep;
        } reduce;
        int32_t order[DET_ARRAY_MOST_DIMS];
        int32_t axis; /* below 0: from the end */
    };
};

struct det_program_value {
    char *name;
    bool constant; /* then `array` has it */
    struct det_array array;
    int32_t maker; /* the node; -1 for constants and the input */
};

/* Values of a program that a proof looks at. */
enum det_probe {
    DET_PROBE_ENCODINGS, /* [N, A, 4] */
    /* What the scores were made of, set by det_program_find_logits(). */
    DET_PROBE_LOGITS,
    DET_PROBE_SCORES, /* [N, A, K], or [N, A, K + 1] with the background first */
    DET_PROBE_BOXES,  /* [N, A, 4] decoded, as shares of the frame */
    /* After suppression: boxes [N, T, 4], classes, scores [N, T], counts [N] or [N, 1]. */
    DET_PROBE_DETECTION_BOXES,
    DET_PROBE_DETECTION_CLASSES,
    DET_PROBE_DETECTION_SCORES,
    DET_PROBE_DETECTION_COUNTS,
    DET_PROBES
};

struct det_program {
    struct det_program_value *values;
    int32_t value_count;
    struct det_node *nodes;
    int32_t node_count;
    size_t value_capacity, node_capacity;

    int32_t input; /* a value; -1 until a reader sets it */
    /* Grey levels: a picture of any size, or one of the network's where the shape says it. */
    bool input_whole;
    int32_t input_black; /* of such a one: what stands for level 0 */
    int32_t input_dims;
    int64_t input_shape[DET_ARRAY_MOST_DIMS]; /* -1: any */

    int32_t probes[DET_PROBES]; /* values, -1: none */
    int32_t first_class;        /* what DETECTION_CLASSES call the first class: 0 or 1 */
    /* Detections are clipped to the picture, and those without area are dropped, as the API does
     * it; else neither. */
    bool places_boxes;
};

void det_program_init(struct det_program *program);
void det_program_free(struct det_env *env, struct det_program *program);

/* A new value that the input or a node is to fill. CORRUPT for a name that is taken. */
det_status det_program_add_value(struct det_env *env, struct det_program *program, const char *name,
                                 int32_t *value);
/* A new constant of zeros; its array is the caller's to fill: program->values[*value].array. */
det_status det_program_add_constant(struct det_env *env, struct det_program *program,
                                    const char *name, bool whole, int32_t dims,
                                    const int64_t *shape, int32_t *value);
/* -1 when there is none of that name. */
int32_t det_program_find(const struct det_program *program, const char *name);
/* The constant behind input `index` of a node, NULL when it is something else or not there. */
const struct det_array *det_program_constant(const struct det_program *program,
                                             const struct det_node *node, int32_t index);
/* Copies the node with its name. CORRUPT for inputs that nothing has filled, and outputs that
 * something has. */
det_status det_program_add_node(struct det_env *env, struct det_program *program,
                                const struct det_node *node);
/* The node that makes a value, NULL when none does. */
const struct det_node *det_program_maker(const struct det_program *program, int32_t value);

/* Sets the probe LOGITS to what the sigmoid behind SCORES reads; CORRUPT when there is none. */
det_status det_program_find_logits(struct det_env *env, struct det_program *program);
/* Logits of A anchors, [columns], which may lack the background's in front, into [slots]. */
void det_program_widen_logits(const float *from, int32_t columns, int32_t anchors, int32_t slots,
                              float *logits);

/* Runs it on `input` and gives each probe's value, an array of count 0 for those that are -1;
 * the caller frees them. On failure all are empty. Values are dropped after their last use.
 * `ops` has the convolutions; what a file decides the size of is within the env's budget. */
det_status det_program_run(struct det_env *env, const struct det_program *program,
                           const struct det_ops *ops, struct det_pool *pool,
                           const struct det_array *input, struct det_array probes[DET_PROBES]);

#endif
