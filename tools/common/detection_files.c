#include "common/detection_files.h"

#include <stdio.h>

static det_status write_coco(det_coco_evaluator *evaluator, const char *directory)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/ground_truth.json", directory);
    const det_status status = det_coco_evaluator_save_ground_truth(evaluator, path);
    if (status != DET_OK)
        return status;
    snprintf(path, sizeof path, "%s/detections.json", directory);
    return det_coco_evaluator_save_detections(evaluator, path);
}

det_status detection_files_write(det_context *context, det_coco_evaluator *evaluator,
                                 const char *directory)
{
    det_detection_report *report = NULL;
    const char *text = NULL;
    det_status status = det_detection_report_create(context, evaluator, NULL, &report);
    if (status == DET_OK)
        status = det_detection_report_table(report, &text);
    if (status == DET_OK)
        printf("\n%s", text);
    if (status == DET_OK)
        status = det_detection_report_write(report, directory);
    det_detection_report_destroy(&report);
    return status == DET_OK ? write_coco(evaluator, directory) : status;
}
