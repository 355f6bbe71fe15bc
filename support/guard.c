#include "support/guard.h"

#include <sys/stat.h>

#include "support/io.h"
#include "support/mem.h"
#include "support/target.h"

struct det_guarded {
    char *path;
    char *what; /* of an output, may be NULL */
    bool is_input;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Of a file that is there by what it is, of one that is not by its path without links. 64 bits: two
 * that come out the same by chance would take far more files than a disk has. */
static int64_t identity(const struct stat *info, const char *path)
{
    uint64_t hash = info != NULL;
    if (info != NULL)
        hash = mix(mix(hash, (uint64_t)info->st_dev), (uint64_t)info->st_ino);
    for (; info == NULL && *path != '\0'; path++)
        hash = mix(hash, (unsigned char)*path);
    return (int64_t)hash;
}

/* What has this identity now. An input that is gone has given it back: it may be another file's by
 * now. */
static struct det_guarded *find(const struct det_guard *guard, int64_t id)
{
    uint32_t place = 0;
    struct stat info;
    if (!det_id_map_find(&guard->places, id, &place))
        return NULL;
    struct det_guarded *file = &guard->files[place];
    const bool stands =
        !file->is_input || (stat(file->path, &info) == 0 && identity(&info, file->path) == id);
    return stands ? file : NULL;
}

static det_status add(struct det_env *env, struct det_guard *guard, int64_t id, const char *path,
                      struct det_guarded **file)
{
    uint32_t place = (uint32_t)guard->count;
    char *copy = NULL;
    det_status status = DET_OK;
    DET_TRY(det_strdup(env, &copy, path));
    if (!det_id_map_find(&guard->places, id, &place)) {
        DET_TRY(det_grow(env, &guard->files, &guard->capacity, guard->count + 1,
                         sizeof *guard->files, "files of a job"));
        DET_TRY(det_id_map_add(env, &guard->places, id, place));
        guard->count++;
    }
    *file = &guard->files[place];
    det_free(env, &(*file)->path);
    (*file)->path = copy;
    return DET_OK;
fail:
    det_free(env, &copy);
    return status;
}

void det_guard_free(struct det_env *env, struct det_guard *guard)
{
    for (size_t i = 0; i < guard->count; i++) {
        det_free(env, &guard->files[i].what);
        det_free(env, &guard->files[i].path);
    }
    det_free(env, &guard->files);
    det_id_map_free(env, &guard->places);
    *guard = (struct det_guard){0};
}

static det_status refuse_as_input(struct det_env *env, const char *what, const char *path)
{
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s%s%s: is an input, which would be overwritten: choose another name",
                    what != NULL ? what : "", what != NULL ? " " : "", path);
}

det_status det_guard_input(struct det_env *env, struct det_guard *guard, const char *path)
{
    struct stat info;
    struct det_guarded *file = NULL;
    if (stat(path, &info) != 0 || S_ISCHR(info.st_mode))
        return DET_OK;
    const int64_t id = identity(&info, path);
    const struct det_guarded *other = find(guard, id);
    if (other != NULL && other->is_input)
        return DET_OK;
    if (other != NULL && det_same_file(other->path, path))
        return refuse_as_input(env, other->what, other->path);
    DET_TRY_RETURN(add(env, guard, id, path, &file));
    file->is_input = true;
    return DET_OK;
}

det_status det_guard_add_inputs(struct det_env *env, struct det_guard *guard,
                                const struct det_guard *other)
{
    for (size_t i = 0; i < other->count; i++)
        if (other->files[i].is_input)
            DET_TRY_RETURN(det_guard_input(env, guard, other->files[i].path));
    return DET_OK;
}

static det_status refuse(struct det_env *env, const char *what, const char *path,
                         const struct det_guarded *other)
{
    const char *gap = what != NULL ? " " : "";
    if (other->is_input)
        return refuse_as_input(env, what, path);
    what = what != NULL ? what : "";
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s%s%s: is the same file as %s%s%s", what,
                    gap, path, other->what != NULL ? other->what : "",
                    other->what != NULL ? " " : "", other->path);
}

/* Without a folder on the way nothing is there that could be overwritten. */
static det_status identify(struct det_env *env, const struct det_guard *guard, const char *path,
                           bool *shared, int64_t *id)
{
    struct det_target target;
    const det_status status = det_target_find(env, path, &target);
    *shared = false;
    if (status == DET_STATUS_NOT_FOUND && guard->rehearsing) {
        det_forget_error(env);
        *id = identity(NULL, path);
        return DET_OK;
    }
    DET_TRY_RETURN(status);
    /* Two outputs on one terminal are a muddle, on /dev/null they are none. */
    const bool device = target.exists && S_ISCHR(target.info.st_mode);
    *shared = device && target.kind == DET_TARGET_NODE;
    *id = identity(target.exists && !device ? &target.info : NULL, target.path);
    det_target_free(env, &target);
    return DET_OK;
}

det_status det_guard_output(struct det_env *env, struct det_guard *guard, const char *what,
                            const char *path)
{
    struct det_guarded *file = NULL;
    int64_t id = 0;
    bool shared = false;
    DET_TRY_RETURN(identify(env, guard, path, &shared, &id));
    if (shared)
        return DET_OK;
    const struct det_guarded *other = find(guard, id);
    if (other != NULL)
        return refuse(env, what, path, other);
    DET_TRY_RETURN(add(env, guard, id, path, &file));
    file->is_input = false;
    return what != NULL ? det_strdup(env, &file->what, what) : DET_OK;
}

det_status det_guard_reading(struct det_env *env, const char *path)
{
    return env->guard != NULL ? det_guard_input(env, env->guard, path) : DET_OK;
}

det_status det_guard_writing(struct det_env *env, const char *path, bool *rehearsed)
{
    struct det_guard *guard = env->guard;
    struct stat info;
    *rehearsed = det_guard_rehearses(env);
    if (*rehearsed)
        return det_guard_output(env, guard, NULL, path);
    if (guard == NULL || stat(path, &info) != 0)
        return DET_OK;
    const struct det_guarded *other = find(guard, identity(&info, path));
    return other != NULL && other->is_input ? refuse(env, NULL, path, other) : DET_OK;
}

bool det_guard_rehearses(const struct det_env *env)
{
    return env->guard != NULL && env->guard->rehearsing;
}
