#include "common/detection_files.h"

#include "common/output.h"
#include "support/io.h"
#include "support/mem.h"

static const char ground_truth[] = "ground_truth.json", detections[] = "detections.json";

static det_status write_coco(struct det_env *env, det_coco_evaluator *evaluator,
                             const char *directory)
{
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &path, directory, ground_truth));
    DET_TRY(det_coco_evaluator_save_ground_truth(evaluator, path));
    det_free(env, &path);
    DET_TRY(det_path_join(env, &path, directory, detections));
    DET_TRY(det_coco_evaluator_save_detections(evaluator, path));
fail:
    det_free(env, &path);
    return status;
}

det_status detection_files_announce(struct tool *tool, const char *option, const char *directory)
{
    const char *name = NULL;
    for (size_t i = 0; (name = det_detection_report_file(i)) != NULL; i++)
        DET_TRY_RETURN(tool_writes_in(tool, option, directory, name));
    DET_TRY_RETURN(tool_writes_in(tool, option, directory, ground_truth));
    return tool_writes_in(tool, option, directory, detections);
}

det_status detection_files_write(struct tool *tool, det_coco_evaluator *evaluator,
                                 const char *directory, struct det_text *told)
{
    struct det_env *env = &tool->env;
    det_detection_report *report = NULL;
    const char *classes = NULL, *confusion = NULL;
    det_status status = det_detection_report_create(tool->context, evaluator, NULL, &report);
    if (status == DET_OK)
        status = det_detection_report_table(report, &classes);
    if (status == DET_OK)
        status = det_detection_report_confusion_table(report, &confusion);
    if (status == DET_OK)
        status = det_detection_report_write(report, directory);
    if (status == DET_OK)
        status = det_text_printf(env, told, "\n%s\n%s", classes, confusion);
    det_detection_report_destroy(&report);
    return status == DET_OK ? write_coco(env, evaluator, directory) : status;
}
