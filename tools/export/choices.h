/* choices.h: det-export's options about the formats and what is in the files, and the library's
 * settings that they mean for each format. */
#ifndef DET_TOOLS_EXPORT_CHOICES_H
#define DET_TOOLS_EXPORT_CHOICES_H

#include <math.h>

#include "common/options.h"
#include "det/det.h"

enum { MOST_FORMATS = 16 };

struct export_choices {
    /* as on the command line; NULL: not given */
    const char *onnx_outputs, *onnx_opset, *tflite_outputs, *input, *precision, *batch;
    struct option_list formats;            /* each a list with commas */
    double score_threshold, iou_threshold; /* NaN: not given */
    int64_t max_detections;
    bool verify;

    /* what export_choices_take() makes of them */
    const det_export_format *chosen[MOST_FORMATS];
    size_t count;
    det_export_settings settings; /* of formats that leave a choice */
    det_export_outputs onnx, tflite;
    bool eight_bits; /* --precision int8 */
    bool whole;      /* ... and one of the formats has no layer in float32 then */
};

#define EXPORT_CHOICES_INIT                                          \
    {                                                                \
        .score_threshold = NAN, .iou_threshold = NAN, .verify = true \
    }

/* Entries of an option table. */
#define EXPORT_CHOICES_OPTIONS(c)                                                                  \
    {"format", OPTION_LIST, &(c)->formats, "LIST",                                                 \
     "what to write, with commas between: det (the default), onnx, tflite, tf_checkpoint, ncnn"},  \
        {"onnx_outputs", OPTION_STRING, &(c)->onnx_outputs, "WHAT",                                \
         "raw: encodings and scores; decoded: boxes and scores; nms, the default: detections as "  \
         "the API's SavedModel gives them; efficient_nms: by TensorRT's EfficientNMS_TRT"},        \
        {"onnx_opset", OPTION_STRING, &(c)->onnx_opset, "N",                                       \
         "version of the operators: 13, the default, or 10, which OpenCV from 4.5.4 on reads, "    \
         "for "                                                                                    \
         "raw or decoded outputs and float input"},                                                \
        {"tflite_outputs", OPTION_STRING, &(c)->tflite_outputs, "WHAT",                            \
         "detections, the default: by TFLite_Detection_PostProcess; fast_detections: by its fast " \
         "suppression, across classes, for any number of threads; raw: encodings and scores, in "  \
         "8 bits encodings and logits"},                                                           \
        {"input", OPTION_STRING, &(c)->input, "KIND",                                              \
         "of onnx, tflite, ncnn: image (uint8 of any size, resized and normalised inside), nhwc "  \
         "or nchw (float32, resized and normalised to -1 .. 1); of tflite in 8 bits: uint8, the "  \
         "default there, or int8 (the same less 128), resized; else what is usual for each"},      \
        {"precision", OPTION_STRING, &(c)->precision, "P",                                         \
         "of the weights of onnx, tflite, ncnn: float32, the default, or float16; of det and "     \
         "onnx and tflite: int8, with --calibration, what convolutions read and write too"},       \
        {"batch", OPTION_STRING, &(c)->batch, "N",                                                 \
         "images at once, of onnx, tflite, ncnn: a number, 1 by default, or any"},                 \
        {"score_threshold", OPTION_DOUBLE, &(c)->score_threshold, "X",                             \
         "detections below are left out, instead of what the config says"},                        \
        {"iou_threshold", OPTION_DOUBLE, &(c)->iou_threshold, "X",                                 \
         "of the non-maximum suppression, instead of what the config says"},                       \
        {"max_detections", OPTION_INT, &(c)->max_detections, "N",                                  \
         "most detections of an image, 0: as the config says"},                                    \
    {                                                                                              \
        "verify", OPTION_FLAG, &(c)->verify, NULL,                                                 \
            "read back what is written and compare it with libdet's own network (the default); "   \
            "--noverify does not"                                                                  \
    }

/* False after a message (options_error()), and *result is the exit status. */
bool export_choices_take(struct export_choices *choices, const struct options *options,
                         int *result);

bool export_choices_have(const struct export_choices *choices, const char *format);

/* The settings of one of the formats. */
det_export_settings export_choices_settings(const struct export_choices *choices,
                                            const det_export_format *format);

#endif
