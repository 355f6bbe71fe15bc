#include "common/eval_run.h"

#include <ctype.h>
#include <string.h>

#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"

enum { RUN_NAME_BYTES = 128 };

static bool same_paths(const det_pipeline_config *a, const det_pipeline_config *b)
{
    const size_t count = det_pipeline_config_eval_path_count(a);
    if (count != det_pipeline_config_eval_path_count(b))
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(det_pipeline_config_eval_path(a, i), det_pipeline_config_eval_path(b, i)) != 0)
            return false;
    return true;
}

/* Other data than the config in the folder, the training's, evaluates on: "_on_" and the name of
 * the first file. */
static det_status append_data(struct tool *tool, const char *directory,
                              const det_pipeline_config *config, struct det_text *name)
{
    struct det_env *env = &tool->env;
    det_pipeline_config *training = NULL;
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_path_join(env, &path, directory, "pipeline.config"));
    const bool other = det_file_exists(path) &&
                       det_pipeline_config_load(tool->context, path, &training) == DET_OK &&
                       !same_paths(config, training);
    const char *data = other ? det_pipeline_config_eval_path(config, 0) : NULL;
    if (data != NULL)
        DET_TRY(det_text_printf(env, name, "_on_"));
    for (data = data != NULL ? det_path_name(data) : ""; *data != '\0' && *data != '.'; data++)
        DET_TRY(det_text_append(env, name, isalnum((unsigned char)*data) ? data : "_", 1));
fail:
    det_pipeline_config_destroy(&training);
    det_free(env, &path);
    return status;
}

static det_status find_folder(struct tool *tool, const struct eval_run *run,
                              const det_pipeline_config *config, const det_model *model,
                              const det_evaluation_settings *settings, char **folder)
{
    struct det_env *env = &tool->env;
    char settled[RUN_NAME_BYTES];
    struct det_text name = {0};
    det_evaluation_settings meant = *settings;
    det_status status = DET_OK;
    meant.as_exported = meant.as_exported || det_model_is_folded(model);
    DET_TRY(det_evaluation_run_name(tool->context, &meant, settled, sizeof settled));
    DET_TRY(det_text_printf(env, &name, "%s", settled));
    DET_TRY(append_data(tool, run->directory, config, &name));
    DET_TRY(det_path_join(env, folder, run->directory, name.data));
fail:
    det_text_free(env, &name);
    return status;
}

/* False: this evaluation is not added. */
static det_status may_begin(struct tool *tool, const struct eval_run *run, const char *folder,
                            int64_t step, bool again, bool *may)
{
    int64_t last = -1;
    int in_use = 0;
    *may = false;
    DET_TRY_RETURN(det_summary_run_state(tool->context, folder, &in_use, NULL));
    if (in_use) {
        tool_log(
            tool, DET_LOG_WARNING,
            "%s: another process writes the curves there: this evaluation is not added to them",
            folder);
        return DET_OK;
    }
    if (!run->all && !again)
        DET_TRY_RETURN(det_summary_run_state(tool->context, folder, NULL, &last));
    *may = last <= step;
    if (!*may)
        tool_log(
            tool, DET_LOG_WARNING,
            "%s: the curves there go on to step %lld: this evaluation of step %lld is not added "
            "to them",
            folder, (long long)last, (long long)step);
    return DET_OK;
}

static det_status open_run(struct tool *tool, struct eval_run *run,
                           const det_pipeline_config *config, const det_model *model,
                           const det_evaluation_settings *settings)
{
    struct det_env *env = &tool->env;
    const int64_t step = det_model_step(model);
    /* A step that does not rise: the training was begun anew, or went on from an earlier
     * checkpoint. */
    const bool open = run->writer != NULL, again = open && step <= run->step;
    bool may = false;
    char *folder = NULL;
    det_status status = DET_OK;
    run->step = step;
    if (open && !again)
        return DET_OK;
    eval_run_close(run);
    DET_TRY(find_folder(tool, run, config, model, settings, &folder));
    DET_TRY(may_begin(tool, run, folder, step, again, &may));
    if (may)
        DET_TRY(det_summary_writer_resume(tool->context, folder, step, &run->writer));
fail:
    det_free(env, &folder);
    return status;
}

det_status eval_run_open(struct tool *tool, struct eval_run *run, const det_pipeline_config *config,
                         const det_model *model, det_evaluation_settings *settings)
{
    if (run->directory == NULL)
        return DET_OK;
    const det_status status = open_run(tool, run, config, model, settings);
    settings->summaries = run->writer;
    if (status != DET_STATUS_IO && status != DET_STATUS_NO_SPACE)
        return status;
    /* Another's folder, or a full disk: no reason not to evaluate. */
    tool_log(tool, DET_LOG_WARNING, "%s; no curves are written", tool_message(tool, status));
    run->directory = NULL;
    return DET_OK;
}

void eval_run_close(struct eval_run *run)
{
    det_summary_writer_destroy(&run->writer);
}
