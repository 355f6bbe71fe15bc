/* progress_json.h: a training as JSON lines, for programs: an object where the log has a line.
 *
 *   {"step":100,"num_steps":5000,"eta_s":1529.3,"seconds_per_step":0.312,"images_per_second":12.8,
 *    "loss":{"total":0.53,"localization":0.12,"classification":0.38,"regularization":0.03},
 *    "learning_rate":0.0266}
 *   {"evaluated_step":100,"mAP":0.112,...,"loss":{...},"api_mAP":0.097,"seconds":26.1,"best":true}
 *
 * num_steps and eta_s are null for a training without an end; api_mAP is there where the API's way
 * of evaluating is another one. */
#ifndef DET_TOOLS_COMMON_PROGRESS_JSON_H
#define DET_TOOLS_COMMON_PROGRESS_JSON_H

#include "common/tool.h"
#include "support/text.h"
#include "support/writer.h"

struct progress_json {
    bool open;
    struct det_writer writer;
    struct det_text text; /* reused */
};

/* path NULL: none is written. "-" and FIFOs get each line at once, a file is there when the
 * training has ended. */
det_status progress_json_open(struct tool *tool, struct progress_json *json, const char *path);
det_status progress_json_step(struct tool *tool, struct progress_json *json,
                              const det_step_report *report, double seconds_per_step, double eta_s);
det_status progress_json_evaluation(struct tool *tool, struct progress_json *json,
                                    const det_step_report *report);
/* Keeps the file, whatever the training came to. */
det_status progress_json_close(struct tool *tool, struct progress_json *json);

#endif
