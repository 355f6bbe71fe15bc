#include "export/source.h"

#include "common/console.h"
#include "common/output.h"
#include "support/io.h"
#include "support/mem.h"

/* The newest of a folder, which may have none. */
static det_status look_into(struct tool *tool, const char *folder, det_checkpoint_info *found,
                            bool *any)
{
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    *any = false;
    DET_TRY_RETURN(det_checkpoint_list(tool->context, folder, &list, &count));
    det_checkpoint_list_destroy(tool->context, &list);
    *any = count > 0;
    return *any ? det_checkpoint_find(tool->context, folder, found) : DET_OK;
}

det_status export_source_look(struct tool *tool, const char *path, det_checkpoint_info *found,
                              bool *is_best)
{
    struct det_env *env = &tool->env;
    char *best = NULL;
    *is_best = false;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &best, path, "best"));
    if (det_is_directory(best))
        DET_TRY(look_into(tool, best, found, is_best));
    if (!*is_best)
        DET_TRY(det_checkpoint_find(tool->context, path, found));
fail:
    det_free(env, &best);
    return status;
}

det_status export_source_find(struct tool *tool, const char *path, det_checkpoint_info *found)
{
    char name[CONSOLE_NAME_BYTES];
    bool is_best = false;
    DET_TRY_RETURN(export_source_look(tool, path, found, &is_best));
    if (is_best)
        console_print("The best checkpoint of %s, step %lld (--checkpoint FILE for another)\n",
                      console_name(name, path), (long long)found->step);
    return DET_OK;
}

det_status export_source_load(struct tool *tool, const det_pipeline_config *config,
                              const det_checkpoint_info *from, bool resumable, det_model **model)
{
    if (config != NULL && !from->is_tensorflow) {
        /* What is exported already says all itself; the config is for what is evaluated. */
        DET_TRY_RETURN(det_model_load(tool->context, from->path, model));
        if (det_model_is_folded(*model))
            return DET_OK;
        det_model_destroy(model);
    }
    if (config != NULL)
        return resumable ? det_model_load_resumable(tool->context, config, from->path, model)
                         : det_model_load_checkpoint(tool->context, config, from->path, model);
    if (from->is_tensorflow)
        return det_fail(&tool->env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: a TensorFlow checkpoint does not say what network it is of: "
                        "--pipeline_config_path is needed",
                        from->path);
    return det_model_load(tool->context, from->path, model);
}
