/* onnx_parts.h: the parts of an ONNX file, in the order of the network: pixels to input
 * (onnx_input.c), input to box encodings and scores (onnx_network.c), those to boxes and detections
 * (onnx_detections.c). Inside the network tensors are NCHW as ONNX has them; they are turned once
 * at the input and once at each output of the head. */
#ifndef DET_EXPORT_ONNX_PARTS_H
#define DET_EXPORT_ONNX_PARTS_H

#include "export/export.h"
#include "export/onnx_proto.h"

#define DET_ONNX_INPUT_NAME   "input_tensor"
#define DET_ONNX_ENCODINGS    "box_encodings"
#define DET_ONNX_SCORES       "scores"
#define DET_ONNX_BOXES        "boxes"
#define DET_ONNX_ANCHORS      "anchors"
#define DET_ONNX_ANCHOR_BOXES "anchor_boxes" /* the same as an output */
/* What a plugin of TensorRT is found under. */
#define DET_ONNX_TENSORRT "TRT"

struct det_onnx_job {
    struct det_onnx *onnx;
    const struct det_export_job *job;
    int64_t batch; /* DET_ONNX_FREE: any */
    /* [4] ymin xmin ymax xmax of the picture in the frame; DET_ONNX_NO_VALUE: the whole frame */
    int32_t window;
};

/* The graph's input, and the value [N, 3, H, W] of the network's input made of it. Sets the window
 * where it depends on the picture. */
int32_t det_onnx_put_input(struct det_onnx_job *o);
/* *encodings [N, A, 4], *scores [N, A, K]. */
void det_onnx_put_network(struct det_onnx_job *o, int32_t input, int32_t *encodings,
                          int32_t *scores);
/* [N, A, 4] ymin, xmin, ymax, xmax as shares of the frame. */
int32_t det_onnx_put_boxes(struct det_onnx_job *o, int32_t encodings);

/* Detections as the API's exporter names and shapes them, all float32: num_detections [N],
 * detection_boxes [N, T, 4], detection_scores and detection_classes [N, T], ids from 1. */
void det_onnx_put_detections(struct det_onnx_job *o, int32_t boxes, int32_t scores);
/* T of both: what the model has, of EfficientNMS_TRT, which knows one limit, the smaller of its
 * limits. */
int32_t det_onnx_most_detections(const struct det_export_job *job);
/* The same names from TensorRT's EfficientNMS_TRT, as that has them: int32 [N, 1] and classes from
 * 0. Boxes are not clipped. */
void det_onnx_put_efficient_nms(struct det_onnx_job *o, int32_t boxes, int32_t scores);

/* Of an output whose first dimension is the batch. */
void det_onnx_put_output(struct det_onnx_job *o, int32_t value, enum det_onnx_type type,
                         int32_t dims, int64_t second, int64_t third);

/* [count] as one dimension. */
int32_t det_onnx_vector(struct det_onnx *onnx, const char *name, int32_t count,
                        const float *values);
/* Places begin to end of one dimension. */
int32_t det_onnx_slice(struct det_onnx *onnx, int32_t x, int64_t axis, int64_t begin, int64_t end,
                       const char *name);

#endif
