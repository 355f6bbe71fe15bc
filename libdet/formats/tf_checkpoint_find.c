/* det_tf_checkpoint_find: from a user's path to a checkpoint's prefix. The file `checkpoint` is a
 * text-format CheckpointState (tensorflow/python/checkpoint/checkpoint_state.proto), of which one
 * line matters here: model_checkpoint_path: "ckpt-2"
 */
#include <stdio.h>
#include <string.h>

#include "formats/tf_bundle.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"

static det_status index_exists(struct det_env *env, const char *prefix, bool *exists)
{
    char *path = NULL;
    DET_TRY_RETURN(det_format(env, &path, "%s.index", prefix));
    *exists = det_file_exists(path);
    det_free(env, &path);
    return DET_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Reads the value of `model_checkpoint_path: "..."` in one line; *value stays empty when the line
 * is another. */
static det_status read_line(struct det_env *env, const char *line, const char *end,
                            struct det_text *value)
{
    static const char key[] = "model_checkpoint_path";
    while (line < end && is_blank(*line))
        line++;
    if ((size_t)(end - line) < sizeof key - 1 || memcmp(line, key, sizeof key - 1) != 0)
        return DET_OK;
    line += sizeof key - 1;
    while (line < end && (is_blank(*line) || *line == ':'))
        line++;
    if (line == end || (*line != '"' && *line != '\''))
        return DET_OK;
    const char quote = *line++;
    for (; line < end && *line != quote; line++) {
        if (*line == '\\' && line + 1 < end)
            line++;
        DET_TRY_RETURN(det_text_append(env, value, line, 1));
    }
    if (line == end)
        value->length = 0; /* no closing quote */
    return DET_OK;
}

static det_status read_state(struct det_env *env, const char *path, struct det_text *value)
{
    struct det_file_bytes contents;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    const char *at = (const char *)contents.data, *end = at + contents.bytes;
    det_status status = DET_OK;
    while (status == DET_OK && at < end && value->length == 0) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline != NULL ? newline : end;
        status = read_line(env, at, line_end, value);
        at = newline != NULL ? newline + 1 : end;
    }
    det_file_release(&contents);
    if (status == DET_OK && (value->length == 0 || memchr(value->data, '\0', value->length)))
        status = det_fail(env, DET_STATUS_PARSE, "%s: names no model_checkpoint_path", path);
    return status;
}

det_status det_checkpoint_state_read(struct det_env *env, const char *path, char **name)
{
    struct det_text value = {0};
    *name = NULL;
    det_status status = read_state(env, path, &value);
    if (status == DET_OK)
        status = det_strndup(env, name, value.data, value.length);
    det_text_free(env, &value);
    return status;
}

static det_status find_by_state(struct det_env *env, const char *folder, const char *state_path,
                                char **prefix)
{
    struct det_text value = {0};
    bool exists = false;
    det_status status = DET_OK;
    DET_TRY(read_state(env, state_path, &value));
    value.data[value.length] = '\0';
    DET_TRY(det_path_join(env, prefix, folder, value.data));
    DET_TRY(index_exists(env, *prefix, &exists));
    if (!exists) {
        /* The folder may have been moved since an absolute path was written. */
        det_free(env, prefix);
        DET_TRY(det_path_join(env, prefix, folder, det_path_name(value.data)));
        DET_TRY(index_exists(env, *prefix, &exists));
    }
    if (!exists)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND, "%s: names `%s`, but there is no %s.index",
                         state_path, value.data, *prefix));
fail:
    if (status != DET_OK)
        det_free(env, prefix);
    det_text_free(env, &value);
    return status;
}

/* N of "ckpt-N.index", -1 for another name. */
static int64_t checkpoint_number(const char *name)
{
    if (strncmp(name, "ckpt-", 5) != 0)
        return -1;
    int64_t number = 0;
    const char *digit = name + 5;
    for (; *digit >= '0' && *digit <= '9' && number < INT64_C(1000000000000000); digit++)
        number = number * 10 + (*digit - '0');
    return digit > name + 5 && strcmp(digit, ".index") == 0 ? number : -1;
}

static det_status find_by_number(struct det_env *env, const char *folder, char **prefix)
{
    struct det_path_list list = {0};
    int64_t best = -1;
    size_t best_at = 0;
    det_status status = DET_OK;
    DET_TRY(det_list_directory(env, folder, &list));
    for (size_t i = 0; i < list.count; i++) {
        const int64_t number = checkpoint_number(det_path_name(list.paths[i]));
        if (number > best) {
            best = number;
            best_at = i;
        }
    }
    if (best < 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: holds neither a file `checkpoint` nor a ckpt-N.index", folder));
    DET_TRY(det_strndup(env, prefix, list.paths[best_at],
                        strlen(list.paths[best_at]) - strlen(".index")));
fail:
    det_path_list_free(env, &list);
    return status;
}

static det_status find_in_folder(struct det_env *env, const char *folder, char **prefix)
{
    char *state_path = NULL;
    DET_TRY_RETURN(det_path_join(env, &state_path, folder, "checkpoint"));
    const det_status status = det_file_exists(state_path)
                                  ? find_by_state(env, folder, state_path, prefix)
                                  : find_by_number(env, folder, prefix);
    det_free(env, &state_path);
    return status;
}

det_status det_tf_checkpoint_find(struct det_env *env, const char *path, char **prefix)
{
    static const char suffix[] = ".index";
    bool exists = false;
    *prefix = NULL;
    DET_TRY_RETURN(index_exists(env, path, &exists));
    if (exists)
        return det_strdup(env, prefix, path);
    if (det_is_directory(path))
        return find_in_folder(env, path, prefix);
    const size_t length = strlen(path);
    if (length >= sizeof suffix && strcmp(path + length - (sizeof suffix - 1), suffix) == 0 &&
        det_file_exists(path))
        return det_strndup(env, prefix, path, length - (sizeof suffix - 1));
    return det_fail(env, DET_STATUS_NOT_FOUND,
                    "%s: no checkpoint: neither a folder nor is there a file %s.index", path, path);
}
