/* init.c: det-data init: a workspace of the TF Object Detection API's tutorial made of a data set:
 *
 *   OUTPUT/annotations/         train.tfrecord, test.tfrecord, label_map.pbtxt, source.json
 *   OUTPUT/models/my/           pipeline.config (det/starter.h); training goes on there
 *   OUTPUT/pre-trained-models/  is looked into for weights to begin from
 */
#include "common/console.h"
#include "common/shell_word.h"
#include "data/data.h"
#include "data/data_workspace.h"
#include "support/mem.h"
#include "support/path.h"

static const struct workspace_layout layout = {
    .annotations = "annotations",
    .config = "models/my/pipeline.config",
    .to_annotations = "../../annotations",
};

static det_status tell(struct data_job *job, const struct workspace *w)
{
    const det_starter_choices *c = &w->choices;
    struct det_env *env = job->env;
    char name[CONSOLE_NAME_BYTES], *folder = NULL, *run = NULL, *model = NULL, *found = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_directory(env, &folder, w->config));
    DET_TRY(shell_word(env, &run, "%s", folder));
    DET_TRY(shell_word(env, &model, "%s/model.det", folder));
    DET_TRY(shell_word(env, &found, "%.*s/detected", (int)det_path_length(job->arguments.output),
                       job->arguments.output));
    console_print("%s: %d x %d, batch %d, %d steps; %.0f %% of the boxes meet an anchor\n",
                  console_name(name, w->config), c->input_px, c->input_px, c->batch_size, c->steps,
                  100 * c->covered);
    console_print("Next: det-train --model_dir %s\n"
                  "then: det-detect %s PICTURES --output %s\n",
                  run, model, found);
fail:
    det_free(env, &folder);
    det_free(env, &run);
    det_free(env, &model);
    det_free(env, &found);
    return status;
}

int data_init(struct data_job *job)
{
    struct workspace w;
    enum workspace_state state;
    const char *what = NULL;
    det_status status = DET_OK;
    DET_TRY(workspace_look(job, &layout, &w, &state, &what));
    if (state != WORKSPACE_NONE) /* what is there is somebody's work */
        DET_TRY(det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "%s is there already, and would be lost: choose another --output, or "
                         "remove it",
                         what));
    DET_TRY(workspace_make(job, &w));
    DET_TRY(tell(job, &w));
fail:
    workspace_free(job->env, &w);
    return status == DET_OK ? 0 : tool_fail(&job->tool, status);
}
