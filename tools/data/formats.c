#include "data/formats.h"

#include <string.h>

#include "data/folder.h"
#include "support/mem.h"

static const struct data_format formats[] = {
    [DATA_TFRECORD] = {"tfrecord", NULL},
    [DATA_VOC] = {"voc", det_read_voc},
    [DATA_COCO] = {"coco", NULL},
    [DATA_YOLO] = {"yolo", det_read_yolo},
    [DATA_CVAT] = {"cvat-xml", det_read_cvat},
    [DATA_CSV] = {"csv", NULL},
};

static det_status read_format(void *user, det_annotation_set *set, const char *path,
                              const char *split)
{
    const struct data_format *format = user;
    struct det_read_settings settings;
    DET_TRY_RETURN(det_annotation_set_begin_read(set, path, split, &settings));
    return format->read(set->env, &settings, &set->set);
}

det_status data_formats_add_readers(det_annotation_set *set)
{
    for (size_t i = 0; i < DATA_FORMATS; i++)
        if (formats[i].read != NULL)
            DET_TRY_RETURN(det_annotation_set_add_reader(set, formats[i].name, read_format,
                                                         (void *)&formats[i]));
    return DET_OK;
}

const struct data_format *data_format_find(const char *name)
{
    for (size_t i = 0; i < DATA_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

const char *data_format_names(void)
{
    return "tfrecord, voc, coco, yolo, cvat-xml or csv";
}

static det_status add_source(struct det_env *env, struct data_sources *sources, const char *path,
                             const char *split)
{
    DET_TRY_RETURN(det_grow(env, &sources->items, &sources->capacity, sources->count + 1,
                            sizeof *sources->items, "sources"));
    struct data_source *source = &sources->items[sources->count++];
    *source = (struct data_source){0};
    DET_TRY_RETURN(det_strdup(env, &source->path, path));
    return split != NULL ? det_strdup(env, &source->split, split) : DET_OK;
}

void data_sources_free(struct det_env *env, struct data_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        det_free(env, &sources->items[i].path);
        det_free(env, &sources->items[i].split);
    }
    det_free(env, &sources->items);
    *sources = (struct data_sources){0};
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

static det_status fail_two(struct det_env *env, const char *path, const struct data_folder *folder)
{
    const char *names[2] = {NULL, NULL}, *examples[2] = {NULL, NULL};
    int found = 0;
    for (int f = 0; f < DATA_FORMATS && found < 2; f++)
        if (data_folder_holds(folder, (enum data_format_id)f)) {
            names[found] = formats[f].name;
            examples[found++] = data_folder_example(folder, (enum data_format_id)f);
        }
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "%s: holds %s (%s) and %s (%s): say with --from which is meant", path, names[0],
                    examples[0], names[1], examples[1]);
}

/* No file of the format; of YOLO the labels may be there, but not what the classes are called. */
static det_status fail_none(struct det_env *env, const char *path, const struct data_folder *folder,
                            const struct data_format *format)
{
    if (folder->label != NULL && (format == NULL || format == &formats[DATA_YOLO]))
        return det_fail(env, DET_STATUS_NOT_FOUND,
                        "%s: %s holds boxes of YOLO, but no data.yaml, obj.data, classes.txt, "
                        "obj.names or _darknet.labels says what the classes are called",
                        path, folder->label);
    if (format != NULL)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: the folder holds no file of format %s",
                        path, format->name);
    return det_fail(env, DET_STATUS_NOT_FOUND,
                    "%s: nothing in this folder holds boxes in a format that is known: say "
                    "with --from whether it is %s",
                    path, data_format_names());
}

/* The one format that the folder holds boxes of. */
static det_status choose(struct det_env *env, const char *path, const struct data_folder *folder,
                         const struct data_format **format)
{
    int count = 0;
    for (int f = 0; f < DATA_FORMATS; f++)
        if (data_folder_holds(folder, (enum data_format_id)f)) {
            *format = &formats[f];
            count++;
        }
    if (count > 1)
        return fail_two(env, path, folder);
    /* class names, and not one label: the reader says what is missing */
    if (count == 0 && folder->files[DATA_YOLO].count > 0)
        *format = &formats[DATA_YOLO];
    return *format != NULL ? DET_OK : fail_none(env, path, folder, NULL);
}

static det_status find_in_folder(struct det_env *env, const struct det_files *files,
                                 const char *path, struct data_sources *sources)
{
    struct data_folder folder = {0};
    char *split = NULL;
    det_status status = DET_OK;
    DET_TRY(data_folder_look(env, files, path, &folder));
    if (sources->format == NULL)
        DET_TRY(choose(env, path, &folder, &sources->format));
    const enum data_format_id id = (enum data_format_id)(sources->format - formats);
    DET_TRY(data_folder_roots(env, id, &folder));
    const struct det_path_list *found = &folder.files[id];
    for (size_t i = 0; i < found->count; i++) {
        const bool own_splits = id == DATA_VOC || id == DATA_CVAT;
        det_free(env, &split);
        if (!own_splits)
            DET_TRY(split_by_folder(env, path, found->paths[i], &split));
        DET_TRY(add_source(env, sources, found->paths[i], split));
    }
    if (found->count == 0)
        DET_TRY(fail_none(env, path, &folder, sources->format));
fail:
    det_free(env, &split);
    data_folder_free(env, &folder);
    return status;
}

det_status data_sources_find(struct det_env *env, const struct det_files *files, const char *path,
                             const struct data_format *from, struct data_sources *sources)
{
    det_status status = DET_OK;
    *sources = (struct data_sources){.format = from};
    if (det_files_is_directory(files, path)) {
        DET_TRY(find_in_folder(env, files, path, sources));
        return DET_OK;
    }
    enum data_format_id id = DATA_FORMATS;
    if (from == NULL) {
        DET_TRY(data_file_format(env, files, path, &id));
        if (id == DATA_FORMATS)
            DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND, "%s: %s: say with --from whether it is %s",
                             path,
                             det_files_exists(files, path) ? "its format is not plain from its name"
                                                           : "there is no such file",
                             data_format_names()));
        sources->format = &formats[id];
    }
    DET_TRY(add_source(env, sources, path, NULL));
    return DET_OK;
fail:
    data_sources_free(env, sources);
    return status;
}
