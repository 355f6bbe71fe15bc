/* detection_files.h: what det-eval --report_dir writes and prints beyond the COCO table. */
#ifndef DET_TOOLS_COMMON_DETECTION_FILES_H
#define DET_TOOLS_COMMON_DETECTION_FILES_H

#include "common/tool.h"
#include "support/text.h"

/* Names the files as outputs of `option` (output.h); the folder is made. */
det_status detection_files_announce(struct tool *tool, const char *option, const char *directory);

/* Adds the tables of thresholds and VOC AP and of confusion to `told`; writes the files of
 * det_detection_report_write(), and ground_truth.json and detections.json as pycocotools reads
 * them, into the folder. */
det_status detection_files_write(struct tool *tool, det_coco_evaluator *evaluator,
                                 const char *directory, struct det_text *told);

#endif
