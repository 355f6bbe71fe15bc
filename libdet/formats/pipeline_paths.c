#include "formats/pipeline_paths.h"

#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "support/text.h"

/* Folders above the config in which the last components of a Windows path are looked for. */
#define MOST_FOLDERS_UP 3
#define PLACEHOLDER     "PATH_TO_BE_CONFIGURED"

/* --- whether something is there --- */

/* "x@10" stands for the shards x-00000-of-00010 ...; the length of "x", 0 for any other pattern. */
static size_t sharded_prefix(const char *pattern)
{
    const char *at = strrchr(pattern, '@');
    if (at == NULL || at == pattern || at[1] == '\0' ||
        strspn(at + 1, "0123456789") != strlen(at + 1))
        return 0;
    return (size_t)(at - pattern);
}

/* Any file there at all? That shards are missing is for the dataset to say. */
static det_status pattern_matches(struct det_env *env, const char *pattern, bool *matches)
{
    struct det_path_list found = {0};
    char *probe = NULL;
    det_status status = DET_OK;
    *matches = false;
    const size_t prefix = sharded_prefix(pattern);
    if (prefix == 0 && strpbrk(pattern, "*?[") == NULL)
        return DET_OK;
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

static det_status exists_with(struct det_env *env, const char *path, const char *ending,
                              bool *exists)
{
    char *whole = NULL;
    if (*exists)
        return DET_OK;
    DET_TRY_RETURN(det_format(env, &whole, "%s%s", path, ending));
    *exists = det_file_exists(whole);
    det_free(env, &whole);
    return DET_OK;
}

static det_status is_there(struct det_env *env, const char *path, enum det_path_use use,
                           bool *exists)
{
    *exists = det_file_exists(path);
    if (use == DET_PATH_RECORDS && !*exists)
        DET_TRY_RETURN(pattern_matches(env, path, exists));
    if (use == DET_PATH_CHECKPOINT) {
        DET_TRY_RETURN(exists_with(env, path, ".index", exists));
        DET_TRY_RETURN(exists_with(env, path, ".det", exists));
    }
    return DET_OK;
}

/* *out stays NULL when there is nothing. */
static det_status look_in(struct det_env *env, const char *folder, const char *path,
                          enum det_path_use use, char **out)
{
    bool exists = false;
    if (*out != NULL)
        return DET_OK;
    DET_TRY_RETURN(det_path_join(env, out, folder, path));
    const det_status status = is_there(env, *out, use, &exists);
    if (status != DET_OK || !exists)
        det_free(env, out);
    return status;
}

/* As written from here, else from the config's folder. */
static det_status look_in_both(struct det_env *env, const struct det_pipeline_config *config,
                               const char *path, enum det_path_use use, char **out)
{
    bool exists = false;
    if (*out != NULL)
        return DET_OK;
    DET_TRY_RETURN(is_there(env, path, use, &exists));
    if (exists)
        return det_strdup(env, out, path);
    return look_in(env, config->directory, path, use, out);
}

/* The path without the backslashes that take a meaning away. */
static det_status without_escapes(struct det_env *env, const char *path, char **out)
{
    DET_TRY_RETURN(det_strdup(env, out, path));
    char *to = *out;
    for (const char *from = path; *from != '\0'; from++) {
        if (*from == '\\' && from[1] != '\0')
            from++;
        *to++ = *from;
    }
    *to = '\0';
    return DET_OK;
}

/* *out stays NULL when there is nothing. */
static det_status find(struct det_env *env, const struct det_pipeline_config *config,
                       const char *path, enum det_path_use use, char **out)
{
    const bool escapes = strchr(path, '\\') != NULL;
    char *plain = NULL;
    det_status status = DET_OK;
    *out = NULL;
    if (!escapes)
        return look_in_both(env, config, path, use, out);
    DET_TRY(look_in_both(env, config, path, use == DET_PATH_RECORDS ? DET_PATH_FILE : use, out));
    DET_TRY(without_escapes(env, path, &plain));
    DET_TRY(look_in_both(env, config, plain, use, out));
fail:
    det_free(env, &plain);
    return status;
}

det_status det_pipeline_path_find(struct det_env *env, const struct det_pipeline_config *config,
                                  const char *path, enum det_path_use use, char **out)
{
    char *beside = NULL;
    *out = NULL;
    if (path[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: a path is empty", config->path);
    DET_TRY_RETURN(find(env, config, path, use, out));
    if (*out != NULL)
        return DET_OK;
    DET_TRY_RETURN(det_path_join(env, &beside, config->directory, path));
    if (strcmp(beside, path) == 0)
        det_fail(env, DET_STATUS_NOT_FOUND, "%s: \"%s\" does not exist", config->path, path);
    else
        det_fail(env, DET_STATUS_NOT_FOUND,
                 "%s: \"%s\" does not exist, neither as \"%s\" here nor as \"%s\"", config->path,
                 path, path, beside);
    det_free(env, &beside);
    return DET_STATUS_NOT_FOUND;
}

det_status det_pipeline_path_records(struct det_env *env, const struct det_pipeline_config *config,
                                     const struct det_input_reader_config *reader,
                                     struct det_path_list *patterns)
{
    char *path = NULL;
    det_status status = DET_OK;
    for (size_t i = 0; i < reader->input_paths.count; i++) {
        DET_TRY(det_pipeline_path_find(env, config, reader->input_paths.values[i], DET_PATH_RECORDS,
                                       &path));
        DET_TRY(det_path_list_add(env, patterns, path));
        det_free(env, &path);
    }
    return DET_OK;
fail:
    det_free(env, &path);
    det_path_list_free(env, patterns);
    return status;
}

/* --- all paths of a config --- */

/* One value: `value` points to where the config keeps it, so that it can be replaced. */
typedef det_status (*path_visitor)(struct det_env *env, struct det_pipeline_config *config,
                                   const char *field, const char **value, enum det_path_use use,
                                   void *user);

static det_status visit_reader(struct det_env *env, struct det_pipeline_config *config,
                               const char *name, struct det_input_reader_config *reader,
                               bool samples, path_visitor visit, void *user)
{
    char field[80];
    const char **values = NULL; /* made by the decoder in the document's own memory */
    memcpy(&values, &reader->input_paths.values, sizeof(void *));
    snprintf(field, sizeof field, "%s.label_map_path", name);
    DET_TRY_RETURN(visit(env, config, field, &reader->label_map_path, DET_PATH_FILE, user));
    snprintf(field, sizeof field, "%s.tf_record_input_reader.input_path", name);
    for (size_t i = 0; i < reader->input_paths.count && !samples; i++)
        DET_TRY_RETURN(visit(env, config, field, &values[i], DET_PATH_RECORDS, user));
    return DET_OK;
}

static det_status visit_paths(struct det_env *env, struct det_pipeline_config *config,
                              struct det_pipeline_reading reading, path_visitor visit, void *user)
{
    struct det_input_reader_config *readers = NULL;
    memcpy(&readers, &config->eval_input_readers, sizeof(void *));
    if (reading.train_input && config->has_train_input_reader)
        DET_TRY_RETURN(visit_reader(env, config, "train_input_reader", &config->train_input_reader,
                                    reading.train_samples, visit, user));
    if (reading.fine_tune_checkpoint && config->has_train_config)
        DET_TRY_RETURN(visit(env, config, "train_config.fine_tune_checkpoint",
                             &config->train.fine_tune_checkpoint, DET_PATH_CHECKPOINT, user));
    if (reading.eval_input && config->eval_input_reader_count > 0)
        DET_TRY_RETURN(visit_reader(env, config, "eval_input_reader", &readers[0],
                                    reading.eval_samples, visit, user));
    return DET_OK;
}

/* --- what people write on Windows --- */

static bool has_drive(const char *path)
{
    const char letter = path[0];
    return ((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')) &&
           path[1] == ':' && (path[2] == '\\' || path[2] == '/');
}

/* What text format makes of \a, \t and so on: no path has these characters. */
static const char escape_values[] = "\a\b\f\n\r\t\v", escape_letters[] = "abfnrtv";

static bool has_backslash(const char *path)
{
    return strpbrk(path, "\\") != NULL || strpbrk(path, escape_values) != NULL;
}

/* The path as it was written, each backslash as `separator`. */
static det_status written_path(struct det_env *env, const char *path, char separator, char **out)
{
    DET_TRY_RETURN(det_alloc(env, out, strlen(path) + 1, 2, "path"));
    char *to = *out;
    for (const char *at = path; *at != '\0'; at++) {
        const char *escape = strchr(escape_values, *at);
        if (escape != NULL) {
            *to++ = separator;
            *to++ = escape_letters[escape - escape_values];
        } else {
            *to++ = *at == '\\' ? separator : *at;
        }
    }
    *to = '\0';
    return DET_OK;
}

/* --- missing ones --- */

struct missing {
    struct det_text text;
    int32_t count, unnamed;
    bool backslash;
};

static det_status note_if_missing(struct det_env *env, struct det_pipeline_config *config,
                                  const char *field, const char **value, enum det_path_use use,
                                  void *user)
{
    enum { ROOM = DET_ERROR_BYTES - 300 };
    struct missing *missing = user;
    char *found = NULL;
    if ((*value)[0] == '\0')
        return DET_OK; /* each user says what it lacks */
    DET_TRY_RETURN(find(env, config, *value, use, &found));
    const bool exists = found != NULL;
    det_free(env, &found);
    if (exists)
        return DET_OK;
    missing->count++;
    missing->backslash = missing->backslash || has_backslash(*value);
    if (missing->text.length + strlen(field) + strlen(*value) > ROOM && missing->count > 1) {
        missing->unnamed++;
        return DET_OK;
    }
    const int line = (int)det_pipeline_config_value_position(config, *value).line;
    char *written = NULL;
    det_status status = written_path(env, *value, '\\', &written);
    if (status == DET_OK)
        status = det_text_printf(env, &missing->text, "%s", missing->count > 1 ? "; " : "");
    if (status == DET_OK && line > 0)
        status = det_text_printf(env, &missing->text, "line %d: ", line);
    if (status == DET_OK)
        status = det_text_printf(
            env, &missing->text, "%s \"%.400s\"%s", field, written,
            strstr(*value, PLACEHOLDER) != NULL ? ", which is still to be filled in" : "");
    det_free(env, &written);
    return status;
}

det_status det_pipeline_paths_check(struct det_env *env, const struct det_pipeline_config *config,
                                    struct det_pipeline_reading reading)
{
    struct missing missing = {0};
    struct det_pipeline_config *writable = NULL; /* the visitor does not write */
    memcpy(&writable, &config, sizeof(void *));
    char rest[40] = "";
    det_status status = DET_OK;
    DET_TRY(visit_paths(env, writable, reading, note_if_missing, &missing));
    /* Where nothing can be trained, what evaluation will lack is told with it. */
    if (missing.count > 0 && reading.train_input && !reading.eval_input)
        DET_TRY(visit_paths(env, writable, (struct det_pipeline_reading){.eval_input = true},
                            note_if_missing, &missing));
    if (missing.unnamed > 0)
        snprintf(rest, sizeof rest, "; and %d more", (int)missing.unnamed);
    if (missing.count > 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                         "%s: %d file%s not exist, neither from here nor from %s: %s%s%s",
                         config->path, (int)missing.count, missing.count == 1 ? " does" : "s do",
                         config->directory, missing.text.data, rest,
                         missing.backslash ? "; `\\` separates no folders here: write `/`" : ""));
fail:
    det_text_free(env, &missing.text);
    return status;
}

/* --- Windows --- */

/* Where the last components begin: the next one of "a/b/c" is "b/c"; NULL behind the last. */
static const char *shorter(const char *path)
{
    const char *slash = strchr(path + strspn(path, "/"), '/');
    return slash != NULL && slash[strspn(slash, "/")] != '\0' ? slash + strspn(slash, "/") : NULL;
}

/* The last components of `path`, the longest first, from here, from the config's folder and those
 * above it. One component alone is too little to tell, but for a file beside the config. */
static det_status look_around(struct det_env *env, const struct det_pipeline_config *config,
                              const char *path, enum det_path_use use, char **out)
{
    char *folder = NULL, *up = NULL;
    det_status status = DET_OK;
    for (const char *part = path; part != NULL && *out == NULL; part = shorter(part)) {
        const bool alone = strchr(part, '/') == NULL;
        if (alone && use == DET_PATH_CHECKPOINT)
            break;
        if (!alone)
            DET_TRY(look_in(env, ".", part, use, out));
        DET_TRY(look_in(env, config->directory, part, use, out));
        DET_TRY(det_strdup(env, &folder, config->directory));
        for (int i = 0; i < MOST_FOLDERS_UP && !alone; i++) {
            DET_TRY(det_path_join(env, &up, folder, ".."));
            det_free(env, &folder);
            folder = up;
            up = NULL;
            DET_TRY(look_in(env, folder, part, use, out));
        }
        det_free(env, &folder);
    }
fail:
    det_free(env, &folder);
    return status;
}

static det_status bring_over(struct det_env *env, struct det_pipeline_config *config,
                             const char *field, const char **value, enum det_path_use use,
                             void *user)
{
    (void)user;
    char *found = NULL, *path = NULL, *written = NULL;
    det_status status = DET_OK;
    if (!has_backslash(*value) && !has_drive(*value))
        return DET_OK;
    DET_TRY(find(env, config, *value, use, &found));
    if (found != NULL)
        goto fail; /* a path of this system after all; status is OK */
    DET_TRY(written_path(env, *value, '/', &path));
    if (has_drive(path))
        memmove(path, path + 2, strlen(path + 2) + 1);
    DET_TRY(look_in_both(env, config, path, use, &found));
    if (found == NULL)
        DET_TRY(look_around(env, config, path + strspn(path, "/"), use, &found));
    if (found == NULL)
        goto fail; /* whoever reads it says so; status is OK */
    DET_TRY(written_path(env, *value, '\\', &written));
    det_log(env, DET_LOG_WARNING, "%s:%d: %s \"%s\" was written on Windows: taken as \"%s\"",
            config->path, (int)det_pipeline_config_value_position(config, *value).line, field,
            written, found);
    DET_TRY(det_pipeline_config_override_string(env, config, value, found));
fail:
    det_free(env, &found);
    det_free(env, &path);
    det_free(env, &written);
    return status;
}

det_status det_pipeline_paths_bring_over(struct det_env *env, struct det_pipeline_config *config)
{
    const struct det_pipeline_reading all = {
        .train_input = true, .eval_input = true, .fine_tune_checkpoint = true};
    return visit_paths(env, config, all, bring_over, NULL);
}
