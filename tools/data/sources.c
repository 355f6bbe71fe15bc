/* sources.c: which reader a source needs, and reading all of them. */
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/mem.h"
#include "common/output.h"
#include "convert/writers.h"
#include "data/data.h"
#include "data/xml_readers.h"

struct format {
    const char *name;
    det_reader read;
    det_writer_of_set write;
    const char *files; /* of a folder, what is read one by one; NULL: the reader takes the folder */
};

static const struct format formats[] = {
    {"tfrecord", det_read_tfrecord, det_write_tfrecord, NULL},
    {"voc", det_read_voc, det_write_voc, NULL},
    {"coco", det_read_coco, det_write_coco, ".json"},
    {"yolo", det_read_yolo, det_write_yolo, NULL},
    {"cvat-xml", det_read_cvat, det_write_cvat, NULL},
    {"csv", det_read_csv, det_write_csv, ".csv"},
};

enum { FORMATS = sizeof formats / sizeof formats[0] };

static const struct format *find_format(const char *name)
{
    for (size_t i = 0; i < FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

bool data_format_known(const char *name)
{
    return find_format(name) != NULL;
}

const char *data_format_names(void)
{
    return "tfrecord, voc, coco, yolo, cvat-xml or csv";
}

bool data_exif_policy(const char *text, enum det_exif_policy *policy)
{
    static const char *const names[] = {"auto", "apply", "ignore"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            *policy = (enum det_exif_policy)i;
            return true;
        }
    }
    return false;
}

/* --- what a source is --- */

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool holds(struct data_job *job, const char *folder, const char *name)
{
    char *path = NULL;
    if (det_path_join(job->env, &path, folder, name) != DET_OK)
        return false;
    const bool there = det_file_exists(path);
    det_free(job->env, &path);
    return there;
}

/* CVAT's root element is <annotations>, VOC's <annotation>. */
static const char *xml_format(struct data_job *job, const char *path)
{
    struct det_file_map map;
    if (det_file_map_open(job->env, path, &map) != DET_OK)
        return "voc";
    static const char root[] = "<annotations";
    const size_t length = sizeof root - 1, most = map.bytes < 4096 ? map.bytes : 4096;
    bool found = false;
    for (size_t at = 0; at + length <= most && !found; at++)
        found = memcmp(map.data + at, root, length) == 0;
    det_file_map_close(&map);
    return found ? "cvat-xml" : "voc";
}

static const char *folder_format(struct data_job *job, const char *path)
{
    static const struct {
        const char *name, *format;
    } marks[] = {{"data.yaml", "yolo"},           {"obj.data", "yolo"},
                 {"classes.txt", "yolo"},         {"obj.names", "yolo"},
                 {"annotations.xml", "cvat-xml"}, {"Annotations", "voc"},
                 {"annotations", "coco"}};
    struct det_path_list files = {0};
    const char *format = NULL;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (holds(job, path, marks[i].name))
            return marks[i].format;
    if (det_list_directory(job->env, path, &files) != DET_OK)
        return NULL;
    for (size_t i = 0; i < files.count && format == NULL; i++)
        format =
            strstr(files.paths[i], ".tfrecord") != NULL || strstr(files.paths[i], ".record") != NULL
                ? "tfrecord"
            : ends_with(files.paths[i], ".xml")  ? "voc"
            : ends_with(files.paths[i], ".json") ? "coco"
            : ends_with(files.paths[i], ".csv")  ? "csv"
                                                 : NULL;
    /* images/train/a.xml beside its image */
    for (size_t i = 0; i < files.count && format == NULL; i++) {
        struct det_path_list inner = {0};
        if (!det_is_directory(files.paths[i]) ||
            det_list_directory(job->env, files.paths[i], &inner) != DET_OK)
            continue;
        for (size_t k = 0; k < inner.count && format == NULL; k++)
            format = ends_with(inner.paths[k], ".xml") ? "voc" : NULL;
        det_path_list_free(job->env, &inner);
    }
    det_path_list_free(job->env, &files);
    return format;
}

static const char *guess_format(struct data_job *job, const char *path)
{
    if (det_is_directory(path))
        return folder_format(job, path);
    const char *name = det_path_name(path);
    return strstr(name, ".tfrecord") != NULL || strstr(name, ".record") != NULL ? "tfrecord"
           : ends_with(name, ".json")                                           ? "coco"
           : ends_with(name, ".csv")                                            ? "csv"
           : ends_with(name, ".xml") ? xml_format(job, path)
           : ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".data") ||
                   ends_with(name, ".names")
               ? "yolo"
               : NULL;
}

