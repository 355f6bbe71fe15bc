/* annotation_set_read.c: see det/dataset.h: a set read from files of other programs. */
#include <string.h>

#include "base/arguments.h"
#include "convert/annotation_set.h"
#include "convert/sources.h"
#include "support/mem.h"

/* An archive becomes a folder, which paths lead into, and is an input, which libzip does not
 * note. */
static det_status mount(det_annotation_set *set, const char *path)
{
    struct det_env *env = set->env;
    const bool in_memory = !det_files_is_on_disk(&set->files, path);
    if (!det_files_is_archive(path) || (!in_memory && det_is_directory(path)))
        return DET_OK;
    DET_TRY_RETURN(det_files_mount(env, &set->files, path));
    return in_memory ? DET_OK
                     : det_guard_input(env, env->guard != NULL ? env->guard : &set->inputs, path);
}

/* --- what is given before --- */

det_status det_annotation_set_add_image_folder(det_annotation_set *set, const char *path)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, path);
    DET_TRY_RETURN(mount(set, path));
    DET_TRY_RETURN(det_image_index_add(env, &set->index, &set->files, path));
    set->index_is_sorted = false;
    return det_path_list_add(env, &set->image_folders, path);
}

/* label_map.pbtxt in a folder; else NAME_label_map.pbtxt beside NAME.tfrecord, as Roboflow writes
 * it. *path stays NULL when neither is there. */
static det_status look_for_map(det_annotation_set *set, const char *folder, char **path)
{
    static const char own[] = "label_map.pbtxt", end[] = "_label_map.pbtxt";
    struct det_env *env = set->env;
    struct det_path_list files = {0};
    char *own_path = NULL, *records = NULL;
    det_status status = DET_OK;
    if (*path != NULL || !det_files_is_directory(&set->files, folder))
        return DET_OK;
    DET_TRY(det_path_join(env, &own_path, folder, own));
    if (det_files_exists(&set->files, own_path)) {
        *path = own_path;
        return DET_OK;
    }
    DET_TRY(det_files_list(env, &set->files, folder, &files));
    for (size_t i = 0; i < files.count && *path == NULL; i++) {
        const size_t length = strlen(files.paths[i]), tail = sizeof end - 1;
        if (length <= tail || strcmp(files.paths[i] + length - tail, end) != 0)
            continue;
        DET_TRY(det_format(env, &records, "%.*s.tfrecord", (int)(length - tail), files.paths[i]));
        if (det_files_exists(&set->files, records))
            DET_TRY(det_strdup(env, path, files.paths[i]));
        det_free(env, &records);
    }
fail:
    det_free(env, &records);
    det_free(env, &own_path);
    det_path_list_free(env, &files);
    return status;
}

static det_status find_label_map(det_annotation_set *set, const char *source, char **path)
{
    struct det_env *env = set->env;
    char *folder = NULL, *train = NULL;
    det_status status = DET_OK;
    DET_TRY(mount(set, source));
    DET_TRY(det_files_is_directory(&set->files, source)
                ? det_strndup(env, &folder, source, det_path_length(source))
                : det_path_directory(env, &folder, source));
    DET_TRY(look_for_map(set, folder, path));
    DET_TRY(det_path_join(env, &train, folder, "train"));
    DET_TRY(look_for_map(set, train, path));
fail:
    det_free(env, &train);
    det_free(env, &folder);
    return status;
}

det_status det_annotation_set_find_label_map(det_annotation_set *set, const char *source,
                                             const char **path)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    char *found = NULL;
    det_status status = DET_OK;
    if (path != NULL)
        *path = NULL;
    DET_NEED(env, set);
    DET_NEED(env, source);
    DET_NEED(env, path);
    DET_TRY(find_label_map(set, source, &found));
    if (found == NULL)
        return DET_OK;
    set->text.length = 0;
    DET_TRY(det_text_append(env, &set->text, found, strlen(found)));
    *path = set->text.data;
fail:
    det_free(env, &found);
    return status;
}

/* --- reading --- */

det_status det_annotation_set_begin_read(det_annotation_set *set, const char *path,
                                         const char *split, struct det_read_settings *settings)
{
    if (!set->index_is_sorted)
        det_image_index_sort(&set->index);
    set->index_is_sorted = true;
    const det_status status = split != NULL ? det_annotation_set_check_split(set, split) : DET_OK;
    if (status != DET_OK)
        return det_fail_prefix(set->env, status, "%s", path);
    det_annotation_set_touch(set);
    set->is_resolved = false;
    *settings = (struct det_read_settings){
        .path = path,
        .files = &set->files,
        .split = split,
        .image_dirs = (const char *const *)set->image_folders.paths,
        .image_dir_count = set->image_folders.count,
        .index = set->image_folders.count > 0 ? &set->index : NULL,
        .encoding = set->encoding,
        .findings = &set->findings,
    };
    return DET_OK;
}

/* One file, pattern or folder, by the reader of its format. */
static det_status read_item(det_annotation_set *set, const struct det_data_format *format,
                            const char *path, const char *split)
{
    struct det_env *env = set->env;
    struct det_read_settings settings;
    const struct det_finding_place before = set->findings.at;
    set->findings.at = (struct det_finding_place){.where = path};
    det_status status = DET_OK;
    if (det_files_is_on_disk(&set->files, path))
        status = det_guard_input(env, env->guard, path);
    if (status == DET_OK)
        status = det_annotation_set_begin_read(set, path, split, &settings);
    if (status == DET_OK)
        status = format->read(env, &settings, &set->set);
    set->findings.at = before;
    return status;
}

