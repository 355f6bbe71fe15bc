#include "train/data_source.h"

#include <string.h>

#include "common/console.h"
#include "data/data_workspace.h"
#include "support/io.h"
#include "support/json.h"
#include "support/mem.h"

static const struct workspace_layout layout = {
    .annotations = "annotations",
    .config = "pipeline.config",
    .to_annotations = "annotations",
};

static void report(void *user, const det_annotation_finding *finding)
{
    struct data_job *job = user;
    tool_log(&job->tool, finding->severity >= DET_SEVERITY_ERROR ? DET_LOG_ERROR : DET_LOG_WARNING,
             "%s [%s]", finding->message, finding->rule);
}

/* --- making --- */

/* Checkpoints of another training would be gone on with. */
static det_status refuse_checkpoints(struct data_job *job)
{
    const char *folder = job->arguments.output;
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    if (!det_is_directory(folder))
        return DET_OK;
    DET_TRY_RETURN(det_checkpoint_list(job->tool.context, folder, &list, &count));
    det_checkpoint_list_destroy(job->tool.context, &list);
    return count == 0 ? DET_OK
                      : det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                                 "%s holds checkpoints of another training: choose another "
                                 "--model_dir",
                                 folder);
}

static det_status refuse_same_folder(struct data_job *job, const char *input)
{
    const char *folder = job->arguments.output;
    char *path = NULL, *split = NULL;
    det_status status = DET_OK;
    DET_TRY(data_parse_input(job, input, &path, &split));
    if (det_same_file(path, folder))
        DET_TRY(det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "--data %s: is --model_dir too: choose another folder for the training",
                         path));
fail:
    det_free(job->env, &split);
    det_free(job->env, &path);
    return status;
}

static void tell(struct data_job *job, const struct workspace *w)
{
    const det_starter_choices *c = &w->choices;
    tool_log(&job->tool, DET_LOG_INFO,
             "%s: %d x %d, batch %d, %d steps; %.0f %% of the boxes meet an anchor", w->config,
             c->input_px, c->input_px, c->batch_size, c->steps, 100 * c->covered);
}

static det_status prepare(struct data_job *job, struct workspace *w)
{
    enum workspace_state state;
    const char *what = NULL;
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY_RETURN(refuse_same_folder(job, job->inputs.values[i]));
    DET_TRY_RETURN(workspace_look(job, &layout, w, &state, &what));
    if (state == WORKSPACE_MADE)
        return workspace_compare(job, w);
    if (state == WORKSPACE_OTHERS)
        return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                        "%s is there already, and was not made by --data: choose another "
                        "--model_dir, or go on with what is there without --data",
                        what);
    DET_TRY_RETURN(refuse_checkpoints(job));
    DET_TRY_RETURN(workspace_make(job, w));
    tell(job, w);
    return DET_OK;
}

det_status data_source_prepare(struct tool *tool, const struct option_list *inputs,
                               const struct data_arguments *arguments)
{
    /* The tool's own context, lent. What is read and written is not named to it, as it is in
     * det-data: the training that follows reads and writes its folder's files again and again. */
    struct data_job job = {.tool = *tool,
                           .arguments = *arguments,
                           .command = "data",
                           .inputs = *inputs,
                           .on_finding = report};
    struct workspace w = {.lock = -1};
    job.env = &job.tool.env;
    const det_status status = prepare(&job, &w);
    workspace_free(job.env, &w);
    data_job_close(&job);
    det_env_adopt_error(&tool->env, job.env);
    return status;
}

/* --- going on --- */

/* "config": {"path": ...} of the last run in run.json; NULL: it does not say. */
static det_status last_config(struct det_env *env, const char *folder, char **path)
{
    struct det_file_bytes contents = {0};
    struct det_json root;
    struct det_json_entry run;
    char *record = NULL;
    *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &record, folder, "run.json"));
    if (!det_file_exists(record))
        goto fail; /* status is OK */
    DET_TRY(det_file_read(env, record, &contents));
    if (det_json_parse(env, record, contents.data, contents.bytes, &root) != DET_OK) {
        det_forget_error(env); /* the trainer sets it aside */
        goto fail;
    }
    const struct det_json runs = det_json_get(root, "runs");
    for (bool more = det_json_first(runs, &run); more; more = det_json_next(&run)) {
        det_free(env, path);
        DET_TRY(
            det_json_string(env, det_json_get(det_json_get(run.value, "config"), "path"), path));
    }
fail:
    det_file_release(&contents);
    det_free(env, &record);
    return status;
}

static det_status same_content(struct det_env *env, const char *a, const char *b, bool *same)
{
    struct det_file_bytes one = {0}, other = {0};
    det_status status = DET_OK;
    DET_TRY(det_file_read(env, a, &one));
    DET_TRY(det_file_read(env, b, &other));
    *same = one.bytes == other.bytes && memcmp(one.data, other.data, one.bytes) == 0;
fail:
    det_file_release(&one);
    det_file_release(&other);
    return status;
}

det_status data_source_config(struct tool *tool, const char *folder, char **config)
{
    struct det_env *env = &tool->env;
    char *own = NULL, *from = NULL;
    bool same = false;
    *config = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &own, folder, layout.config));
    if (!det_file_exists(own))
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: there is no such file to go on with: --data SOURCE makes it, "
                         "--pipeline_config_path names another",
                         own));
    DET_TRY(last_config(env, folder, &from));
    if (from != NULL && det_file_exists(from) && !det_is_directory(from))
        DET_TRY(same_content(env, own, from, &same));
    *config = same ? from : own;
    from = same ? NULL : from;
    own = same ? own : NULL;
fail:
    det_free(env, &own);
    det_free(env, &from);
    return status;
}