/* --- reading --- */

/* "train=PATH" names the split. */
static const char *path_of(const char *input, char **split, struct det_env *env)
{
    const char *equals = strchr(input, '='), *slash = strchr(input, '/');
    if (equals == NULL || equals == input || (slash != NULL && slash < equals) ||
        det_file_exists(input))
        return input;
    return det_strndup(env, split, input, (size_t)(equals - input)) == DET_OK ? equals + 1 : input;
}

/* Files of one kind in a folder, or in its annotations/. */
static det_status read_files(struct data_job *job, const struct format *format,
                             struct det_read_settings *settings)
{
    struct det_env *env = job->env;
    struct det_path_list files = {0};
    char *inner = NULL;
    const char *folder = settings->path;
    size_t found = 0;
    det_status status = DET_OK;
    DET_TRY(det_path_join(env, &inner, folder, "annotations"));
    DET_TRY(det_list_directory(env, det_is_directory(inner) ? inner : folder, &files));
    for (size_t i = 0; i < files.count; i++) {
        if (!ends_with(files.paths[i], format->files))
            continue;
        found++;
        settings->path = files.paths[i];
        DET_TRY(format->read(env, settings, &job->set));
    }
    if (found == 0)
        det_finding(&job->findings, DET_RULE_NO_INPUT, "%s: the folder holds no *%s file", folder,
                    format->files);
fail:
    det_path_list_free(env, &files);
    det_free(env, &inner);
    return status;
}

static det_status read_source(struct data_job *job, const char *input)
{
    const struct data_arguments *a = &job->arguments;
    char *split = NULL;
    struct det_read_settings settings = {
        .path = path_of(input, &split, job->env),
        .split = split,
        .image_dirs = a->images.values,
        .image_dir_count = a->images.count,
        .findings = &job->findings,
    };
    settings.split = split;
    const char *name = a->from != NULL ? a->from : guess_format(job, settings.path);
    det_status status = DET_OK;
    if (name == NULL)
        DET_TRY(det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "%s: %s: say with --from whether it is %s", settings.path,
                         det_file_exists(settings.path) ? "its format is not plain from its name"
                                                        : "there is no such file",
                         data_format_names()));
    const struct format *format = find_format(name);
    job->format = format->name;
    DET_TRY(format->files != NULL && det_is_directory(settings.path)
                ? read_files(job, format, &settings)
                : format->read(job->env, &settings, &job->set));
fail:
    det_free(job->env, &split);
    return status;
}

det_status data_announce(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    struct tool *tool = &job->tool;
    for (size_t i = 0; i < job->inputs.count; i++) {
        char *split = NULL;
        const char *path = path_of(job->inputs.values[i], &split, job->env);
        det_status status = tool_reads(tool, path);
        if (status == DET_OK && a->output != NULL && det_same_file(path, a->output))
            status =
                det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                         "--output %s: is a source, which would be overwritten: choose another "
                         "name",
                         a->output);
        det_free(job->env, &split);
        DET_TRY_RETURN(status);
    }
    DET_TRY_RETURN(tool_reads(tool, a->label_map));
    DET_TRY_RETURN(tool_reads(tool, a->config));
    return tool_writes(tool, "--json", a->json);
}

det_status data_announce_images(struct data_job *job)
{
    for (size_t i = 0; i < job->set.image_count; i++)
        DET_TRY_RETURN(tool_reads(&job->tool, job->set.images[i].path));
    return DET_OK;
}

