/* checkpoint_find.c: from what a user names, a file, a prefix or a folder, to one checkpoint. In a
 * folder of one kind its state file decides, `checkpoint`, as in the API; if what it names is gone
 * (a copied or cleaned folder), the highest number does. In a folder where both TensorFlow and
 * libdet trained, each has a state file and the one with more steps counts; TensorFlow numbers its
 * checkpoints from 1 on, whatever the step, which is a variable in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "formats/tf_bundle.h"
#include "support/io.h"
#include "support/mem.h"
#include "train/checkpoint.h"

#define DET_SUFFIX   ".det"
#define INDEX_SUFFIX ".index"

static bool ends_with(const char *text, const char *suffix)
{
    const size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

/* N of "...-N" or "...-N.det", -1 when there is none. */
static int64_t number_in(const char *name)
{
    const char *dash = strrchr(name, '-');
    if (dash == NULL || dash[1] < '0' || dash[1] > '9')
        return -1;
    int64_t number = 0;
    const char *digit = dash + 1;
    for (; *digit >= '0' && *digit <= '9' && number < INT64_C(1000000000000000); digit++)
        number = number * 10 + (*digit - '0');
    return *digit == '\0' || strcmp(digit, DET_SUFFIX) == 0 || strcmp(digit, INDEX_SUFFIX) == 0
               ? number
               : -1;
}

int64_t det_checkpoint_number(const char *path)
{
    const char *name = det_path_name(path);
    return strncmp(name, "ckpt-", 5) == 0 && ends_with(name, DET_SUFFIX) ? number_in(name) : -1;
}

/* What a bundle says; none in it: no training saved it, 0. *step stays for a damaged one, whose
 * fault is told when it is read. */
static det_status step_of(struct det_env *env, const char *prefix, int64_t *step)
{
    struct det_env quiet;
    struct det_tf_bundle *bundle = NULL;
    int64_t said = -1;
    det_env_fork(&quiet, env);
    det_status status = det_tf_bundle_open(&quiet, prefix, &bundle);
    if (status == DET_OK)
        status = det_tf_bundle_step(&quiet, bundle, &said);
    det_tf_bundle_close(&quiet, &bundle);
    if (status == DET_STATUS_OUT_OF_MEMORY) {
        det_env_adopt_error(env, &quiet);
        return status;
    }
    if (status == DET_OK)
        *step = said >= 0 ? said : 0;
    return DET_OK;
}

static det_status fill(struct det_env *env, const char *path, bool is_tensorflow,
                       struct det_checkpoint_info *info)
{
    if ((size_t)snprintf(info->path, sizeof info->path, "%s", path) >= sizeof info->path)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%.100s...: path is too long", path);
    const int64_t number = number_in(det_path_name(path));
    info->step = number > 0 ? number : 0;
    info->is_tensorflow = is_tensorflow;
    return is_tensorflow ? step_of(env, info->path, &info->step) : DET_OK;
}

/* `path` names a checkpoint itself: a .det file, with or without its ending, or a TensorFlow
 * prefix. */
static det_status try_path(struct det_env *env, const char *path, struct det_checkpoint_info *info,
                           bool *found)
{
    char *with_det = NULL, *with_index = NULL, *prefix = NULL;
    const size_t length = strlen(path);
    det_status status = DET_OK;
    *found = true;
    DET_TRY(det_format(env, &with_det, "%s" DET_SUFFIX, path));
    DET_TRY(det_format(env, &with_index, "%s" INDEX_SUFFIX, path));
    if (ends_with(path, INDEX_SUFFIX) && det_file_exists(path)) {
        DET_TRY(det_strndup(env, &prefix, path, length - strlen(INDEX_SUFFIX)));
        status = fill(env, prefix, true, info);
    } else if (det_file_exists(path) && !det_is_directory(path)) {
        status = fill(env, path, false, info);
    } else if (det_file_exists(with_index)) {
        status = fill(env, path, true, info);
    } else if (det_file_exists(with_det)) {
        status = fill(env, with_det, false, info);
    } else {
        *found = false;
    }
fail:
    det_free(env, &with_det);
    det_free(env, &with_index);
    det_free(env, &prefix);
    return status;
}

