/* eval_run.h: where det-eval's curves go: DIR/eval, as the API has it, for evaluations as the API
 * and det-train make them; those with other settings or on other data go into runs of their own
 * beside it, since figures that cannot be compared make no curve. Steps rise in a run and are there
 * once: an evaluation of the newest step takes the place of the one before, one of an earlier step,
 * or of a run that another process writes at the time, is not added; that is told. */
#ifndef DET_TOOLS_COMMON_EVAL_RUN_H
#define DET_TOOLS_COMMON_EVAL_RUN_H

#include "common/tool.h"

struct eval_run {
    const char *directory; /* the model_dir, NULL: no curves */
    bool all; /* every checkpoint from the first is evaluated: the run begins anew with it */
    det_summary_writer *writer;
    int64_t step; /* of the last evaluation */
};

/* Sets settings->summaries for an evaluation of this model; NULL where there are none. */
det_status eval_run_open(struct tool *tool, struct eval_run *run, const det_pipeline_config *config,
                         const det_model *model, det_evaluation_settings *settings);
void eval_run_close(struct eval_run *run);

#endif