/* Without --label_map: the label_map.pbtxt that lies with the first source, if there is one. */
static det_status find_label_map(struct data_job *job)
{
    struct det_env *env = job->env;
    char *split = NULL, *folder = NULL;
    const char *path = path_of(job->inputs.values[0], &split, env);
    det_status status = DET_OK;
    if (job->arguments.label_map != NULL) {
        status = det_strdup(env, &job->label_map, job->arguments.label_map);
        goto fail;
    }
    DET_TRY(det_is_directory(path) ? det_strdup(env, &folder, path)
                                   : det_path_directory(env, &folder, path));
    DET_TRY(det_path_join(env, &job->label_map, folder, "label_map.pbtxt"));
    if (!det_file_exists(job->label_map))
        det_free(env, &job->label_map);
    else
        tool_log(&job->tool, DET_LOG_INFO, "classes from %s", job->label_map);
fail:
    det_free(env, &folder);
    det_free(env, &split);
    return status;
}

/* A label map that is wrong is a finding; the classes are then taken as they come. */
static det_status read_label_map(struct data_job *job)
{
    struct det_env *env = job->env;
    DET_TRY_RETURN(find_label_map(job));
    if (job->label_map == NULL)
        return det_annotations_init(env, &job->set, NULL);
    const det_status status = det_label_map_read(env, job->label_map, &job->map);
    if (status == DET_STATUS_PARSE || status == DET_STATUS_CORRUPT) {
        det_finding(&job->findings, DET_RULE_LABEL_MAP, "%s", env->error);
        return det_annotations_init(env, &job->set, NULL);
    }
    DET_TRY_RETURN(status);
    return det_annotations_init(env, &job->set, &job->map);
}

static det_status check_config(struct data_job *job)
{
    const struct data_arguments *a = &job->arguments;
    if (a->config == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_pipeline_config_load(job->tool.context, a->config, &job->config));
    if (job->map.count > 0 && det_label_map_fit(job->env, &job->map, job->config) != DET_OK)
        det_finding(&job->findings, DET_RULE_CLASS_COUNT, "%s", job->env->error);
    return DET_OK;
}

det_status data_read(struct data_job *job)
{
    enum det_exif_policy exif = DET_EXIF_AUTO;
    data_exif_policy(job->arguments.exif, &exif);
    DET_TRY_RETURN(read_label_map(job));
    DET_TRY_RETURN(check_config(job));
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY_RETURN(read_source(job, job->inputs.values[i]));
    DET_TRY_RETURN(det_annotations_finish(job->env, &job->set));
    DET_TRY_RETURN(det_annotations_resolve(job->env, &job->set, exif,
                                           det_context_pool(job->tool.context), &job->findings));
    tool_log(&job->tool, DET_LOG_INFO, "%s: %zu images, %zu boxes, %zu classes, %zu split%s",
             job->command, job->set.image_count, job->set.object_count, job->set.classes.count,
             job->set.splits.count, job->set.splits.count == 1 ? "" : "s");
    return DET_OK;
}

void data_job_close(struct data_job *job)
{
    if (job->env == NULL)
        return;
    det_annotations_free(job->env, &job->set);
    det_label_map_free(job->env, &job->map);
    det_free(job->env, &job->label_map);
    det_pipeline_config_destroy(&job->config);
}

det_status data_write(struct data_job *job, const char *format, const char *directory)
{
    const det_writer_of_set write = find_format(format)->write;
    struct det_write_counts counts = {0};
    const struct det_write_settings settings = {
        .directory = directory,
        .shards = (int32_t)job->arguments.shards,
        .without_images = !job->arguments.copy_images,
        .name = det_path_name(directory),
    };
    DET_TRY_RETURN(data_announce_images(job));
    job->tool.guard.rehearsing = true;
    const det_status status = write(job->env, &settings, &job->set, &counts);
    job->tool.guard.rehearsing = false;
    DET_TRY_RETURN(status);
    counts = (struct det_write_counts){0};
    DET_TRY_RETURN(write(job->env, &settings, &job->set, &counts));
    tool_log(
        &job->tool, DET_LOG_INFO,
        "%s: %zu images, %zu boxes in %zu classes; %zu images copied as they are, %zu encoded anew",
        directory, counts.images, counts.objects, job->set.classes.count, counts.copied,
        counts.encoded);
    return DET_OK;
}