/* The checkpoint that a state file names; *name stays NULL when there is no such file (the model
 * zoo's checkpoints come in a folder called so) or it names nothing, which is then told. */
static det_status read_state(struct det_env *env, const char *state, char **name)
{
    if (!det_file_exists(state) || det_is_directory(state))
        return DET_OK;
    const det_status status = det_checkpoint_state_read(env, state, name);
    if (status != DET_STATUS_PARSE)
        return status;
    det_log(env, DET_LOG_WARNING, "%s; taking the checkpoint with the highest number", env->error);
    return det_forgive(env, status, DET_STATUS_PARSE);
}

det_status det_checkpoint_own_state(struct det_env *env, const char *folder, char **path,
                                    bool *foreign)
{
    struct det_env quiet;
    char *name = NULL;
    det_status status = DET_STATUS_PARSE;
    *foreign = false;
    DET_TRY_RETURN(det_path_join(env, path, folder, "checkpoint"));
    if (!det_file_exists(*path))
        return DET_OK;
    det_env_fork(&quiet, env);
    if (!det_is_directory(*path))
        status = det_checkpoint_state_read(&quiet, *path, &name);
    if (status != DET_OK && status != DET_STATUS_PARSE) {
        det_env_adopt_error(env, &quiet);
        det_free(env, path);
        return status;
    }
    *foreign = status == DET_STATUS_PARSE || !ends_with(name, DET_SUFFIX);
    det_free(env, &name);
    if (!*foreign)
        return DET_OK;
    det_free(env, path);
    return det_path_join(env, path, folder, "checkpoint.libdet");
}

/* What a state file names; as written, then, for a folder that was moved, inside it. */
static det_status find_by_state(struct det_env *env, const char *folder, const char *state,
                                struct det_checkpoint_info *info, bool *found)
{
    char *name = NULL, *path = NULL;
    det_status status = DET_OK;
    *found = false;
    DET_TRY(read_state(env, state, &name));
    if (name == NULL)
        goto fail; /* status is OK */
    DET_TRY(det_path_join(env, &path, folder, name));
    DET_TRY(try_path(env, path, info, found));
    if (!*found) {
        det_free(env, &path);
        DET_TRY(det_path_join(env, &path, folder, det_path_name(name)));
        DET_TRY(try_path(env, path, info, found));
    }
    if (!*found)
        det_log(
            env, DET_LOG_WARNING,
            "%s: names \"%s\", which is not there; taking the checkpoint with the highest number",
            state, name);
fail:
    det_free(env, &name);
    det_free(env, &path);
    return status;
}

/* N of .../ckpt-N.det and .../ckpt-N.index, else -1. */
static int64_t listed_number(const char *path)
{
    const char *name = det_path_name(path);
    return strncmp(name, "ckpt-", 5) == 0 &&
                   (ends_with(name, DET_SUFFIX) || ends_with(name, INDEX_SUFFIX))
               ? number_in(name)
               : -1;
}

/* The one of this kind with the highest number. */
static det_status find_by_number(struct det_env *env, const char *folder, const char *suffix,
                                 struct det_checkpoint_info *info, bool *found)
{
    struct det_path_list list = {0};
    int64_t best = -1;
    const char *best_path = NULL;
    det_status status = DET_OK;
    *found = false;
    DET_TRY(det_list_directory(env, folder, &list));
    for (size_t i = 0; i < list.count; i++) {
        const int64_t number = listed_number(list.paths[i]);
        if (number > best && ends_with(list.paths[i], suffix)) {
            best = number;
            best_path = list.paths[i];
        }
    }
    if (best_path != NULL)
        DET_TRY(try_path(env, best_path, info, found));
fail:
    det_path_list_free(env, &list);
    return status;
}

/* Of a folder: libdet's newest, and TensorFlow's; while `checkpoint` is libdet's, TensorFlow's are
 * nobody's newest. */
