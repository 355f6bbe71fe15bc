#include "train/input_paths.h"

#include <string.h>

#include "base/mem.h"

/* "x@10" stands for the shards x-00000-of-00010 ...; the length of "x", 0 for any other pattern. */
static size_t sharded_prefix(const char *pattern)
{
    const char *at = strrchr(pattern, '@');
    if (at == NULL || at == pattern || at[1] == '\0' ||
        strspn(at + 1, "0123456789") != strlen(at + 1))
        return 0;
    return (size_t)(at - pattern);
}

static bool is_pattern(const char *path)
{
    return !det_file_exists(path) && (strpbrk(path, "*?[") != NULL || sharded_prefix(path) > 0);
}

/* Any file there at all? That shards are missing is for the dataset to say. */
static det_status pattern_matches(struct det_env *env, const char *pattern, bool *matches)
{
    struct det_path_list found = {0};
    char *probe = NULL;
    det_status status = DET_OK;
    *matches = false;
    const size_t prefix = sharded_prefix(pattern);
    if (prefix > 0)
        DET_TRY(det_format(env, &probe, "%.*s-*-of-*", (int)prefix, pattern));
    status = det_glob(env, probe != NULL ? probe : pattern, &found);
    *matches = status == DET_OK;
    status = det_forgive(env, status, DET_STATUS_NOT_FOUND);
fail:
    det_path_list_free(env, &found);
    det_free(env, &probe);
    return status;
}

static det_status resolve_pattern(struct det_env *env, const struct det_pipeline_config *config,
                                  const char *pattern, char **out)
{
    bool matches = false;
    char *beside = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(pattern_matches(env, pattern, &matches));
    if (matches)
        return det_strdup(env, out, pattern);
    DET_TRY_RETURN(det_path_join(env, &beside, config->directory, pattern));
    DET_TRY(pattern_matches(env, beside, &matches));
    if (matches) {
        *out = beside;
        return DET_OK;
    }
    status = det_strdup(env, out, pattern);
fail:
    det_free(env, &beside);
    return status;
}

det_status det_input_paths_resolve(struct det_env *env, const struct det_pipeline_config *config,
                                   const struct det_input_reader_config *reader,
                                   struct det_path_list *patterns)
{
    char *path = NULL;
    det_status status = DET_OK;
    for (size_t i = 0; i < reader->input_paths.count; i++) {
        const char *written = reader->input_paths.values[i];
        DET_TRY(is_pattern(written)
                    ? resolve_pattern(env, config, written, &path)
                    : det_pipeline_config_resolve_path(env, config, written, &path));
        DET_TRY(det_path_list_add(env, patterns, path));
        det_free(env, &path);
    }
    return DET_OK;
fail:
    det_free(env, &path);
    det_path_list_free(env, patterns);
    return status;
}
