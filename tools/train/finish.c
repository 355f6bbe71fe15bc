#include "train/finish.h"

#include "common/console.h"
#include "common/shell_word.h"
#include "export/source.h"
#include "support/mem.h"
#include "support/path.h"

static det_status tell(struct tool *tool, const char *folder, int64_t step, bool is_best)
{
    struct det_env *env = &tool->env;
    char *model = NULL, *found = NULL;
    const int length = (int)det_path_length(folder);
    det_status status = DET_OK;
    DET_TRY(shell_word(env, &model, "%.*s/model.det", length, folder));
    DET_TRY(shell_word(env, &found, "%.*s/detected", length, folder));
    console_print("Model: %s, of step %lld%s\n"
                  "Next: det-detect %s PICTURES --output %s\n",
                  model, (long long)step, is_best ? ", the best one" : "", model, found);
fail:
    det_free(env, &model);
    det_free(env, &found);
    return status;
}

det_status finish_export(struct tool *tool, const det_pipeline_config *config, const char *folder)
{
    det_checkpoint_info from;
    det_model *model = NULL;
    det_export *exported = NULL;
    bool is_best = false;
    det_status status = DET_OK;
    DET_TRY(export_source_look(tool, folder, &from, &is_best));
    DET_TRY(export_source_load(tool, config, &from, false, &model));
    DET_TRY(det_export_create(tool->context, model, "det", NULL, &exported));
    DET_TRY(det_export_write(tool->context, exported, folder));
    DET_TRY(tell(tool, folder, from.step, is_best));
fail:
    det_export_destroy(&exported);
    det_model_destroy(&model);
    return status;
}