/* `format` NULL: it is seen. */
static det_status read_source(det_annotation_set *set, const struct det_data_format *format,
                              const char *source, const char *split)
{
    struct det_env *env = set->env;
    struct det_data_sources sources = {0};
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_strndup(env, &path, source, det_path_length(source)));
    DET_TRY(mount(set, path));
    set->format = NULL;
    DET_TRY(det_data_sources_find(env, &set->files, path, format, &sources));
    set->format = sources.format->name;
    for (size_t i = 0; i < sources.count; i++)
        DET_TRY(read_item(set, sources.format, sources.items[i].path,
                          split != NULL ? split : sources.items[i].split));
fail:
    det_data_sources_free(env, &sources);
    det_free(env, &path);
    return status;
}

/* --- a program's own readers --- */

/* The last one for the format that is not running: in it the one before has the format. */
static size_t find_own(const det_annotation_set *set, const char *format)
{
    for (size_t i = set->reader_count; format != NULL && i-- > 0;)
        if (!set->readers[i].is_running && strcmp(set->readers[i].format, format) == 0)
            return i;
    return SIZE_MAX;
}

static det_status read_by_own(det_annotation_set *set, size_t index, const char *path,
                              const char *split)
{
    const struct det_annotation_reader reader = set->readers[index]; /* it may add others */
    struct det_read_settings settings;
    const struct det_finding_place before = set->findings.at;
    DET_TRY_RETURN(det_annotation_set_begin_read(set, path, split, &settings));
    set->findings.at = (struct det_finding_place){.where = path};
    set->readers[index].is_running = true;
    const det_status status = reader.callback(reader.user, set, path, split);
    set->readers[index].is_running = false;
    set->findings.at = before;
    set->format = reader.format;
    return status;
}

static det_status read_any(det_annotation_set *set, const char *format, const char *path,
                           const char *split)
{
    struct det_env *env = set->env;
    const size_t own = find_own(set, format);
    const struct det_data_format *known = format != NULL ? det_data_format_find(format) : NULL;
    if (det_files_is_on_disk(&set->files, path))
        DET_TRY_RETURN(det_guard_input(env, env->guard, path));
    if (own != SIZE_MAX)
        return read_by_own(set, own, path, split);
    if (format != NULL && known == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: format `%.100s` has no reader here, only " DET_DATA_FORMAT_NAMES
                        " and those of det_annotation_set_add_reader() have",
                        path, format);
    return read_source(set, known, path, split);
}

/* --- the calls --- */

static det_status read_guarded(det_annotation_set *set, const char *format, const char *path,
                               const char *split)
{
    struct det_env *env = set->env;
    char before[DET_ERROR_BYTES];
    memcpy(before, env->error, sizeof before);
    det_forget_error(env);
    struct det_guard *previous = det_annotation_set_begin_guard(set);
    const det_status status = read_any(set, format, path, split);
    det_annotation_set_end_guard(set, previous);
    if (status == DET_OK)
        memcpy(env->error, before, sizeof before); /* what failed became a finding */
    else if (env->error[0] == '\0')
        det_fail(env, status, "%s: its reader says: %s", path, det_status_text(status));
    return status;
}

det_status det_annotation_set_read(det_annotation_set *set, const char *format, const char *path,
                                   const char *split)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, path);
    return read_guarded(set, format, path, split);
}

det_status det_annotation_set_read_memory(det_annotation_set *set, const char *format,
                                          const char *name, const void *data, size_t bytes,
                                          const char *split)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    DET_NEED(env, set);
    DET_NEED(env, name);
    DET_NEED_ARRAY(env, data, bytes);
    /* Its pictures are found by its name. */
    if (det_files_archive_of(&set->files, name) != NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: an archive of that name was read before: give it another", name);
    const size_t files = set->files.memory_count, archives = set->files.archive_count,
                 records = set->set.record_count;
    DET_TRY_RETURN(det_files_add_memory(env, &set->files, name, data, bytes));
    const det_status status = read_guarded(set, format, name, split);
    /* Pictures are in records and archives; of other files nothing is read again. */
    if (set->files.memory_count == files + 1 && set->files.archive_count == archives &&
        set->set.record_count == records)
        det_files_drop_memory(env, &set->files);
    return status;
}

const char *det_annotation_set_format(const det_annotation_set *set)
{
    return set != NULL ? set->format : NULL;
}

det_status det_annotation_set_add_reader(det_annotation_set *set, const char *format,
                                         det_annotation_reader_callback callback, void *user)
{
    struct det_env *env = set != NULL ? set->env : NULL;
    struct det_annotation_reader reader = {.callback = callback, .user = user};
    DET_NEED(env, set);
    DET_NEED(env, format);
    DET_NEED(env, callback);
    DET_TRY_RETURN(det_grow(env, &set->readers, &set->reader_capacity, set->reader_count + 1,
                            sizeof *set->readers, "readers"));
    DET_TRY_RETURN(det_strdup(env, &reader.format, format));
    set->readers[set->reader_count++] = reader;
    return DET_OK;
}