static det_status find_in_folder(struct det_env *env, const char *folder,
                                 struct det_checkpoint_info *info, bool *found)
{
    struct det_checkpoint_info *theirs = NULL;
    char *own = NULL, *state = NULL;
    bool foreign = false, has_theirs = false;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &theirs, 1, sizeof *theirs, "checkpoint path"));
    DET_TRY(det_checkpoint_own_state(env, folder, &own, &foreign));
    DET_TRY(find_by_state(env, folder, own, info, found));
    const bool named = *found;
    if (!*found)
        DET_TRY(find_by_number(env, folder, DET_SUFFIX, info, found));
    DET_TRY(det_path_join(env, &state, folder, "checkpoint"));
    if (foreign)
        DET_TRY(find_by_state(env, folder, state, theirs, &has_theirs));
    if (!has_theirs && (foreign || !named))
        DET_TRY(find_by_number(env, folder, INDEX_SUFFIX, theirs, &has_theirs));
    if (has_theirs && (!*found || theirs->step > info->step)) {
        *info = *theirs;
        *found = true;
    }
fail:
    det_free(env, &theirs);
    det_free(env, &own);
    det_free(env, &state);
    return status;
}

det_status det_checkpoint_locate(struct det_env *env, const char *path,
                                 struct det_checkpoint_info *info)
{
    bool found = false;
    *info = (struct det_checkpoint_info){0};
    if (path[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "the name of a checkpoint is empty");
    DET_TRY_RETURN(try_path(env, path, info, &found));
    if (found)
        return DET_OK;
    if (!det_is_directory(path))
        return det_fail(env, DET_STATUS_NOT_FOUND,
                        "%s: no checkpoint: neither a folder nor a .det file, and there is no "
                        "%s" INDEX_SUFFIX,
                        path, path);
    DET_TRY_RETURN(find_in_folder(env, path, info, &found));
    return found
               ? DET_OK
               : det_fail(env, DET_STATUS_NOT_FOUND,
                          "%s: no checkpoint here: looked for a file `checkpoint`, ckpt-N.det and "
                          "ckpt-N.index",
                          path);
}

det_status det_checkpoint_find(det_context *context, const char *path, det_checkpoint_info *info)
{
    struct det_env *env = det_context_env(context);
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED(env, info);
    return det_checkpoint_locate(env, path, info);
}

static int by_step(const void *a, const void *b)
{
    const det_checkpoint_info *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->is_tensorflow - y->is_tensorflow;
}

det_status det_checkpoint_list(det_context *context, const char *folder, det_checkpoint_info **list,
                               size_t *count)
{
    struct det_env *env = det_context_env(context);
    struct det_path_list names = {0};
    det_checkpoint_info *infos = NULL;
    size_t found = 0, kept = 0;
    det_status status = DET_OK;
    if (list != NULL)
        *list = NULL;
    if (count != NULL)
        *count = 0;
    DET_NEED(env, context);
    DET_NEED(env, folder);
    DET_NEED(env, list);
    DET_NEED(env, count);
    DET_TRY(det_list_directory(env, folder, &names));
    if (names.count == 0)
        goto fail; /* status is OK */
    DET_TRY(det_alloc(env, &infos, names.count, sizeof *infos, "list of checkpoints"));
    for (size_t i = 0; i < names.count; i++) {
        char *path = names.paths[i];
        const bool is_tensorflow = ends_with(path, INDEX_SUFFIX);
        if (listed_number(path) < 0)
            continue;
        if (is_tensorflow)
            path[strlen(path) - strlen(INDEX_SUFFIX)] = '\0';
        DET_TRY(fill(env, path, is_tensorflow, &infos[found]));
        found++;
    }
    if (found > 1)
        qsort(infos, found, sizeof *infos, by_step);
    for (size_t i = 0; i < found; i++)
        if (kept == 0 || infos[i].step != infos[kept - 1].step)
            infos[kept++] = infos[i];
    *list = infos;
    *count = kept;
    infos = NULL;
fail:
    det_free(env, &infos);
    det_path_list_free(env, &names);
    return status;
}

void det_checkpoint_list_destroy(det_context *context, det_checkpoint_info **list)
{
    if (context != NULL && list != NULL)
        det_free(det_context_env(context), list);
}
