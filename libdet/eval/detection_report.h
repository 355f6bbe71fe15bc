/* detection_report.h: what is behind det/detection_report.h, for the file that makes it and those
 * that write it. */
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
    struct det_text text, confusion_text;
};

/* The class's name, its id where it has none. */
const char *det_class_report_name(const det_class_report *class_report, char buffer[32]);

/* report_curves.c: precision over recall of the classes that have objects. */
det_status det_report_curves_svg(struct det_env *env, const det_detection_report *report,
                                 struct det_text *text);
/* report_confusion.c */
det_status det_report_confusion_csv(struct det_env *env, const det_detection_report *report,
                                    struct det_text *text);
/* report_confusion_svg.c */
det_status det_report_confusion_svg(struct det_env *env, const det_detection_report *report,
                                    struct det_text *text);

#endif
