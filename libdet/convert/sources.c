#include "convert/sources.h"

#include <string.h>

#include "convert/folder.h"
#include "support/mem.h"

static det_status add_source(struct det_env *env, struct det_data_sources *sources,
                             const char *path, const char *split)
{
    DET_TRY_RETURN(det_grow(env, &sources->items, &sources->capacity, sources->count + 1,
                            sizeof *sources->items, "sources"));
    struct det_data_source *source = &sources->items[sources->count++];
    *source = (struct det_data_source){0};
    DET_TRY_RETURN(det_strdup(env, &source->path, path));
    return split != NULL ? det_strdup(env, &source->split, split) : DET_OK;
}

void det_data_sources_free(struct det_env *env, struct det_data_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        det_free(env, &sources->items[i].path);
        det_free(env, &sources->items[i].split);
    }
    det_free(env, &sources->items);
    *sources = (struct det_data_sources){0};
}

/* --- splits by folder --- */

/* The name of the innermost folder of `path` below `root` that a split is commonly called by. */
static det_status split_by_folder(struct det_env *env, const char *root, const char *path,
                                  char **split)
{
    static const char *const words[] = {"train", "training", "val", "valid", "validation",
                                        "test",  "testing",  "dev", "eval"};
    const char *end = det_path_name(path), *first = path + strlen(root);
    *split = NULL;
    while (end > first + 1) {
        const char *start = det_path_part(first, --end); /* of the folder before a '/' */
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (strlen(words[i]) == (size_t)(end - start) &&
                memcmp(start, words[i], (size_t)(end - start)) == 0)
                return det_strndup(env, split, start, (size_t)(end - start));
        end = start;
    }
    return DET_OK;
}

/* --- folders --- */

static det_status fail_two(struct det_env *env, const char *path,
                           const struct det_data_folder *folder)
{
    const char *names[2] = {NULL, NULL}, *examples[2] = {NULL, NULL};
    int found = 0;
    for (int f = 0; f < DET_DATA_FORMATS && found < 2; f++)
        if (det_data_folder_holds(folder, (enum det_data_format_id)f)) {
            names[found] = det_data_formats[f].name;
            examples[found++] = det_data_folder_example(folder, (enum det_data_format_id)f);
        }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: holds %s (%s) and %s (%s): name the format that is meant", path, names[0],
                    examples[0], names[1], examples[1]);
}

/* No file of the format; of YOLO the labels may be there, but not what the classes are called. */
static det_status fail_none(struct det_env *env, const char *path,
                            const struct det_data_folder *folder,
                            const struct det_data_format *format)
{
    if (folder->label != NULL && (format == NULL || format == &det_data_formats[DET_DATA_YOLO]))
        return det_fail(env, DET_STATUS_NOT_FOUND,
                        "%s: %s holds boxes of YOLO, but no data.yaml, obj.data, classes.txt, "
                        "obj.names or _darknet.labels says what the classes are called",
                        path, folder->label);
    if (format != NULL)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: the folder holds no file of format %s",
                        path, format->name);
    return det_fail(env, DET_STATUS_NOT_FOUND,
                    "%s: nothing in this folder holds boxes of " DET_DATA_FORMAT_NAMES, path);
}

/* The one format that the folder holds boxes of. */
static det_status choose(struct det_env *env, const char *path,
                         const struct det_data_folder *folder,
                         const struct det_data_format **format)
{
    int count = 0;
    for (int f = 0; f < DET_DATA_FORMATS; f++)
        if (det_data_folder_holds(folder, (enum det_data_format_id)f)) {
            *format = &det_data_formats[f];
            count++;
        }
    if (count > 1)
        return fail_two(env, path, folder);
    /* class names, and not one label: the reader says what is missing */
    if (count == 0 && folder->files[DET_DATA_YOLO].count > 0)
        *format = &det_data_formats[DET_DATA_YOLO];
    return *format != NULL ? DET_OK : fail_none(env, path, folder, NULL);
}

static det_status find_in_folder(struct det_env *env, const struct det_files *files,
                                 const char *path, struct det_data_sources *sources)
{
    struct det_data_folder folder = {0};
    char *split = NULL;
    det_status status = DET_OK;
    DET_TRY(det_data_folder_look(env, files, path, &folder));
    if (sources->format == NULL)
        DET_TRY(choose(env, path, &folder, &sources->format));
    const enum det_data_format_id id =
        (enum det_data_format_id)(sources->format - det_data_formats);
    DET_TRY(det_data_folder_roots(env, id, &folder));
    const struct det_path_list *found = &folder.files[id];
    for (size_t i = 0; i < found->count; i++) {
        const bool own_splits = id == DET_DATA_VOC || id == DET_DATA_CVAT;
        det_free(env, &split);
        if (!own_splits)
            DET_TRY(split_by_folder(env, path, found->paths[i], &split));
        DET_TRY(add_source(env, sources, found->paths[i], split));
    }
    if (found->count == 0)
        DET_TRY(fail_none(env, path, &folder, sources->format));
fail:
    det_free(env, &split);
    det_data_folder_free(env, &folder);
    return status;
}

det_status det_data_sources_find(struct det_env *env, const struct det_files *files,
                                 const char *path, const struct det_data_format *from,
                                 struct det_data_sources *sources)
{
    det_status status = DET_OK;
    *sources = (struct det_data_sources){.format = from};
    if (det_files_is_directory(files, path)) {
        DET_TRY(find_in_folder(env, files, path, sources));
        return DET_OK;
    }
    enum det_data_format_id id = DET_DATA_FORMATS;
    if (from == NULL) {
        DET_TRY(det_data_file_format(env, files, path, &id));
        if (id == DET_DATA_FORMATS)
            DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND,
                             det_files_exists(files, path)
                                 ? "%s: its format is not plain from its name: name one "
                                   "of " DET_DATA_FORMAT_NAMES
                                 : "%s: there is no such file",
                             path));
        sources->format = &det_data_formats[id];
    }
    DET_TRY(add_source(env, sources, path, NULL));
    return DET_OK;
fail:
    det_data_sources_free(env, sources);
    return status;
}
