/* detection_report.h: what is behind det/detection_report.h, for the file that makes it and the one
 * that writes it. */
#ifndef DET_EVAL_DETECTION_REPORT_H
#define DET_EVAL_DETECTION_REPORT_H

#include "det/detection_report.h"
#include "support/text.h"

struct det_detection_report {
    det_context *context;
    det_detection_report_settings settings;
    det_class_report *classes; /* [class_count]; names and points are ours */
    size_t class_count;
    int64_t *confusion;
    double voc_map, voc_map_11;
    struct det_text text;
};

#endif
