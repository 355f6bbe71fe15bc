/* trainer_model_dir.c: the folder of a training and, beside its checkpoints, the config as it was read. Another one that is
 * there already is kept as pipeline.config.old. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/trainer.h"

static bool same_file(const char *a, const char *b)
{
    struct stat stat_a, stat_b;
    return stat(a, &stat_a) == 0 && stat(b, &stat_b) == 0 && stat_a.st_dev == stat_b.st_dev &&
           stat_a.st_ino == stat_b.st_ino;
}

/* Moves another config than ours out of the way, as PATH.old. Whether there is one is found out by opening and renaming
 * it, not by looking before: a second process may be at the same folder. */
static det_status keep_other_config(struct det_env *env, const char *path,
                                    const struct det_pipeline_config *config, bool *same)
{
    char *old_path = NULL;
    struct det_file_map present;
    det_status status = det_file_map_open(env, path, &present);
    *same = false;
    if (status == DET_STATUS_NOT_FOUND)
        return det_forgive(env, status, DET_STATUS_NOT_FOUND);
    DET_TRY_RETURN(status);
    *same = present.bytes == config->text_bytes &&
            memcmp(present.data, config->text, present.bytes) == 0;
    det_file_map_close(&present);
    if (*same)
        return DET_OK;
    DET_TRY_RETURN(det_format(env, &old_path, "%s.old", path));
    if (rename(path, old_path) == 0)
        det_log(env, DET_LOG_WARNING, "%s was another one, kept as %s", path, old_path);
    else if (errno != ENOENT)
        status = det_fail_errno(env, errno, "%s: is another one, and cannot be kept as %s", path,
                                old_path);
    det_free(env, &old_path);
    return status;
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
    DET_TRY(det_make_directories(env, trainer->model_dir));
    DET_TRY(det_path_join(env, &path, trainer->model_dir, "pipeline.config"));
    if (!same_file(path, config->path))
        DET_TRY(keep_other_config(env, path, config, &same));
    else
        same = true;
    if (!same)
        DET_TRY(det_write_file(env, path, config->text, config->text_bytes));
fail:
    det_free(env, &path);
    return status;
}
