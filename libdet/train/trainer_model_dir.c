/* trainer_model_dir.c: the folder of a training: its lock and, beside its checkpoints, the config
 * as it was read. Another one that is there already is kept as pipeline.config.old. */
#include <string.h>

#include "support/io.h"
#include "support/mem.h"
#include "train/trainer.h"

/* Moves another config than ours out of the way; ours may be the file that is there with fields set
 * from outside. */
static det_status keep_other_config(struct det_env *env, const char *path,
                                    const struct det_pipeline_config *config, bool *same)
{
    char *old_path = NULL;
    struct det_file_bytes present;
    det_status status = det_file_read(env, path, &present);
    *same = false;
    if (status == DET_STATUS_NOT_FOUND)
        return det_forgive(env, status, DET_STATUS_NOT_FOUND);
    DET_TRY_RETURN(status);
    *same = present.bytes == config->text_bytes &&
            memcmp(present.data, config->text, present.bytes) == 0;
    det_file_release(&present);
    if (*same)
        return DET_OK;
    DET_TRY_RETURN(det_keep_old_file(env, path, &old_path));
    if (old_path != NULL)
        det_log(env, DET_LOG_WARNING, "%s was another one, kept as %s", path, old_path);
    det_free(env, &old_path);
    return DET_OK;
}

det_status det_trainer_lock_model_dir(struct det_trainer *trainer, bool make)
{
    struct det_env *env = trainer->env;
    if (trainer->model_dir == NULL || det_dir_lock_held(&trainer->lock) ||
        (!make && !det_is_directory(trainer->model_dir)))
        return DET_OK;
    DET_TRY_RETURN(det_make_directories(env, trainer->model_dir));
    return det_dir_lock_take(env, trainer->model_dir, &trainer->lock);
}

det_status det_trainer_prepare_model_dir(struct det_trainer *trainer,
                                         const struct det_pipeline_config *config)
{
    struct det_env *env = trainer->env;
    char *path = NULL;
    bool same = false;
    det_status status = DET_OK;
    if (trainer->model_dir == NULL)
        return DET_OK;
    DET_TRY(det_path_join(env, &path, trainer->model_dir, "pipeline.config"));
    DET_TRY(keep_other_config(env, path, config, &same));
    if (!same)
        DET_TRY(det_write_file(env, path, config->text, config->text_bytes));
fail:
    det_free(env, &path);
    return status;
}
